#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include "io/tls.h"

#include "certificates.h"

static const char *const h2_and_h1[] = {"h2", "http/1.1", NULL};
static const char *const h1_and_h2[] = {"http/1.1", "h2", NULL};
static const char *const spdy[] = {"spdy/3", NULL};

struct world {
    char folder[40];
    struct issued ca, other_ca;
    struct issued a, a_rsa, b, ip;  /* of servers: a.test (two keys), *.b.test, 127.0.0.1 */
    struct issued client, stranger; /* of clients: by ca, by other_ca */
};

static int make_world(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    make_folder(w->folder);
    w->ca = issue(w->folder, "ca", NULL, NULL, false);
    w->other_ca = issue(w->folder, "other-ca", NULL, NULL, false);
    w->a = issue(w->folder, "a-ec", "DNS:a.test", &w->ca, false);
    w->a_rsa = issue(w->folder, "a-rsa", "DNS:a.test", &w->ca, true);
    w->b = issue(w->folder, "b", "DNS:b.test,DNS:*.b.test", &w->ca, false);
    w->ip = issue(w->folder, "ip", "IP:127.0.0.1", &w->ca, false);
    w->client = issue(w->folder, "alice", "DNS:alice", &w->ca, false);
    w->stranger = issue(w->folder, "mallory", "DNS:mallory", &w->other_ca, false);
    *state = w;
    return 0;
}

static int end_world(void **state)
{
    struct world *w = *state;
    struct issued *all[] = {&w->ca, &w->other_ca, &w->a, &w->a_rsa, &w->b, &w->ip, &w->client, &w->stranger};
    for (size_t i = 0; i < FG_ARRAY_LEN(all); i++)
        issued_free(all[i]);
    remove_folder(w->folder);
    free(w);
    return 0;
}

/* ---- contexts ---- */

static struct fg_tls_context *server_with(const struct fg_tls_server_options *options)
{
    char error[300] = "";
    struct fg_tls_context *context = fg_tls_server_new(options, error, sizeof(error));
    if (!context)
        fail_msg("%s", error);
    return context;
}

static struct fg_tls_context *client_with(const struct fg_tls_client_options *options)
{
    char error[300] = "";
    struct fg_tls_context *context = fg_tls_client_new(options, error, sizeof(error));
    if (!context)
        fail_msg("%s", error);
    return context;
}

/* a.test, resumption, no ALPN, no client certificates */
static struct fg_tls_context *plain_server(const struct world *w)
{
    struct fg_tls_certificate a = {w->a.pem_path, w->a.key_path};
    struct fg_tls_server_options options = {
        .certificates = &a, .certificates_len = 1, .min_version = 12, .session_resumption = true};
    return server_with(&options);
}

static struct fg_tls_context *plain_client(const struct world *w)
{
    struct fg_tls_client_options options = {.ca = w->ca.pem_path, .verify = true, .min_version = 12};
    return client_with(&options);
}

/* ---- a connection: both ends in one thread over a socket pair ---- */

struct line {
    struct fg_pipe client, server;
};

static void line_open(struct line *line, struct fg_tls_context *client, struct fg_tls_context *server, const char *name)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(fg_pipe_init_tls_client(&line->client, fds[0], client, name), 0);
    assert_int_equal(fg_pipe_init_tls_server(&line->server, fds[1], server), 0);
}

static void line_close(struct line *line)
{
    line->client.ops->close(&line->client);
    line->server.ops->close(&line->server);
    line->server.ops->close(&line->server); /* harmless */
    assert_int_equal(ERR_peek_error(), 0);
}

static void limit_version(struct line *line, int version)
{
    if (version == 12)
        assert_int_equal(SSL_set_max_proto_version(line->client.tls, TLS1_2_VERSION), 1);
}

/* 0, or FG_PIPE_ERROR if either side fails. */
static int shake_hands(struct line *line)
{
    int c = FG_PIPE_AGAIN, s = FG_PIPE_AGAIN;
    for (unsigned i = 0; i < 20 && (c == FG_PIPE_AGAIN || s == FG_PIPE_AGAIN); i++) {
        if (c == FG_PIPE_AGAIN)
            c = line->client.ops->handshake(&line->client);
        if (c == FG_PIPE_AGAIN)
            assert_int_equal(fg_pipe_interest(&line->client, 0), FG_READABLE);
        if (s == FG_PIPE_AGAIN)
            s = line->server.ops->handshake(&line->server);
        if (c == FG_PIPE_ERROR || s == FG_PIPE_ERROR)
            break;
    }
    return c == 0 && s == 0 ? 0 : FG_PIPE_ERROR;
}

static void say(struct fg_pipe *from, const char *text)
{
    struct iovec iov = {.iov_len = strlen(text)};
    memcpy(&iov.iov_base, &text, sizeof(text));
    assert_int_equal(from->ops->writev(from, &iov, 1), strlen(text));
}

