#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <unistd.h>

#include "io/pipe_int.h"
#include "io/tls_int.h"

enum {
    RECORD_MAX_BYTES = 16 << 10, /* RFC 8446 section 5.1 */
    BATCH_BYTES = 64 << 10,      /* encrypted before they are sent: four records a system call */
    READ_AHEAD_BYTES = 64 << 10, /* several records a system call; given back when it is empty */
};

void fg_tls_session_key(SSL *ssl, char out[FG_TLS_SESSION_KEY_BYTES])
{
    struct fg_address peer = {.len = sizeof(peer.storage)};
    if (getpeername(fg_tls_wire_of(ssl)->fd, (struct sockaddr *)&peer.storage, &peer.len) < 0)
        peer.len = 0;
    char text[FG_ADDRESS_TEXT_BYTES];
    fg_address_format(&peer, text, sizeof(text));
    /* The name that the certificate was verified for, because a resumed session is not verified again. */
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    char *ip = name ? NULL : X509_VERIFY_PARAM_get1_ip_asc(SSL_get0_param(ssl));
    snprintf(out, FG_TLS_SESSION_KEY_BYTES, "%s %s", text, name ? name : ip ? ip : "");
    OPENSSL_free(ip);
}

/* ---- operations ---- */

static bool is_usable(const struct fg_pipe *pipe)
{
    return pipe->fd >= 0 && pipe->error[0] == '\0';
}

/* Turns what SSL_get_error() says into a code. It never waits to write, see tls_wire.c. */
static int end_of(struct fg_pipe *pipe, const char *doing, int rc)
{
    int error_number = errno;
    int ssl_error = SSL_get_error(pipe->tls, rc);
    if (ssl_error == SSL_ERROR_WANT_READ)
        return FG_PIPE_AGAIN;
    /* close_notify is an end in order only when the handshake is done. */
    if (ssl_error == SSL_ERROR_ZERO_RETURN && SSL_is_init_finished(pipe->tls))
        return FG_PIPE_EOF;
    return fg_tls_fail(pipe, doing, ssl_error, error_number);
}

/* Before every call: an error left in the queue by somebody else would be taken for one of this connection. */
static void forget_errors(void)
{
    ERR_clear_error();
    errno = 0;
}

/* Only now the peer's address is known for sure, which is part of the key. */
static void offer_session(struct fg_pipe *pipe)
{
    SSL *ssl = pipe->tls;
    struct fg_tls_context *context = SSL_get_app_data(ssl);
    if (context->is_server || !SSL_in_before(ssl))
        return;
    char key[FG_TLS_SESSION_KEY_BYTES];
    fg_tls_session_key(ssl, key);
    SSL_SESSION *session = fg_tls_sessions_get(&context->sessions, key);
    if (session)
        SSL_set_session(ssl, session);
    SSL_SESSION_free(session);
}

static int handshake(struct fg_pipe *pipe)
{
    if (!is_usable(pipe))
        return FG_PIPE_ERROR;
    offer_session(pipe);
    forget_errors();
    int rc = SSL_do_handshake(pipe->tls);
    int code = rc == 1 ? 0 : end_of(pipe, "handshake", rc);
    int flushed = fg_tls_wire_flush(pipe, "handshake"); /* an alert, too */
    if (code == FG_PIPE_ERROR || flushed == FG_PIPE_ERROR)
        return FG_PIPE_ERROR;
    pipe->tls_wants = (code == FG_PIPE_AGAIN ? FG_READABLE : 0u) | (flushed == FG_PIPE_AGAIN ? FG_WRITABLE : 0u);
    if (pipe->tls_wants)
        return FG_PIPE_AGAIN;
    /* The peer's first data may have come with the end of its handshake: the descriptor will not tell. */
    pipe->tls_has_pending = SSL_has_pending(pipe->tls);
    return 0;
}

/* Reading may have made OpenSSL answer: new keys, an alert. */
static void send_answers(struct fg_pipe *pipe)
{
    pipe->tls_read_wants = fg_tls_wire_flush(pipe, "reading") == FG_PIPE_AGAIN ? FG_WRITABLE : 0u;
}

