// SPDX-License-Identifier: Apache-2.0
//
// Used by job_get (?wait) and job_create (Prefer: wait). A wait that is cancelled does not call back, so the
// answer is freed here; one that calls back at once returns no ticket.
#include "handlers/job_wait.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"

struct waiting {
    struct answer *answer;
    struct engine_wait *ticket;
    engine_json_fn done;
};

static void finished(void *arg, json_t *job, const struct error *err)
{
    struct waiting *waiting = arg;
    struct answer *answer = waiting->answer;
    engine_json_fn done = waiting->done;
    answer_on_gone(answer, NULL, NULL);
    free(waiting);
    done(answer, job, err);
}

static void gone(void *arg)
{
    struct waiting *waiting = arg;
    engine_wait_cancel(waiting->ticket);
    answer_free(waiting->answer);
    free(waiting);
}

void job_wait(struct answer *answer, const char *id, int64_t wait_ms, engine_json_fn done)
{
    struct engine_caller caller = answer_caller(answer->request);
    if (wait_ms <= 0) {
        engine_get(answer->app->engine, id, &caller, done, answer);
        return;
    }
    struct waiting *waiting = mem_new(struct waiting);
    *waiting = (struct waiting){.answer = answer, .done = done};
    struct engine_wait *ticket =
        engine_wait_start(answer->app->engine, id, &caller, wait_ms, finished, waiting);
    if (!ticket)
        return; // has called back
    waiting->ticket = ticket;
    answer_on_gone(answer, gone, waiting);
}

int64_t job_wait_preferred_s(const struct request *request)
{
    const char *prefer = request_header(request, "Prefer");
    for (const char *at = prefer; at && *at; at += *at == ',' || *at == ';') {
        at += strspn(at, " \t");
        size_t len = strcspn(at, ",;");
        if (len > 5 && strncasecmp(at, "wait=", 5) == 0) {
            int64_t seconds;
            size_t digits = strspn(at + 5, "0123456789");
            AUTO_FREE char *number = mem_strndup(at + 5, digits);
            if (str_to_int64(number, 0, 1000000, &seconds))
                return seconds < JOB_WAIT_MAX_S ? seconds : JOB_WAIT_MAX_S;
        }
        at += len;
    }
    return 0;
}
