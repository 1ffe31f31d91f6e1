/* Requests to the admin address and their answers. */
#include <stdlib.h>
#include <strings.h>

#include "admin/server_int.h"

#define MAX_FIELDS     64
#define ALIVE_EVERY_NS (10 * FG_S)

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

static void put_framing(const struct fg_admin_connection *connection, size_t body_len, FILE *out)
{
    if (!connection->follow)
        fprintf(out, "content-length: %zu\r\n", body_len);
    else if (connection->chunked)
        fputs("transfer-encoding: chunked\r\n", out);
}

static void put_body(const struct fg_admin_connection *connection, const char *body, size_t body_len, FILE *out)
{
    if (connection->chunked && body_len > 0)
        fprintf(out, "%zx\r\n", body_len);
    fwrite(body, 1, body_len, out);
    if (connection->chunked && body_len > 0)
        fputs("\r\n", out);
}

/* Takes BODY. */
static void respond(struct fg_admin_connection *connection, const struct fg_admin_response *response, char *body,
                    size_t body_len, bool with_body)
{
    size_t len = 0;
    FILE *out = open_memstream(&connection->out, &len);

    if (!out) {
        free(body);
        connection->close_after = true;
        return;
    }
    fprintf(out, "HTTP/1.1 %u %s\r\ncontent-type: %s\r\ncache-control: no-store\r\n%s%s%s", response->status,
            status_text(response->status), response->content_type,
            response->status != 405 ? ""
            : response->allow       ? response->allow
                                    : "allow: GET, HEAD\r\n",
            response->status == 401 ? "www-authenticate: Bearer\r\n" : "",
            connection->close_after ? "connection: close\r\n" : "");
    put_framing(connection, body_len, out);
    fputs("\r\n", out);
    if (with_body)
        put_body(connection, body, body_len, out);
    fclose(out);
    free(body);
    connection->out_len = len;
    connection->out_at = 0;
}

static void respond_text(struct fg_admin_connection *connection, unsigned status, const char *text, bool with_body)
{
    struct fg_admin_response response = {.status = status, .content_type = "text/plain; charset=utf-8"};
    size_t len = strlen(text);
    char *body = fg_alloc(len + 2);

    memcpy(body, text, len);
    body[len] = '\n';
    respond(connection, &response, body, len + 1, with_body);
}

static void respond_not_allowed(struct fg_admin_connection *connection, bool acts, bool with_body)
{
    struct fg_admin_response response = {
        .status = 405, .content_type = "text/plain; charset=utf-8", .allow = acts ? "allow: POST\r\n" : NULL};
    const char *text = acts ? "only POST\n" : "only GET and HEAD\n";
    size_t len = strlen(text);
    char *body = fg_alloc(len + 1);

    memcpy(body, text, len);
    respond(connection, &response, body, len, with_body);
}

static void respond_list(struct fg_admin_connection *connection, unsigned status, bool with_body)
{
    const struct fg_admin_route *route = connection->admin->options.routes;
    struct fg_admin_response response = {.status = status, .content_type = "text/plain; charset=utf-8"};
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

/* ---- answers without end ---- */

/* False: no further follower is taken. */
static bool begin_to_follow(struct fg_admin_connection *connection, const struct fg_admin_response *response,
                            const struct fg_h1_head *request)
{
    if (connection->admin->followers == FG_ADMIN_FOLLOWERS)
        return false;
    connection->admin->followers++;
    connection->follow = response->follow;
    connection->cursor = response->cursor;
    connection->chunked = request->minor_version == 1;
    connection->close_after = true;
    connection->said_ns = fg_clock_now_ns();
    return true;
}

void fg_admin_follow_on(struct fg_admin_connection *connection, uint64_t now_ns)
{
    const struct fg_admin *admin = connection->admin;
    char *body = NULL;
    size_t body_len = 0, out_len = 0;
    FILE *news = open_memstream(&body, &body_len);

    if (!news)
        return;
    connection->follow(admin->options.context, &connection->cursor, news);
    fflush(news);
    if (body_len == 0 && now_ns - connection->said_ns >= ALIVE_EVERY_NS)
        fputc('\n', news); /* a peer that has gone without a word is found out when it is written to */
    fclose(news);
    FILE *out = body_len > 0 ? open_memstream(&connection->out, &out_len) : NULL;
    if (out) {
        put_body(connection, body, body_len, out);
        fclose(out);
        connection->out_len = out_len;
        connection->out_at = 0;
        connection->said_ns = now_ns;
    }
    free(body);
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

static const struct fg_admin_route *find_route(const struct fg_admin *admin, struct fg_admin_request *asked)
{
    for (const struct fg_admin_route *route = admin->options.routes; route->path; route++) {
        struct fg_str path = fg_str_from(route->path);
        bool takes_more = path.p[path.len - 1] == '/';
        if (takes_more ? !fg_str_starts_with(asked->path, path) : !fg_str_eq(asked->path, path))
            continue;
        asked->rest = (struct fg_str){asked->path.p + path.len, asked->path.len - path.len};
        return route;
    }
    return NULL;
}

static void answer(struct fg_admin_connection *connection, const struct fg_admin_route *route,
                   const struct fg_admin_request *asked, const struct fg_h1_head *request, bool with_body)
{
    struct fg_admin_response response = {.status = 200, .content_type = "application/json"};
    char *body = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&body, &len);

    if (!out) {
        connection->close_after = true;
        return;
    }
    route->handle(connection->admin->options.context, asked, &response, out);
    fclose(out);
    if (response.follow && with_body && !begin_to_follow(connection, &response, request)) {
        free(body);
        respond_text(connection, 503, "too many follow already", with_body);
        return;
    }
    respond(connection, &response, body, len, with_body);
}

static void handle(struct fg_admin_connection *connection, const struct fg_h1_head *request)
{
    const struct fg_admin *admin = connection->admin;
    const char *query = memchr(request->target.p, '?', request->target.len);
    struct fg_admin_request asked = {.path = request->target};
    bool with_body = !fg_str_eq(request->method, FG_STR("HEAD"));

    if (query) {
        asked.path.len = (size_t)(query - request->target.p);
        asked.query = (struct fg_str){query + 1, request->target.len - asked.path.len - 1};
    }
    bool posts = fg_str_eq(request->method, FG_STR("POST"));
    if (with_body && !posts && !fg_str_eq(request->method, FG_STR("GET"))) {
        respond_text(connection, 405, "only GET, HEAD and POST", with_body);
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
    const struct fg_admin_route *route = find_route(admin, &asked);
    if (route && route->acts != posts)
        respond_not_allowed(connection, route->acts, with_body);
    else if (route && route->acts && !admin->options.token)
        respond_text(connection, 403, "this changes something: set admin.token in the configuration", with_body);
    else if (route)
        answer(connection, route, &asked, request, with_body);
    else
        respond_list(connection, fg_str_eq(asked.path, FG_STR("/")) ? 200 : 404, with_body);
}

bool fg_admin_take_request(struct fg_admin_connection *connection)
{
    const struct fg_h1_limits limits = {FG_ADMIN_HEAD_BYTES, MAX_FIELDS};
    struct fg_h1_head request;
    enum fg_h1_fault fault;
    struct fg_arena arena;

    if (connection->in_len < FG_ADMIN_HEAD_BYTES && !memmem(connection->in, connection->in_len, "\r\n\r\n", 4) &&
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
