/* Servers and clients for the tests of TLS: certificates, contexts, and a connection whose ends are both in one thread.
 * Included by the tests that need it. */
#ifndef FG_TESTS_IO_TLS_WORLD_H
#define FG_TESTS_IO_TLS_WORLD_H

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include "io/tls.h"

#include "certificates.h"

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

#endif
