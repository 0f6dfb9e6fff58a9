// SPDX-License-Identifier: Apache-2.0
//
// Loading: built-in values, then files, environment, flags. libinih reads the files; its one door is here. Faults are collected,
// not returned: a person wants to see them all at once.
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "config_defaults.h"
#include "config_hosts.h"
#include "config_keys.h"

struct loader {
    struct config *config;
    FILE *faults;
    int n_faults;
    const char *file;             // being read
    FILE *stream;
    int line;                     // libinih as Debian builds it does not tell the handler
    enum config_source source;
    enum config_source *of_key;   // per key: who set it last
};

static void fault(struct loader *loader, int line, const char *section, const char *name, const char *text)
{
    loader->n_faults++;
    if (loader->source == SOURCE_FILE)
        fprintf(loader->faults, "drayd: %s:%d: [%s] %s: %s\n", loader->file, line, section, name, text);
    else
        fprintf(loader->faults, "drayd: %s: [%s] %s: %s\n",
                loader->source == SOURCE_FLAG ? "command line" : "environment", section, name, text);
}

static enum config_source *sources; // for config_print: the process has one configuration

static void set_key(struct loader *loader, const struct config_key *key, const char *text, int line)
{
    size_t index = (size_t)(key - config_keys);
    AUTO_FREE char *problem = NULL;
    bool append = loader->of_key[index] == loader->source && loader->source != SOURCE_BUILTIN;
    if (config_keys_set(loader->config, key, text, append, &problem))
        fault(loader, line, key->section, key->name, problem);
    loader->of_key[index] = loader->source;
}

static void set_entry(struct loader *loader, const char *section, const char *name, const char *value, int line)
{
    if (str_starts(section, "host ")) {
        AUTO_FREE char *problem = NULL;
        if (config_hosts_set(loader->config->host_table, section + 5, name, value, &problem))
            fault(loader, line, section, name, problem);
        return;
    }
    const struct config_key *key = config_keys_find(section, name);
    if (key)
        set_key(loader, key, value, line);
    else
        fault(loader, line, section, name, "there is no such key");
}

static int file_entry(void *arg, const char *section, const char *name, const char *value)
{
    struct loader *loader = arg;
    if (name) // else it is a new section: nothing to do yet
        set_entry(loader, section, name, value ? value : "", loader->line);
    return 1;
}

// libinih's source of lines: counts them.
static char *read_line(char *buffer, int size, void *arg)
{
    struct loader *loader = arg;
    loader->line++;
    return fgets(buffer, size, loader->stream);
}

static void read_file(struct loader *loader, const char *path, bool must_exist)
{
    loader->file = path;
    loader->source = SOURCE_FILE;
    loader->stream = fopen(path, "re");
    if (!loader->stream) {
        if (must_exist || errno != ENOENT) {
            loader->n_faults++;
            fprintf(loader->faults, "drayd: %s: %s\n", path, strerror(errno));
        }
        return;
    }
    loader->line = 0;
    int line = ini_parse_stream(read_line, loader, file_entry, loader);
    fclose(loader->stream);
    if (line > 0)
        fault(loader, line, "?", "?", "this line is neither a [section] nor key = value");
}

static int is_conf(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && str_ends(entry->d_name, ".conf");
}

static void read_directory(struct loader *loader, const char *path)
{
    struct dirent **entries;
    int count = scandir(path, &entries, is_conf, alphasort);
    if (count < 0)
        return;
    for (int i = 0; i < count; i++) {
        AUTO_FREE char *file = mem_printf("%s/%s", path, entries[i]->d_name);
        read_file(loader, file, true);
        free(entries[i]);
    }
    free(entries);
}

static void read_files(struct loader *loader, const char *given)
{
    if (given) {
        read_file(loader, given, true);
        return;
    }
    AUTO_FREE char *usual = config_default_file();
    AUTO_FREE char *directory = mem_printf("%s.d", usual);
    read_file(loader, usual, false);
    read_directory(loader, directory);
}

static void read_environment(struct loader *loader)
{
    loader->source = SOURCE_ENVIRONMENT;
    for (const struct config_key *key = config_keys; key->section; key++) {
        AUTO_FREE char *name = mem_printf("DRAY_%s_%s", key->section, key->name);
        for (char *c = name; *c; c++)
            if (*c >= 'a' && *c <= 'z')
                *c = (char)(*c - 'a' + 'A');
        const char *value = getenv(name);
        if (value)
            set_key(loader, key, value, 0);
    }
}

enum { FLAG_CONFIG = 256, FLAG_CHECK, FLAG_PRINT, FLAG_VERSION, FLAG_HELP, FLAG_SET, FLAG_KEY };

static const struct option flags[] = {
    {"config", required_argument, NULL, FLAG_CONFIG},
    {"check-config", no_argument, NULL, FLAG_CHECK},
    {"print-config", no_argument, NULL, FLAG_PRINT},
    {"version", no_argument, NULL, FLAG_VERSION},
    {"help", no_argument, NULL, FLAG_HELP},
    {"set", required_argument, NULL, FLAG_SET},
    {"listen", required_argument, NULL, FLAG_KEY},
    {"state-dir", required_argument, NULL, FLAG_KEY},
    {"cache-dir", required_argument, NULL, FLAG_KEY},
    {"build-root", required_argument, NULL, FLAG_KEY},
    {"output-root", required_argument, NULL, FLAG_KEY},
    {"workers", required_argument, NULL, FLAG_KEY},
    {"token-file", required_argument, NULL, FLAG_KEY},
    {"plain-http", required_argument, NULL, FLAG_KEY},
    {0},
};

