#include "io/pipe_int.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

/* The kernel takes no more than this unsent: what is still ours can be reordered and cancelled. Twice the bytes that a
 * connection writes in one turn, so that the network does not run dry until the next. */
enum { UNSENT_MAX_BYTES = 128 << 10 };

ssize_t fg_pipe_socket_recv(int fd, void *data, size_t len)
{
    for (;;) {
        ssize_t n = recv(fd, data, len, 0);
        if (n >= 0)
            return n;
        if (errno != EINTR)
            return -errno;
    }
}

ssize_t fg_pipe_socket_send(int fd, const struct iovec *iov, int iov_len)
{
    struct msghdr message = {0};
    memcpy(&message.msg_iov, &iov, sizeof(iov)); /* sendmsg does not write there, its type just does not say so */
    message.msg_iovlen = (size_t)FG_MIN(iov_len, IOV_MAX);
    for (;;) {
        ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (n >= 0)
            return n;
        if (errno != EINTR)
            return -errno;
    }
}

int fg_pipe_fail(struct fg_pipe *pipe, const char *format, ...)
{
    if (pipe->error[0] == '\0') {
        va_list args;
        va_start(args, format);
        vsnprintf(pipe->error, sizeof(pipe->error), format, args);
        va_end(args);
    }
    return FG_PIPE_ERROR;
}

int fg_pipe_fail_errno(struct fg_pipe *pipe, const char *what, int error_number)
{
    if (error_number == ECONNRESET)
        return fg_pipe_fail(pipe, "%s failed: the peer reset the connection", what);
    if (error_number == EPIPE)
        return fg_pipe_fail(pipe, "%s failed: the peer has closed the connection", what);
    return fg_pipe_fail(pipe, "%s failed: %s", what, strerror(error_number));
}

void fg_pipe_init(struct fg_pipe *pipe, int fd, const struct fg_pipe_ops *ops)
{
    *pipe = (struct fg_pipe){.ops = ops, .fd = fd};
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0 && !(flags & O_NONBLOCK))
        fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    /* A Unix socket knows neither of these; nothing depends on them. */
    int on = 1, unsent_max = UNSENT_MAX_BYTES;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent_max, sizeof(unsent_max));
}

/* ---- plain TCP ---- */

static int handshake(struct fg_pipe *pipe)
{
    return pipe->fd < 0 ? FG_PIPE_ERROR : 0;
}

static ssize_t read_bytes(struct fg_pipe *pipe, void *data, size_t len)
{
    assert(len > 0);
    if (pipe->fd < 0)
        return FG_PIPE_ERROR;
    ssize_t n = fg_pipe_socket_recv(pipe->fd, data, len);
    if (n > 0)
        return n;
    if (n == 0)
        return FG_PIPE_EOF;
    return n == -EAGAIN ? FG_PIPE_AGAIN : fg_pipe_fail_errno(pipe, "reading", (int)-n);
}

static ssize_t write_bytes(struct fg_pipe *pipe, const struct iovec *iov, int iov_len)
{
    if (pipe->fd < 0)
        return FG_PIPE_ERROR;
    ssize_t n = fg_pipe_socket_send(pipe->fd, iov, iov_len);
    if (n >= 0)
        return n;
    return n == -EAGAIN ? FG_PIPE_AGAIN : fg_pipe_fail_errno(pipe, "writing", (int)-n);
}

static void shut_down(struct fg_pipe *pipe)
{
    if (pipe->fd >= 0)
        shutdown(pipe->fd, SHUT_WR);
}

static void close_fd(struct fg_pipe *pipe)
{
    if (pipe->fd >= 0)
        close(pipe->fd);
    pipe->fd = -1;
}

void fg_pipe_init_tcp(struct fg_pipe *pipe, int fd)
{
    static const struct fg_pipe_ops ops = {handshake, read_bytes, write_bytes, shut_down, close_fd};
    fg_pipe_init(pipe, fd, &ops);
}
