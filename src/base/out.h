/* Where log lines go: a file, a pipe, a terminal, a socket. Writing never waits for who reads: what does not fit is
 * refused with -EAGAIN. */
#ifndef FG_BASE_OUT_H
#define FG_BASE_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct fg_out {
    int fd;
    bool is_file;   /* a regular one: it takes what there is room for */
    bool is_socket; /* asked each time not to wait */
    bool waits;     /* others have it open, too, and expect it to wait: it is asked for room before each write */
};

/* Appends to the file at PATH, made if there is none; a pipe must have somebody who reads it (-ENXIO). 0, or a negative
 * errno. */
int fg_out_open(struct fg_out *out, const char *path) __attribute__((warn_unused_result));

/* To what FD is open on, which stays as it is and open. 0, or a negative errno. */
int fg_out_open_same(struct fg_out *out, int fd) __attribute__((warn_unused_result));
void fg_out_close(struct fg_out *out);

/* Bytes that were taken, at least one, or a negative errno. Up to 4096 bytes are taken as a whole or not at all, but
 * for files. No signal is raised if those of SIGPIPE and SIGXFSZ are ignored. */
ssize_t fg_out_write(const struct fg_out *out, const void *data, size_t len);

/* Are both the same file, of the same file system? */
bool fg_out_is_same(const struct fg_out *a, const struct fg_out *b);
bool fg_out_is_deleted(const struct fg_out *out); /* a file that has no name any more */

#endif
