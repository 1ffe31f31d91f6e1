/* A byte pipe to a peer: plain TCP or TLS over it, behind one vtable. Non-blocking, and no signal is ever raised.
 *
 * The owner watches `fd` with the interest that fg_pipe_interest() computes from what it wants, because TLS may have to
 * write to read; for the same reason it tries everything it wants whenever the fd is ready. */
#ifndef FG_IO_PIPE_H
#define FG_IO_PIPE_H

#include <sys/types.h>
#include <sys/uio.h>

#include "io/loop.h"
#include "io/socket.h"

enum {
    FG_PIPE_AGAIN = -1, /* nothing now: wait for the descriptor */
    FG_PIPE_EOF = -2,   /* the peer closed its sending side in order */
    FG_PIPE_ERROR = -3, /* broken, for good: fg_pipe.error says why */
};

struct fg_pipe;

struct fg_pipe_ops {
    /* Goes on with the handshake. 0: done (always for TCP once connected), FG_PIPE_AGAIN or FG_PIPE_ERROR. Nothing may
     * be read or written before it is done. */
    int (*handshake)(struct fg_pipe *pipe);

    /* Up to LEN (not 0) bytes: > 0 bytes, or a negative code. */
    ssize_t (*read)(struct fg_pipe *pipe, void *data, size_t len);

    /* > 0 bytes, which may be fewer than offered, or a negative code; 0 only if nothing was offered. After
     * FG_PIPE_AGAIN or fewer bytes the next call must offer the rest again, or it and more: TLS may have encrypted it
     * already. It need not be at the same place. */
    ssize_t (*writev)(struct fg_pipe *pipe, const struct iovec *iov, int iov_len);

    void (*shutdown)(struct fg_pipe *pipe); /* close_notify and FIN, best effort: nothing is written after it */

    /* Closes the fd and frees the TLS state; the struct stays the owner's. Harmless if it is closed. */
    void (*close)(struct fg_pipe *pipe);
};

struct fg_pipe {
    const struct fg_pipe_ops *ops;
    int fd;                  /* -1: closed */
    void *tls;               /* SSL *, or NULL */
    unsigned tls_wants;      /* FG_READABLE/FG_WRITABLE: what the handshake waits for */
    unsigned tls_read_wants; /* FG_WRITABLE: an answer to the peer waits to be sent, by the next read */
    /* Bytes wait inside the TLS layer: read again without waiting for the fd. Look at it after each read, and after the
     * handshake, whose last bytes may have come together with the first data. */
    bool tls_has_pending;
    char error[120]; /* "" or a sentence for logs: "handshake failed: unknown ca" */
};

/* Takes the fd (a stream socket; a Unix one will do), sets O_NONBLOCK, TCP_NODELAY, TCP_NOTSENT_LOWAT. */
void fg_pipe_init_tcp(struct fg_pipe *pipe, int fd);

/* The interest in the fd of an owner that wants to read and write as WANTED says (0 during the handshake). */
static inline unsigned fg_pipe_interest(const struct fg_pipe *pipe, unsigned wanted)
{
    return wanted | pipe->tls_wants | (wanted & FG_READABLE ? pipe->tls_read_wants : 0u);
}

#endif
