/* What the files of TLS share. For src/io and its tests only. */
#ifndef FG_IO_TLS_INT_H
#define FG_IO_TLS_INT_H

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "io/tls.h"

/* ---- tls_pem.c: files ---- */

/* A certificate, its chain and its key. */
struct fg_tls_identity {
    X509 *leaf;
    STACK_OF(X509) * chain;
    EVP_PKEY *key;
};

/* All certificates of a PEM file, at least one. WHAT names the file's purpose in ERROR ("certificate file"). NULL:
 * ERROR is set. */
STACK_OF(X509) * fg_tls_load_certificates(const char *path, const char *what, char *error, size_t error_len);
int fg_tls_identity_load(struct fg_tls_identity *identity, const struct fg_tls_certificate *files, char *error,
                         size_t error_len) __attribute__((warn_unused_result));
void fg_tls_identity_cleanup(struct fg_tls_identity *identity);

/* ---- tls_session.c: what makes resumption possible ---- */

#define FG_TLS_SESSION_LIFE_S       7200              /* a session is resumed for two hours at most */
#define FG_TLS_TICKET_KEY_ROTATE_NS (6 * 3600 * FG_S) /* so a key lives for less than twice that, see below */

struct fg_tls_ticket_key {
    unsigned char name[16], hmac[32], aes[32];
};

/* Keys that encrypt session tickets (RFC 5077 section 4). The current key and its predecessor are accepted, and both
 * are forgotten in time, because who learns a key can read every TLS 1.2 connection that it resumed. Shared by a
 * context and those that were reloaded from it. */
struct fg_tls_tickets {
    atomic_uint refs;
    pthread_mutex_t lock;
    uint64_t rotated_ns;
    unsigned keys_len;                /* 1 or 2 */
    struct fg_tls_ticket_key keys[2]; /* the current one first */
};

struct fg_tls_tickets *fg_tls_tickets_new(uint64_t now_ns); /* NULL: no random bytes */
struct fg_tls_tickets *fg_tls_tickets_ref(struct fg_tls_tickets *tickets);
void fg_tls_tickets_unref(struct fg_tls_tickets *tickets);

/* The key to encrypt with; 0, or -1 when there are no random bytes for a new one. */
int fg_tls_tickets_current(struct fg_tls_tickets *tickets, uint64_t now_ns, struct fg_tls_ticket_key *out)
    __attribute__((warn_unused_result));
/* The key to decrypt with: 1, or 2 if it is no longer the current one, or 0 if unknown. */
int fg_tls_tickets_find(struct fg_tls_tickets *tickets, uint64_t now_ns, const unsigned char name[16],
                        struct fg_tls_ticket_key *out) __attribute__((warn_unused_result));
int fg_tls_tickets_install(SSL_CTX *ctx); /* for connections of a context with tickets; 0 or -1 */

/* Sessions of a client, by peer address and name: the latest one of each, the oldest is forgotten when it is full. */
#define FG_TLS_SESSIONS_LEN 256

struct fg_tls_session {
    char *key;
    SSL_SESSION *session;
};

struct fg_tls_sessions {
    pthread_mutex_t lock;
    unsigned len, oldest;
    struct fg_tls_session items[FG_TLS_SESSIONS_LEN];
};

void fg_tls_sessions_init(struct fg_tls_sessions *sessions);
void fg_tls_sessions_cleanup(struct fg_tls_sessions *sessions);
void fg_tls_sessions_put(struct fg_tls_sessions *sessions, const char *key, SSL_SESSION *session); /* copies */
SSL_SESSION *fg_tls_sessions_get(struct fg_tls_sessions *sessions, const char *key); /* a copy to free, or NULL */

/* ---- tls_context.c ---- */

struct fg_tls_context {
    atomic_uint refs;
    SSL_CTX *ctx;
    BIO_METHOD *bio; /* of struct fg_tls_wire */
    bool is_server;
    bool verify; /* the peer's certificate is verified, if there is one */
    struct fg_tls_identity *identities;
    size_t identities_len;
    unsigned char *alpn; /* length-prefixed names (RFC 7301 section 3.1) */
    unsigned alpn_len;
    struct fg_tls_tickets *tickets;              /* server; NULL: no resumption */
    struct fg_tls_sessions sessions;             /* client */
    struct fg_tls_server_options server_options; /* deep copies, for the reload */
    struct fg_tls_client_options client_options;
};

/* ---- tls_error.c ---- */

/* The text of OpenSSL's first error, without its codes; drains the queue. */
void fg_tls_error_text(char *out, size_t out_len);

/* Fails the pipe with a sentence about what SSL_get_error() told (not one of the WANTs); drains the queue. DOING is
 * "handshake", "reading" or "writing". ERROR_NUMBER is errno right after the call. */
int fg_tls_fail(struct fg_pipe *pipe, const char *doing, int ssl_error, int error_number);

/* ---- tls_wire.c: between OpenSSL and the socket ---- */

struct fg_tls_wire {
    int fd;
    unsigned char *out; /* records that the socket has not taken, from FROM to TO; NULL: none */
    size_t from, to, cap;
    size_t uncounted; /* bytes of the writer that are among these records, but have not been reported as written */
};

BIO_METHOD *fg_tls_wire_method(void); /* NULL: out of memory */
struct fg_tls_wire *fg_tls_wire_of(const SSL *ssl);

/* Sends what waits: 0 when nothing does any more, FG_PIPE_AGAIN or FG_PIPE_ERROR. */
int fg_tls_wire_flush(struct fg_pipe *pipe, const char *doing) __attribute__((warn_unused_result));

/* ---- tls_pipe.c ---- */

/* Names the peer of a client's connection for the table of sessions. */
#define FG_TLS_SESSION_KEY_BYTES (FG_ADDRESS_TEXT_BYTES + 256)
void fg_tls_session_key(SSL *ssl, char out[FG_TLS_SESSION_KEY_BYTES]);

#endif
