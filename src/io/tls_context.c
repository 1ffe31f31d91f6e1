#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/tls_int.h"

/* All of TLS 1.2 that RFC 9113 appendix A does not forbid and that OpenSSL has: forward secrecy and AEAD. */
static const char tls12_ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

/* Without the finite-field groups: 3 ms of computation that a client can ask of us with one packet. */
static const char groups[] = "X25519:P-256:P-384";

/* ---- copies of the options ---- */

static char *copy_string(const char *s)
{
    return s ? fg_strdup(s) : NULL;
}

static const char *const *copy_strings(const char *const *strings)
{
    if (!strings)
        return NULL;
    size_t len = 0;
    while (strings[len])
        len++;
    char **copy = fg_alloc_zero((len + 1) * sizeof(*copy));
    for (size_t i = 0; i < len; i++)
        copy[i] = fg_strdup(strings[i]);
    return (const char *const *)copy;
}

static void free_strings(const char *const *strings)
{
    for (size_t i = 0; strings && strings[i]; i++)
        free((char *)strings[i]);
    free((void *)strings);
}

static void copy_server_options(struct fg_tls_server_options *out, const struct fg_tls_server_options *options)
{
    *out = *options;
    struct fg_tls_certificate *certificates = fg_alloc_zero(options->certificates_len * sizeof(*certificates));
    for (size_t i = 0; i < options->certificates_len; i++) {
        certificates[i].certificate = copy_string(options->certificates[i].certificate);
        certificates[i].key = copy_string(options->certificates[i].key);
    }
    out->certificates = certificates;
    out->client_ca = copy_string(options->client_ca);
    out->alpn = copy_strings(options->alpn);
}

static void copy_client_options(struct fg_tls_client_options *out, const struct fg_tls_client_options *options)
{
    *out = *options;
    out->ca = copy_string(options->ca);
    out->certificate = copy_string(options->certificate);
    out->key = copy_string(options->key);
    out->alpn = copy_strings(options->alpn);
}

static void free_options(struct fg_tls_context *context)
{
    struct fg_tls_server_options *server = &context->server_options;
    for (size_t i = 0; i < server->certificates_len; i++) {
        free((char *)server->certificates[i].certificate);
        free((char *)server->certificates[i].key);
    }
    free((void *)server->certificates);
    free((char *)server->client_ca);
    free_strings(server->alpn);
    struct fg_tls_client_options *client = &context->client_options;
    free((char *)client->ca);
    free((char *)client->certificate);
    free((char *)client->key);
    free_strings(client->alpn);
}

/* ---- life ---- */

static struct fg_tls_context *create(bool is_server)
{
    struct fg_tls_context *context = fg_alloc_zero(sizeof(*context));
    atomic_init(&context->refs, 1);
    context->is_server = is_server;
    fg_tls_sessions_init(&context->sessions);
    return context;
}

struct fg_tls_context *fg_tls_context_ref(struct fg_tls_context *context)
{
    atomic_fetch_add_explicit(&context->refs, 1, memory_order_relaxed);
    return context;
}

void fg_tls_context_unref(struct fg_tls_context *context)
{
    if (!context || atomic_fetch_sub_explicit(&context->refs, 1, memory_order_acq_rel) != 1)
        return;
    SSL_CTX_free(context->ctx);
    BIO_meth_free(context->bio);
    for (size_t i = 0; i < context->identities_len; i++)
        fg_tls_identity_cleanup(&context->identities[i]);
    free(context->identities);
    free(context->alpn);
    fg_tls_tickets_unref(context->tickets);
    fg_tls_sessions_cleanup(&context->sessions);
    free_options(context);
    free(context);
}

/* ---- what both sides need ---- */

static int explain(const char *what, char *error, size_t error_len)
{
    char text[120];
    fg_tls_error_text(text, sizeof(text));
    snprintf(error, error_len, "%s: %s", what, text);
    return -1;
}

static int set_version(SSL_CTX *ctx, int min_version, char *error, size_t error_len)
{
    if (min_version != 12 && min_version != 13) {
        snprintf(error, error_len, "TLS version %d is not supported; choose 1.2 or 1.3", min_version);
        return -1;
    }
    if (SSL_CTX_set_min_proto_version(ctx, min_version == 12 ? TLS1_2_VERSION : TLS1_3_VERSION) == 1)
        return 0;
    return explain("the TLS version cannot be set", error, error_len);
}

