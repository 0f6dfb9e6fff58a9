// SPDX-License-Identifier: Apache-2.0
//
// The `config` member of a build job: one table says which member of the request is which member of the image
// config and of what kind, and each kind has a check (when the job is posted) and a way to be applied (when
// it runs).
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "oci/document.h"
#include "oci/image_config.h"

enum { TEXT_MAX = 64 << 10, PORT_MAX = 65535 };
static const int64_t DURATION_MAX_MS = INT64_MAX / 1000000; // Docker counts nanoseconds in 64 bits

struct field;
typedef int check_fn(const json_t *value, const char *pointer, struct error *err);
typedef void apply_fn(json_t *section, const struct field *field, const json_t *value);

struct field {
    const char *member; // of the request
    const char *key;    // of the image config
    check_fn *check;    // never sees null
    apply_fn *apply;    // never sees null: that removes the key
    bool at_root;       // beside `config`, not in it
};

static int refuse(struct error *err, const char *pointer, const char *what)
{
    return error_set_pointer(err, ERR_INVALID_REQUEST, pointer, "%s %s", pointer, what);
}

static int refuse_member(struct error *err, const char *pointer, const char *key, const char *what)
{
    AUTO_FREE char *full = json_pointer_join(pointer, key);
    AUTO_FREE char *quoted = str_quote(full, 200);
    return error_set_pointer(err, ERR_INVALID_REQUEST, full, "%s %s", quoted, what);
}

static int check_string(const json_t *value, const char *pointer, struct error *err)
{
    if (!json_is_string(value))
        return refuse(err, pointer, "must be a string, or null to unset it");
    if (json_string_length(value) > TEXT_MAX)
        return refuse(err, pointer, "is too long");
    return 0;
}

static int check_directory(const json_t *value, const char *pointer, struct error *err)
{
    if (check_string(value, pointer, err) < 0)
        return -1;
    const char *path = json_string_value(value);
    bool windows = path[0] && path[1] == ':' && (path[2] == '\\' || path[2] == '/');
    if (path[0] != '/' && !windows)
        return refuse(err, pointer, "must be an absolute path");
    return 0;
}

