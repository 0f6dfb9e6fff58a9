// SPDX-License-Identifier: Apache-2.0
//
// Settings of one host. host_table_add completes what is there, so each key is added on its own.
#include "config_hosts.h"

#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

static int set_flag(bool *ret, const char *value, char **ret_problem)
{
    *ret = str_equal(value, "true") || str_equal(value, "yes");
    if (*ret || str_equal(value, "false") || str_equal(value, "no"))
        return 0;
    *ret_problem = mem_printf("\"%s\" is neither true nor false", value);
    return -1;
}

static int set_choice(int *ret, const char *value, char **ret_problem)
{
    bool flag;
    int result = set_flag(&flag, value, ret_problem);
    *ret = flag ? 1 : -1;
    return result;
}

static int set_file(char **ret, const char *value, char **ret_problem)
{
    if (access(value, R_OK)) {
        *ret_problem = mem_printf("the file %s cannot be read", value);
        return -1;
    }
    *ret = mem_strdup(value);
    return 0;
}

static int set_number(int64_t *ret, const char *value, char **ret_problem)
{
    if (str_to_int64(value, 0, INT64_C(1) << 40, ret))
        return 0;
    *ret_problem = mem_printf("\"%s\" is not a whole number", value);
    return -1;
}

static char **split_hosts(const char *value)
{
    char **hosts = NULL;
    size_t count = 0;
    for (const char *at = value; *(at += strspn(at, " ,"));) {
        size_t len = strcspn(at, " ,");
        hosts = mem_realloc(hosts, (count + 2) * sizeof(*hosts));
        hosts[count++] = mem_strndup(at, len);
        hosts[count] = NULL;
        at += len;
    }
    return hosts;
}

static int set_member(struct host_settings *host, const char *key, const char *value, char **ret_problem)
{
    int64_t number = 0;
    if (str_equal(key, "plain_http"))
        return set_flag(&host->plain_http, value, ret_problem);
    if (str_equal(key, "private_ok"))
        return set_flag(&host->private_ok, value, ret_problem);
    if (str_equal(key, "early_uploads"))
        return set_choice(&host->early_uploads, value, ret_problem);
    if (str_equal(key, "ca_file"))
        return set_file(&host->ca_file, value, ret_problem);
    if (str_equal(key, "client_cert"))
        return set_file(&host->client_cert, value, ret_problem);
    if (str_equal(key, "client_key"))
        return set_file(&host->client_key, value, ret_problem);
    if (str_equal(key, "proxy"))
        host->proxy = mem_strdup(value);
    else if (str_equal(key, "mirrors"))
        host->mirrors = split_hosts(value);
    else if (set_number(&number, value, ret_problem))
        return -1;
    else if (str_equal(key, "max_connections"))
        host->max_connections = (int)(number > 1000 ? 1000 : number);
    else if (str_equal(key, "requests_per_s"))
        host->requests_per_s = (double)number;
    else if (str_equal(key, "bytes_per_s"))
        host->bytes_per_s = number;
    return 0;
}

static bool is_known(const char *key)
{
    static const char *const keys[] = {"plain_http", "private_ok", "ca_file", "client_cert", "client_key", "proxy",
                                       "mirrors", "early_uploads", "max_connections", "requests_per_s", "bytes_per_s"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
        if (str_equal(keys[i], key))
            return true;
    return false;
}

int config_hosts_set(struct host_table *table, const char *name, const char *key, const char *value,
                     char **ret_problem)
{
    if (!is_known(key)) {
        *ret_problem = mem_strdup("there is no such key");
        return -1;
    }
    struct host_settings host = {.name = mem_strdup(name)};
    int result = set_member(&host, key, value, ret_problem);
    if (result)
        free(host.name);
    else
        host_table_add(table, &host);
    return result;
}