static void hear(struct fg_pipe *to, const char *text)
{
    char in[100];
    ssize_t n = to->ops->read(to, in, sizeof(in));
    if (n < 0)
        fail_msg("reading gave %zd: %s", n, to->error);
    assert_int_equal(n, strlen(text));
    assert_memory_equal(in, text, (size_t)n);
    assert_false(to->tls_has_pending);
}

static void talk(struct line *line)
{
    say(&line->client, "question");
    hear(&line->server, "question");
    say(&line->server, "answer");
    hear(&line->client, "answer"); /* and the session tickets of TLS 1.3 before it */
}

static void connect_ok(struct line *line)
{
    if (shake_hands(line) < 0)
        fail_msg("client: %s; server: %s", line->client.error, line->server.error);
}

/* The server's certificate, by its name. */
static void assert_subject(const struct fg_pipe *pipe, const char *expected)
{
    char subject[80];
    fg_pipe_peer_subject(pipe, subject, sizeof(subject));
    assert_string_equal(subject, expected);
}

/* ---- handshakes ---- */

static void both_versions_work_and_the_server_picks_the_protocol(void **state)
{
    struct world *w = *state;
    struct fg_tls_certificate a = {w->a.pem_path, w->a.key_path};
    static const struct {
        const char *const *served, *const *offered;
        const char *agreed; /* NULL: refused */
    } cases[] = {
        {h2_and_h1, h1_and_h2, "h2"}, {h1_and_h2, h2_and_h1, "http/1.1"}, {h2_and_h1, NULL, ""}, {NULL, h2_and_h1, ""},
        {h2_and_h1, spdy, NULL},
    };
    for (size_t i = 0; i < FG_ARRAY_LEN(cases) * 2; i++) {
        struct fg_tls_server_options so = {
            .certificates = &a, .certificates_len = 1, .min_version = 12, .alpn = cases[i / 2].served};
        struct fg_tls_client_options co = {
            .ca = w->ca.pem_path, .verify = true, .min_version = 12, .alpn = cases[i / 2].offered};
        struct fg_tls_context *server = server_with(&so), *client = client_with(&co);
        struct line line;
        line_open(&line, client, server, "a.test");
        limit_version(&line, i % 2 ? 12 : 13);
        fg_tls_context_unref(server); /* the pipes hold theirs */
        fg_tls_context_unref(client);
        const char *agreed = cases[i / 2].agreed;
        if (agreed) {
            connect_ok(&line);
            assert_int_equal(SSL_version(line.server.tls), i % 2 ? TLS1_2_VERSION : TLS1_3_VERSION);
            struct fg_str alpn = fg_pipe_alpn(&line.server), seen = fg_pipe_alpn(&line.client);
            assert_int_equal(alpn.len, strlen(agreed));
            assert_memory_equal(alpn.p, agreed, alpn.len);
            assert_true(fg_str_eq(alpn, seen));
            assert_subject(&line.client, "CN=a-ec");
            talk(&line);
        } else {
            assert_int_equal(shake_hands(&line), FG_PIPE_ERROR);
            assert_string_equal(line.server.error,
                                "handshake failed: the peer offers no protocol (ALPN) that is served here");
            assert_int_equal(line.client.ops->handshake(&line.client), FG_PIPE_ERROR);
            assert_string_equal(line.client.error,
                                "handshake failed: the peer answered with alert \"no application protocol\"");
        }
        line_close(&line);
    }
}

static void an_old_version_or_cipher_is_refused(void **state)
{
    struct world *w = *state;
    struct fg_tls_certificate a = {w->a.pem_path, w->a.key_path};
    struct fg_tls_server_options so = {.certificates = &a, .certificates_len = 1, .min_version = 13};
    struct fg_tls_context *modern = server_with(&so), *server = plain_server(w), *client = plain_client(w);
    struct line line;
    line_open(&line, client, modern, "a.test");
    limit_version(&line, 12);
    assert_int_equal(shake_hands(&line), FG_PIPE_ERROR);
    assert_string_equal(line.server.error, "handshake failed: the peer supports no TLS version that is allowed here");
    line_close(&line);
    line_open(&line, client, server, "a.test");
    limit_version(&line, 12);
    SSL_set_cipher_list(line.client.tls,
                        "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES128-SHA256"); /* CBC: on the black list */
    assert_int_equal(shake_hands(&line), FG_PIPE_ERROR);
    assert_string_equal(line.server.error, "handshake failed: the peer supports no cipher suite that is allowed here");
    line_close(&line);
    fg_tls_context_unref(modern);
    fg_tls_context_unref(server);
    fg_tls_context_unref(client);
}

