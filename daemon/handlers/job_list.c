// SPDX-License-Identifier: Apache-2.0
//
// GET /v1/jobs: the caller's jobs, newest first, as JSON or, for people, as a table.
#include <string.h>

#include "base/id.h"
#include "base/mem.h"
#include "base/str.h"
#include "handlers/answer.h"
#include "handlers/job_text.h"
#include "handlers/operations.h"

enum { LIMIT_DEFAULT = 100, LIMIT_MAX = 1000 };

static bool state_known(const char *state)
{
    for (int i = JOB_QUEUED; i <= JOB_CANCELLED; i++)
        if (strcmp(state, job_state_name((enum job_state)i)) == 0)
            return true;
    return false;
}

// "key=value", split into *ret_key (caller frees) and the value behind it.
static int read_label(const char *text, struct engine_list *filter, char **ret_key, struct error *err)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return error_set(err, ERR_INVALID_REQUEST, "Query parameter \"label\" must be key=value");
    *ret_key = mem_strndup(text, (size_t)(equals - text));
    filter->label_key = *ret_key;
    filter->label_value = equals + 1;
    return 0;
}

static int read_filter(const struct request *request, struct engine_list *filter, char **ret_key,
                       struct error *err)
{
    static const char *const allowed[] = {"state", "kind", "label", "limit", "cursor", NULL};
    int64_t limit;
    if (request_check_query(request, allowed, err) != 0 ||
        request_query_int(request, "limit", 1, LIMIT_MAX, LIMIT_DEFAULT, &limit, err) != 0)
        return -1;
    *filter = (struct engine_list){
        .state = request_query(request, "state"),
        .kind = request_query(request, "kind"),
        .cursor = request_query(request, "cursor"),
        .limit = (int)limit,
        .caller = answer_caller(request),
    };
    const char *label = request_query(request, "label");
    if (filter->state && !state_known(filter->state))
        return error_set(
            err, ERR_INVALID_REQUEST,
            "Query parameter \"state\" must be queued, running, cancelling, succeeded, failed or cancelled");
    if (filter->cursor && !id_valid(filter->cursor))
        return error_set(err, ERR_INVALID_REQUEST, "Query parameter \"cursor\" is not a `next` of this list");
    return label ? read_label(label, filter, ret_key, err) : 0;
}

static void show_table(void *arg, json_t *list, const struct error *err)
{
    struct answer *answer = arg;
    if (err || !answer->request) {
        json_decref(list);
        answer_value(answer, NULL, err);
        return;
    }
    struct request *request = answer->request;
    answer_free(answer);
    AUTO_FREE char *text = job_text_table(list);
    json_decref(list);
    reply_bytes(request, 200, "text/plain; charset=utf-8", text, strlen(text));
}

void job_list(struct request *request, void *arg)
{
    struct app *app = arg;
    struct error err = ERROR_INIT;
    struct engine_list filter;
    AUTO_FREE char *key = NULL;
    if (read_filter(request, &filter, &key, &err) != 0)
        answer_refuse(request, &err);
    else
        engine_list(app->engine, &filter, job_text_wanted(request) ? show_table : answer_value,
                    answer_later(request, app));
}
