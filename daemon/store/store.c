// SPDX-License-Identifier: Apache-2.0
//
// The two threads behind the store's calls. The writer takes everything that is queued, commits it as one
// group and posts the answers; while it waits for the disk the next group gathers, so a slow disk means
// larger groups. The reader runs queries on a connection of its own: it waits for no commit but those of
// writes that the caller made before and that touch the same tables, so the loop always sees what it wrote.
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <time.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/committer.h"
#include "store/store_op.h"

enum { GROUP_MAX = 2048, IDLE_S = 1 };

struct store {
    char *path; // of the database
    struct mailbox *mailbox;
    int lock_fd;
    pthread_t writer, reader;

    pthread_mutex_t lock;
    pthread_cond_t write_wake, read_wake, idle_wake;
    // Under lock.
    struct list writes, reads;
    size_t queued;     // not yet answered, of both
    uint64_t answered; // every write up to this one was run
    bool stopping;
    struct committer_stats stats;

    // Loop only.
    uint64_t last_ticket;
    uint64_t last_write[STORE_TABLES]; // newest write to each table
    size_t waiting;                    // answers that are still to come

    struct committer *committer; // writer
    struct database *read_db;    // reader
};

static void deliver(struct letter *letter)
{
    struct store_op *op = container_of(letter, struct store_op, letter);
    op->store->waiting--;
    op->kind->answer(op);
    error_clear(&op->err);
    op->kind->free(op);
}

static void prepare(struct store *store, struct store_op *op, const struct store_op_kind *kind)
{
    op->kind = kind;
    op->store = store;
    op->letter.deliver = deliver;
    op->err = ERROR_INIT;
    if (kind->answer)
        store->waiting++;
}

static void enqueue(struct store *store, struct store_op *op, struct list *queue, pthread_cond_t *wake)
{
    pthread_mutex_lock(&store->lock);
    list_append(queue, &op->letter.link);
    store->queued++;
    pthread_cond_signal(wake);
    pthread_mutex_unlock(&store->lock);
}

void store_write(struct store *store, struct store_op *op, const struct store_op_kind *kind)
{
    prepare(store, op, kind);
    op->ticket = ++store->last_ticket;
    for (unsigned table = 0; table < STORE_TABLES; table++)
        if (kind->tables & 1u << table)
            store->last_write[table] = op->ticket;
    enqueue(store, op, &store->writes, &store->write_wake);
}

void store_read(struct store *store, struct store_op *op, const struct store_op_kind *kind)
{
    prepare(store, op, kind);
    op->ticket = 0;
    for (unsigned table = 0; table < STORE_TABLES; table++)
        if (kind->tables & 1u << table && store->last_write[table] > op->ticket)
            op->ticket = store->last_write[table];
    enqueue(store, op, &store->reads, &store->read_wake);
}

// The end of an operation on its thread: answered through the mailbox, or forgotten.
static void finish(struct store *store, struct store_op *op)
{
    if (op->kind->answer) {
        mailbox_post(store->mailbox, &op->letter);
        return;
    }
    if (op->err.code != ERR_NONE)
        log_warning("store: %s: %s", op->kind->what, op->err.detail);
    error_clear(&op->err);
    op->kind->free(op);
}

static void wait_for_writes(struct store *store)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += IDLE_S;
    if (committer_restless(store->committer))
        pthread_cond_timedwait(&store->write_wake, &store->lock, &until);
    else
        pthread_cond_wait(&store->write_wake, &store->lock);
}

struct group {
    struct list ops;
    size_t taken;    // from the queue; the committer may add what it held back, or hold some back
    uint64_t newest; // ticket
};

// False at the end. An empty group means: nothing to do, but something to tidy.
static bool take_group(struct store *store, struct group *group)
{
    list_init(&group->ops);
    group->taken = 0;
    group->newest = 0;
    pthread_mutex_lock(&store->lock);
    if (list_empty(&store->writes) && !store->stopping)
        wait_for_writes(store);
    bool more = !list_empty(&store->writes) || !store->stopping;
    for (; group->taken < GROUP_MAX && !list_empty(&store->writes); group->taken++) {
        struct store_op *op = store_op_of(list_take_first(&store->writes));
        if (op->ticket > group->newest)
            group->newest = op->ticket;
        list_append(&group->ops, &op->letter.link);
    }
    pthread_mutex_unlock(&store->lock);
    return more;
}

static void finish_group(struct store *store, struct group *group)
{
    struct list again = LIST_INIT(again);
    size_t n_again = 0;
    for (struct list *link; (link = list_take_first(&group->ops)) != NULL;) {
        struct store_op *op = store_op_of(link);
        if (op->again && op->err.code == ERR_NONE) {
            list_append(&again, link);
            n_again++;
        } else {
            finish(store, op);
        }
    }
    pthread_mutex_lock(&store->lock);
    list_splice(&store->writes, &again);
    if (group->newest > store->answered)
        store->answered = group->newest;
    store->queued -= group->taken - n_again;
    committer_stats(store->committer, &store->stats);
    pthread_cond_broadcast(&store->read_wake);
    pthread_cond_broadcast(&store->idle_wake);
    pthread_mutex_unlock(&store->lock);
}

static void *writer_main(void *arg)
{
    struct store *store = arg;
    struct group group;
    while (take_group(store, &group)) {
        if (group.taken == 0)
            committer_idle(store->committer);
        else
            committer_commit(store->committer, &group.ops);
        finish_group(store, &group);
        committer_tidy(store->committer);
    }
    committer_idle(store->committer); // what is held gets a last chance
    return NULL;
}