static void the_server_name_picks_the_certificate(void **state)
{
    struct world *w = *state;
    struct fg_tls_certificate files[] = {{w->ip.pem_path, w->ip.key_path},
                                         {w->b.pem_path, w->b.key_path},
                                         {w->a.pem_path, w->a.key_path},
                                         {w->a_rsa.pem_path, w->a_rsa.key_path}};
    struct fg_tls_server_options so = {.certificates = files, .certificates_len = 4, .min_version = 12};
    struct fg_tls_client_options co = {.verify = false, .min_version = 12};
    struct fg_tls_context *server = server_with(&so), *client = client_with(&co);
    static const struct {
        const char *name, *sigalgs, *certificate;
    } cases[] = {
        {"a.test", NULL, "a-ec"},
        {"A.TEST", NULL, "a-ec"},
        {"a.test", "rsa_pss_rsae_sha256", "a-rsa"},
        {"x.b.test", NULL, "b"},
        {"b.test", NULL, "b"},
        {"x.y.b.test", NULL, "ip"}, /* a wildcard is one label: the default */
        {"elsewhere.test", NULL, "ip"},
        {NULL, NULL, "ip"},
    };
    for (size_t i = 0; i < FG_ARRAY_LEN(cases) * 2; i++) {
        struct line line;
        line_open(&line, client, server, cases[i / 2].name);
        limit_version(&line, i % 2 ? 12 : 13);
        if (cases[i / 2].sigalgs)
            assert_int_equal(SSL_set1_sigalgs_list(line.client.tls, cases[i / 2].sigalgs), 1);
        connect_ok(&line);
        char name[40] = "";
        X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_get0_peer_certificate(line.client.tls)), NID_commonName,
                                  name, sizeof(name));
        assert_string_equal(name, cases[i / 2].certificate);
        assert_subject(&line.client, ""); /* not verified: nobody knows who it is */
        line_close(&line);
    }
    fg_tls_context_unref(server);
    fg_tls_context_unref(client);
}

static void a_client_verifies_the_name_or_the_address(void **state)
{
    struct world *w = *state;
    struct fg_tls_certificate files[] = {{w->ip.pem_path, w->ip.key_path}, {w->b.pem_path, w->b.key_path}};
    struct fg_tls_server_options so = {.certificates = files, .certificates_len = 2, .min_version = 12};
    struct fg_tls_client_options co = {.ca = w->other_ca.pem_path, .verify = true, .min_version = 12};
    struct fg_tls_context *server = server_with(&so), *client = plain_client(w), *wary = client_with(&co);
    static const struct {
        const char *name, *error;
    } cases[] = {
        {"x.b.test", ""},
        {"127.0.0.1", ""},
        {"127.0.0.2", "handshake failed: the server certificate is for another name"},
        {"elsewhere.test", "handshake failed: the server certificate is for another name"},
    };
    struct line line;
    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++) {
        line_open(&line, client, server, cases[i].name);
        assert_int_equal(shake_hands(&line), cases[i].error[0] ? FG_PIPE_ERROR : 0);
        assert_string_equal(line.client.error, cases[i].error);
        line_close(&line);
    }
    line_open(&line, wary, server, "x.b.test");
    assert_int_equal(shake_hands(&line), FG_PIPE_ERROR);
    assert_string_equal(line.client.error,
                        "handshake failed: server certificate refused: unable to get local issuer certificate");
    assert_int_equal(line.server.ops->handshake(&line.server), FG_PIPE_ERROR);
    assert_string_equal(line.server.error, "handshake failed: the peer answered with alert \"unknown CA\"");
    line_close(&line);
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(fg_pipe_init_tls_client(&line.client, fds[0], client, NULL), -1);
    assert_int_equal(line.client.fd, -1);
    assert_non_null(strstr(line.client.error, "there is no server name to verify the certificate with"));
    line.client.ops->close(&line.client);
    close(fds[1]);
    fg_tls_context_unref(server);
    fg_tls_context_unref(client);
    fg_tls_context_unref(wary);
}

static void client_certificates_are_asked_for_and_verified(void **state)
{
    struct world *w = *state;
    struct fg_tls_certificate a = {w->a.pem_path, w->a.key_path};
    static const struct {
        bool required;
        const char *who, *subject, *error;
    } cases[] = {
        {true, "alice", "CN=alice", ""},
        {false, "alice", "CN=alice", ""},
        {false, NULL, "", ""},
        {true, NULL, "", "handshake failed: client certificate required"},
        {true, "mallory", "", "handshake failed: client certificate refused: unable to get local issuer certificate"},
        {false, "mallory", "", "handshake failed: client certificate refused: unable to get local issuer certificate"},
    };
    for (size_t i = 0; i < FG_ARRAY_LEN(cases) * 2; i++) {
        const char *who = cases[i / 2].who;
        const struct issued *own = who && strcmp(who, "alice") == 0 ? &w->client : &w->stranger;
        struct fg_tls_server_options so = {.certificates = &a,
                                           .certificates_len = 1,
                                           .min_version = 12,
                                           .client_ca = w->ca.pem_path,
                                           .require_client_certificate = cases[i / 2].required};
        struct fg_tls_client_options co = {.ca = w->ca.pem_path,
                                           .verify = true,
                                           .min_version = 12,
                                           .certificate = who ? own->pem_path : NULL,
                                           .key = who ? own->key_path : NULL};
        struct fg_tls_context *server = server_with(&so), *client = client_with(&co);
        struct line line;
        line_open(&line, client, server, "a.test");
        limit_version(&line, i % 2 ? 12 : 13);
        assert_int_equal(shake_hands(&line), cases[i / 2].error[0] ? FG_PIPE_ERROR : 0);
        assert_string_equal(line.server.error, cases[i / 2].error);
        assert_subject(&line.server, cases[i / 2].subject);
        if (cases[i / 2].error[0]) { /* a client of TLS 1.3 learns it only when it reads */
            char byte;
            line.client.ops->handshake(&line.client);
            assert_int_equal(line.client.ops->read(&line.client, &byte, 1), FG_PIPE_ERROR);
            assert_non_null(strstr(line.client.error, "the peer answered with alert"));
        }
        line_close(&line);
        fg_tls_context_unref(server);
        fg_tls_context_unref(client);
    }
}

