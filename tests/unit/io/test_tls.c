#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>

#include "tls_world.h"

static const char *const h2_and_h1[] = {"h2", "http/1.1", NULL};
static const char *const h1_and_h2[] = {"http/1.1", "h2", NULL};
static const char *const spdy[] = {"spdy/3", NULL};

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
    int version;
    unsigned resumed;
};

static void *visit_often(void *arg)
{
    struct visitor *visitor = arg;
    for (int i = 0; i < 40; i++)
        visitor->resumed += visit(visitor->client, visitor->server, visitor->version, true);
    return NULL;
}

static void threads_share_contexts_and_sessions(void **state)
{
    struct world *w = *state;
    struct fg_tls_context *server = plain_server(w), *clients[2] = {plain_client(w), plain_client(w)};
    struct visitor visitors[4];
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) {
        visitors[i] = (struct visitor){clients[i % 2], server, i % 2 ? 12 : 13, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, visit_often, &visitors[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_in_range(visitors[i].resumed, 39, 40); /* all but the first, at most */
    }
    fg_tls_context_unref(server);
    fg_tls_context_unref(clients[0]);
    fg_tls_context_unref(clients[1]);
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
    };
    return cmocka_run_group_tests(tests, make_world, end_world);
}
