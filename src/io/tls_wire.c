#include <errno.h>
#include <stdlib.h>

#include "io/pipe_int.h"
#include "io/tls_int.h"

/* What OpenSSL writes goes into a buffer first. So it never has a half-written record, which it cannot deal with when
 * the peer asks for new keys meanwhile (SSL_read then fails with "bad length"), and several records leave in one system
 * call. And its own socket BIO would raise SIGPIPE. */

/* A writer stops at 64 KiB of records (tls_pipe.c). What comes on top is answers to the peer, a KeyUpdate for example;
 * one that asks and asks without reading the answers is cut off here. */
enum { OUT_MAX_BYTES = 256 << 10, OUT_MIN_BYTES = 1 << 10 };

static int bio_write(BIO *bio, const char *data, int len)
{
    struct fg_tls_wire *wire = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    size_t needed = wire->to + (size_t)len;
    if (needed > OUT_MAX_BYTES) {
        errno = ENOBUFS;
        return -1;
    }
    if (needed > wire->cap) {
        size_t cap = wire->cap ? wire->cap : OUT_MIN_BYTES;
        while (cap < needed)
            cap *= 2;
        wire->out = fg_realloc(wire->out, cap);
        wire->cap = cap;
    }
    memcpy(wire->out + wire->to, data, (size_t)len);
    wire->to += (size_t)len;
    return len;
}

static int bio_read(BIO *bio, char *data, int len)
{
    const struct fg_tls_wire *wire = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t n = fg_pipe_socket_recv(wire->fd, data, (size_t)len);
    if (n == 0)
        BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    if (n >= 0)
        return (int)n;
    if (n == -EAGAIN)
        BIO_set_retry_read(bio);
    errno = (int)-n;
    return -1;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)number, (void)pointer;
    if (command == BIO_CTRL_EOF)
        return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    return command == BIO_CTRL_FLUSH; /* the pipe does it at the end of each operation */
}

static int bio_create(BIO *bio)
{
    BIO_set_data(bio, fg_alloc_zero(sizeof(struct fg_tls_wire)));
    BIO_set_init(bio, 1);
    return 1;
}

static int bio_destroy(BIO *bio)
{
    struct fg_tls_wire *wire = BIO_get_data(bio);
    free(wire->out);
    free(wire);
    return 1;
}

BIO_METHOD *fg_tls_wire_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "fusegate wire");
    if (method && BIO_meth_set_write(method, bio_write) && BIO_meth_set_read(method, bio_read) &&
        BIO_meth_set_ctrl(method, bio_control) && BIO_meth_set_create(method, bio_create) &&
        BIO_meth_set_destroy(method, bio_destroy))
        return method;
    BIO_meth_free(method);
    return NULL;
}

struct fg_tls_wire *fg_tls_wire_of(const SSL *ssl)
{
    return BIO_get_data(SSL_get_wbio(ssl));
}

int fg_tls_wire_flush(struct fg_pipe *pipe, const char *doing)
{
    struct fg_tls_wire *wire = fg_tls_wire_of(pipe->tls);
    while (wire->from < wire->to) {
        const struct iovec iov = {wire->out + wire->from, wire->to - wire->from};
        ssize_t n = fg_pipe_socket_send(wire->fd, &iov, 1);
        if (n == -EAGAIN)
            return FG_PIPE_AGAIN;
        if (n < 0)
            return fg_pipe_fail_errno(pipe, doing, (int)-n);
        wire->from += (size_t)n;
    }
    free(wire->out); /* an idle connection owns no buffers */
    wire->out = NULL;
    wire->from = wire->to = wire->cap = 0;
    return 0;
}