/* ---- resumption and reload ---- */

/* One connection with some talk; whether it was resumed. */
static bool visit(struct fg_tls_context *client, struct fg_tls_context *server, int version, bool tickets)
{
    struct line line;
    line_open(&line, client, server, "a.test");
    limit_version(&line, version);
    if (!tickets)
        SSL_set_options(line.client.tls, SSL_OP_NO_TICKET);
    connect_ok(&line);
    talk(&line);
    bool resumed = fg_pipe_is_resumed(&line.server);
    assert_int_equal(fg_pipe_is_resumed(&line.client), resumed);
    assert_subject(&line.client, "CN=a-ec"); /* a resumed session knows whom it was verified for */
    line_close(&line);
    return resumed;
}

static void sessions_are_resumed_also_after_a_reload(void **state)
{
    struct world *w = *state;
    char error[300] = "";
    for (int version = 12; version <= 13; version++) {
        struct fg_tls_context *server = plain_server(w), *client = plain_client(w);
        assert_false(visit(client, server, version, true));
        assert_true(visit(client, server, version, true));
        assert_true(visit(client, server, version, true));
        struct fg_tls_context *fresh = fg_tls_context_reload(server, error, sizeof(error));
        assert_non_null(fresh);
        fg_tls_context_unref(server);
        assert_true(visit(client, fresh, version, true));
        struct fg_tls_context *stranger = plain_server(w); /* with other keys */
        assert_false(visit(client, stranger, version, true));
        fg_tls_context_unref(stranger);
        fg_tls_context_unref(fresh);
        fg_tls_context_unref(client);
    }
}

struct visitor {
    struct fg_tls_context *client, *server;
    unsigned resumed;
};

static void *visit_often(void *arg)
{
    struct visitor *visitor = arg;
    for (int i = 0; i < 40; i++)
        visitor->resumed += visit(visitor->client, visitor->server, i % 2 ? 12 : 13, true);
    return NULL;
}

