#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/socket.h"

static struct fg_address resolve(const char *host, uint16_t port)
{
    struct fg_address address;
    char error[200] = "";
    if (fg_address_resolve(&address, host, port, error, sizeof(error)) < 0)
        fail_msg("%s: %s", host, error);
    return address;
}

static void assert_text(const struct fg_address *address, const char *expected)
{
    char text[FG_ADDRESS_TEXT_BYTES];
    fg_address_format(address, text, sizeof(text));
    assert_string_equal(text, expected);
}

static void addresses_are_read_and_printed(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        uint16_t port;
        const char *text;
    } cases[] = {
        {"10.0.0.1", 50051, "10.0.0.1:50051"},           {"::1", 80, "[::1]:80"},
        {"[2001:db8::7]", 65535, "[2001:db8::7]:65535"}, {"0.0.0.0", 0, "0.0.0.0:0"},
        {"unix:/tmp/x.sock", 9, "unix:/tmp/x.sock"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fg_address address = resolve(cases[i].host, cases[i].port);
        assert_text(&address, cases[i].text);
    }
    struct fg_address none = {0};
    assert_text(&none, "unknown address");
}

static void an_impossible_host_is_explained(void **state)
{
    (void)state;
    struct fg_address address;
    char error[200] = "", long_host[600];
    memset(long_host, 'a', sizeof(long_host));
    long_host[sizeof(long_host) - 1] = '\0';
    assert_int_equal(fg_address_resolve(&address, "", 1, error, sizeof(error)), -1);
    assert_string_equal(error, "host \"\" must have 1 to 255 characters");
    assert_int_equal(fg_address_resolve(&address, long_host, 1, error, sizeof(error)), -1);
    assert_int_equal(fg_address_resolve(&address, "[1.2.3]", 1, error, sizeof(error)), -1);
    assert_non_null(strstr(error, "host \"1.2.3\" has no address"));
    assert_int_equal(fg_address_resolve(&address, "no-such-host.invalid", 1, error, sizeof(error)), -1);
    assert_non_null(strstr(error, "host \"no-such-host.invalid\" has no address: "));
    assert_int_equal(fg_address_resolve(&address, "unix:", 1, error, sizeof(error)), -1);
    assert_string_equal(error, "socket path \"\" must have 1 to 107 bytes");
}

static int listen_anywhere(struct fg_address *bound)
{
    struct fg_address address = resolve("127.0.0.1", 0);
    char error[200] = "";
    int fd = fg_socket_listen(&address, error, sizeof(error));
    if (fd < 0)
        fail_msg("%s", error);
    *bound = (struct fg_address){.len = sizeof(bound->storage)};
    assert_int_equal(getsockname(fd, (struct sockaddr *)&bound->storage, &bound->len), 0);
    return fd;
}

static void workers_share_an_address_and_a_second_gateway_is_told(void **state)
{
    (void)state;
    struct fg_address bound;
    char error[200] = "", text[FG_ADDRESS_TEXT_BYTES], expected[300];
    int first = listen_anywhere(&bound);
    int second = fg_socket_listen(&bound, error, sizeof(error));
    assert_true(second >= 0);
    assert_int_equal(fg_socket_probe_free(&bound, error, sizeof(error)), -1);
    fg_address_format(&bound, text, sizeof(text));
    snprintf(expected, sizeof(expected),
             "address %s is already in use; stop the other process or choose another address", text);
    assert_string_equal(error, expected);
    close(first);
    assert_int_equal(fg_socket_probe_free(&bound, error, sizeof(error)), -1);
    close(second);
    assert_int_equal(fg_socket_probe_free(&bound, error, sizeof(error)), 0);
    assert_int_equal(fg_socket_probe_free(&bound, error, sizeof(error)), 0); /* the probe itself leaves nothing */
}

static void an_address_of_another_machine_is_explained(void **state)
{
    (void)state;
    struct fg_address address = resolve("192.0.2.1", 0); /* RFC 5737: nobody has it */
    char error[200] = "";
    assert_int_equal(fg_socket_listen(&address, error, sizeof(error)), -1);
    assert_non_null(strstr(error, "address 192.0.2.1:0 is not an address of this machine"));
}

static void wait_for(int fd, short events)
{
    struct pollfd p = {fd, events, 0};
    assert_int_equal(poll(&p, 1, 5000), 1);
}

static void a_connection_is_accepted(void **state)
{
    (void)state;
    struct fg_address bound, peer, local = {.len = sizeof(local.storage)};
    int listener = listen_anywhere(&bound);
    assert_int_equal(fg_socket_accept(listener, &peer), -EAGAIN);
    int client = fg_socket_connect(&bound);
    assert_true(client >= 0);
    wait_for(listener, POLLIN);
    int server = fg_socket_accept(listener, &peer);
    assert_true(server >= 0);
    wait_for(client, POLLOUT);
    assert_int_equal(fg_socket_connect_result(client), 0);
    char text[FG_ADDRESS_TEXT_BYTES];
    assert_int_equal(getsockname(client, (struct sockaddr *)&local.storage, &local.len), 0);
    fg_address_format(&local, text, sizeof(text));
    assert_text(&peer, text);
    assert_int_equal(recv(server, text, 1, 0), -1); /* non-blocking */
    assert_int_equal(errno, EAGAIN);
    close(client);
    close(server);
    close(listener);
}