// The key behind a flag: --build-root is [daemon] build_roots, --plain-http is [network] plain_http.
static const struct config_key *key_of_flag(const char *flag)
{
    char name[64];
    snprintf(name, sizeof(name), "%s", flag);
    for (char *c = name; *c; c++)
        if (*c == '-')
            *c = '_';
    if (str_ends(name, "_root"))
        strcat(name, "s");
    const struct config_key *key = config_keys_find("daemon", name);
    return key ? key : config_keys_find("network", name);
}

// The last dot of the name parts it: that of a host has dots, too.
static void set_by_name(struct loader *loader, const char *assignment)
{
    const char *equals = strchr(assignment, '=');
    AUTO_FREE char *section = mem_strndup(assignment, equals ? (size_t)(equals - assignment) : 0);
    char *dot = strrchr(section, '.');
    if (!dot) {
        fault(loader, 0, "--set", assignment, "expected SECTION.KEY=VALUE");
        return;
    }
    *dot = '\0';
    set_entry(loader, section, dot + 1, equals + 1, 0);
}

// Once to find --config and the action, once more to set keys, because flags win over files.
static void read_flags(struct loader *loader, int argc, char **argv, bool set, const char **ret_file,
                       enum config_action *ret_action)
{
    int index, flag;
    loader->source = SOURCE_FLAG;
    optind = 0;
    opterr = 0;
    while ((flag = getopt_long(argc, argv, "hV", flags, &index)) != -1) {
        if (flag == FLAG_CONFIG)
            *ret_file = optarg;
        else if (flag == FLAG_CHECK || flag == FLAG_PRINT)
            *ret_action = flag == FLAG_CHECK ? CONFIG_CHECK : CONFIG_PRINT;
        else if (flag == FLAG_VERSION || flag == 'V')
            *ret_action = CONFIG_VERSION;
        else if (flag == FLAG_HELP || flag == 'h')
            *ret_action = CONFIG_HELP;
        else if (flag == '?' && !set) {
            loader->n_faults++;
            fprintf(loader->faults, "drayd: command line: unknown option or missing value: %s (see --help)\n",
                    argv[optind - 1]);
        } else if (flag == FLAG_SET && set)
            set_by_name(loader, optarg);
        else if (flag == FLAG_KEY && set)
            set_key(loader, key_of_flag(flags[index].name), optarg, 0);
    }
    if (optind < argc && !set) {
        loader->n_faults++;
        fprintf(loader->faults, "drayd: command line: unexpected argument: %s (see --help)\n", argv[optind]);
    }
}

static void set_builtins(struct loader *loader)
{
    loader->source = SOURCE_BUILTIN;
    for (const struct config_key *key = config_keys; key->section; key++)
        set_key(loader, key, key->builtin ? key->builtin : key->type == CONFIG_INT ? "1" : "", 0);
}

static void note_fault(void *arg, const char *key, const char *text)
{
    struct loader *loader = arg;
    loader->n_faults++;
    fprintf(loader->faults, "drayd: configuration: %s: %s\n", key, text);
}

static bool was_set(void *arg, const char *section, const char *name)
{
    struct loader *loader = arg;
    const struct config_key *key = config_keys_find(section, name);
    return key && loader->of_key[key - config_keys] != SOURCE_BUILTIN;
}

int config_load(struct config *config, int argc, char **argv, enum config_action *ret_action, FILE *faults)
{
    *config = (struct config){.host_table = host_table_new()};
    struct loader loader = {.config = config, .faults = faults};
    loader.of_key = sources = mem_calloc(config_keys_count(), sizeof(*sources));
    const char *file = NULL;
    *ret_action = CONFIG_RUN;
    set_builtins(&loader);
    read_flags(&loader, argc, argv, false, &file, ret_action);
    if (*ret_action == CONFIG_VERSION || *ret_action == CONFIG_HELP)
        return loader.n_faults ? -1 : 0;
    read_files(&loader, file);
    read_environment(&loader);
    read_flags(&loader, argc, argv, true, &file, ret_action);
    config_complete(config, was_set, note_fault, &loader);
    return loader.n_faults ? -1 : 0;
}

void config_print(const struct config *config, FILE *out)
{
    static const char *const names[] = {"built in", "file", "environment", "command line"};
    const char *section = "";
    for (const struct config_key *key = config_keys; key->section; key++) {
        if (!str_equal(section, key->section))
            fprintf(out, "%s[%s]\n", *section ? "\n" : "", key->section);
        section = key->section;
        AUTO_FREE char *value = config_keys_format(config, key);
        fprintf(out, "%s = %s  ; %s\n", key->name, value, names[sources[key - config_keys]]);
    }
}

void config_usage(FILE *out)
{
    fputs("Usage: drayd [OPTION]...\n"
          "Builds and copies container images; local HTTP/JSON API.\n\n"
          "  --config FILE          configuration file in place of the usual ones\n"
          "  --listen ADDRESS       unix:/PATH or tcp:127.0.0.1:PORT; may be repeated\n"
          "  --state-dir DIR        where jobs are kept\n"
          "  --cache-dir DIR        where blobs are cached\n"
          "  --build-root DIR       jobs may read local files below DIR; may be repeated\n"
          "  --output-root DIR      jobs may write layouts below DIR; may be repeated\n"
          "  --workers N            steps that run at once\n"
          "  --token-file FILE      bearer token for TCP\n"
          "  --plain-http HOST[:PORT]  this registry speaks http; may be repeated\n"
          "  --set SECTION.KEY=VALUE   any key of dray.conf(5)\n"
          "  --check-config         report all faults of the configuration and end\n"
          "  --print-config         print every key, its value and where it came from\n"
          "  --version, --help\n",
          out);
}

void config_free(struct config *config)
{
    config_keys_free(config);
    host_table_free(config->host_table);
    free(sources);
    sources = NULL;
}
