/* TLS 1.2 and 1.3 by OpenSSL, as a pipe. A context is made once from configuration, shared by all workers, reference
 * counted, and swapped as a whole when certificates are reloaded: connections keep the one they began with.
 *
 * No renegotiation, no compression, no early data. TLS 1.2 has only the cipher suites that HTTP/2 allows (RFC 9113
 * appendix A): ECDHE with AES-GCM or ChaCha20-Poly1305. */
#ifndef FG_IO_TLS_H
#define FG_IO_TLS_H

#include "io/pipe.h"

struct fg_tls_certificate {
    const char *certificate, *key; /* PEM files: the certificate and then its chain; the key without a passphrase */
};

struct fg_tls_server_options {
    /* At least one. SNI picks by the names in the certificates (SAN, else CN; exact names before wildcards); all that
     * match are offered, so that a name may have an RSA and an ECDSA certificate. Else it is the first. */
    const struct fg_tls_certificate *certificates;
    size_t certificates_len;
    const char *client_ca; /* PEM file; NULL: do not ask */
    bool require_client_certificate;
    int min_version; /* 12 or 13 */
    bool session_resumption;
    /* In order of preference, NULL-terminated: {"h2", NULL}. NULL: no ALPN. A client without ALPN is served without;
     * one that offers only others is refused with no_application_protocol (RFC 7301 section 3.2). */
    const char *const *alpn;
};

struct fg_tls_client_options {
    const char *ca;                /* PEM file; NULL: system store */
    const char *certificate, *key; /* of the gateway itself; NULL: none */
    bool verify;
    int min_version;         /* 12 or 13 */
    const char *const *alpn; /* offered, NULL-terminated; NULL: no ALPN */
};

struct fg_tls_context; /* thread-safe, reference counted */

/* NULL with a sentence in ERROR: file, what is wrong, what to do. Options are copied. */
struct fg_tls_context *fg_tls_server_new(const struct fg_tls_server_options *options, char *error, size_t error_len)
    __attribute__((warn_unused_result));
struct fg_tls_context *fg_tls_client_new(const struct fg_tls_client_options *options, char *error, size_t error_len)
    __attribute__((warn_unused_result));
struct fg_tls_context *fg_tls_context_ref(struct fg_tls_context *context);
void fg_tls_context_unref(struct fg_tls_context *context); /* NULL is harmless */

/* Loads the same files again into a new context (session ticket keys are carried over, so that resumption goes on; a
 * changed client CA ends it). NULL and ERROR when they are not valid: the old one stays in use. */
struct fg_tls_context *fg_tls_context_reload(const struct fg_tls_context *context, char *error, size_t error_len)
    __attribute__((warn_unused_result));

/* Takes the fd. The pipe holds a reference to the context. SERVER_NAME (client side; a name, or an IP address without
 * brackets) is what the certificate must be for; a name is sent as SNI as well. NULL is possible only without verify.
 * 0, or -1 with the fd closed and a sentence in pipe->error. */
int fg_pipe_init_tls_server(struct fg_pipe *pipe, int fd, struct fg_tls_context *context)
    __attribute__((warn_unused_result));
int fg_pipe_init_tls_client(struct fg_pipe *pipe, int fd, struct fg_tls_context *context, const char *server_name)
    __attribute__((warn_unused_result));

struct fg_str fg_pipe_alpn(const struct fg_pipe *pipe); /* after the handshake; empty: none. Borrowed from the pipe */
bool fg_pipe_is_resumed(const struct fg_pipe *pipe);    /* after the handshake: it went on with an earlier session */

/* Subject of the verified peer certificate in the order of RFC 2253 ("CN=alice,O=Acme"), or "". */
void fg_pipe_peer_subject(const struct fg_pipe *pipe, char *out, size_t out_len);

#endif
