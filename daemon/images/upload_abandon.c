// SPDX-License-Identifier: Apache-2.0
//
// Ends what nobody will go on with. Whether an idle session is wanted is a question about its job alone: while that may run
// again the session stays, once it is over – succeeded with other bytes, failed, cancelled, forgotten – it is ended at the
// registry: one after the other, as well as that goes, with the job's own credentials where they are still known. The engine is
// asked soon after a step or plan has ended and then ever more rarely, because a job can end without either.
#include "images/upload_internal.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "jobs/engine.h"
#include "jobs/step.h"
#include "registry/blob_push.h"

enum { LOOK_FIRST_MS = 100, LOOK_MAX_MS = 60000 };

// --- ending one at its registry

struct abandon {
    struct step base;
    struct upload_entry *entry;
};

static void end_next(struct upload_journal *journal);

static void look_later(struct upload_journal *journal, int64_t delay_ms)
{
    journal->delay_ms = delay_ms < LOOK_MAX_MS ? delay_ms : LOOK_MAX_MS;
    if (!journal->stopped)
        loop_timer_start(journal->timer, journal->delay_ms);
}

static int abandon_run(struct step *step, struct error *err)
{
    (void)err;
    struct upload_entry *entry = ((struct abandon *)step)->entry;
    struct blob_push_target target = {.scope = {.registry = entry->journal->options.registry,
                                                .host = entry->host,
                                                .repository = entry->repository,
                                                .auth = entry->auth,
                                                .monitor = &step->monitor},
                                      .error = ERROR_INIT,
                                      .session = upload_journal_session(entry)};
    struct blob_push push = {.digest = entry->digest,
                             .size = entry->size,
                             .targets = &target,
                             .n_targets = 1,
                             .monitor = &step->monitor};
    blob_push_abandon(&push);
    free(target.session);
    return 0;
}

static void abandon_free(struct step *step)
{
    free(step);
}

// err: it was not even begun, because too much is waiting or the daemon stops. Later, then, or at the next start.
static void abandon_done(void *arg, struct step *step, const struct error *err)
{
    struct upload_journal *journal = arg;
    struct upload_entry *entry = ((struct abandon *)step)->entry;
    journal->ending = false;
    if (err) {
        list_remove(&entry->link);
        list_append(&journal->idle, &entry->link);
        look_later(journal, LOOK_MAX_MS);
        return;
    }
    log_debug("an upload session at %s is ended", entry->host);
    upload_journal_forget(entry);
    end_next(journal);
}

static void end_next(struct upload_journal *journal)
{
    static const struct step_ops ops = {.run = abandon_run, .free = abandon_free};
    if (journal->ending || journal->stopped || list_empty(&journal->over))
        return;
    struct abandon *step = mem_new(struct abandon);
    step->entry = container_of(journal->over.next, struct upload_entry, link);
    step_init(&step->base, &ops, "end an upload", NULL);
    step->base.hosts[0] = mem_strdup(step->entry->host);
    journal->ending = true;
    engine_query(journal->engine, &step->base, abandon_done, journal);
}

// --- which ones

struct question {
    struct upload_journal *journal;
    char id[ID_LEN + 1]; // of the entry, which may be gone when the answer comes
};

static bool is_over(json_t *job, const struct error *err)
{
    return err ? err->code == ERR_NOT_FOUND : json_get_bool(job, "terminal", false);
}

static void on_job(void *arg, json_t *job, const struct error *err)
{
    struct question *question = arg;
    struct upload_journal *journal = question->journal;
    bool over = is_over(job, err);
    json_decref(job);
    list_for_each_safe(link, &journal->idle) {
        struct upload_entry *entry = container_of(link, struct upload_entry, link);
        if (!over || !str_equal(entry->id, question->id))
            continue;
        list_remove(&entry->link);
        list_append(&journal->over, &entry->link);
    }
    free(question);
    end_next(journal);
}

static void ask(struct upload_journal *journal, const struct upload_entry *entry)
{
    static const struct engine_caller everybody = {.uid = -1, .admin = true};
    struct question *question = mem_new(struct question);
    question->journal = journal;
    memcpy(question->id, entry->id, sizeof(question->id));
    engine_get(journal->engine, entry->job, &everybody, on_job, question);
}

static void on_timer(void *arg)
{
    struct upload_journal *journal = arg;
    list_for_each_safe(link, &journal->idle) // an answer may come at once and take the entry out
        ask(journal, container_of(link, struct upload_entry, link));
    if (!list_empty(&journal->idle))
        look_later(journal, 2 * journal->delay_ms);
}

void upload_journal_look(struct upload_journal *journal)
{
    if (journal && journal->engine && !journal->stopped && !list_empty(&journal->idle))
        look_later(journal, LOOK_FIRST_MS);
}

void upload_journal_start(struct upload_journal *journal, struct engine *engine)
{
    journal->engine = engine;
    journal->timer = loop_timer_new(journal->options.loop, on_timer, journal);
    upload_journal_look(journal);
}