static ssize_t read_bytes(struct fg_pipe *pipe, void *data, size_t len)
{
    assert(len > 0);
    if (!is_usable(pipe))
        return FG_PIPE_ERROR;
    SSL *ssl = pipe->tls;
    size_t total = 0;
    while (total < len) {
        size_t n = 0;
        forget_errors();
        int rc = SSL_read_ex(ssl, (char *)data + total, len - total, &n);
        if (rc == 1) {
            total += n;
            continue;
        }
        int code = end_of(pipe, "reading", rc);
        send_answers(pipe);
        /* What came before the end is given first, and then the end, of which the descriptor need not tell. */
        pipe->tls_has_pending = total > 0 && code != FG_PIPE_AGAIN;
        return total > 0 ? (ssize_t)total : code;
    }
    send_answers(pipe);
    pipe->tls_has_pending = SSL_has_pending(ssl);
    return (ssize_t)total;
}

/* The place in an array of iovecs. */
struct cursor {
    const struct iovec *iov;
    int iov_len;
    size_t offset; /* into iov[0] */
};

static void skip(struct cursor *at, size_t len)
{
    at->offset += len;
    while (at->iov_len > 0 && at->offset >= at->iov->iov_len) {
        at->offset -= at->iov->iov_len;
        at->iov++;
        at->iov_len--;
    }
    assert(at->iov_len > 0 || at->offset == 0); /* the writer offers at least what it offered before */
}

/* The bytes of the next record: where they lie if one iovec fills it or is the last, else copied together, because a
 * frame header of 9 bytes in a record of its own would cost 22 bytes more and a system call. */
static const char *next_record(struct cursor at, char *buffer, size_t *len)
{
    const char *first = (const char *)at.iov->iov_base + at.offset;
    size_t first_len = at.iov->iov_len - at.offset;
    *len = FG_MIN(first_len, (size_t)RECORD_MAX_BYTES);
    if (*len == RECORD_MAX_BYTES || at.iov_len == 1)
        return first;
    *len = 0;
    while (at.iov_len > 0 && *len < RECORD_MAX_BYTES) {
        size_t n = FG_MIN(at.iov->iov_len - at.offset, RECORD_MAX_BYTES - *len);
        memcpy(buffer + *len, (const char *)at.iov->iov_base + at.offset, n);
        *len += n;
        skip(&at, n);
    }
    return buffer;
}

/* Encrypts up to BATCH_BYTES. 0 or a negative code; DONE gets how many bytes of the writer it took. */
static int encrypt_batch(struct fg_pipe *pipe, struct cursor *at, size_t *done)
{
    char buffer[RECORD_MAX_BYTES];
    *done = 0;
    while (at->iov_len > 0 && *done < BATCH_BYTES) {
        size_t len, n = 0;
        const char *data = next_record(*at, buffer, &len);
        forget_errors();
        int rc = SSL_write_ex(pipe->tls, data, len, &n);
        if (rc != 1)
            return end_of(pipe, "writing", rc);
        *done += n;
        skip(at, n);
    }
    return 0;
}

static ssize_t write_bytes(struct fg_pipe *pipe, const struct iovec *iov, int iov_len)
{
    if (!is_usable(pipe))
        return FG_PIPE_ERROR;
    struct fg_tls_wire *wire = fg_tls_wire_of(pipe->tls);
    struct cursor at = {iov, iov_len, 0};
    ssize_t total = 0;
    int code = fg_tls_wire_flush(pipe, "writing");
    if (code < 0)
        return code;
    /* A batch counts as written when all of it has left. So who has nothing more to write need not come again. */
    skip(&at, wire->uncounted);
    total += (ssize_t)wire->uncounted;
    wire->uncounted = 0;
    while (at.iov_len > 0) {
        size_t done;
        code = encrypt_batch(pipe, &at, &done);
        if (code == 0)
            code = fg_tls_wire_flush(pipe, "writing");
        if (code == FG_PIPE_AGAIN)
            wire->uncounted = done;
        if (code < 0)
            return total > 0 ? total : code;
        total += (ssize_t)done;
    }
    return total;
}

static void shut_down(struct fg_pipe *pipe)
{
    if (pipe->fd < 0)
        return;
    if (is_usable(pipe) && SSL_is_init_finished(pipe->tls)) { /* OpenSSL forbids it after an error */
        forget_errors();
        SSL_shutdown(pipe->tls);
        ERR_clear_error();
        int flushed = fg_tls_wire_flush(pipe, "closing");
        (void)flushed; /* best effort */
    }
    shutdown(pipe->fd, SHUT_WR);
}

