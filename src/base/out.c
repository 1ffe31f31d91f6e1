#include "base/out.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define FLAGS (O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

static int describe(struct fg_out *out, int fd)
{
    struct stat stat;

    if (fstat(fd, &stat) != 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    *out = (struct fg_out){.fd = fd, .is_file = S_ISREG(stat.st_mode), .is_socket = S_ISSOCK(stat.st_mode)};
    out->waits = !out->is_file && !out->is_socket && !(fcntl(fd, F_GETFL) & O_NONBLOCK);
    return 0;
}

int fg_out_open(struct fg_out *out, const char *path)
{
    int fd = open(path, FLAGS | O_CREAT, 0640);
    return fd < 0 ? -errno : describe(out, fd);
}

int fg_out_open_same(struct fg_out *out, int fd)
{
    char path[32];
    struct stat stat;

    /* O_NONBLOCK belongs to what a descriptor is open on: whoever else has that would find it changed. */
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    bool again = fstat(fd, &stat) == 0 && (S_ISFIFO(stat.st_mode) || S_ISCHR(stat.st_mode));
    int own = again ? open(path, FLAGS) : -1;
    if (own < 0) /* a file, which shares its position; a socket; what belongs to somebody else */
        own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return own < 0 ? -errno : describe(out, own);
}

void fg_out_close(struct fg_out *out)
{
    if (out->fd >= 0)
        close(out->fd);
    out->fd = -1;
}

ssize_t fg_out_write(const struct fg_out *out, const void *data, size_t len)
{
    struct pollfd room = {.fd = out->fd, .events = POLLOUT};
    ssize_t n;

    if (out->waits) {
        if (poll(&room, 1, 0) <= 0)
            return -EAGAIN;
        len = len < PIPE_BUF ? len : PIPE_BUF; /* so much there is then room for, pipe(7) */
    }
    do
        n = out->is_socket ? send(out->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) : write(out->fd, data, len);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        return -EAGAIN;
    return n < 0 ? -errno : n;
}

bool fg_out_is_same(const struct fg_out *a, const struct fg_out *b)
{
    struct stat x, y;

    return fstat(a->fd, &x) == 0 && fstat(b->fd, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

bool fg_out_is_deleted(const struct fg_out *out)
{
    struct stat stat;

    return out->is_file && fstat(out->fd, &stat) == 0 && stat.st_nlink == 0;
}