static int check_signal(const json_t *value, const char *pointer, struct error *err)
{
    if (check_string(value, pointer, err) < 0)
        return -1;
    const char *text = json_string_value(value);
    size_t len = strlen(text);
    if (len == 0 || len > 32 || strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-") != len)
        return refuse(err, pointer, "must be a signal, as in SIGTERM, SIGRTMIN+3 or 15");
    return 0;
}

static int check_bool(const json_t *value, const char *pointer, struct error *err)
{
    return json_is_boolean(value) ? 0 : refuse(err, pointer, "must be true, false, or null to unset it");
}

static int check_strings(const json_t *value, const char *pointer, struct error *err)
{
    if (!json_is_array(value))
        return refuse(err, pointer, "must be an array of strings, or null to unset it");
    size_t i;
    json_t *element;
    json_array_foreach(value, i, element)
    {
        AUTO_FREE char *at = json_pointer_index(pointer, i);
        if (!json_is_string(element))
            return refuse(err, at, "must be a string");
    }
    return 0;
}

static int check_text_map(const json_t *value, const char *pointer, struct error *err)
{
    const char *key;
    json_t *member;
    if (!json_is_object(value))
        return refuse(err, pointer, "must be an object of strings, or null to unset it");
    json_object_foreach((json_t *)value, key, member)
    {
        if (*key == '\0')
            return refuse_member(err, pointer, key, "has an empty name");
        if (!json_is_string(member) && !json_is_null(member))
            return refuse_member(err, pointer, key, "must be a string, or null to unset it");
    }
    return 0;
}

static int check_env(const json_t *value, const char *pointer, struct error *err)
{
    const char *key;
    json_t *member;
    if (check_text_map(value, pointer, err) < 0)
        return -1;
    json_object_foreach((json_t *)value, key, member) if (strchr(key, '=')) return refuse_member(
        err, pointer, key, "is not a variable name: it has a '='");
    return 0;
}

// A set is a map from a name to true; null takes the name out.
static int check_set(const json_t *value, const char *pointer, bool (*valid)(const char *), const char *what,
                     struct error *err)
{
    const char *key;
    json_t *member;
    if (!json_is_object(value))
        return refuse(err, pointer, "must be an object, or null to unset it");
    json_object_foreach((json_t *)value, key, member)
    {
        if (!valid(key))
            return refuse_member(err, pointer, key, what);
        if (!json_is_true(member) && !json_is_null(member))
            return refuse_member(err, pointer, key, "must be true, or null to unset it");
    }
    return 0;
}

static bool port_valid(const char *text)
{
    size_t len = strcspn(text, "/");
    AUTO_FREE char *number = mem_strndup(text, len);
    int64_t port;
    if (!str_to_int64(number, 1, PORT_MAX, &port))
        return false;
    const char *protocol = text + len;
    return *protocol == '\0' || strcmp(protocol, "/tcp") == 0 || strcmp(protocol, "/udp") == 0 ||
           strcmp(protocol, "/sctp") == 0;
}

static bool volume_valid(const char *path)
{
    return path[0] == '/' || (path[0] && path[1] == ':');
}

static int check_ports(const json_t *value, const char *pointer, struct error *err)
{
    return check_set(value, pointer, port_valid, "is not a port: write 8080/tcp, /udp or /sctp", err);
}

static int check_volumes(const json_t *value, const char *pointer, struct error *err)
{
    return check_set(value, pointer, volume_valid, "is not an absolute path", err);
}

static const struct {
    const char *member;
    const char *key;
} health_numbers[] = {
    {"interval_ms", "Interval"},
    {"timeout_ms", "Timeout"},
    {"start_period_ms", "StartPeriod"},
    {"start_interval_ms", "StartInterval"},
    {"retries", "Retries"},
};

static const char *health_number_key(const char *member)
{
    for (size_t i = 0; i < sizeof health_numbers / sizeof health_numbers[0]; i++)
        if (strcmp(member, health_numbers[i].member) == 0)
            return health_numbers[i].key;
    return NULL;
}

static int check_health_test(const json_t *value, const char *pointer, struct error *err)
{
    if (check_strings(value, pointer, err) < 0)
        return -1;
    const char *kind = json_string_value(json_array_get(value, 0));
    if (!kind || (strcmp(kind, "NONE") != 0 && strcmp(kind, "CMD") != 0 && strcmp(kind, "CMD-SHELL") != 0))
        return refuse(err, pointer, "must begin with NONE, CMD or CMD-SHELL");
    if (strcmp(kind, "NONE") != 0 && json_array_size(value) < 2)
        return refuse(err, pointer, "has no command");
    return 0;
}

static int check_health_member(const char *key, const json_t *member, const char *pointer, struct error *err)
{
    AUTO_FREE char *at = json_pointer_join(pointer, key);
    if (strcmp(key, "test") == 0)
        return json_is_null(member) ? 0 : check_health_test(member, at, err);
    if (!health_number_key(key))
        return refuse_member(err, pointer, key, "is not a field of a health check");
    if (json_is_null(member))
        return 0;
    if (!json_is_integer(member) || json_integer_value(member) < 0 ||
        json_integer_value(member) > DURATION_MAX_MS)
        return refuse(err, at, "must be a whole number, 0 or more");
    return 0;
}

static int check_health(const json_t *value, const char *pointer, struct error *err)
{
    const char *key;
    json_t *member;
    if (!json_is_object(value))
        return refuse(err, pointer, "must be an object, or null to unset it");
    json_object_foreach((json_t *)value, key,
                        member) if (check_health_member(key, member, pointer, err) < 0) return -1;
    return 0;
}

static void apply_value(json_t *section, const struct field *field, const json_t *value)
{
    json_object_set_new(section, field->key, json_deep_copy(value));
}

// The map under key, made if it is not there; map_done removes it again where nothing is left.
static json_t *map_get(json_t *section, const char *key)
{
    json_t *map = document_member(section, key);
    if (map)
        return map;
    json_object_set_new(section, key, json_object());
    return json_object_get(section, key);
}

static void map_done(json_t *section, const char *key)
{
    if (json_object_size(json_object_get(section, key)) == 0)
        json_object_del(section, key);
}

static void apply_text_map(json_t *section, const struct field *field, const json_t *value)
{
    json_t *map = map_get(section, field->key);
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)value, key, member)
    {
        if (json_is_null(member))
            json_object_del(map, key);
        else
            json_object_set_new(map, key, json_string(json_string_value(member)));
    }
    map_done(section, field->key);
}

static void apply_set(json_t *section, const struct field *field, const json_t *value)
{
    json_t *map = map_get(section, field->key);
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)value, key, member)
    {
        if (json_is_null(member))
            json_object_del(map, key);
        else
            json_object_set_new(map, key, json_object());
    }
    map_done(section, field->key);
}

