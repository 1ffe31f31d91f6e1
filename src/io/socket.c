#include "io/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 4096 }; /* the kernel's own default limit (net.core.somaxconn) */

static const struct sockaddr *sockaddr_of(const struct fg_address *address)
{
    return (const struct sockaddr *)&address->storage;
}

static int open_stream(int family)
{
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* ---- addresses ---- */

static int set_unix_path(struct fg_address *out, const char *path, char *error, size_t error_len)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof(un.sun_path)) {
        snprintf(error, error_len, "socket path \"%s\" must have 1 to %zu bytes", path, sizeof(un.sun_path) - 1);
        return -1;
    }
    memcpy(un.sun_path, path, len);
    memcpy(&out->storage, &un, sizeof(un));
    out->len = sizeof(un);
    return 0;
}

static int look_up(struct fg_address *out, int family, const char *name, uint16_t port, int flags)
{
    char service[8];
    snprintf(service, sizeof(service), "%u", port);
    struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(name, service, &hints, &found);
    if (rc != 0)
        return rc;
    memcpy(&out->storage, found->ai_addr, found->ai_addrlen);
    out->len = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

int fg_address_resolve(struct fg_address *out, const char *host, uint16_t port, char *error, size_t error_len)
{
    *out = (struct fg_address){0};
    if (strncmp(host, "unix:", 5) == 0)
        return set_unix_path(out, host + 5, error, error_len);

    char name[256]; /* a DNS name has at most 253 characters */
    size_t len = strlen(host);
    bool bracketed = len > 2 && host[0] == '[' && host[len - 1] == ']';
    if (len == 0 || len >= sizeof(name)) {
        snprintf(error, error_len, "host \"%.40s\" must have 1 to %zu characters", host, sizeof(name) - 1);
        return -1;
    }
    snprintf(name, sizeof(name), "%.*s", (int)(bracketed ? len - 2 : len), bracketed ? host + 1 : host);
    /* Brackets are for IPv6 addresses only (RFC 3986 section 3.2.2). */
    int rc = look_up(out, bracketed ? AF_INET6 : AF_UNSPEC, name, port, AI_NUMERICHOST);
    if (rc != 0 && !bracketed)
        rc = look_up(out, AF_UNSPEC, name, port, AI_ADDRCONFIG);
    if (rc == 0)
        return 0;
    snprintf(error, error_len, "host \"%s\" has no address: %s", name,
             rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
    return -1;
}

void fg_address_format(const struct fg_address *address, char *out, size_t out_len)
{
    char text[INET6_ADDRSTRLEN];
    const struct sockaddr_storage *storage = &address->storage;
    switch (address->len ? storage->ss_family : AF_UNSPEC) {
    case AF_INET: {
        struct sockaddr_in in;
        memcpy(&in, storage, sizeof(in));
        inet_ntop(AF_INET, &in.sin_addr, text, sizeof(text));
        snprintf(out, out_len, "%s:%u", text, ntohs(in.sin_port));
        break;
    }
    case AF_INET6: {
        struct sockaddr_in6 in6;
        memcpy(&in6, storage, sizeof(in6));
        inet_ntop(AF_INET6, &in6.sin6_addr, text, sizeof(text));
        snprintf(out, out_len, "[%s]:%u", text, ntohs(in6.sin6_port));
        break;
    }
    case AF_UNIX: {
        struct sockaddr_un un = {0};
        memcpy(&un, storage, sizeof(un));
        /* The peer of a Unix listener has no path: its address ends behind the family. */
        bool named = address->len > offsetof(struct sockaddr_un, sun_path);
        snprintf(out, out_len, "unix:%.*s", named ? (int)sizeof(un.sun_path) - 1 : 0, un.sun_path);
        break;
    }
    default:
        snprintf(out, out_len, "unknown address");
    }
}

/* ---- listening ---- */

static void explain_bind(const struct fg_address *address, int error_number, char *error, size_t error_len)
{
    char text[FG_ADDRESS_TEXT_BYTES];
    fg_address_format(address, text, sizeof(text));
    switch (error_number) {
    case EADDRINUSE:
        snprintf(error, error_len, "address %s is already in use; stop the other process or choose another address",
                 text);
        break;
    case EADDRNOTAVAIL:
        snprintf(error, error_len, "address %s is not an address of this machine; choose one that is, or 0.0.0.0",
                 text);
        break;
    case EACCES:
        snprintf(error, error_len,
                 "address %s may not be used by this user; choose a port above 1023 or grant CAP_NET_BIND_SERVICE",
                 text);
        break;
    default:
        snprintf(error, error_len, "cannot listen on address %s: %s", text, strerror(error_number));
    }
}

static int listen_tcp(const struct fg_address *address, bool shared, char *error, size_t error_len)
{
    int on = 1;
    int fd = open_stream(address->storage.ss_family);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
        (!shared || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0) &&
        bind(fd, sockaddr_of(address), address->len) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    explain_bind(address, errno, error, error_len);
    if (fd >= 0)
        close(fd);
    return -1;
}

int fg_socket_listen(const struct fg_address *address, char *error, size_t error_len)
{
    return listen_tcp(address, true, error, error_len);
}

int fg_socket_probe_free(const struct fg_address *address, char *error, size_t error_len)
{
    int fd = listen_tcp(address, false, error, error_len);
    if (fd < 0)
        return -1;
    close(fd);
    return 0;
}

/* ---- listening in the file system ---- */

/* Removes a socket file that its process left behind. */
static int remove_stale(const struct fg_address *address, const char *path, char *error, size_t error_len)
{
    struct stat status;
    if (lstat(path, &status) < 0)
        return 0; /* nothing there; if it is something else, bind() will tell */
    if (!S_ISSOCK(status.st_mode)) {
        snprintf(error, error_len, "%s exists and is not a socket; remove it or choose another path", path);
        return -1;
    }
    int fd = fg_socket_connect(address);
    if (fd >= 0)
        close(fd);
    if (fd != -ECONNREFUSED) { /* accepted, its backlog is full, or we may not ask: somebody may be there */
        snprintf(error, error_len, "socket %s is already in use; stop the other process or choose another path", path);
        return -1;
    }
    if (unlink(path) == 0 || errno == ENOENT)
        return 0;
    snprintf(error, error_len, "stale socket %s cannot be removed: %s", path, strerror(errno));
    return -1;
}

int fg_socket_listen_unix(const char *path, char *error, size_t error_len)
{
    struct fg_address address = {0};
    if (set_unix_path(&address, path, error, error_len) < 0 || remove_stale(&address, path, error, error_len) < 0)
        return -1;
    int fd = open_stream(AF_UNIX);
    /* The mode of the unbound socket becomes that of the file: there is no moment when others could connect. */
    if (fd >= 0 && fchmod(fd, S_IRUSR | S_IWUSR) == 0 && bind(fd, sockaddr_of(&address), address.len) == 0 &&
        listen(fd, BACKLOG) == 0)
        return fd;
    snprintf(error, error_len, "cannot listen on socket %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

/* ---- accepting and connecting ---- */

/* Errors of the connection that waited, not of the listener: the next one may be well (accept(2)). */
static bool is_of_one_connection(int error_number)
{
    switch (error_number) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return true;
    default:
        return false;
    }
}

int fg_socket_accept(int listen_fd, struct fg_address *peer)
{
    for (;;) {
        struct sockaddr_storage storage;
        socklen_t len = sizeof(storage);
        int fd = accept4(listen_fd, (struct sockaddr *)&storage, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && is_of_one_connection(errno))
            continue;
        if (fd < 0)
            return -errno;
        if (peer) {
            *peer = (struct fg_address){.len = len};
            memcpy(&peer->storage, &storage, len < sizeof(storage) ? len : sizeof(storage));
        }
        return fd;
    }
}

int fg_socket_connect(const struct fg_address *address)
{
    int fd = open_stream(address->storage.ss_family);
    if (fd < 0)
        return -errno;
    /* Interrupted by a signal, the connect goes on all the same (connect(2)). */
    if (connect(fd, sockaddr_of(address), address->len) == 0 || errno == EINPROGRESS || errno == EINTR)
        return fd;
    int error_number = errno;
    close(fd);
    return -error_number;
}

int fg_socket_connect_result(int fd)
{
    int error_number = 0;
    socklen_t len = sizeof(error_number);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error_number, &len) < 0)
        return -errno;
    return -error_number;
}

struct fg_str fg_address_host_bytes(const struct fg_address *address)
{
    const void *storage = &address->storage;
    const struct sockaddr_in *v4 = storage;
    const struct sockaddr_in6 *v6 = storage;

    if (address->storage.ss_family == AF_INET)
        return (struct fg_str){(const char *)&v4->sin_addr, sizeof v4->sin_addr};
    if (address->storage.ss_family == AF_INET6)
        return (struct fg_str){(const char *)&v6->sin6_addr, sizeof v6->sin6_addr};
    return FG_STR("");
}
