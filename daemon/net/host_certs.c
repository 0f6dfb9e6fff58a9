// SPDX-License-Identifier: Apache-2.0
//
// Certificates the way docker keeps them: DIR/HOST[:PORT]/ with *.crt (CAs, beside the system's), and pairs
// NAME.cert + NAME.key (client certificates; the first in order counts). Read once at start.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "net/host.h"

enum { CA_FILE_MAX = 1 << 20, CA_TOTAL_MAX = 4 << 20, HOST_DIRS_MAX = 4096 };

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void free_names(struct dirent **names, int count)
{
    for (int i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

static int add_ca(struct strbuf *pem, const char *path, struct error *err)
{
    size_t len;
    AUTO_FREE char *text = file_read(path, CA_FILE_MAX, &len, err);
    if (!text)
        return error_wrap(err, "reading the CA certificate");
    if (strbuf_append(pem, text, len) != 0 || strbuf_putc(pem, '\n') != 0)
        return error_set(err, ERR_TOO_LARGE, "the CA certificates beside %s are larger than %d bytes", path,
                         CA_TOTAL_MAX);
    return 0;
}

static int add_client(struct host_settings *settings, const char *path, struct error *err)
{
    if (settings->client_cert)
        return 0;
    AUTO_FREE char *key = mem_printf("%.*skey", (int)(strlen(path) - strlen("cert")), path);
    struct stat status;
    if (stat(key, &status) != 0)
        return error_set(err, ERR_PATH_NOT_FOUND,
                         "the client certificate %s has no key beside it: %s is missing", path, key);
    settings->client_cert = mem_strdup(path);
    settings->client_key = mem_take(key);
    return 0;
}

static int load_file(struct host_settings *settings, struct strbuf *pem, const char *path, struct error *err)
{
    if (str_ends(path, ".crt"))
        return add_ca(pem, path, err);
    if (str_ends(path, ".cert"))
        return add_client(settings, path, err);
    return 0;
}

static int load_host(struct host_table *table, const char *directory, const char *host, struct error *err)
{
    AUTO_FREE char *path = mem_printf("%s/%s", directory, host);
    struct host_settings settings = {.name = mem_strdup(host)};
    struct strbuf pem = STRBUF_INIT(CA_TOTAL_MAX);
    struct dirent **names;
    int rc = 0, count = scandir(path, &names, visible, alphasort);
    for (int i = 0; i < count && rc == 0; i++) {
        AUTO_FREE char *file = mem_printf("%s/%s", path, names[i]->d_name);
        rc = load_file(&settings, &pem, file, err);
    }
    if (count >= 0)
        free_names(names, count);
    else if (errno != ENOTDIR)
        rc = error_set_errno(err, errno, "reading the certificates in %s", path);
    if (pem.len)
        settings.ca_pem = strbuf_take(&pem);
    strbuf_free(&pem);
    host_table_add(table, &settings);
    return rc;
}

int host_table_load_certs(struct host_table *table, const char *directory, struct error *err)
{
    struct dirent **names;
    int rc = 0, count = scandir(directory, &names, visible, alphasort);
    if (count < 0 && (errno == ENOENT || errno == ENOTDIR))
        return 0;
    if (count < 0)
        return error_set_errno(err, errno, "reading the certificates in %s", directory);
    if (count > HOST_DIRS_MAX)
        rc = error_set(err, ERR_TOO_LARGE, "%s holds more than %d hosts", directory, HOST_DIRS_MAX);
    for (int i = 0; i < count && rc == 0; i++)
        rc = load_host(table, directory, names[i]->d_name, err);
    free_names(names, count);
    return rc;
}
