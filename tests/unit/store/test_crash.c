// SPDX-License-Identifier: Apache-2.0
//
// A child process works with the store and is killed at a random moment; whatever it had been answered must
// be there.
#include "store_fixture.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

enum { ROUNDS = 25, CLIENTS = 8, JOBS_MAX = 200000 };

// What the child tells its parent about each answer, over a pipe.
struct answer {
    int job;
    int stage; // 0 inserted, 1 checkpoint, 2 finished
};

struct child {
    struct fixture f;
    int out;
    int next;
    int64_t cursor;
};

struct client {
    struct child *child;
    int job, stage;
};

static void job_id(int n, char ret[16])
{
    snprintf(ret, 16, "%08d", n);
}

static void go_on(struct client *client);

static void answered(void *arg, const struct error *err)
{
    struct client *client = arg;
    struct answer answer = {client->job, client->stage};
    if (err)
        _exit(3);
    if (write(client->child->out, &answer, sizeof answer) != sizeof answer)
        _exit(4);
    client->stage++;
    go_on(client);
}

static void begin(struct client *client)
{
    struct child *child = client->child;
    char id[16], key[32];
    client->job = child->next++;
    client->stage = 0;
    job_id(client->job, id);
    snprintf(key, sizeof key, "key %s", id);
    struct store_job job = fixture_job(id, "queued");
    job.sealed = "sealed";
    job.sealed_len = 6;
    store_job_insert(child->f.store, &job, key, id, answered, client);
}

static void go_on(struct client *client)
{
    struct child *child = client->child;
    if (client->stage > 2) {
        begin(client);
        return;
    }
    char id[16];
    job_id(client->job, id);
    bool last = client->stage == 2;
    struct store_job job = fixture_job(id, last ? "succeeded" : "running");
    job.checkpoint = last ? NULL : "{\"tags\":true}";
    job.finished_ms = last ? 5 : 0;
    job.last_seq = client->stage;
    store_event_append(
        child->f.store,
        &(struct store_event){.job = id, .seq = client->stage, .cursor = ++child->cursor, .text = "{}"});
    store_job_update(child->f.store, &job, last, answered, client);
}

static void child_main(const char *directory, int out, int first)
{
    struct child child = {.out = out, .next = first, .cursor = (int64_t)first * 10};
    struct client clients[CLIENTS];
    snprintf(child.f.directory, sizeof child.f.directory, "%s", directory);
    fixture_open(&child.f);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){.child = &child};
        begin(&clients[i]);
    }
    loop_run(child.f.loop);
}

// What the parent knows of each job: the highest stage that was answered, -1 none.
static signed char stages[JOBS_MAX];

static int read_answers(int in)
{
    struct answer answer;
    int newest = -1;
    while (read(in, &answer, sizeof answer) == sizeof answer) {
        assert_in_range(answer.job, 0, JOBS_MAX - 1);
        stages[answer.job] = (signed char)answer.stage;
        if (answer.job > newest)
            newest = answer.job;
    }
    return newest;
}

static int run_and_kill(const char *directory, int first, unsigned delay_us)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(ends[0]);
        child_main(directory, ends[1], first);
        _exit(5);
    }
    close(ends[1]);
    // Read from the first answer on, so that the pipe never fills and every round kills a store at work.
    struct answer answer;
    assert_int_equal(read(ends[0], &answer, sizeof answer), sizeof answer);
    stages[answer.job] = (signed char)answer.stage;
    pid_t killer = fork();
    if (killer == 0) {
        usleep(delay_us);
        kill(pid, SIGKILL);
        _exit(0);
    }
    int newest = read_answers(ends[0]);
    int status;
    waitpid(killer, NULL, 0);
    waitpid(pid, &status, 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    close(ends[0]);
    return newest;
}

struct audit {
    struct fixture *f;
    int active;
    int found, wrong;
    int job;
};

static void audit_active(void *arg, const struct store_job *row, const struct error *err)
{
    struct audit *audit = arg;
    assert_null(err);
    if (!row)
        return;
    int job = atoi(row->id);
    audit->active++;
    assert_true(stages[job] < 2);                            // a finished one is never run again
    assert_true(stages[job] < 1 || row->checkpoint != NULL); // nor one without its checkpoint
    assert_int_equal(row->sealed_len, 6);
    assert_true(row->last_seq >= stages[job]);
}

static void audit_row(void *arg, const struct store_job *row, const struct error *err)
{
    struct audit *audit = arg;
    assert_null(err);
    if (row)
        audit->found++;
    else
        fixture_answered(audit->f);
}

static void audit_key(void *arg, const char *text, const struct error *err)
{
    struct audit *audit = arg;
    assert_null(err);
    audit->wrong += text == NULL;
    fixture_answered(audit->f);
}

// Everything that was answered since `first` is there with its key.
static void audit_store(struct fixture *f, int first, int newest)
{
    struct error err = ERROR_INIT;
    struct audit audit = {.f = f};
    int64_t cursor;
    int answered_jobs = 0;
    fixture_open(f);
    assert_int_equal(store_recover(f->store, audit_active, &audit, &cursor, &err), 0);
    for (int job = first; job <= newest; job++) {
        char id[16], key[32];
        if (stages[job] < 0)
            continue;
        job_id(job, id);
        snprintf(key, sizeof key, "key %s", id);
        answered_jobs++;
        store_job_find(f->store, id, audit_row, &audit);
        store_key_find(f->store, key, audit_key, &audit);
    }
    fixture_wait(f, 2 * answered_jobs);
    assert_int_equal(audit.found, answered_jobs);
    assert_int_equal(audit.wrong, 0);
    fixture_close(f);
}

static void test_killed(void **state)
{
    (void)state;
    struct fixture f;
    fixture_directory(&f);
    memset(stages, -1, sizeof stages);
    srand(4711);
    int first = 0;
    for (int round = 0; round < ROUNDS; round++) {
        int newest = run_and_kill(f.directory, first, (unsigned)rand() % 60000);
        if (newest < first)
            newest = first + CLIENTS;
        audit_store(&f, first, newest);
        first = newest + CLIENTS + 1; // some may be there that were not answered
    }
    assert_true(first > ROUNDS * CLIENTS);
    fixture_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_killed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