static void a_refused_connection_is_reported(void **state)
{
    (void)state;
    struct fg_address bound;
    close(listen_anywhere(&bound));
    int fd = fg_socket_connect(&bound);
    if (fd >= 0) {
        wait_for(fd, POLLOUT);
        assert_int_equal(fg_socket_connect_result(fd), -ECONNREFUSED);
        close(fd);
    } else {
        assert_int_equal(fd, -ECONNREFUSED);
    }
}

static void without_descriptors_a_connection_waits_and_is_not_lost(void **state)
{
    (void)state;
    struct fg_address bound;
    int listener = listen_anywhere(&bound);
    int client = fg_socket_connect(&bound);
    wait_for(listener, POLLIN);
    struct rlimit before, tight;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    tight = before;
    tight.rlim_cur = (rlim_t)client + 1; /* descriptors below are all in use or were made before */
    int fill[64], fill_len = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    while (fill_len < 64 && (fill[fill_len] = dup(client)) >= 0)
        fill_len++;
    int refused = fg_socket_accept(listener, NULL);
    setrlimit(RLIMIT_NOFILE, &before);
    while (fill_len > 0)
        close(fill[--fill_len]);
    assert_int_equal(refused, -EMFILE);
    int server = fg_socket_accept(listener, NULL);
    assert_true(server >= 0);
    close(server);
    close(client);
    close(listener);
}

/* ---- in the file system ---- */

struct place {
    char folder[32], path[64];
};

static struct place place_make(void)
{
    struct place place = {.folder = "/tmp/fusegate-test-XXXXXX"};
    assert_non_null(mkdtemp(place.folder));
    snprintf(place.path, sizeof(place.path), "%s/s", place.folder);
    return place;
}

static void place_remove(const struct place *place)
{
    unlink(place->path);
    assert_int_equal(rmdir(place->folder), 0);
}

static void a_stale_socket_file_is_replaced_and_a_live_one_is_not(void **state)
{
    (void)state;
    struct place place = place_make();
    char error[200] = "", host[80];
    int first = fg_socket_listen_unix(place.path, error, sizeof(error));
    assert_true(first >= 0);
    struct stat status;
    assert_int_equal(stat(place.path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(fg_socket_listen_unix(place.path, error, sizeof(error)), -1);
    assert_non_null(strstr(error, "is already in use; stop the other process"));
    close(first); /* the file stays, as after a crash */
    int second = fg_socket_listen_unix(place.path, error, sizeof(error));
    assert_true(second >= 0);
    snprintf(host, sizeof(host), "unix:%s", place.path);
    struct fg_address address = resolve(host, 0), peer;
    int client = fg_socket_connect(&address);
    assert_true(client >= 0);
    int server = fg_socket_accept(second, &peer);
    assert_true(server >= 0);
    assert_text(&peer, "unix:");
    close(client);
    close(server);
    close(second);
    place_remove(&place);
}

static void a_plain_file_is_never_removed(void **state)
{
    (void)state;
    struct place place = place_make();
    FILE *file = fopen(place.path, "w");
    assert_non_null(file);
    fclose(file);
    char error[200] = "", too_long[200];
    assert_int_equal(fg_socket_listen_unix(place.path, error, sizeof(error)), -1);
    assert_non_null(strstr(error, "exists and is not a socket"));
    assert_int_equal(access(place.path, F_OK), 0);
    memset(too_long, 'x', sizeof(too_long));
    too_long[sizeof(too_long) - 1] = '\0';
    assert_int_equal(fg_socket_listen_unix(too_long, error, sizeof(error)), -1);
    assert_int_equal(fg_socket_listen_unix("/no/such/folder/s", error, sizeof(error)), -1);
    assert_string_equal(error, "cannot listen on socket /no/such/folder/s: No such file or directory");
    place_remove(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_and_printed),
        cmocka_unit_test(an_impossible_host_is_explained),
        cmocka_unit_test(workers_share_an_address_and_a_second_gateway_is_told),
        cmocka_unit_test(an_address_of_another_machine_is_explained),
        cmocka_unit_test(a_connection_is_accepted),
        cmocka_unit_test(a_refused_connection_is_reported),
        cmocka_unit_test(without_descriptors_a_connection_waits_and_is_not_lost),
        cmocka_unit_test(a_stale_socket_file_is_replaced_and_a_live_one_is_not),
        cmocka_unit_test(a_plain_file_is_never_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
