// SPDX-License-Identifier: Apache-2.0
//
// Entries in memory and their facts in the store. An entry is claimed (a step uses it) or idle; it has a fact while it has a
// session. A worker's notes come through the mailbox: what counts is the latest, so letters that wait are not written twice.
#include "images/upload_internal.h"

#include <string.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "credentials/credentials.h"
#include "jobs/job.h"
#include "store/store.h"

#define FACT_KIND "upload"
// Registries purge sessions that are older than this.
#define AGE_MS (INT64_C(7) * 24 * 3600 * 1000)

static void on_letter(struct letter *letter);

static struct upload_entry *entry_new(struct upload_journal *journal)
{
    struct upload_entry *entry = mem_new(struct upload_entry);
    entry->journal = journal;
    entry->letter.deliver = on_letter;
    list_init(&entry->link);
    list_init(&entry->letter.link);
    pthread_mutex_init(&entry->mutex, NULL);
    return entry;
}

static void entry_free(struct upload_entry *entry)
{
    list_remove(&entry->link);
    if (entry->auth)
        credential_set_unref(entry->auth);
    secret_free(entry->session);
    hasher_free(entry->hasher);
    pthread_mutex_destroy(&entry->mutex);
    free(entry->host);
    free(entry->repository);
    free(entry);
}

// --- facts

static struct secret *text_of(const struct upload_entry *entry)
{
    AUTO_JSON json_t *value =
        json_pack("{s:s, s:s, s:s, s:s, s:I, s:s}", "job", entry->job, "host", entry->host, "repository", entry->repository,
                  "digest", entry->digest.text, "size", (json_int_t)entry->size, "session", secret_reveal(entry->session));
    char *text = json_text(value);
    struct secret *secret = secret_new(text);
    explicit_bzero(text, strlen(text));
    free(text);
    return secret;
}

static void keep(struct upload_entry *entry)
{
    struct upload_journal *journal = entry->journal;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    AUTO_FREE void *sealed = NULL;
    size_t len = 0;
    struct secret *text = text_of(entry);
    int result = seal_close_text(journal->options.seal, entry->id, text, &sealed, &len, &err);
    secret_free(text);
    if (result) {
        log_warning("an upload session cannot be journalled: %s", err.detail);
        return;
    }
    AUTO_FREE char *value = base64_encode(sealed, len);
    store_fact_put(journal->options.store, FACT_KIND, entry->id, value, clock_wall_ms() + AGE_MS);
    entry->kept = true;
}

static void drop(struct upload_entry *entry)
{
    store_fact_delete(entry->journal->options.store, FACT_KIND, entry->id);
    entry->kept = false;
}

static void save(struct upload_entry *entry)
{
    if (entry->journal->stopped)
        return;
    pthread_mutex_lock(&entry->mutex);
    entry->posted = false;
    if (entry->session)
        keep(entry);
    else if (entry->kept)
        drop(entry);
    pthread_mutex_unlock(&entry->mutex);
}

static void on_letter(struct letter *letter)
{
    save(container_of(letter, struct upload_entry, letter));
}

static int read_entry(struct upload_entry *entry, const json_t *value, struct error *err)
{
    const char *job = json_get_string(value, "job"), *host = json_get_string(value, "host"),
               *repository = json_get_string(value, "repository"), *digest = json_get_string(value, "digest"),
               *session = json_get_string(value, "session");
    bool named = digest && *digest;
    if (!job || !id_valid(job) || !host || !repository || !digest || !session)
        return error_set(err, ERR_INTERNAL, "it is damaged");
    memcpy(entry->job, job, sizeof(entry->job));
    entry->host = mem_strdup(host);
    entry->repository = mem_strdup(repository);
    entry->size = json_get_int(value, "size", 0);
    entry->session = secret_new(session);
    return named ? digest_parse(&entry->digest, digest, err) : 0;
}

static struct secret *open_fact(const struct upload_journal *journal, const char *key, const char *value, struct error *err)
{
    AUTO_FREE void *sealed = NULL;
    size_t len = 0;
    if (id_valid(key) && base64_decode(value, strlen(value), &sealed, &len))
        return seal_open_text(journal->options.seal, key, sealed, len, err);
    error_set(err, ERR_INTERNAL, "it is damaged");
    return NULL;
}

static void load_one(void *arg, const char *key, const char *value, int64_t expires_wall_ms)
{
    (void)expires_wall_ms;
    struct upload_journal *journal = arg;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct upload_entry *entry = entry_new(journal);
    struct secret *text = open_fact(journal, key, value, &err);
    AUTO_JSON json_t *json = text ? json_parse(secret_reveal(text), secret_len(text), &json_limits_small, &err) : NULL;
    secret_free(text);
    if (json && read_entry(entry, json, &err) == 0) {
        memcpy(entry->id, key, sizeof(entry->id));
        entry->kept = true;
        list_append(&journal->idle, &entry->link);
        return;
    }
    log_warning("a journalled upload session is dropped: %s", err.detail);
    store_fact_delete(journal->options.store, FACT_KIND, key);
    entry_free(entry);
}