// A port without protocol is tcp, in the request as in the base.
static void apply_ports(json_t *section, const struct field *field, const json_t *value)
{
    json_t *map = map_get(section, field->key);
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)value, key, member)
    {
        bool bare = !strchr(key, '/');
        AUTO_FREE char *full = mem_printf("%s%s", key, bare ? "/tcp" : "");
        AUTO_FREE char *number = mem_strndup(key, strcspn(key, "/"));
        if (str_ends(full, "/tcp"))
            json_object_del(map, number);
        if (json_is_null(member))
            json_object_del(map, full);
        else
            json_object_set_new(map, full, json_object());
    }
    map_done(section, field->key);
}

static bool env_is(const json_t *entry, const char *name)
{
    const char *text = json_string_value(entry);
    size_t len = strlen(name);
    return strncmp(text, name, len) == 0 && (text[len] == '=' || text[len] == '\0');
}

// The first entry of that name takes the value, later ones go; value NULL removes all.
static void env_set(json_t *env, const char *name, const char *value)
{
    bool placed = !value;
    for (size_t i = 0; i < json_array_size(env);) {
        if (!env_is(json_array_get(env, i), name)) {
            i++;
            continue;
        }
        if (placed) {
            json_array_remove(env, i);
            continue;
        }
        AUTO_FREE char *entry = mem_printf("%s=%s", name, value);
        json_array_set_new(env, i++, json_string(entry));
        placed = true;
    }
    if (placed)
        return;
    AUTO_FREE char *entry = mem_printf("%s=%s", name, value);
    json_array_append_new(env, json_string(entry));
}

static void apply_env(json_t *section, const struct field *field, const json_t *value)
{
    const char *key;
    json_t *member;
    if (!document_member(section, field->key))
        json_object_set_new(section, field->key, json_array());
    json_t *env = json_object_get(section, field->key);
    json_object_foreach((json_t *)value, key, member) env_set(env, key, json_string_value(member));
    if (json_array_size(env) == 0)
        json_object_del(section, field->key);
}

static void apply_health(json_t *section, const struct field *field, const json_t *value)
{
    json_t *health = map_get(section, field->key);
    const char *member;
    json_t *setting;
    json_object_foreach((json_t *)value, member, setting)
    {
        bool is_duration = str_ends(member, "_ms");
        const char *key = strcmp(member, "test") == 0 ? "Test" : health_number_key(member);
        if (!key)
            continue;
        if (json_is_null(setting))
            json_object_del(health, key);
        else if (is_duration)
            json_object_set_new(health, key, json_integer(json_integer_value(setting) * 1000000));
        else
            json_object_set_new(health, key, json_deep_copy(setting));
    }
    map_done(section, field->key);
}

static const struct field fields[] = {
    {"cmd", "Cmd", check_strings, apply_value, false},
    {"entrypoint", "Entrypoint", check_strings, apply_value, false},
    {"env", "Env", check_env, apply_env, false},
    {"working_dir", "WorkingDir", check_directory, apply_value, false},
    {"user", "User", check_string, apply_value, false},
    {"labels", "Labels", check_text_map, apply_text_map, false},
    {"exposed_ports", "ExposedPorts", check_ports, apply_ports, false},
    {"volumes", "Volumes", check_volumes, apply_set, false},
    {"stop_signal", "StopSignal", check_signal, apply_value, false},
    {"healthcheck", "Healthcheck", check_health, apply_health, false},
    {"shell", "Shell", check_strings, apply_value, false},
    {"on_build", "OnBuild", check_strings, apply_value, false},
    {"args_escaped", "ArgsEscaped", check_bool, apply_value, false},
    {"author", "author", check_string, apply_value, true},
};

static const struct field *field_find(const char *member)
{
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (strcmp(fields[i].member, member) == 0)
            return &fields[i];
    return NULL;
}

int image_config_check_edit(const json_t *edit, const char *pointer, struct error *err)
{
    const char *member;
    json_t *value;
    if (!json_is_object(edit))
        return refuse(err, pointer, "must be an object");
    json_object_foreach((json_t *)edit, member, value)
    {
        const struct field *field = field_find(member);
        if (!field)
            return refuse_member(err, pointer, member, "is not a field of an image's config");
        AUTO_FREE char *at = json_pointer_join(pointer, member);
        if (!json_is_null(value) && field->check(value, at, err) < 0)
            return -1;
    }
    return 0;
}

int image_config_apply_edit(struct image_config *config, const json_t *edit, struct error *err)
{
    const char *member;
    json_t *value;
    if (image_config_check_edit(edit, "/config", err) < 0)
        return -1;
    json_t *section = map_get(config->root, "config");
    json_object_foreach((json_t *)edit, member, value)
    {
        const struct field *field = field_find(member);
        json_t *target = field->at_root ? config->root : section;
        if (json_is_null(value))
            json_object_del(target, field->key);
        else
            field->apply(target, field, value);
    }
    return 0;
}