static void close_all(struct fg_pipe *pipe)
{
    if (pipe->fd < 0)
        return;
    SSL *ssl = pipe->tls;
    struct fg_tls_context *context = SSL_get_app_data(ssl);
    /* A session stays good for resumption when the connection just ends without close_notify, as many do. */
    if (is_usable(pipe) && SSL_is_init_finished(ssl))
        SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(ssl);
    ERR_clear_error();
    close(pipe->fd);
    pipe->fd = -1;
    pipe->tls = NULL;
    pipe->tls_wants = pipe->tls_read_wants = 0;
    pipe->tls_has_pending = false;
    fg_tls_context_unref(context);
}

/* ---- making one ---- */

static int refuse(struct fg_pipe *pipe, const char *why)
{
    char text[80];
    fg_tls_error_text(text, sizeof(text));
    fg_pipe_fail(pipe, "%s: %s", why, text);
    if (pipe->tls) {
        close_all(pipe);
    } else {
        close(pipe->fd);
        pipe->fd = -1;
    }
    return -1;
}

static int init(struct fg_pipe *pipe, int fd, struct fg_tls_context *context)
{
    static const struct fg_pipe_ops ops = {handshake, read_bytes, write_bytes, shut_down, close_all};
    fg_pipe_init(pipe, fd, &ops);
    forget_errors();
    SSL *ssl = SSL_new(context->ctx);
    BIO *bio = ssl ? BIO_new(context->bio) : NULL;
    if (!bio) {
        SSL_free(ssl);
        return refuse(pipe, "TLS connection cannot be made");
    }
    SSL_set_bio(ssl, bio, bio);
    fg_tls_wire_of(ssl)->fd = fd;
    SSL_set_app_data(ssl, fg_tls_context_ref(context));
    SSL_set_read_ahead(ssl, 1);
    SSL_set_default_read_buffer_len(ssl, READ_AHEAD_BYTES);
    pipe->tls = ssl;
    return 0;
}

int fg_pipe_init_tls_server(struct fg_pipe *pipe, int fd, struct fg_tls_context *context)
{
    if (init(pipe, fd, context) < 0)
        return -1;
    SSL_set_accept_state(pipe->tls);
    return 0;
}

static int set_name(SSL *ssl, const char *name, bool verify)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1)
        return 0; /* an address is no SNI (RFC 6066 section 3) */
    ERR_clear_error();
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (verify && X509_VERIFY_PARAM_set1_host(param, name, 0) != 1)
        return -1;
    return SSL_set_tlsext_host_name(ssl, name) == 1 ? 0 : -1;
}

int fg_pipe_init_tls_client(struct fg_pipe *pipe, int fd, struct fg_tls_context *context, const char *server_name)
{
    if (init(pipe, fd, context) < 0)
        return -1;
    SSL_set_connect_state(pipe->tls);
    bool named = server_name && server_name[0] != '\0';
    if (!named && context->verify)
        return refuse(pipe, "there is no server name to verify the certificate with");
    if (named && set_name(pipe->tls, server_name, context->verify) < 0)
        return refuse(pipe, "the server name cannot be used");
    return 0;
}

/* ---- what was agreed ---- */

struct fg_str fg_pipe_alpn(const struct fg_pipe *pipe)
{
    const unsigned char *name = NULL;
    unsigned len = 0;
    if (pipe->tls)
        SSL_get0_alpn_selected(pipe->tls, &name, &len);
    return name ? (struct fg_str){(const char *)name, len} : FG_STR("");
}

bool fg_pipe_is_resumed(const struct fg_pipe *pipe)
{
    return pipe->tls && SSL_session_reused(pipe->tls);
}

void fg_pipe_peer_subject(const struct fg_pipe *pipe, char *out, size_t out_len)
{
    assert(out_len > 0);
    out[0] = '\0';
    if (!pipe->tls)
        return;
    const struct fg_tls_context *context = SSL_get_app_data(pipe->tls);
    X509 *certificate = SSL_get0_peer_certificate(pipe->tls);
    if (!certificate || !context->verify || SSL_get_verify_result(pipe->tls) != X509_V_OK)
        return;
    BIO *text = BIO_new(BIO_s_mem());
    if (text && X509_NAME_print_ex(text, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) >= 0) {
        int n = BIO_read(text, out, (int)out_len - 1);
        out[n > 0 ? n : 0] = '\0';
    }
    BIO_free(text);
    ERR_clear_error();
}
