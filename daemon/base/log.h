// SPDX-License-Identifier: Apache-2.0
//
// Structured log lines: one per state change, never per progress tick. To stderr as text (`level message
// key=value`), or to the journal with native fields when stderr is the journal (systemd "Journal Native
// Protocol"). Any thread.
#pragma once

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARNING = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

void log_init(enum log_level level); // once at start
enum log_level log_level_get(void);
// job and request may be NULL. Values from outside must have passed str_quote; secrets have no way in.
void log_write(enum log_level level, const char *job, const char *request, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, NULL, NULL, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, NULL, NULL, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, NULL, NULL, __VA_ARGS__)
#define log_debug(...)                                                                                       \
    do {                                                                                                     \
        if (log_level_get() >= LOG_LEVEL_DEBUG)                                                              \
            log_write(LOG_LEVEL_DEBUG, NULL, NULL, __VA_ARGS__);                                             \
    } while (0)
