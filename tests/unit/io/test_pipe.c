#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/pipe.h"

static void wait_for(int fd, short events)
{
    struct pollfd p = {fd, events, 0};
    assert_int_equal(poll(&p, 1, 5000), 1);
}

/* Two ends of a TCP connection over loopback. */
static void connect_pipes(struct fg_pipe *a, struct fg_pipe *b)
{
    struct fg_address address;
    char error[200];
    assert_int_equal(fg_address_resolve(&address, "127.0.0.1", 0, error, sizeof(error)), 0);
    int listener = fg_socket_listen(&address, error, sizeof(error));
    assert_true(listener >= 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address.storage, &address.len), 0);
    int client = fg_socket_connect(&address);
    assert_true(client >= 0);
    wait_for(listener, POLLIN);
    int server = fg_socket_accept(listener, NULL);
    assert_true(server >= 0);
    close(listener);
    fg_pipe_init_tcp(a, client);
    fg_pipe_init_tcp(b, server);
    wait_for(client, POLLOUT);
    assert_int_equal(a->ops->handshake(a), 0);
    assert_int_equal(b->ops->handshake(b), 0);
}

static void close_both(struct fg_pipe *a, struct fg_pipe *b)
{
    a->ops->close(a);
    a->ops->close(a); /* harmless */
    b->ops->close(b);
    assert_int_equal(a->fd, -1);
}

static void the_socket_is_set_up(void **state)
{
    (void)state;
    struct fg_pipe pipe;
    fg_pipe_init_tcp(&pipe, socket(AF_INET, SOCK_STREAM, 0));
    int value = 0;
    socklen_t len = sizeof(value);
    assert_true(fcntl(pipe.fd, F_GETFL) & O_NONBLOCK);
    assert_int_equal(getsockopt(pipe.fd, IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
    assert_int_not_equal(value, 0);
    assert_int_equal(getsockopt(pipe.fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, &len), 0);
    assert_int_equal(value, 128 << 10);
    assert_int_equal(fg_pipe_interest(&pipe, FG_READABLE), FG_READABLE);
    pipe.ops->close(&pipe);
    char byte;
    struct iovec iov = {&byte, 1};
    assert_int_equal(pipe.ops->read(&pipe, &byte, 1), FG_PIPE_ERROR); /* of a closed pipe */
    assert_int_equal(pipe.ops->writev(&pipe, &iov, 1), FG_PIPE_ERROR);
    assert_int_equal(pipe.ops->handshake(&pipe), FG_PIPE_ERROR);
    pipe.ops->shutdown(&pipe);
}

static void bytes_end_and_order_are_kept(void **state)
{
    (void)state;
    struct fg_pipe a, b;
    connect_pipes(&a, &b);
    char in[16];
    assert_int_equal(b.ops->read(&b, in, sizeof(in)), FG_PIPE_AGAIN);
    char one[] = "one ", none[] = "", two[] = "two";
    struct iovec iov[3] = {{one, 4}, {none, 0}, {two, 3}};
    assert_int_equal(a.ops->writev(&a, iov, 3), 7);
    a.ops->shutdown(&a);
    wait_for(b.fd, POLLIN);
    assert_int_equal(b.ops->read(&b, in, sizeof(in)), 7);
    assert_memory_equal(in, "one two", 7);
    wait_for(b.fd, POLLIN);
    assert_int_equal(b.ops->read(&b, in, sizeof(in)), FG_PIPE_EOF);
    assert_int_equal(b.ops->writev(&b, iov, 3), 7); /* the other direction is open */
    wait_for(a.fd, POLLIN);
    assert_int_equal(a.ops->read(&a, in, sizeof(in)), 7);
    close_both(&a, &b);
}

static void a_big_transfer_survives_short_writes(void **state)
{
    (void)state;
    enum { BYTES = 8 << 20 };
    struct fg_pipe a, b;
    connect_pipes(&a, &b);
    unsigned char *out = malloc(BYTES), *in = malloc(BYTES);
    for (size_t i = 0; i < BYTES; i++)
        out[i] = (unsigned char)(i * 31 >> 3);
    size_t written = 0, got = 0, agains = 0;
    while (got < BYTES) {
        /* More entries than the kernel takes at once. */
        struct iovec iov[2000];
        int n = 0;
        for (size_t at = written; at < BYTES && n < 2000; n++) {
            size_t len = FG_MIN((size_t)(1 + n * 7 % 900), BYTES - at);
            iov[n] = (struct iovec){out + at, len};
            at += len;
        }
        ssize_t w = n ? a.ops->writev(&a, iov, n) : FG_PIPE_AGAIN;
        if (w > 0)
            written += (size_t)w;
        else
            agains++;
        if (w > 0)
            continue; /* until the socket is full */
        assert_int_equal(w, FG_PIPE_AGAIN);
        wait_for(b.fd, POLLIN);
        ssize_t r = b.ops->read(&b, in + got, FG_MIN((size_t)100000, BYTES - got));
        assert_true(r > 0);
        got += (size_t)r;
    }
    assert_true(agains > 1);
    assert_memory_equal(in, out, BYTES);
    free(out);
    free(in);
    close_both(&a, &b);
}

static void a_reset_is_an_error_with_a_sentence(void **state)
{
    (void)state;
    struct fg_pipe a, b;
    connect_pipes(&a, &b);
    struct linger linger = {1, 0};
    assert_int_equal(setsockopt(b.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
    b.ops->close(&b);
    wait_for(a.fd, POLLIN);
    char in[16];
    assert_int_equal(a.ops->read(&a, in, sizeof(in)), FG_PIPE_ERROR);
    assert_string_equal(a.error, "reading failed: the peer reset the connection");
    char byte = 'x';
    struct iovec iov = {&byte, 1};
    assert_int_equal(a.ops->writev(&a, &iov, 1), FG_PIPE_ERROR);                   /* no SIGPIPE either */
    assert_string_equal(a.error, "reading failed: the peer reset the connection"); /* the first cause stays */
    close_both(&a, &b);
}

static void writing_to_a_closed_peer_raises_no_signal(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    struct fg_pipe pipe;
    fg_pipe_init_tcp(&pipe, fds[0]);
    close(fds[1]);
    char byte = 'x';
    struct iovec iov = {&byte, 1};
    assert_int_equal(pipe.ops->writev(&pipe, &iov, 1), FG_PIPE_ERROR);
    assert_string_equal(pipe.error, "writing failed: the peer has closed the connection");
    pipe.ops->close(&pipe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_socket_is_set_up),
        cmocka_unit_test(bytes_end_and_order_are_kept),
        cmocka_unit_test(a_big_transfer_survives_short_writes),
        cmocka_unit_test(a_reset_is_an_error_with_a_sentence),
        cmocka_unit_test(writing_to_a_closed_peer_raises_no_signal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
