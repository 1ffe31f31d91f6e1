#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tls_world.h"

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
