#include "admin/server.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

#define MAX_CONNECTIONS 64
#define MAX_HEAD_BYTES  (16u << 10)
#define MAX_FIELDS      64
#define TIMEOUT_NS      (10 * FG_S)

struct fg_admin {
    struct fg_admin_options options;
    struct fg_loop loop;
    struct fg_watch listener;
    struct fg_list connections;
    unsigned open;
    pthread_t thread;
    char unix_path[sizeof(struct sockaddr_storage)];
};

struct connection {
    struct fg_list node;
    struct fg_admin *admin;
    struct fg_watch watch;
    struct fg_timer timer;
    char in[MAX_HEAD_BYTES];
    size_t in_len;
    char *out;
    size_t out_len, out_at;
    bool close_after;
};

static void destroy(struct connection *connection)
{
    struct fg_admin *admin = connection->admin;

    fg_watch_remove(&admin->loop, &connection->watch);
    fg_timer_cancel(&admin->loop.timers, &connection->timer);
    fg_list_remove(&connection->node);
    close(connection->watch.fd);
    free(connection->out);
    free(connection);
    admin->open--;
}

static void on_timer(struct fg_timer *timer, uint64_t now_ns)
{
    (void)now_ns;
    destroy(FG_CONTAINER_OF(timer, struct connection, timer));
}

/* ---- answering ---- */

static const char *status_text(unsigned status)
{
    static const struct {
        unsigned status;
        const char *text;
    } texts[] = {
        {200, "OK"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {413, "Content Too Large"},
        {431, "Request Header Fields Too Large"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < FG_ARRAY_LEN(texts); i++)
        if (texts[i].status == status)
            return texts[i].text;
    return "Error";
}

/* Takes BODY. */
static void respond(struct connection *connection, const struct fg_admin_response *response, char *body,
                    size_t body_len, bool with_body)
{
    size_t len = 0;
    FILE *out = open_memstream(&connection->out, &len);

    if (!out) {
        free(body);
        connection->close_after = true;
        return;
    }
    fprintf(out, "HTTP/1.1 %u %s\r\ncontent-type: %s\r\ncontent-length: %zu\r\ncache-control: no-store\r\n%s%s%s\r\n",
            response->status, status_text(response->status), response->content_type, body_len,
            response->status == 405 ? "allow: GET, HEAD\r\n" : "",
            response->status == 401 ? "www-authenticate: Bearer\r\n" : "",
            connection->close_after ? "connection: close\r\n" : "");
    if (with_body)
        fwrite(body, 1, body_len, out);
    fclose(out);
    free(body);
    connection->out_len = len;
    connection->out_at = 0;
}

static void respond_text(struct connection *connection, unsigned status, const char *text, bool with_body)
{
    struct fg_admin_response response = {status, "text/plain; charset=utf-8"};
    size_t len = strlen(text);
    char *body = fg_alloc(len + 2);

    memcpy(body, text, len);
    body[len] = '\n';
    respond(connection, &response, body, len + 1, with_body);
}

static void respond_list(struct connection *connection, unsigned status, bool with_body)
{
    const struct fg_admin_route *route = connection->admin->options.routes;
    struct fg_admin_response response = {status, "text/plain; charset=utf-8"};
    char *body = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&body, &len);

    if (!out) {
        connection->close_after = true;
        return;
    }
    fputs("fusegate's admin address has:\n", out);
    for (; route->path; route++)
        fprintf(out, "  %-12s %s\n", route->path, route->about);
    fclose(out);
    respond(connection, &response, body, len, with_body);
}

/* ---- who may ask ---- */

/* In a time that does not depend on where the two differ. */
static bool equal_in_constant_time(struct fg_str given, const char *wanted)
{
    size_t len = strlen(wanted);
    unsigned difference = given.len != len;

    for (size_t i = 0; i < given.len; i++)
        difference |= (unsigned)(given.p[i] ^ wanted[len ? i % len : 0]);
    return difference == 0;
}

static bool is_authorized(const struct fg_admin *admin, const struct fg_h1_head *request)
{
    const struct fg_header *field = fg_headers_get(&request->headers, FG_TOKEN_AUTHORIZATION);

    if (!admin->options.token)
        return true;
    if (!field || field->value.len < 7 || strncasecmp(field->value.p, "Bearer ", 7) != 0)
        return false;
    return equal_in_constant_time((struct fg_str){field->value.p + 7, field->value.len - 7}, admin->options.token);
}

/* A page on the web can make a browser ask a loopback address under the page's own name; such a name is not ours. */
static bool host_is_ours(const struct fg_admin *admin, const struct fg_h1_head *request)
{
    static const char *const ours[] = {"localhost", "127.0.0.1", "[::1]"};
    const struct fg_header *field = fg_headers_get(&request->headers, FG_TOKEN_HOST);

    if (!admin->options.loopback || !field)
        return true;
    for (size_t i = 0; i < FG_ARRAY_LEN(ours); i++) {
        size_t len = strlen(ours[i]);
        if (field->value.len >= len && strncasecmp(field->value.p, ours[i], len) == 0 &&
            (field->value.len == len || field->value.p[len] == ':'))
            return true;
    }
    return false;
}

/* ---- a request ---- */

static void handle(struct connection *connection, const struct fg_h1_head *request)
{
    const struct fg_admin *admin = connection->admin;
    const char *query = memchr(request->target.p, '?', request->target.len);
    struct fg_admin_request asked = {.path = request->target};
    bool with_body = !fg_str_eq(request->method, FG_STR("HEAD"));

    if (query) {
        asked.path.len = (size_t)(query - request->target.p);
        asked.query = (struct fg_str){query + 1, request->target.len - asked.path.len - 1};
    }
    if (with_body && !fg_str_eq(request->method, FG_STR("GET"))) {
        respond_text(connection, 405, "only GET and HEAD", with_body);
        return;
    }
    if (!host_is_ours(admin, request)) {
        respond_text(connection, 403, "this Host is not a name of this machine", with_body);
        return;
    }
    if (!is_authorized(admin, request)) {
        respond_text(connection, 401, "admin.token is required: Authorization: Bearer TOKEN", with_body);
        return;
    }
    for (const struct fg_admin_route *route = admin->options.routes; route->path; route++) {
        if (!fg_str_eq(asked.path, fg_str_from(route->path)))
            continue;
        struct fg_admin_response response = {200, "application/json"};
        char *body = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&body, &len);
        if (!out)
            break;
        route->handle(admin->options.context, &asked, &response, out);
        fclose(out);
        respond(connection, &response, body, len, with_body);
        return;
    }
    respond_list(connection, fg_str_eq(asked.path, FG_STR("/")) ? 200 : 404, with_body);
}

