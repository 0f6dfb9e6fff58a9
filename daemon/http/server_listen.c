// SPDX-License-Identifier: Apache-2.0
//
// Sockets to listen on. What must hold: nothing but loopback and unix sockets is ever offered, TCP never
// without a token, a unix socket is never wider than 0660 not even for a moment, and a socket that another
// daemon serves is not taken away from it.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "http/server_internal.h"

enum { BACKLOG = 4096, SOCKET_MODE = 0660 };

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
};

static bool is_loopback(const union address *address)
{
    if (address->any.sa_family == AF_INET)
        return (ntohl(address->v4.sin_addr.s_addr) >> 24) == 127;
    return address->any.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
}

// "127.0.0.1:3729", "[::1]:3729", "localhost:3729"
static int parse_tcp(const char *text, union address *ret, socklen_t *ret_len, struct error *err)
{
    const char *colon = strrchr(text, ':');
    int64_t port;
    if (!colon || !str_to_int64(colon + 1, 0, 65535, &port))
        return error_set(err, ERR_INVALID_REQUEST, "Listening address \"tcp:%s\" is not HOST:PORT", text);
    AUTO_FREE char *host = mem_strndup(text, (size_t)(colon - text));
    size_t len = strlen(host);
    memset(ret, 0, sizeof(*ret));
    if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
        host[len - 1] = '\0';
        ret->v6.sin6_family = inet_pton(AF_INET6, host + 1, &ret->v6.sin6_addr) == 1 ? AF_INET6 : AF_UNSPEC;
        ret->v6.sin6_port = htons((uint16_t)port);
        *ret_len = sizeof(ret->v6);
    } else {
        const char *number = strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
        ret->v4.sin_family = inet_pton(AF_INET, number, &ret->v4.sin_addr) == 1 ? AF_INET : AF_UNSPEC;
        ret->v4.sin_port = htons((uint16_t)port);
        *ret_len = sizeof(ret->v4);
    }
    if (is_loopback(ret))
        return 0;
    error_set(err, ERR_INVALID_REQUEST, "Listening address \"tcp:%s\" is not a loopback address", text);
    error_hint(
        err, "TCP is offered on 127.0.0.1 or [::1] only; use ssh -L or a proxy with its own access control");
    return -1;
}

int server_socket_tcp(const char *text, struct error *err)
{
    union address address;
    socklen_t len = 0;
    int on = 1;
    if (parse_tcp(text, &address, &len, err) != 0)
        return -1;
    AUTO_CLOSE int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_set_errno(err, errno, "A socket for tcp:%s cannot be made", text);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, &address.any, len) != 0 || listen(fd, BACKLOG) != 0)
        return error_set_errno(err, errno, "Cannot listen on tcp:%s", text);
    int ret = fd;
    fd = -1;
    return ret;
}

// 0: the path is free now.
static int clear_stale(const union address *address, struct error *err)
{
    const char *path = address->local.sun_path;
    struct stat info;
    if (lstat(path, &info) != 0)
        return errno == ENOENT ? 0 : error_set_errno(err, errno, "Cannot look at %s", path);
    if (!S_ISSOCK(info.st_mode))
        return error_set(err, ERR_CONFLICT, "Cannot listen on unix:%s: the path exists and is not a socket",
                         path);
    AUTO_CLOSE int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe >= 0 && (connect(probe, &address->any, sizeof(address->local)) == 0 || errno != ECONNREFUSED)) {
        error_set(err, ERR_CONFLICT, "Cannot listen on unix:%s: another process serves it", path);
        error_hint(err, "Stop that process, or give this one another --listen address");
        return -1;
    }
    return unlink(path) == 0 || errno == ENOENT
               ? 0
               : error_set_errno(err, errno, "Cannot remove the stale socket %s", path);
}

static int give_to_group(const char *path, const char *name, struct error *err)
{
    const struct group *group = getgrnam(name);
    if (!group)
        return error_set(err, ERR_INVALID_REQUEST, "There is no group \"%s\" for the socket", name);
    if (lchown(path, (uid_t)-1, group->gr_gid) != 0)
        return error_set_errno(err, errno, "Cannot give %s to group %s", path, name);
    return 0;
}

static int make_parent(const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    if (slash == path)
        return 0;
    AUTO_FREE char *parent = mem_strndup(path, (size_t)(slash - path));
    return file_make_directory(parent, 0755, err);
}

