// SPDX-License-Identifier: Apache-2.0
//
// A program of tests/support as a fixture: started with arguments, it prints one line of JSON about itself
// and runs until its standard input ends. And the room under test put together: transport, hosts,
// credentials, registry.
#pragma once

#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "net/host.h"
#include "net/transport.h"
#include "registry/blob_push.h"
#include "registry/registry.h"

struct live {
    pid_t pid;
    int input;
    FILE *output;
    json_t *about;
    char *address; // borrowed from about
    struct transport *transport;
    struct host_table *hosts;
    struct credentials *credentials;
    struct registry *registry;
    struct credential_set *auth;
    struct monitor monitor;
    struct registry_scope scope;
    int64_t first_byte_ms, chunk_bytes, monolithic_max_bytes; // 0: as usual
    char directory[32]; // empty: no credential files are found by accident
};

extern char **environ;

static inline void live_spawn(struct live *live, const char *program, const char *const *arguments)
{
    int in[2], out[2];
    const char *argv[16] = {"python3", program};
    for (int i = 0; arguments[i]; i++)
        argv[i + 2] = arguments[i];
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    assert_int_equal(posix_spawnp(&live->pid, "python3", &actions, NULL, (char *const *)argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(out[1]);
    live->input = in[1];
    live->output = fdopen(out[0], "r");
}

static inline json_t *live_read(struct live *live)
{
    char line[65536];
    assert_non_null(fgets(line, sizeof line, live->output));
    json_t *value = json_loads(line, 0, NULL);
    assert_non_null(value);
    return value;
}

static inline void live_end_room(struct live *live)
{
    credential_set_unref(live->auth);
    registry_free(live->registry);
    credentials_free(live->credentials);
    transport_free(live->transport);
    host_table_free(live->hosts);
    rmdir(live->directory);
    live->auth = NULL;
}

// The room, without any program.
static inline void live_make_room(struct live *live, const char *ca_file)
{
    struct error err = ERROR_INIT;
    strcpy(live->directory, "/tmp/live.XXXXXX");
    assert_non_null(mkdtemp(live->directory));
    setenv("HOME", live->directory, 1);
    unsetenv("XDG_RUNTIME_DIR");
    unsetenv("DOCKER_CONFIG");
    unsetenv("REGISTRY_AUTH_FILE");
    unsetenv("CREDENTIALS_DIRECTORY");
    unsetenv("GOOGLE_APPLICATION_CREDENTIALS");
    signal(SIGPIPE, SIG_IGN);
    live->hosts = host_table_new();
    if (ca_file) {
        struct host_settings settings = {.name = mem_strdup("127.0.0.1"), .ca_file = mem_strdup(ca_file)};
        host_table_add(live->hosts, &settings);
    }
    struct transport_options transport = {.hosts = live->hosts,
                                          .connect_ms = 2000,
                                          .first_byte_ms = live->first_byte_ms ? live->first_byte_ms : 5000,
                                          .stall_window_ms = live->first_byte_ms ? live->first_byte_ms : 5000,
                                          .user_agent = "dray/test"};
    live->transport = transport_new(&transport, &err);
    assert_non_null(live->transport);
    struct credentials_options credentials = {.transport = live->transport, .hosts = live->hosts};
    live->credentials = credentials_new(&credentials, &err);
    assert_non_null(live->credentials);
    live->registry =
        registry_new(&(struct registry_options){.transport = live->transport,
                                                .hosts = live->hosts,
                                                .credentials = live->credentials,
                                                .chunk_bytes = live->chunk_bytes,
                                                .monolithic_max_bytes = live->monolithic_max_bytes});
    live->scope = (struct registry_scope){
        .registry = live->registry, .repository = "team/app", .monitor = &live->monitor};
}

static inline void live_start(struct live *live, const char *script, const char *const *arguments)
{
    memset(live, 0, sizeof *live);
    AUTO_FREE char *program = mem_printf("%s/support/%s", TESTS_DIR, script);
    live_spawn(live, program, arguments);
    live->about = live_read(live);
    live->address = (char *)json_string_value(json_object_get(live->about, "address"));
    live_make_room(live, json_string_value(json_object_get(live->about, "ca_file")));
    live->scope.host = live->address;
}

static inline const char *live_about(const struct live *live, const char *key)
{
    return json_string_value(json_object_get(live->about, key));
}

// One command of scripted_registry.py; the answer's "ok", new reference.
static inline json_t *live_command(struct live *live, const char *name, json_t *arguments)
{
    AUTO_JSON json_t *command = arguments ? arguments : json_object();
    json_object_set_new(command, "do", json_string(name));
    AUTO_FREE char *line = json_dumps(command, JSON_COMPACT);
    assert_int_equal(dprintf(live->input, "%s\n", line), strlen(line) + 1);
    AUTO_JSON json_t *answer = live_read(live);
    if (json_object_get(answer, "error"))
        fail_msg("%s: %s", line, json_string_value(json_object_get(answer, "error")));
    return json_incref(json_object_get(answer, "ok"));
}

static inline int64_t live_number(struct live *live, const char *name, json_t *arguments)
{
    AUTO_JSON json_t *value = live_command(live, name, arguments);
    return json_integer_value(value);
}

static inline char *live_text(struct live *live, const char *name, json_t *arguments)
{
    AUTO_JSON json_t *value = live_command(live, name, arguments);
    return mem_strdup(json_string_value(value));
}

static inline void live_do(struct live *live, const char *name, json_t *arguments)
{
    json_decref(live_command(live, name, arguments));
}

// Nothing is wrong with the registry's store, and no secret went where it does not belong.
static inline void live_check(struct live *live)
{
    AUTO_JSON json_t *wrong = live_command(live, "check", NULL);
    if (json_array_size(wrong)) {
        AUTO_FREE char *text = json_dumps(wrong, 0);
        fail_msg("%s", text);
    }
}

// From now on the scope brings this credential for the registry.
static inline void live_sign_in(struct live *live, json_t *credential)
{
    struct error err = ERROR_INIT;
    json_t *auth = json_pack("{s:o}", live->address, credential);
    credential_set_unref(live->auth);
    live->auth = credential_set_new(auth, &err);
    assert_non_null(live->auth);
    live->scope.auth = live->auth;
    json_decref(auth);
}

static inline void live_stop(struct live *live)
{
    live_end_room(live);
    if (!live->pid)
        return;
    close(live->input);
    fclose(live->output);
    waitpid(live->pid, NULL, 0);
    json_decref(live->about);
}

// --- content

struct live_blob {
    char *bytes;
    int64_t size;
    struct digest digest;
};

static inline struct live_blob live_blob_new(int64_t size, unsigned seed)
{
    struct live_blob blob = {.bytes = mem_alloc((size_t)size + 1), .size = size};
    for (int64_t i = 0; i < size; i++) {
        seed = seed * 1103515245u + 12345u;
        blob.bytes[i] = (char)(seed >> 16);
    }
    digest_of(&blob.digest, DIGEST_SHA256, blob.bytes, (size_t)size);
    return blob;
}

struct memory_sink {
    struct sink base;
    char *bytes;
    size_t len;
    bool finished;
};

static int memory_write(struct sink *sink, const void *bytes, size_t len, struct error *err)
{
    struct memory_sink *memory = (struct memory_sink *)sink;
    (void)err;
    memory->bytes = mem_realloc(memory->bytes, memory->len + len + 1);
    memcpy(memory->bytes + memory->len, bytes, len);
    memory->len += len;
    return 0;
}

static int memory_finish(struct sink *sink, struct error *err)
{
    (void)err;
    ((struct memory_sink *)sink)->finished = true;
    return 0;
}

static const struct sink_ops memory_ops
    __attribute__((unused)) = {.write = memory_write, .finish = memory_finish};

#define assert_ok(call, err)                                                                                 \
    do {                                                                                                     \
        if ((call) < 0)                                                                                      \
            fail_msg("%s: %s: %s", #call, error_wire((err)->code), (err)->detail);                           \
    } while (0)