// --- life

struct upload_journal *upload_journal_new(const struct upload_journal_options *options, struct error *err)
{
    struct upload_journal *journal = mem_new(struct upload_journal);
    journal->options = *options;
    list_init(&journal->idle);
    list_init(&journal->claimed);
    list_init(&journal->over);
    if (store_fact_each(options->store, FACT_KIND, load_one, journal, err) == 0)
        return journal;
    upload_journal_free(journal);
    return NULL;
}

void upload_journal_stop(struct upload_journal *journal)
{
    journal->stopped = true;
    loop_timer_free(mem_take(journal->timer));
}

void upload_journal_free(struct upload_journal *journal)
{
    if (!journal || journal->ending || !list_empty(&journal->claimed))
        return; // a worker still holds a step: the process is about to end, its memory stays
    struct list *lists[] = {&journal->idle, &journal->over};
    for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
        list_for_each_safe(link, lists[i])
            entry_free(container_of(link, struct upload_entry, link));
    free(journal);
}

// --- what steps do

static bool is_for(const struct upload_entry *entry, const struct job *job, const struct endpoint *endpoint,
                   const struct descriptor *blob)
{
    const struct reference *ref = &endpoint->where.ref;
    return str_equal(entry->job, job_id(job)) && str_equal(entry->host, ref->registry) &&
           str_equal(entry->repository, ref->repository) && digest_equal(&entry->digest, &blob->digest);
}

static struct upload_entry *find_idle(const struct upload_journal *journal, const struct job *job,
                                      const struct endpoint *endpoint, const struct descriptor *blob)
{
    list_for_each(link, &journal->idle) {
        struct upload_entry *entry = container_of(link, struct upload_entry, link);
        if (is_for(entry, job, endpoint, blob))
            return entry;
    }
    return NULL;
}

struct upload_entry *upload_journal_claim(struct upload_journal *journal, const struct job *job,
                                          const struct endpoint *endpoint, const struct descriptor *blob)
{
    struct upload_entry *entry = digest_known(&blob->digest) ? find_idle(journal, job, endpoint, blob) : NULL;
    if (!entry) {
        entry = entry_new(journal);
        id_new(entry->id);
        memcpy(entry->job, job_id(job), sizeof(entry->job));
        entry->host = mem_strdup(endpoint->where.ref.registry);
        entry->repository = mem_strdup(endpoint->where.ref.repository);
        entry->digest = blob->digest;
        entry->size = blob->size;
    }
    if (!entry->auth && endpoint->auth)
        entry->auth = credential_set_ref(endpoint->auth);
    list_remove(&entry->link);
    list_append(&journal->claimed, &entry->link);
    return entry;
}

void upload_journal_name(struct upload_entry *entry, const struct descriptor *blob)
{
    entry->digest = blob->digest;
    entry->size = blob->size;
    save(entry);
}

void upload_journal_release(struct upload_entry *entry)
{
    struct upload_journal *journal = entry->journal;
    list_remove(&entry->link);
    if (!entry->session) {
        upload_journal_forget(entry);
        return;
    }
    list_append(&journal->idle, &entry->link);
    upload_journal_look(journal);
}

void upload_journal_forget(struct upload_entry *entry)
{
    secret_free(mem_take(entry->session));
    save(entry);
    entry_free(entry);
}

char *upload_journal_session(struct upload_entry *entry)
{
    pthread_mutex_lock(&entry->mutex);
    char *session = mem_strdup_null(secret_reveal(entry->session));
    pthread_mutex_unlock(&entry->mutex);
    return session;
}

void upload_journal_note(struct upload_entry *entry, const char *session)
{
    pthread_mutex_lock(&entry->mutex);
    secret_free(entry->session);
    entry->session = secret_new(session);
    bool post = !entry->posted;
    entry->posted = true;
    pthread_mutex_unlock(&entry->mutex);
    if (post)
        mailbox_post(entry->journal->options.mailbox, &entry->letter);
}

void upload_journal_keep_hash(struct upload_entry *entry, struct hasher *hasher, int64_t hashed)
{
    pthread_mutex_lock(&entry->mutex);
    hasher_free(entry->hasher);
    entry->hasher = hasher;
    entry->hashed = hashed;
    pthread_mutex_unlock(&entry->mutex);
}

struct hasher *upload_journal_hash(struct upload_entry *entry, int64_t *ret_hashed)
{
    pthread_mutex_lock(&entry->mutex);
    struct hasher *hasher = mem_take(entry->hasher);
    *ret_hashed = entry->hashed;
    pthread_mutex_unlock(&entry->mutex);
    return hasher;
}
