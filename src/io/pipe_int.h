/* What the kinds of pipes share. For src/io only. */
#ifndef FG_IO_PIPE_INT_H
#define FG_IO_PIPE_INT_H

#include "io/pipe.h"

/* One system call each, repeated if a signal came in between: >= 0, or -errno. */
ssize_t fg_pipe_socket_recv(int fd, void *data, size_t len);
ssize_t fg_pipe_socket_send(int fd, const struct iovec *iov, int iov_len);

/* Makes a pipe over FD with these operations and sets the socket's options. */
void fg_pipe_init(struct fg_pipe *pipe, int fd, const struct fg_pipe_ops *ops);

/* Notes the first error, so that the cause is not overwritten by what follows from it; returns FG_PIPE_ERROR. */
int fg_pipe_fail(struct fg_pipe *pipe, const char *format, ...) __attribute__((format(printf, 2, 3)));
int fg_pipe_fail_errno(struct fg_pipe *pipe, const char *what, int error_number);

#endif