static int set_up_ctx(struct fg_tls_context *context, int min_version, char *error, size_t error_len)
{
    ERR_clear_error();
    context->bio = fg_tls_wire_method();
    SSL_CTX *ctx = context->ctx = SSL_CTX_new(context->is_server ? TLS_server_method() : TLS_client_method());
    if (!context->bio || !ctx)
        return explain("OpenSSL cannot be used", error, error_len);
    if (set_version(ctx, min_version, error, error_len) < 0)
        return -1;
    if (SSL_CTX_set_cipher_list(ctx, tls12_ciphers) != 1 || SSL_CTX_set1_groups_list(ctx, groups) != 1)
        return explain("OpenSSL lacks the ciphers that HTTP/2 needs", error, error_len);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                 SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS); /* an idle connection owns no buffers */
    SSL_CTX_set_timeout(ctx, FG_TLS_SESSION_LIFE_S);
    return 0;
}

static int set_alpn(struct fg_tls_context *context, const char *const *names, char *error, size_t error_len)
{
    size_t bytes = 0;
    for (size_t i = 0; names && names[i]; i++) {
        size_t len = strlen(names[i]);
        if (len == 0 || len > 255) {
            snprintf(error, error_len, "ALPN name \"%.40s\" must have 1 to 255 bytes", names[i]);
            return -1;
        }
        context->alpn = fg_realloc(context->alpn, bytes + 1 + len);
        context->alpn[bytes] = (unsigned char)len;
        memcpy(context->alpn + bytes + 1, names[i], len);
        bytes += 1 + len;
    }
    context->alpn_len = (unsigned)bytes;
    return 0;
}

static int explain_identity(const char *file, char *error, size_t error_len)
{
    char text[120]; /* a key that is too short, for example */
    fg_tls_error_text(text, sizeof(text));
    snprintf(error, error_len, "certificate %s cannot be used: %s", file, text);
    return -1;
}

static int use_identity(SSL_CTX *ctx, const struct fg_tls_identity *identity, const char *file, char *error,
                        size_t error_len)
{
    if (SSL_CTX_use_cert_and_key(ctx, identity->leaf, identity->key, identity->chain, 1) == 1)
        return 0;
    return explain_identity(file, error, error_len);
}

static int trust(SSL_CTX *ctx, STACK_OF(X509) * certificates, const char *path, bool tell_clients, char *error,
                 size_t error_len)
{
    for (int i = 0; i < sk_X509_num(certificates); i++) {
        X509 *certificate = sk_X509_value(certificates, i);
        if (X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), certificate) == 1 &&
            (!tell_clients || SSL_CTX_add_client_CA(ctx, certificate) == 1))
            continue;
        char text[120];
        fg_tls_error_text(text, sizeof(text));
        snprintf(error, error_len, "CA file %s cannot be used: %s", path, text);
        return -1;
    }
    return 0;
}

