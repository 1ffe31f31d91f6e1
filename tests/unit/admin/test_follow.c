#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin/server.h"

#define PICTURE_BYTES (4u << 20) /* more than a socket takes */

static char folder[] = "/tmp/fusegate-follow-XXXXXX";

/* How many pictures were made for the one who reads, and for the one who does not. */
struct made {
    unsigned read, unread; /* atomic */
};

struct state {
    bool is_read;
};

static bool picture(void *context, void *state, FILE *out)
{
    struct made *made = context;
    const struct state *mine = state;

    if (mine->is_read) {
        __atomic_fetch_add(&made->read, 1, __ATOMIC_RELAXED);
        fputs("picture\n", out);
        return true;
    }
    __atomic_fetch_add(&made->unread, 1, __ATOMIC_RELAXED);
    for (size_t i = 0; i < PICTURE_BYTES; i++)
        fputc('x', out);
    return true;
}

static void follow(void *context, const struct fg_admin_request *request, struct fg_admin_response *response,
                   FILE *body)
{
    struct state *state = fg_alloc(sizeof *state);
    (void)context;

    state->is_read = fg_str_eq(request->query, FG_STR("read"));
    response->content_type = "text/plain";
    response->follow = picture;
    response->state = state;
    fputs("begin\n", body);
}

static void hello(void *context, const struct fg_admin_request *request, struct fg_admin_response *response, FILE *body)
{
    (void)context;
    (void)request;
    response->content_type = "text/plain";
    fputs("hello\n", body);
}

static const struct fg_admin_route routes[] = {
    {.path = "/follow", .about = "", .handle = follow}, {.path = "/hello", .about = "", .handle = hello}, {NULL}};

static int ask(const char *path, const char *text)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
    return fd;
}

/* Reads until TEXT has come COUNT times. */
static void await(int fd, const char *text, int count)
{
    char got[65536];
    size_t len = 0;

    while (count > 0) {
        ssize_t n = recv(fd, got + len, sizeof got - 1 - len, 0);
        assert_true(n > 0);
        len += (size_t)n;
        got[len] = '\0';
        for (char *at; count > 0 && (at = strstr(got, text)); count--) {
            len -= (size_t)(at + strlen(text) - got);
            memmove(got, at + strlen(text), len + 1);
        }
    }
}

static struct fg_admin *start(struct made *made, char *path, size_t path_len)
{
    struct fg_admin_options options = {.routes = routes, .context = made};
    char error[256] = "", host[300];

    snprintf(path, path_len, "%s/admin.sock", folder);
    snprintf(host, sizeof host, "unix:%s", path);
    assert_int_equal(fg_address_resolve(&options.address, host, 0, error, sizeof error), 0);
    options.audit = fg_admin_audit_new(NULL, error, sizeof error);
    struct fg_admin *admin = fg_admin_new(&options, error, sizeof error);
    if (!admin)
        fail_msg("%s", error);
    return admin;
}

/* He has one picture in flight; the others go on meanwhile. */
static void pictures_do_not_queue_for_who_does_not_read(void **state)
{
    struct made made = {0};
    char path[128];
    struct fg_admin *admin = start(&made, path, sizeof path);
    (void)state;

    int slow = ask(path, "GET /follow HTTP/1.1\r\nhost: a\r\n\r\n");
    await(slow, "begin\n", 1);
    int quick = ask(path, "GET /follow?read HTTP/1.1\r\nhost: a\r\n\r\n");
    await(quick, "picture\n", 5);
    int other = ask(path, "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n");
    await(other, "hello\n", 1);
    assert_true(__atomic_load_n(&made.read, __ATOMIC_RELAXED) >= 5);
    assert_int_equal(__atomic_load_n(&made.unread, __ATOMIC_RELAXED), 1);
    close(slow);
    await(quick, "picture\n", 2);
    fg_admin_stop(admin);
    close(quick);
    close(other);
}

/* What a handler keeps for a follower is freed with him, and where none may be. */
static void a_ninth_follower_is_refused(void **state)
{
    struct made made = {0};
    char path[128];
    struct fg_admin *admin = start(&made, path, sizeof path);
    int followers[8];
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(followers); i++) {
        followers[i] = ask(path, "GET /follow?read HTTP/1.1\r\nhost: a\r\n\r\n");
        await(followers[i], "begin\n", 1);
    }
    int ninth = ask(path, "GET /follow?read HTTP/1.1\r\nhost: a\r\n\r\n");
    await(ninth, "503 Service Unavailable", 1);
    int head = ask(path, "HEAD /follow?read HTTP/1.1\r\nhost: a\r\n\r\n");
    await(head, "200 OK", 1);
    close(head);
    fg_admin_stop(admin);
    for (size_t i = 0; i < FG_ARRAY_LEN(followers); i++)
        close(followers[i]);
    close(ninth);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures_do_not_queue_for_who_does_not_read),
        cmocka_unit_test(a_ninth_follower_is_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