static int unix_address(const char *path, union address *ret, struct error *err)
{
    memset(ret, 0, sizeof(*ret));
    ret->local.sun_family = AF_UNIX;
    if (path[0] != '/')
        return error_set(err, ERR_INVALID_REQUEST, "Socket path \"%s\" is not absolute", path);
    if (strlen(path) >= sizeof(ret->local.sun_path))
        return error_set(err, ERR_INVALID_REQUEST, "Socket path \"%s\" is longer than %zu bytes", path,
                         sizeof(ret->local.sun_path) - 1);
    memcpy(ret->local.sun_path, path, strlen(path));
    return 0;
}

int server_socket_unix(struct server *server, const char *path, struct listener *listener, struct error *err)
{
    union address address;
    struct stat info;
    if (strncmp(path, "//", 2) == 0) // unix:///run/…
        path += 2;
    if (unix_address(path, &address, err) != 0 || make_parent(path, err) != 0 ||
        clear_stale(&address, err) != 0)
        return -1;
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    // On Linux the file gets the descriptor's mode (less the umask), so it is never open to others.
    if (fd < 0 || fchmod(fd, SOCKET_MODE) != 0 || bind(fd, &address.any, sizeof(address.local)) != 0)
        return error_set_errno(err, errno, "Cannot make the socket %s", path);
    if (lstat(path, &info) == 0) {
        listener->path = mem_strdup(path);
        listener->device = info.st_dev;
        listener->inode = info.st_ino;
    }
    if (server->options.socket_group && give_to_group(path, server->options.socket_group, err) != 0)
        return -1;
    if (chmod(path, SOCKET_MODE) != 0 || listen(fd, BACKLOG) != 0)
        return error_set_errno(err, errno, "Cannot listen on unix:%s", path);
    int ret = fd;
    fd = -1;
    return ret;
}

void server_socket_remove(struct listener *listener)
{
    struct stat info;
    if (listener->path && lstat(listener->path, &info) == 0 && info.st_dev == listener->device &&
        info.st_ino == listener->inode)
        unlink(listener->path);
    free(listener->path);
    listener->path = NULL;
}

static int describe_tcp(const union address *address, struct listener *listener, char **ret_text,
                        struct error *err)
{
    char host[INET6_ADDRSTRLEN];
    bool v6 = address->any.sa_family == AF_INET6;
    if (!is_loopback(address))
        return error_set(err, ERR_INVALID_REQUEST,
                         "The socket handed over does not listen on a loopback address");
    if (!listener->server->bearer) {
        error_set(err, ERR_INVALID_REQUEST,
                  "TCP is offered with a token only, and no token file is configured");
        error_hint(err, "Give --token-file");
        return -1;
    }
    if (v6)
        inet_ntop(AF_INET6, &address->v6.sin6_addr, host, sizeof(host));
    else
        inet_ntop(AF_INET, &address->v4.sin_addr, host, sizeof(host));
    listener->port = ntohs(v6 ? address->v6.sin6_port : address->v4.sin_port);
    *ret_text = mem_printf(v6 ? "tcp:[%s]:%u" : "tcp:%s:%u", host, listener->port);
    return 0;
}

int server_socket_describe(int fd, struct listener *listener, char **ret_text, struct error *err)
{
    union address address = {0};
    socklen_t len = sizeof(address), int_len = sizeof(int);
    int listening = 0;
    if (getsockname(fd, &address.any, &len) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &int_len) != 0)
        return error_set_errno(err, errno, "Descriptor %d is not a socket", fd);
    if (!listening)
        return error_set(err, ERR_INVALID_REQUEST, "The socket handed over as descriptor %d does not listen",
                         fd);
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
        return error_set_errno(err, errno, "Descriptor %d cannot be set up", fd);
    if (address.any.sa_family == AF_INET || address.any.sa_family == AF_INET6)
        return describe_tcp(&address, listener, ret_text, err);
    if (address.any.sa_family != AF_UNIX || address.local.sun_path[0] == '\0')
        return error_set(err, ERR_INVALID_REQUEST,
                         "Only loopback TCP and unix sockets with a path are served");
    listener->unix_socket = true;
    *ret_text = mem_printf("unix:%s", address.local.sun_path);
    return 0;
}
