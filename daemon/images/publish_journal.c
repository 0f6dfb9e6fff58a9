// SPDX-License-Identifier: Apache-2.0
//
// The checkpoint before the first tag moves: final manifest bytes and the result as far as it is known. A later attempt that
// finds it only finishes the tags, so a tag is never pushed twice with different content.
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"
#include "images/publish_internal.h"

json_t *publish_journal_make(struct publish *p)
{
    json_t *manifests = json_array();
    for (size_t i = 0; i < p->n_manifests; i++) {
        const struct manifest *m = &p->manifests[i];
        AUTO_FREE char *bytes = base64_encode(m->bytes, m->len);
        json_array_append_new(manifests, json_pack("{s:s, s:s}", "media_type", m->media_type, "bytes", bytes));
    }
    json_t *roots = json_array();
    json_t *complete = json_array();
    for (size_t t = 0; t < p->targets->count; t++) {
        json_array_append_new(roots, json_integer((json_int_t)p->root_of_target[t]));
        json_array_append_new(complete, json_boolean(p->destinations[p->destination_of_target[t]].complete));
    }
    json_t *checkpoint = json_pack("{s:s, s:o, s:o, s:o, s:O}", "phase", "tags", "manifests", manifests, "roots", roots,
                                   "complete", complete, "layers", p->layers);
    json_t *extra = json_array();
    for (size_t i = 0; i < p->n_extra; i++)
        json_array_append_new(extra, json_pack("{s:s, s:I}", "tag", p->extra[i].tag, "manifest",
                                               (json_int_t)p->extra[i].manifest));
    json_object_set_new(checkpoint, "extra", extra);
    if (p->inputs)
        json_object_set(checkpoint, "inputs", p->inputs);
    return checkpoint;
}

// In place of a checkpoint that does not hold any more, because blobs have to be pushed again: a later attempt begins
// anew, from the same inputs.
json_t *publish_journal_again(const struct publish *p)
{
    return json_pack("{s:s, s:O?}", "phase", "again", "inputs", p->inputs);
}

static int read_manifest(struct manifest *ret, const json_t *row, struct error *err)
{
    const char *text = json_get_string(row, "bytes");
    void *bytes = NULL;
    size_t len = 0;
    if (!text || !base64_decode(text, strlen(text), &bytes, &len))
        return error_set(err, ERR_INTERNAL, "the journal of the job is damaged");
    int result = manifest_parse(ret, bytes, len, json_get_string(row, "media_type"), err);
    free(bytes);
    return result;
}

int publish_journal_read(struct publish *p, const json_t *checkpoint, struct error *err)
{
    const json_t *manifests = json_object_get(checkpoint, "manifests");
    size_t count = json_array_size(manifests);
    p->manifests = mem_calloc(count ? count : 1, sizeof(*p->manifests));
    for (size_t i = 0; i < count; i++) {
        if (read_manifest(&p->manifests[i], json_array_get(manifests, i), err))
            return -1;
        p->n_manifests++;
    }
    for (size_t t = 0; t < p->targets->count; t++) {
        json_int_t root = json_integer_value(json_array_get(json_object_get(checkpoint, "roots"), t));
        if (root < 0 || (size_t)root >= count)
            return error_set(err, ERR_INTERNAL, "the journal of the job is damaged");
        p->root_of_target[t] = (size_t)root;
        if (json_is_true(json_array_get(json_object_get(checkpoint, "complete"), t)))
            p->destinations[p->destination_of_target[t]].complete = true;
    }
    p->layers = json_incref(json_object_get(checkpoint, "layers"));
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(checkpoint, "extra"), i, row)
    {
        int64_t manifest = json_get_int(row, "manifest", -1);
        if (manifest < 0 || (size_t)manifest >= count || !json_get_string(row, "tag"))
            return error_set(err, ERR_INTERNAL, "the journal of the job is damaged");
        publish_add_tag(p, json_get_string(row, "tag"), (size_t)manifest);
    }
    return 0;
}

bool publish_can_resume(const struct publish *p, const json_t *checkpoint)
{
    const char *phase = json_get_string(checkpoint, "phase");
    if (!phase || strcmp(phase, "tags") != 0)
        return false;
    for (size_t i = 0; i < p->n_destinations; i++) {
        enum location_kind kind = p->destinations[i].endpoint.where.kind;
        if (kind == LOCATION_OCI_ARCHIVE || kind == LOCATION_DOCKER_ARCHIVE)
            return false;
    }
    return true;
}

void publish_pin(struct location *where, const char *digest)
{
    struct error ignored = ERROR_INIT;
    struct digest pin;
    if (digest && !digest_parse(&pin, digest, &ignored)) {
        if (where->kind == LOCATION_REGISTRY) {
            where->ref.digest = pin;
        } else if (where->kind == LOCATION_OCI_LAYOUT) {
            free(where->name);
            where->name = mem_strdup(digest);
        }
    }
    error_clear(&ignored);
}

int publish_resume(struct publish *p, const json_t *checkpoint, struct error *err)
{
    if (publish_journal_read(p, checkpoint, err))
        return -1;
    p->sealed = p->planned = p->started = true;
    p->phase = PHASE_TAGS;
    publish_submit_tags(p);
    return 0;
}
