// SPDX-License-Identifier: Apache-2.0
//
// The table of configuration keys, and the setting of one key from text. Private to config*.c.
#pragma once

#include "config.h"

enum config_type { CONFIG_TEXT, CONFIG_INT, CONFIG_BOOL, CONFIG_LIST };

struct config_key {
    const char *section;
    const char *name;
    enum config_type type;
    size_t offset;            // in struct config
    int64_t min, max;         // CONFIG_INT
    const char *builtin;      // as it would stand in a file; NULL: empty, computed in config_defaults.c
    const char *meaning;
};

extern const struct config_key config_keys[]; // ends with section NULL

// Where a value came from; built-in < file < environment < flag.
enum config_source { SOURCE_BUILTIN, SOURCE_FILE, SOURCE_ENVIRONMENT, SOURCE_FLAG };

size_t config_keys_count(void);
const struct config_key *config_keys_find(const char *section, const char *name);
// A list is replaced by the first value of a source and appended to by further ones of the same source.
// NULL on success, else what is wrong (static text or malloc'd: caller frees *ret_problem).
int config_keys_set(struct config *config, const struct config_key *key, const char *text, bool append,
                    char **ret_problem);
char *config_keys_format(const struct config *config, const struct config_key *key);
void config_keys_free(struct config *config);