static void threads_share_contexts_and_sessions(void **state)
{
    struct world *w = *state;
    struct fg_tls_context *server = plain_server(w), *client = plain_client(w);
    struct visitor visitors[4];
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) {
        visitors[i] = (struct visitor){client, server, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, visit_often, &visitors[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(visitors[i].resumed > 0);
    }
    fg_tls_context_unref(server);
    fg_tls_context_unref(client);
}

static void sessions_of_tls_12_are_resumed_without_tickets_too(void **state)
{
    struct world *w = *state;
    struct fg_tls_context *server = plain_server(w), *client = plain_client(w);
    assert_false(visit(client, server, 12, false));
    assert_true(visit(client, server, 12, false));
    fg_tls_context_unref(server);
    fg_tls_context_unref(client);
}

static void resumption_can_be_switched_off(void **state)
{
    struct world *w = *state;
    struct fg_tls_certificate a = {w->a.pem_path, w->a.key_path};
    struct fg_tls_server_options so = {.certificates = &a, .certificates_len = 1, .min_version = 12};
    struct fg_tls_context *server = server_with(&so), *client = plain_client(w);
    for (int version = 12; version <= 13; version++) {
        assert_false(visit(client, server, version, true));
        assert_false(visit(client, server, version, true));
        assert_false(visit(client, server, version, false));
    }
    fg_tls_context_unref(server);
    fg_tls_context_unref(client);
}

static void a_reload_with_another_client_ca_ends_resumption(void **state)
{
    struct world *w = *state;
    char ca_path[80], error[300] = "";
    snprintf(ca_path, sizeof(ca_path), "%s/clients.pem", w->folder);
    struct fg_tls_certificate a = {w->a.pem_path, w->a.key_path};
    struct fg_tls_server_options so = {.certificates = &a,
                                       .certificates_len = 1,
                                       .min_version = 12,
                                       .client_ca = ca_path,
                                       .require_client_certificate = true,
                                       .session_resumption = true};
    struct fg_tls_client_options co = {.ca = w->ca.pem_path,
                                       .verify = true,
                                       .min_version = 12,
                                       .certificate = w->client.pem_path,
                                       .key = w->client.key_path};
    for (int version = 12; version <= 13; version++) {
        assert_int_equal(link(w->ca.pem_path, ca_path), 0);
        struct fg_tls_context *server = server_with(&so), *client = client_with(&co);
        assert_false(visit(client, server, version, true));
        assert_true(visit(client, server, version, true));
        unlink(ca_path);
        assert_int_equal(link(w->other_ca.pem_path, ca_path), 0);
        struct fg_tls_context *fresh = fg_tls_context_reload(server, error, sizeof(error));
        assert_non_null(fresh);
        struct line line;
        line_open(&line, client, fresh, "a.test");
        limit_version(&line, version);
        assert_int_equal(shake_hands(&line), FG_PIPE_ERROR); /* verified anew, and refused */
        assert_non_null(strstr(line.server.error, "client certificate refused"));
        line_close(&line);
        unlink(ca_path);
        fg_tls_context_unref(server);
        fg_tls_context_unref(fresh);
        fg_tls_context_unref(client);
    }
}

static void a_session_for_one_name_is_not_used_for_another(void **state)
{
    struct world *w = *state;
    struct fg_tls_context *server = plain_server(w), *client = plain_client(w);
    assert_false(visit(client, server, 13, true));
    static const char *const names[] = {"b.test", "127.0.0.1"};
    for (size_t i = 0; i < FG_ARRAY_LEN(names); i++) {
        struct line line;
        line_open(&line, client, server, names[i]);
        assert_int_equal(shake_hands(&line), FG_PIPE_ERROR);
        assert_string_equal(line.client.error, "handshake failed: the server certificate is for another name");
        line_close(&line);
    }
    fg_tls_context_unref(server);
    fg_tls_context_unref(client);
}

static void connections_outlive_a_reload(void **state)
{
    struct world *w = *state;
    char error[300] = "";
    struct fg_tls_context *server = plain_server(w), *client = plain_client(w);
    struct line before, between;
    line_open(&before, client, server, "a.test");
    connect_ok(&before);
    line_open(&between, client, server, "a.test"); /* its handshake is under way */
    assert_int_equal(between.client.ops->handshake(&between.client), FG_PIPE_AGAIN);
    struct fg_tls_context *fresh = fg_tls_context_reload(server, error, sizeof(error));
    struct fg_tls_context *fresh_client = fg_tls_context_reload(client, error, sizeof(error));
    assert_non_null(fresh);
    assert_non_null(fresh_client);
    fg_tls_context_unref(server);
    fg_tls_context_unref(client);
    connect_ok(&between);
    talk(&before);
    talk(&between);
    assert_false(visit(fresh_client, fresh, 13, true));
    line_close(&before);
    line_close(&between);
    fg_tls_context_unref(fresh);
    fg_tls_context_unref(fresh_client);
}

/* ---- data ---- */

static void data_that_came_with_the_handshake_is_announced(void **state)
{
    struct world *w = *state;
    struct fg_tls_context *server = plain_server(w), *client = plain_client(w);
    struct line line;
    line_open(&line, client, server, "a.test");
    assert_int_equal(line.client.ops->handshake(&line.client), FG_PIPE_AGAIN);
    assert_int_equal(line.server.ops->handshake(&line.server), FG_PIPE_AGAIN);
    assert_int_equal(line.client.ops->handshake(&line.client), 0);
    say(&line.client, "early bird");
    assert_int_equal(line.server.ops->handshake(&line.server), 0);
    char byte;
    assert_int_equal(recv(line.server.fd, &byte, 1, MSG_PEEK), -1); /* the descriptor does not tell */
    assert_true(line.server.tls_has_pending);
    assert_int_equal(line.server.ops->read(&line.server, &byte, 1), 1);
    assert_true(line.server.tls_has_pending);
    hear(&line.server, "arly bird");
    assert_int_equal(line.server.ops->read(&line.server, &byte, 1), FG_PIPE_AGAIN);
    line_close(&line);
    fg_tls_context_unref(server);
    fg_tls_context_unref(client);
}

static void small_pieces_share_a_record(void **state)
{
    struct world *w = *state;
    struct fg_tls_context *server = plain_server(w), *client = plain_client(w);
    struct line line;
    line_open(&line, client, server, "a.test");
    connect_ok(&line);
    talk(&line);
    static char bytes[40000], wire[50000];
    struct iovec iov[103] = {{bytes, 0}};
    for (size_t i = 1; i < 101; i++)
        iov[i] = (struct iovec){bytes, 9};
    iov[101] = (struct iovec){bytes, 20000};
    iov[102] = (struct iovec){bytes, 0};
    assert_int_equal(line.client.ops->writev(&line.client, iov, 103), 20900);
    assert_int_equal(line.client.ops->writev(&line.client, iov, 0), 0);
    assert_int_equal(line.client.ops->writev(&line.client, iov, 1), 0);
    ssize_t n = recv(line.server.fd, wire, sizeof(wire), 0);
    /* RFC 8446 section 5.2: 5 bytes of header, 1 of type and 16 of tag around 16,384 and 4,516 bytes */
    assert_int_equal(n, 20900 + 2 * 22);
    assert_int_equal(fg_load_u16((uint8_t *)wire + 3), 16384 + 17);
    line_close(&line);
    fg_tls_context_unref(server);
    fg_tls_context_unref(client);
}

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

enum { BIG_BYTES = 4 << 20 };

struct transfer {
    struct fg_pipe *from, *to;
    uint64_t random;
    unsigned char *out, *in;
    size_t written, got, agains;
    bool blocked;
};

/* Offers some of what is left in pieces of all sizes; all of it if the pipe has not taken everything before, because
 * then what is offered must contain what was. */
static void write_some(struct transfer *t)
{
    struct iovec iov[64];
    int n = 0, most = (int)(1 + next_random(&t->random) % 32);
    size_t at = t->written;
    for (; at < BIG_BYTES && n < most; n++) {
        uint64_t r = next_random(&t->random);
        size_t len = FG_MIN((size_t)(r % 4 == 0 ? r / 4 % 60000 : r / 4 % 300), BIG_BYTES - at);
        if (t->blocked && n == most - 1)
            len = BIG_BYTES - at;
        iov[n] = (struct iovec){t->out + at, len};
        at += len;
    }
    ssize_t w = t->from->ops->writev(t->from, iov, n);
    if (w == FG_PIPE_AGAIN)
        t->agains++;
    else
        assert_in_range(w, at > t->written, at - t->written);
    t->blocked = w != (ssize_t)(at - t->written);
    t->written += w > 0 ? (size_t)w : 0;
}

static void read_some(struct transfer *t)
{
    size_t room = FG_MIN((size_t)(1 + next_random(&t->random) % 50000), BIG_BYTES - t->got);
    ssize_t r = room ? t->to->ops->read(t->to, t->in + t->got, room) : FG_PIPE_AGAIN;
    if (r == FG_PIPE_ERROR || r == FG_PIPE_EOF)
        fail_msg("reading gave %zd: %s", r, t->to->error);
    t->got += r > 0 ? (size_t)r : 0;
}

static void transfer_begin(struct transfer *t, struct fg_pipe *from, struct fg_pipe *to, uint64_t seed)
{
    *t =
        (struct transfer){.from = from, .to = to, .random = seed, .out = malloc(BIG_BYTES), .in = calloc(1, BIG_BYTES)};
    for (size_t i = 0; i < BIG_BYTES; i++)
        t->out[i] = (unsigned char)(i * seed >> 5);
}

static void transfer_end(struct transfer *t)
{
    assert_int_equal(t->got, BIG_BYTES);
    assert_memory_equal(t->in, t->out, BIG_BYTES);
    assert_true(t->agains > 0); /* the socket was full at times */
    free(t->out);
    free(t->in);
}

static void big_transfers_go_both_ways_at_once(void **state)
{
    struct world *w = *state;
    struct fg_tls_context *server = plain_server(w), *client = plain_client(w);
    for (int version = 12; version <= 13; version++) {
        struct line line;
        line_open(&line, client, server, "a.test");
        limit_version(&line, version);
        connect_ok(&line);
        struct transfer up, down;
        transfer_begin(&up, &line.client, &line.server, 7);
        transfer_begin(&down, &line.server, &line.client, 11);
        uint64_t random = 5;
        unsigned key_updates = 0;
        while (up.got < BIG_BYTES || down.got < BIG_BYTES) {
            struct transfer *t = next_random(&random) % 2 ? &up : &down;
            write_some(t);
            /* New keys in both directions, in mid-stream; OpenSSL says no while a record waits to be sent. */
            if (version == 13 && next_random(&random) % 2 == 0)
                key_updates += SSL_key_update(t->from->tls, SSL_KEY_UPDATE_REQUESTED) == 1;
            t = next_random(&random) % 2 ? &up : &down;
            do
                read_some(t);
            while (t->to->tls_has_pending);
        }
        assert_int_equal(key_updates > 0, version == 13);
        transfer_end(&up);
        transfer_end(&down);
        line_close(&line);
    }
    fg_tls_context_unref(server);
    fg_tls_context_unref(client);
}

/* ---- ends ---- */

static void an_end_in_order_is_told_from_a_broken_one(void **state)
{
    struct world *w = *state;
    struct fg_tls_context *server = plain_server(w), *client = plain_client(w);
    struct line line;
    char in[16];
    for (int version = 12; version <= 13; version++) {
        line_open(&line, client, server, "a.test");
        limit_version(&line, version);
        connect_ok(&line);
        say(&line.client, "last words");
        line.client.ops->shutdown(&line.client);
        assert_int_equal(line.server.ops->read(&line.server, in, sizeof(in)), 10);
        assert_true(line.server.tls_has_pending); /* of the end */
        assert_int_equal(line.server.ops->read(&line.server, in, sizeof(in)), FG_PIPE_EOF);
        assert_int_equal(line.server.ops->read(&line.server, in, sizeof(in)), FG_PIPE_EOF);
        say(&line.server, "farewell");
        hear(&line.client, "farewell");
        line_close(&line);

        line_open(&line, client, server, "a.test");
        limit_version(&line, version);
        connect_ok(&line);
        say(&line.client, "help");
        shutdown(line.client.fd, SHUT_WR); /* without close_notify: somebody may have cut the line */
        assert_int_equal(line.server.ops->read(&line.server, in, sizeof(in)), 4);
        assert_int_equal(line.server.ops->read(&line.server, in, sizeof(in)), FG_PIPE_ERROR);
        assert_string_equal(line.server.error, "reading failed: the peer closed the connection without notice");
        assert_int_equal(line.server.ops->read(&line.server, in, sizeof(in)), FG_PIPE_ERROR);
        line.server.ops->shutdown(&line.server);
        line_close(&line);
    }
    fg_tls_context_unref(server);
    fg_tls_context_unref(client);
}

static void a_closed_peer_raises_no_signal(void **state)
{
    struct world *w = *state;
    struct fg_tls_context *server = plain_server(w), *client = plain_client(w);
    struct line line;
    line_open(&line, client, server, "a.test");
    connect_ok(&line);
    line.client.ops->close(&line.client);
    char byte = 'x';
    struct iovec iov = {&byte, 1};
    assert_int_equal(line.server.ops->writev(&line.server, &iov, 1), FG_PIPE_ERROR);
    assert_string_equal(line.server.error, "writing failed: the peer has closed the connection");
    line_close(&line);
    assert_int_equal(line.server.ops->writev(&line.server, &iov, 1), FG_PIPE_ERROR);
    assert_int_equal(line.server.ops->read(&line.server, &byte, 1), FG_PIPE_ERROR);
    assert_int_equal(line.server.ops->handshake(&line.server), FG_PIPE_ERROR);
    assert_int_equal(fg_pipe_alpn(&line.server).len, 0);
    assert_subject(&line.server, "");
    fg_tls_context_unref(server);
    fg_tls_context_unref(client);
}

static void renegotiation_is_refused(void **state)
{
    struct world *w = *state;
    struct fg_tls_context *server = plain_server(w), *client = plain_client(w);
    struct line line;
    line_open(&line, client, server, "a.test");
    limit_version(&line, 12);
    connect_ok(&line);
    SSL_clear_options(line.client.tls, SSL_OP_NO_RENEGOTIATION);
    assert_int_equal(SSL_renegotiate(line.client.tls), 1);
    char in[16];
    assert_int_equal(line.client.ops->handshake(&line.client), FG_PIPE_AGAIN);            /* another ClientHello */
    assert_int_equal(line.server.ops->read(&line.server, in, sizeof(in)), FG_PIPE_AGAIN); /* a warning goes back */
    assert_int_equal(line.client.ops->handshake(&line.client), FG_PIPE_ERROR);
    assert_non_null(strstr(line.client.error, "no renegotiation"));
    line_close(&line);
    fg_tls_context_unref(server);
    fg_tls_context_unref(client);
}

/* ---- hostile peers ---- */

/* The server alone, against bytes. Its last code. */
static int feed(struct fg_tls_context *context, const void *data, size_t len, size_t step, char error[120])
{
    int fds[2];
    struct fg_pipe server;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(fg_pipe_init_tls_server(&server, fds[1], context), 0);
    int code = FG_PIPE_AGAIN;
    for (size_t at = 0; at < len && code == FG_PIPE_AGAIN; at += step) {
        size_t n = FG_MIN(step, len - at);
        assert_int_equal(send(fds[0], (const char *)data + at, n, MSG_NOSIGNAL), n);
        code = server.ops->handshake(&server);
    }
    shutdown(fds[0], SHUT_WR);
    if (code == FG_PIPE_AGAIN)
        code = server.ops->handshake(&server);
    memcpy(error, server.error, sizeof(server.error));
    server.ops->close(&server);
    close(fds[0]);
    assert_int_equal(ERR_peek_error(), 0);
    return code;
}

static size_t first_flight(const struct world *w, unsigned char *out, size_t out_len)
{
    int fds[2];
    struct fg_tls_context *context = plain_client(w);
    struct fg_pipe client;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(fg_pipe_init_tls_client(&client, fds[0], context, "a.test"), 0);
    assert_int_equal(client.ops->handshake(&client), FG_PIPE_AGAIN);
    ssize_t n = recv(fds[1], out, out_len, 0);
    assert_true(n > 100);
    client.ops->close(&client);
    close(fds[1]);
    fg_tls_context_unref(context);
    return (size_t)n;
}

static void garbage_is_answered_with_a_sentence(void **state)
{
    struct world *w = *state;
    struct fg_tls_context *server = plain_server(w);
    char error[120];
    static const char http[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n", preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    assert_int_equal(feed(server, http, sizeof(http) - 1, 100, error), FG_PIPE_ERROR);
    assert_string_equal(error, "handshake failed: the client speaks plain HTTP to a TLS address");
    assert_int_equal(feed(server, preface, sizeof(preface) - 1, 100, error), FG_PIPE_ERROR);
    assert_string_equal(error, "handshake failed: the client does not speak TLS");
    assert_int_equal(feed(server, "", 0, 1, error), FG_PIPE_ERROR);
    assert_string_equal(error, "handshake failed: the peer closed the connection without notice");
    fg_tls_context_unref(server);
}

static void a_hello_in_single_bytes_is_understood_and_a_cut_one_reported(void **state)
{
    struct world *w = *state;
    struct fg_tls_context *server = plain_server(w);
    unsigned char hello[4096];
    char error[120];
    size_t len = first_flight(w, hello, sizeof(hello));
    for (size_t cut = 1; cut <= len; cut += 13) {
        assert_int_equal(feed(server, hello, cut, 7, error), FG_PIPE_ERROR);
        assert_string_equal(error, "handshake failed: the peer closed the connection without notice");
    }
    assert_int_equal(feed(server, hello, len, 1, error), FG_PIPE_ERROR);
    assert_string_equal(error, "handshake failed: the peer closed the connection without notice");
    fg_tls_context_unref(server);
}

static void mutated_bytes_never_do_harm(void **state)
{
    struct world *w = *state;
    struct fg_tls_context *server = plain_server(w);
    unsigned char hello[4096], mutant[4096];
    char error[120];
    size_t len = first_flight(w, hello, sizeof(hello));
    uint64_t random = 99;
    for (unsigned i = 0; i < 2000; i++) {
        memcpy(mutant, hello, len);
        for (uint64_t flips = 1 + next_random(&random) % 8; flips > 0; flips--)
            mutant[next_random(&random) % len] = (unsigned char)next_random(&random);
        assert_int_equal(feed(server, mutant, len, 1 + next_random(&random) % len, error), FG_PIPE_ERROR);
        assert_memory_equal(error, "handshake failed: ", 18);
    }
    fg_tls_context_unref(server);
}

static void damaged_records_break_the_connection(void **state)
{
    struct world *w = *state;
    struct fg_tls_context *server = plain_server(w), *client = plain_client(w);
    struct line line;
    line_open(&line, client, server, "a.test");
    connect_ok(&line);
    talk(&line);
    say(&line.client, "first");
    static const unsigned char forged[] = {23, 3,  3,  0,  20, 1,  2,  3,  4,  5,  6,  7, 8,
                                           9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20};
    assert_int_equal(send(line.client.fd, forged, sizeof(forged), 0), sizeof(forged));
    char in[16];
    assert_int_equal(line.server.ops->read(&line.server, in, sizeof(in)), 5); /* what was good is given */
    assert_true(line.server.tls_has_pending);
    assert_int_equal(line.server.ops->read(&line.server, in, sizeof(in)), FG_PIPE_ERROR);
    assert_string_equal(line.server.error, "reading failed: decryption failed or bad record mac");
    assert_int_equal(line.client.ops->read(&line.client, in, sizeof(in)), FG_PIPE_ERROR);
    assert_string_equal(line.client.error, "reading failed: the peer answered with alert \"bad record mac\"");
    line_close(&line);
    fg_tls_context_unref(server);
    fg_tls_context_unref(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_versions_work_and_the_server_picks_the_protocol),
        cmocka_unit_test(an_old_version_or_cipher_is_refused),
        cmocka_unit_test(the_server_name_picks_the_certificate),
        cmocka_unit_test(a_client_verifies_the_name_or_the_address),
        cmocka_unit_test(client_certificates_are_asked_for_and_verified),
        cmocka_unit_test(sessions_are_resumed_also_after_a_reload),
        cmocka_unit_test(threads_share_contexts_and_sessions),
        cmocka_unit_test(sessions_of_tls_12_are_resumed_without_tickets_too),
        cmocka_unit_test(resumption_can_be_switched_off),
        cmocka_unit_test(a_reload_with_another_client_ca_ends_resumption),
        cmocka_unit_test(a_session_for_one_name_is_not_used_for_another),
        cmocka_unit_test(connections_outlive_a_reload),
        cmocka_unit_test(data_that_came_with_the_handshake_is_announced),
        cmocka_unit_test(small_pieces_share_a_record),
        cmocka_unit_test(big_transfers_go_both_ways_at_once),
        cmocka_unit_test(an_end_in_order_is_told_from_a_broken_one),
        cmocka_unit_test(a_closed_peer_raises_no_signal),
        cmocka_unit_test(renegotiation_is_refused),
        cmocka_unit_test(garbage_is_answered_with_a_sentence),
        cmocka_unit_test(a_hello_in_single_bytes_is_understood_and_a_cut_one_reported),
        cmocka_unit_test(mutated_bytes_never_do_harm),
        cmocka_unit_test(damaged_records_break_the_connection),
    };
    return cmocka_run_group_tests(tests, make_world, end_world);
}
