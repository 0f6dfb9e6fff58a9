// SPDX-License-Identifier: Apache-2.0
//
// Made by job_submit_step and engine_query, ended by attempt and query when the step is over.
#include "jobs/task.h"

#include "base/mem.h"

struct task *task_new(struct step *step, struct job *job)
{
    struct task *task = mem_new(struct task);
    task->step = step;
    task->job = job;
    list_init(&task->link);
    list_init(&task->flight_link);
    list_init(&task->snapshot.link);
    step->task = task;
    step->job = job;
    return task;
}

void task_free(struct task *task)
{
    loop_timer_free(task->timer);
    task->step->task = NULL;
    step_free(task->step);
    free(task);
}

int64_t task_moved(const struct task *task)
{
    const struct monitor *m = &task->step->monitor;
    return atomic_load(&m->current) + atomic_load(&m->bytes_sent) + atomic_load(&m->bytes_received) +
           atomic_load(&m->requests) + atomic_load(&m->retries) + atomic_load(&m->tokens);
}

const char *task_flight_key(const struct task *task)
{
    return task->job ? task->step->flight_key : NULL;
}

static bool before(const struct task *a, const struct task *b)
{
    if (a->step->size_hint != b->step->size_hint)
        return a->step->size_hint < b->step->size_hint;
    return a->order < b->order;
}

static void place(struct task_heap *heap, size_t index, struct task *task)
{
    heap->tasks[index] = task;
    task->heap_index = index;
}

static void rise(struct task_heap *heap, size_t index, struct task *task)
{
    while (index > 0 && before(task, heap->tasks[(index - 1) / 2])) {
        place(heap, index, heap->tasks[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    place(heap, index, task);
}

static void sink(struct task_heap *heap, size_t index, struct task *task)
{
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && before(heap->tasks[child + 1], heap->tasks[child]))
            child++;
        if (!before(heap->tasks[child], task))
            break;
        place(heap, index, heap->tasks[child]);
        index = child;
    }
    place(heap, index, task);
}

void task_heap_add(struct task_heap *heap, struct task *task)
{
    if (heap->count == heap->capacity) {
        heap->capacity = heap->capacity ? heap->capacity * 2 : 4;
        heap->tasks = mem_realloc(heap->tasks, heap->capacity * sizeof *heap->tasks);
    }
    rise(heap, heap->count++, task);
}

struct task *task_heap_first(const struct task_heap *heap)
{
    return heap->count > 0 ? heap->tasks[0] : NULL;
}

void task_heap_remove(struct task_heap *heap, struct task *task)
{
    size_t index = task->heap_index;
    struct task *last = heap->tasks[--heap->count];
    if (last == task)
        return;
    if (index > 0 && before(last, heap->tasks[(index - 1) / 2]))
        rise(heap, index, last);
    else
        sink(heap, index, last);
}

void task_heap_fini(struct task_heap *heap)
{
    free(heap->tasks);
    *heap = (struct task_heap){0};
}
