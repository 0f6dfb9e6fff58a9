// SPDX-License-Identifier: Apache-2.0
#include "layers/xattrs.h"

#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/mem.h"
#include "layers/source.h"

void xattrs_add(struct xattrs *xattrs, const char *name, const void *value, size_t len)
{
    xattrs->items = mem_realloc(xattrs->items, (xattrs->n + 1) * sizeof(*xattrs->items));
    struct xattr *made = &xattrs->items[xattrs->n++];
    *made = (struct xattr){.name = mem_strdup(name), .value = mem_alloc(len + 1), .len = len};
    memcpy(made->value, value, len);
}

void xattrs_clear(struct xattrs *xattrs)
{
    for (size_t i = 0; i < xattrs->n; i++) {
        free(xattrs->items[i].name);
        free(xattrs->items[i].value);
    }
    free(xattrs->items);
    *xattrs = (struct xattrs){0};
}

int xattrs_read(struct xattrs *ret, const struct layer_entry *entry, int fd, const char *shown,
                struct error *err)
{
    if (entry->n_xattrs == 0)
        return 0;
    AUTO_FREE char *value = mem_alloc(XATTRS_VALUE_MAX);
    for (size_t i = 0; i < entry->n_xattrs; i++) {
        ssize_t len = fgetxattr(fd, entry->xattrs[i], value, XATTRS_VALUE_MAX);
        if (len >= 0)
            xattrs_add(ret, entry->xattrs[i], value, (size_t)len);
        else if (errno != ENODATA && errno != EOPNOTSUPP)
            return source_fail(err, errno, "reading an extended attribute of", shown);
    }
    return 0;
}