/* ---- server ---- */

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *offered,
                   unsigned offered_len, void *arg)
{
    (void)ssl;
    const struct fg_tls_context *context = arg;
    unsigned char *chosen = NULL;
    if (offered_len == 0 || SSL_select_next_proto(&chosen, out_len, context->alpn, context->alpn_len, offered,
                                                  offered_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen; /* in context->alpn */
    return SSL_TLSEXT_ERR_OK;
}

/* Says that the name was heard, so that it becomes part of the session; on_certificate acts on it. */
static int on_server_name(SSL *ssl, int *alert, void *arg)
{
    (void)ssl, (void)alert, (void)arg;
    return SSL_TLSEXT_ERR_OK;
}

/* Gives the connection all certificates for NAME; false if there is none. */
static bool choose(SSL *ssl, const struct fg_tls_context *context, const char *name, unsigned flags)
{
    bool found = false;
    for (size_t i = 0; i < context->identities_len; i++) {
        const struct fg_tls_identity *identity = &context->identities[i];
        if (X509_check_host(identity->leaf, name, 0, flags, NULL) != 1)
            continue;
        if (!found)
            SSL_certs_clear(ssl);
        /* The first of a kind of key stays. Nothing else can fail: try_identities has done the same. */
        if (SSL_use_cert_and_key(ssl, identity->leaf, identity->key, identity->chain, 0) != 1)
            ERR_clear_error();
        found = true;
    }
    return found;
}

static int on_certificate(SSL *ssl, void *arg)
{
    const struct fg_tls_context *context = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (!name || context->identities_len < 2)
        return 1;
    if (!choose(ssl, context, name, X509_CHECK_FLAG_NO_WILDCARDS))
        choose(ssl, context, name, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    ERR_clear_error();
    return 1;
}

/* A session may be resumed only where its client would be verified in the same way (SSL_CTX_set_session_id_context(3)):
 * the context is a digest of what verification depends on. */
static int set_session_context(SSL_CTX *ctx, STACK_OF(X509) * client_ca, bool require)
{
    unsigned char digest[EVP_MAX_MD_SIZE], flags = (unsigned char)((client_ca != NULL) | require << 1);
    unsigned digest_len = 0;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 && EVP_DigestUpdate(md, &flags, 1) == 1;
    for (int i = 0; ok && client_ca && i < sk_X509_num(client_ca); i++) {
        unsigned char one[EVP_MAX_MD_SIZE];
        unsigned one_len = 0;
        ok = X509_digest(sk_X509_value(client_ca, i), EVP_sha256(), one, &one_len) == 1 &&
             EVP_DigestUpdate(md, one, one_len) == 1;
    }
    ok = ok && EVP_DigestFinal_ex(md, digest, &digest_len) == 1 &&
         SSL_CTX_set_session_id_context(ctx, digest, FG_MIN(digest_len, (unsigned)SSL_MAX_SID_CTX_LENGTH)) == 1;
    EVP_MD_CTX_free(md);
    return ok ? 0 : -1;
}

static int ask_for_client_certificate(struct fg_tls_context *context, char *error, size_t error_len)
{
    const struct fg_tls_server_options *options = &context->server_options;
    if (!options->client_ca && options->require_client_certificate) {
        snprintf(error, error_len, "a client certificate is required, but no CA to verify it with is given");
        return -1;
    }
    STACK_OF(X509) *client_ca = NULL;
    if (options->client_ca) {
        client_ca = fg_tls_load_certificates(options->client_ca, "CA file", error, error_len);
        if (!client_ca)
            return -1;
        context->verify = true;
        SSL_CTX_set_verify(
            context->ctx, SSL_VERIFY_PEER | (options->require_client_certificate ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
            NULL);
    }
    int rc = client_ca ? trust(context->ctx, client_ca, options->client_ca, true, error, error_len) : 0;
    if (rc == 0 && set_session_context(context->ctx, client_ca, options->require_client_certificate) < 0)
        rc = explain("the session context cannot be set", error, error_len);
    sk_X509_pop_free(client_ca, X509_free);
    return rc;
}

/* Those that SNI may choose are used once now, because later there is nobody to tell what is wrong with them. */
static int try_identities(const struct fg_tls_context *context, char *error, size_t error_len)
{
    SSL *scratch = SSL_new(context->ctx);
    int rc = scratch ? 0 : explain("a TLS connection cannot be made", error, error_len);
    for (size_t i = 1; rc == 0 && i < context->identities_len; i++) {
        const struct fg_tls_identity *identity = &context->identities[i];
        if (SSL_use_cert_and_key(scratch, identity->leaf, identity->key, identity->chain, 1) != 1)
            rc = explain_identity(context->server_options.certificates[i].certificate, error, error_len);
    }
    SSL_free(scratch);
    return rc;
}

static int load_identities(struct fg_tls_context *context, char *error, size_t error_len)
{
    const struct fg_tls_server_options *options = &context->server_options;
    if (options->certificates_len == 0) {
        snprintf(error, error_len, "TLS needs a certificate and its key");
        return -1;
    }
    context->identities = fg_alloc_zero(options->certificates_len * sizeof(*context->identities));
    for (; context->identities_len < options->certificates_len; context->identities_len++) {
        if (fg_tls_identity_load(&context->identities[context->identities_len],
                                 &options->certificates[context->identities_len], error, error_len) < 0)
            return -1;
    }
    if (use_identity(context->ctx, &context->identities[0], options->certificates[0].certificate, error, error_len) <
            0 ||
        try_identities(context, error, error_len) < 0)
        return -1;
    SSL_CTX_set_cert_cb(context->ctx, on_certificate, context);
    return 0;
}

static int allow_resumption(struct fg_tls_context *context, struct fg_tls_tickets *tickets, char *error,
                            size_t error_len)
{
    SSL_CTX *ctx = context->ctx;
    if (!context->server_options.session_resumption) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(ctx, 0);
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
        return 0;
    }
    context->tickets = tickets ? fg_tls_tickets_ref(tickets) : fg_tls_tickets_new(fg_clock_now_ns());
    if (!context->tickets || fg_tls_tickets_install(ctx) < 0)
        return explain("session ticket keys cannot be made", error, error_len);
    /* For clients of TLS 1.2 without tickets. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_SERVER);
    SSL_CTX_sess_set_cache_size(ctx, 4096);
    return 0;
}

static struct fg_tls_context *new_server(const struct fg_tls_server_options *options, struct fg_tls_tickets *tickets,
                                         char *error, size_t error_len)
{
    struct fg_tls_context *context = create(true);
    copy_server_options(&context->server_options, options);
    if (set_up_ctx(context, options->min_version, error, error_len) < 0 ||
        load_identities(context, error, error_len) < 0 || ask_for_client_certificate(context, error, error_len) < 0 ||
        set_alpn(context, options->alpn, error, error_len) < 0 ||
        allow_resumption(context, tickets, error, error_len) < 0) {
        fg_tls_context_unref(context);
        return NULL;
    }
    if (context->alpn_len > 0)
        SSL_CTX_set_alpn_select_cb(context->ctx, on_alpn, context);
    SSL_CTX_set_tlsext_servername_callback(context->ctx, on_server_name);
    return context;
}

struct fg_tls_context *fg_tls_server_new(const struct fg_tls_server_options *options, char *error, size_t error_len)
{
    return new_server(options, NULL, error, error_len);
}

/* ---- client ---- */

static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    struct fg_tls_context *context = SSL_get_app_data(ssl);
    char key[FG_TLS_SESSION_KEY_BYTES];
    fg_tls_session_key(ssl, key);
    fg_tls_sessions_put(&context->sessions, key, session);
    return 0; /* the reference stays OpenSSL's */
}

static int load_trust(struct fg_tls_context *context, char *error, size_t error_len)
{
    const struct fg_tls_client_options *options = &context->client_options;
    context->verify = options->verify;
    SSL_CTX_set_verify(context->ctx, options->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    if (!options->ca) {
        if (!options->verify || SSL_CTX_set_default_verify_paths(context->ctx) == 1)
            return 0;
        return explain("the system's CA certificates cannot be read", error, error_len);
    }
    STACK_OF(X509) *ca = fg_tls_load_certificates(options->ca, "CA file", error, error_len);
    int rc = ca ? trust(context->ctx, ca, options->ca, false, error, error_len) : -1;
    sk_X509_pop_free(ca, X509_free);
    return rc;
}

static int load_own(struct fg_tls_context *context, char *error, size_t error_len)
{
    const struct fg_tls_client_options *options = &context->client_options;
    if (!options->certificate && !options->key)
        return 0;
    const struct fg_tls_certificate files = {options->certificate, options->key};
    context->identities = fg_alloc_zero(sizeof(*context->identities));
    if (fg_tls_identity_load(context->identities, &files, error, error_len) < 0)
        return -1;
    context->identities_len = 1;
    return use_identity(context->ctx, context->identities, files.certificate, error, error_len);
}

struct fg_tls_context *fg_tls_client_new(const struct fg_tls_client_options *options, char *error, size_t error_len)
{
    struct fg_tls_context *context = create(false);
    copy_client_options(&context->client_options, options);
    if (set_up_ctx(context, options->min_version, error, error_len) < 0 || load_trust(context, error, error_len) < 0 ||
        load_own(context, error, error_len) < 0 || set_alpn(context, options->alpn, error, error_len) < 0) {
        fg_tls_context_unref(context);
        return NULL;
    }
    if (context->alpn_len > 0 && SSL_CTX_set_alpn_protos(context->ctx, context->alpn, context->alpn_len) != 0) {
        explain("ALPN cannot be set", error, error_len);
        fg_tls_context_unref(context);
        return NULL;
    }
    SSL_CTX_set_session_cache_mode(context->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context->ctx, on_new_session);
    return context;
}

struct fg_tls_context *fg_tls_context_reload(const struct fg_tls_context *context, char *error, size_t error_len)
{
    if (context->is_server)
        return new_server(&context->server_options, context->tickets, error, error_len);
    return fg_tls_client_new(&context->client_options, error, error_len);
}