// The next query whose writes are in, in order; NULL at the end.
static struct store_op *take_read(struct store *store)
{
    pthread_mutex_lock(&store->lock);
    while (list_empty(&store->reads) && !store->stopping)
        pthread_cond_wait(&store->read_wake, &store->lock);
    struct list *link = list_take_first(&store->reads);
    struct store_op *op = link ? store_op_of(link) : NULL;
    while (op && store->answered < op->ticket)
        pthread_cond_wait(&store->read_wake, &store->lock);
    pthread_mutex_unlock(&store->lock);
    return op;
}

static void *reader_main(void *arg)
{
    struct store *store = arg;
    for (struct store_op *op; (op = take_read(store)) != NULL;) {
        op->kind->run(op, store->read_db, &op->err);
        finish(store, op);
        pthread_mutex_lock(&store->lock);
        store->queued--;
        pthread_cond_broadcast(&store->idle_wake);
        pthread_mutex_unlock(&store->lock);
    }
    return NULL;
}

static void init_locks(struct store *store)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&store->lock, NULL);
    pthread_cond_init(&store->write_wake, &attributes);
    pthread_cond_init(&store->read_wake, NULL);
    pthread_cond_init(&store->idle_wake, NULL);
    pthread_condattr_destroy(&attributes);
}

static int start_thread(pthread_t *thread, void *(*run)(void *), const char *name, struct store *store,
                        struct error *err)
{
    int failure = pthread_create(thread, NULL, run, store);
    if (failure != 0)
        return error_set_errno(err, failure, "cannot start the thread %s", name);
    pthread_setname_np(*thread, name);
    return 0;
}

static void stop_thread(struct store *store, pthread_t thread)
{
    pthread_mutex_lock(&store->lock);
    store->stopping = true;
    pthread_cond_broadcast(&store->write_wake);
    pthread_cond_broadcast(&store->read_wake);
    pthread_mutex_unlock(&store->lock);
    pthread_join(thread, NULL);
}

// Signals are the loop's: both threads start with all of them blocked.
static int start_threads(struct store *store, struct error *err)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int result = start_thread(&store->writer, writer_main, "store-writer", store, err);
    if (result == 0) {
        result = start_thread(&store->reader, reader_main, "store-reader", store, err);
        if (result < 0)
            stop_thread(store, store->writer);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result;
}

// Two daemons on one journal would run every job twice.
static int lock_directory(struct store *store, const char *directory, struct error *err)
{
    AUTO_FREE char *path = mem_printf("%s/dray.lock", directory);
    store->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (store->lock_fd < 0)
        return error_set_errno(err, errno, "cannot open %s", path);
    if (flock(store->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno != EWOULDBLOCK)
        return error_set_errno(err, errno, "cannot lock %s", path);
    error_set(err, ERR_CONFLICT, "the state directory %s is in use by another drayd", directory);
    error_hint(err, "Stop the other one, or choose another directory with --state-dir.");
    return -1;
}

static void store_free(struct store *store)
{
    database_close(store->read_db); // before the writer's: the last connection tidies up
    committer_free(store->committer);
    mem_close_fd(&store->lock_fd);
    pthread_mutex_destroy(&store->lock);
    pthread_cond_destroy(&store->write_wake);
    pthread_cond_destroy(&store->read_wake);
    pthread_cond_destroy(&store->idle_wake);
    free(store->path);
    free(store);
}

static int open_parts(struct store *store, const char *directory, struct error *err)
{
    if (file_make_directory(directory, 0700, err) < 0 || lock_directory(store, directory, err) < 0)
        return -1;
    store->committer = committer_open(directory, err);
    if (!store->committer)
        return -1;
    store->read_db = store_connect(store, err);
    if (!store->read_db)
        return -1;
    committer_stats(store->committer, &store->stats);
    return start_threads(store, err);
}

struct store *store_open(const char *directory, struct mailbox *mailbox, struct error *err)
{
    struct store *store = mem_new(struct store);
    store->path = mem_printf("%s/dray.db", directory);
    store->mailbox = mailbox;
    store->lock_fd = -1;
    list_init(&store->writes);
    list_init(&store->reads);
    init_locks(store);
    if (open_parts(store, directory, err) == 0)
        return store;
    store_free(store);
    return NULL;
}

// Callbacks may make further calls while they are delivered; these are served too.
static void settle(struct store *store)
{
    bool busy;
    do {
        pthread_mutex_lock(&store->lock);
        while (store->queued > 0)
            pthread_cond_wait(&store->idle_wake, &store->lock);
        pthread_mutex_unlock(&store->lock);
        mailbox_drain(store->mailbox);
        pthread_mutex_lock(&store->lock);
        busy = store->queued > 0;
        pthread_mutex_unlock(&store->lock);
    } while (busy || store->waiting > 0);
}

void store_close(struct store *store)
{
    if (!store)
        return;
    settle(store);
    stop_thread(store, store->writer);
    pthread_join(store->reader, NULL);
    store_free(store);
}

struct database *store_connect(struct store *store, struct error *err)
{
    return database_open(store->path, DATABASE_READ, NULL, err);
}

void store_stats(struct store *store, struct store_stats *ret)
{
    pthread_mutex_lock(&store->lock);
    *ret = (struct store_stats){
        .queued = (int64_t)store->queued,
        .commits = store->stats.commits,
        .operations = store->stats.operations,
        .failures = store->stats.failures,
        .bytes = store->stats.bytes,
        .failing = store->stats.failing,
        .out_of_space = store->stats.out_of_space,
    };
    pthread_mutex_unlock(&store->lock);
}