/* True: a request was taken from the input. */
static bool take_request(struct connection *connection)
{
    const struct fg_h1_limits limits = {MAX_HEAD_BYTES, MAX_FIELDS};
    struct fg_h1_head request;
    enum fg_h1_fault fault;
    struct fg_arena arena;

    if (connection->in_len < MAX_HEAD_BYTES && !memmem(connection->in, connection->in_len, "\r\n\r\n", 4) &&
        !memmem(connection->in, connection->in_len, "\n\n", 2))
        return false;
    fg_arena_init(&arena, &connection->admin->loop.mem);
    ssize_t used =
        fg_h1_head_parse(FG_H1_REQUEST, connection->in, connection->in_len, &limits, &arena, &request, &fault);
    if (used == FG_H1_ERROR) {
        connection->close_after = true;
        respond_text(connection, fg_h1_fault_info(fault)->status, fg_h1_fault_info(fault)->reason, true);
    } else if (used > 0) {
        bool has_content = request.chunked || request.content_length > 0;
        connection->close_after = !request.keep_alive || has_content;
        if (has_content)
            respond_text(connection, 413, "requests to the admin address have no content", true);
        else
            handle(connection, &request);
        connection->in_len -= (size_t)used;
        memmove(connection->in, connection->in + used, connection->in_len);
    }
    fg_arena_cleanup(&arena);
    return used != FG_H1_MORE;
}

/* ---- bytes ---- */

/* False: the connection is gone. */
static bool write_out(struct connection *connection)
{
    struct fg_loop *loop = &connection->admin->loop;

    while (connection->out_at < connection->out_len) {
        ssize_t n = send(connection->watch.fd, connection->out + connection->out_at,
                         connection->out_len - connection->out_at, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            fg_watch_set_interest(loop, &connection->watch, FG_WRITABLE);
            return true;
        }
        if (n < 0) {
            destroy(connection);
            return false;
        }
        connection->out_at += (size_t)n;
    }
    free(connection->out);
    connection->out = NULL;
    connection->out_len = connection->out_at = 0;
    if (connection->close_after) {
        shutdown(connection->watch.fd, SHUT_WR);
        destroy(connection);
        return false;
    }
    fg_watch_set_interest(loop, &connection->watch, FG_READABLE);
    return true;
}

/* Requests in the buffer, one answer at a time. */
static void go_on(struct connection *connection)
{
    while (!connection->out) {
        if (!take_request(connection))
            return;
        fg_timer_arm(&connection->admin->loop.timers, &connection->timer, fg_clock_now_ns() + TIMEOUT_NS);
        if (!write_out(connection))
            return;
    }
}

