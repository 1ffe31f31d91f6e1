/* Requests to the admin address and their answers. */
#include <stdlib.h>

#include "admin/access.h"
#include "admin/server_int.h"
#include "base/log.h"

#define MAX_FIELDS     64
#define ALIVE_EVERY_NS (10 * FG_S)

/* The second one makes a browser ask its user, and send what he said with whatever it asks for (RFC 7617). */
#define CHALLENGES "www-authenticate: Bearer\r\nwww-authenticate: Basic realm=\"fusegate\", charset=\"UTF-8\"\r\n"

/* ---- answering ---- */

static const char *status_text(unsigned status)
{
    static const struct {
        unsigned status;
        const char *text;
    } texts[] = {
        {200, "OK"},
        {302, "Found"},
        {304, "Not Modified"},
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
    if (body_len > 0)
        fwrite(body, 1, body_len, out);
    if (connection->chunked && body_len > 0)
        fputs("\r\n", out);
}

/* Whatever a browser makes of an answer, it must not run, frame or lend it to another site. */
static void put_guards(const struct fg_admin_response *response, FILE *out)
{
    fprintf(out,
            "content-security-policy: %s\r\nx-content-type-options: nosniff\r\nreferrer-policy: no-referrer\r\n"
            "cross-origin-resource-policy: same-origin\r\n",
            response->policy ? response->policy : "default-src 'none'; frame-ancestors 'none'");
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
    fprintf(out, "HTTP/1.1 %u %s\r\ncontent-type: %s\r\ncache-control: %s\r\n%s%s%s%s", response->status,
            status_text(response->status), response->content_type,
            response->cache_control ? response->cache_control : "no-store",
            response->status != 405 ? ""
            : response->allow       ? response->allow
                                    : "allow: GET, HEAD\r\n",
            response->status == 401 ? CHALLENGES : "", response->fields,
            connection->close_after ? "connection: close\r\n" : "");
    put_guards(response, out);
    if (response->status != 304)
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
    connection->state = response->state;
    connection->ended = response->ended;
    connection->chunked = request->minor_version == 1;
    connection->close_after = true;
    connection->said_ns = fg_clock_now_ns();
    return true;
}

static void drop_state(const struct fg_admin *admin, const struct fg_admin_response *response)
{
    if (response->ended)
        response->ended(admin->options.context, response->state);
    else
        free(response->state);
}

void fg_admin_end_following(struct fg_admin_connection *connection)
{
    const struct fg_admin_response response = {.state = connection->state, .ended = connection->ended};

    if (!connection->follow)
        return;
    connection->follow = NULL;
    connection->state = NULL;
    connection->admin->followers--;
    drop_state(connection->admin, &response);
}

/* The last chunk (RFC 9112 section 7.1). */
static void put_last(struct fg_admin_connection *connection, FILE *out)
{
    if (connection->chunked)
        fputs("0\r\n\r\n", out);
    fg_admin_end_following(connection);
}

void fg_admin_follow_on(struct fg_admin_connection *connection, uint64_t now_ns)
{
    const struct fg_admin *admin = connection->admin;
    char *body = NULL;
    size_t body_len = 0, out_len = 0;
    FILE *news = open_memstream(&body, &body_len);

    if (!news)
        return;
    bool over = !connection->follow(admin->options.context, connection->state, news);
    fflush(news);
    if (body_len == 0 && now_ns - connection->said_ns >= ALIVE_EVERY_NS)
        fputc('\n', news); /* a peer that has gone without a word is found out when it is written to */
    fclose(news);
    FILE *out = body_len > 0 || over ? open_memstream(&connection->out, &out_len) : NULL;
    if (out) {
        put_body(connection, body, body_len, out);
        if (over)
            put_last(connection, out);
        fclose(out);
        connection->out_len = out_len;
        connection->out_at = 0;
        connection->said_ns = now_ns;
    }
    free(body);
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

/* The status, or 500: it could not. */
static unsigned answer(struct fg_admin_connection *connection, const struct fg_admin_route *route,
                       const struct fg_admin_request *asked, const struct fg_h1_head *request, bool with_body)
{
    struct fg_admin_response response = {.status = 200, .content_type = "application/json"};
    char *body = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&body, &len);

    if (!out) {
        connection->close_after = true;
        return 500;
    }
    route->handle(connection->admin->options.context, asked, &response, out);
    fclose(out);
    if (!response.follow) {
        respond(connection, &response, body, len, with_body);
    } else if (with_body && !begin_to_follow(connection, &response, request)) {
        drop_state(connection->admin, &response);
        free(body);
        respond_text(connection, 503, "too many follow already", with_body);
    } else {
        respond(connection, &response, body, len, with_body);
        if (!with_body)
            drop_state(connection->admin, &response);
    }
    return response.status;
}

/* Of a browser that asks for a page, not of a script that asks what there is. */
static bool wants_page(const struct fg_h1_head *request)
{
    const struct fg_header *accept = fg_headers_find(&request->headers, FG_STR("accept"));
    return accept && memmem(accept->value.p, accept->value.len, "text/html", 9);
}

static void answer_other(struct fg_admin_connection *connection, const struct fg_admin_request *asked,
                         const struct fg_h1_head *request, bool with_body)
{
    const char *page = connection->admin->options.page;
    struct fg_admin_response response = {.status = 302, .content_type = "text/plain; charset=utf-8"};

    if (!fg_str_eq(asked->path, FG_STR("/"))) {
        respond_list(connection, 404, with_body);
    } else if (page && wants_page(request)) {
        /* Relative: a proxy in front may have put us under another path. */
        snprintf(response.fields, sizeof response.fields, "location: .%s\r\nvary: accept\r\n", page);
        respond(connection, &response, NULL, 0, with_body);
    } else {
        respond_list(connection, 200, with_body);
    }
}

/* What is wrong with who asks, or from where; NULL: nothing. */
struct refusal {
    unsigned status;
    const char *why;
    const char *result; /* in the audit log */
};

static const struct refusal *refusal_of(const struct fg_admin *admin, const struct fg_h1_head *request, bool posts,
                                        struct fg_arena *arena, struct fg_str *user)
{
    static const struct refusal foreign_host = {403, "this Host is not a name of this machine",
                                                "refused: foreign host"};
    static const struct refusal no_token = {
        401, "admin.token is required: Authorization: Bearer TOKEN, or Basic with it as the password",
        "refused: no token"};
    static const struct refusal foreign_page = {403, "a page of another site asks for this", "refused: foreign page"};
    const struct fg_headers *headers = &request->headers;
    bool known = !admin->options.token || fg_admin_knows_token(headers, admin->options.token, arena, user);

    if (admin->options.loopback && !fg_admin_is_own_host(headers))
        return &foreign_host;
    if (posts ? !fg_admin_is_same_origin(headers) : !fg_admin_is_own_fetch(headers))
        return &foreign_page;
    return known ? NULL : &no_token;
}

static const char *result_of(unsigned status)
{
    switch (status) {
    case 200:
        return "done";
    case 404:
        return "failed: not found";
    case 400:
        return "failed: bad request";
    default:
        return "failed";
    }
}

/* Nothing is done that the audit log cannot tell of: it is told before, and how it ended after. */
static void act(struct fg_admin_connection *connection, const struct fg_admin_route *route,
                const struct fg_admin_request *asked, const struct fg_h1_head *request, const struct fg_admin_act *what)
{
    struct fg_admin_audit *audit = connection->admin->options.audit;

    if (!fg_admin_audit_write(audit, what, "begun")) {
        respond_text(connection, 503, "refused: the audit log cannot be written; see the error log", true);
        return;
    }
    unsigned status = answer(connection, route, asked, request, true);
    if (!fg_admin_audit_write(audit, what, result_of(status)))
        fg_log(FG_LOG_ERROR, "audit: how %s ended could not be written: %u", what->action, status);
}

static void handle(struct fg_admin_connection *connection, const struct fg_h1_head *request, struct fg_arena *arena)
{
    const struct fg_admin *admin = connection->admin;
    const char *query = memchr(request->target.p, '?', request->target.len);
    struct fg_admin_request asked = {.path = request->target, .query = FG_STR(""), .headers = &request->headers};
    bool with_body = !fg_str_eq(request->method, FG_STR("HEAD"));
    char peer[FG_ADDRESS_TEXT_BYTES];

    if (query) {
        asked.path.len = (size_t)(query - request->target.p);
        asked.query = (struct fg_str){query + 1, request->target.len - asked.path.len - 1};
    }
    bool posts = fg_str_eq(request->method, FG_STR("POST"));
    if (with_body && !posts && !fg_str_eq(request->method, FG_STR("GET"))) {
        respond_text(connection, 405, "only GET, HEAD and POST", with_body);
        return;
    }
    static const struct refusal unguarded = {403, "this changes something: set admin.token in the configuration",
                                             "refused: no token is configured"};
    const struct fg_admin_route *route = find_route(admin, &asked);
    bool acts = route && route->acts && posts;
    struct fg_admin_act what = {
        .peer = peer, .user = FG_STR(""), .action = route ? route->path : "", .target = asked.query};
    const struct refusal *refusal = refusal_of(admin, request, posts, arena, &what.user);
    fg_address_format(&connection->peer, peer, sizeof peer);
    if (!refusal && acts && !admin->options.token)
        refusal = &unguarded;
    if (refusal && acts)
        fg_admin_audit_refused(admin->options.audit, &what, refusal->result, fg_clock_now_ns());
    if (refusal)
        respond_text(connection, refusal->status, refusal->why, with_body);
    else if (route && route->acts != posts)
        respond_not_allowed(connection, route->acts, with_body);
    else if (acts)
        act(connection, route, &asked, request, &what);
    else if (route && route->shows && !admin->options.token)
        respond_text(connection, 403, "this shows what calls carry: set admin.token in the configuration", with_body);
    else if (route)
        (void)answer(connection, route, &asked, request, with_body);
    else
        answer_other(connection, &asked, request, with_body);
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
        unsigned status = fg_h1_fault_info(fault)->status;
        respond_text(connection, status ? status : 400, fg_h1_fault_info(fault)->reason, true);
    } else if (used > 0) {
        bool has_content = request.chunked || request.content_length > 0;
        connection->close_after = !request.keep_alive || has_content;
        if (has_content)
            respond_text(connection, 413, "requests to the admin address have no content", true);
        else
            handle(connection, &request, &arena);
        connection->in_len -= (size_t)used;
        memmove(connection->in, connection->in + used, connection->in_len);
    }
    fg_arena_cleanup(&arena);
    return used != FG_H1_MORE;
}