static void on_ready(struct fg_watch *watch, unsigned ready)
{
    struct connection *connection = FG_CONTAINER_OF(watch, struct connection, watch);

    if (connection->out) {
        if ((ready & FG_HANGUP) && !(ready & FG_WRITABLE))
            destroy(connection);
        else if (write_out(connection))
            go_on(connection);
        return;
    }
    ssize_t n = recv(watch->fd, connection->in + connection->in_len, MAX_HEAD_BYTES - connection->in_len, 0);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (n <= 0) {
        destroy(connection);
        return;
    }
    connection->in_len += (size_t)n;
    go_on(connection);
}

static void on_connection(struct fg_watch *watch, unsigned ready)
{
    struct fg_admin *admin = FG_CONTAINER_OF(watch, struct fg_admin, listener);
    int fd = fg_socket_accept(watch->fd, NULL);
    (void)ready;

    if (fd < 0)
        return;
    if (admin->open >= MAX_CONNECTIONS) {
        close(fd);
        return;
    }
    struct connection *connection = fg_alloc_zero(sizeof *connection);
    connection->admin = admin;
    connection->watch = (struct fg_watch){.fd = fd, .interest = FG_READABLE, .on_ready = on_ready};
    fg_timer_init(&connection->timer, on_timer);
    if (fg_watch_add(&admin->loop, &connection->watch) != 0) {
        close(fd);
        free(connection);
        return;
    }
    admin->open++;
    fg_list_append(&admin->connections, &connection->node);
    fg_timer_arm(&admin->loop.timers, &connection->timer, admin->loop.now_ns + TIMEOUT_NS);
}

/* ---- life ---- */

static void *run(void *argument)
{
    struct fg_admin *admin = argument;
    fg_loop_run(&admin->loop);
    return NULL;
}

static void cleanup(struct fg_admin *admin)
{
    while (!fg_list_empty(&admin->connections))
        destroy(FG_LIST_FIRST(&admin->connections, struct connection, node));
    if (admin->listener.fd >= 0) {
        fg_watch_remove(&admin->loop, &admin->listener);
        close(admin->listener.fd);
    }
    if (admin->unix_path[0])
        unlink(admin->unix_path);
    fg_loop_cleanup(&admin->loop);
    free(admin);
}

static int listen_on(struct fg_admin *admin, char *error, size_t error_len)
{
    const struct fg_address *address = &admin->options.address;
    char text[FG_ADDRESS_TEXT_BYTES];

    if (address->storage.ss_family == AF_UNIX) {
        fg_address_format(address, text, sizeof text);
        const char *path = text + strlen("unix:");
        int fd = fg_socket_listen_unix(path, error, error_len);
        if (fd >= 0)
            snprintf(admin->unix_path, sizeof admin->unix_path, "%s", path);
        return fd;
    }
    if (fg_socket_probe_free(address, error, error_len) != 0)
        return -1;
    return fg_socket_listen(address, error, error_len);
}

struct fg_admin *fg_admin_new(const struct fg_admin_options *options, char *error, size_t error_len)
{
    struct fg_admin *admin = fg_alloc_zero(sizeof *admin);

    admin->options = *options;
    admin->listener.fd = -1;
    fg_list_init(&admin->connections);
    int result = fg_loop_init(&admin->loop);
    if (result != 0) {
        snprintf(error, error_len, "the admin server cannot make its event loop: %s", strerror(-result));
        free(admin);
        return NULL;
    }
    int fd = listen_on(admin, error, error_len);
    if (fd < 0) {
        cleanup(admin);
        return NULL;
    }
    admin->listener = (struct fg_watch){.fd = fd, .interest = FG_READABLE, .on_ready = on_connection};
    result = fg_watch_add(&admin->loop, &admin->listener);
    if (result == 0)
        result = -pthread_create(&admin->thread, NULL, run, admin);
    if (result == 0)
        return admin;
    snprintf(error, error_len, "the admin server cannot be started: %s", strerror(-result));
    cleanup(admin);
    return NULL;
}

struct stop_mail {
    struct fg_mail mail;
    struct fg_admin *admin;
};

static void run_stop(struct fg_mail *mail)
{
    struct stop_mail *stop = FG_CONTAINER_OF(mail, struct stop_mail, mail);
    fg_loop_stop(&stop->admin->loop);
    free(stop);
}

void fg_admin_stop(struct fg_admin *admin)
{
    if (!admin)
        return;
    struct stop_mail *stop = fg_alloc(sizeof *stop);
    *stop = (struct stop_mail){.mail.run = run_stop, .admin = admin};
    fg_mailbox_post(&admin->loop, &stop->mail);
    pthread_join(admin->thread, NULL);
    cleanup(admin);
}
