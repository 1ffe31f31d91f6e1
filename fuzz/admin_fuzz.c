/* Any bytes to the admin address, with the real routes before a gateway that runs: every answer is well-formed HTTP,
 * JSON is valid, and nothing is done without the token. The byte in front says how the rest is cut. */
#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

#include "../src/admin/handlers.c"
#include "admin/server_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct world {
    struct fg_gateway gateway;
    struct fg_admin admin;
};

static struct fg_config *make_config(unsigned port)
{
    struct fg_config_errors errors = {0};
    struct fg_config *config = NULL;
    char text[512];

    int text_len = snprintf(text, sizeof text,
                            "workers: 1\nlisteners: [{address: '127.0.0.1:%u'}]\n"
                            "clusters: {c: {endpoints: [127.0.0.1:1]}}\n"
                            "admin: {token: t, audit_log: /dev/null}\n",
                            port);
    if (fg_config_parse("fuzz", text, (size_t)text_len, &config, &errors) != 0)
        abort();
    return config;
}

/* Names of all kinds, as clients make them. */
static void make_circuits(struct fg_gateway *gateway)
{
    static const char *const methods[] = {"", "/a.B/C", "/\"\\</script>\n\x01", "/\xff\xfe\xc3", "/\xe2\x80\xae"};

    for (size_t i = 0; i < FG_ARRAY_LEN(methods); i++)
        (void)fg_breaker_get(gateway->breakers, FG_STR("c"), FG_STR("127.0.0.1:1"), fg_str_from(methods[i]));
}

static struct world *make_world(void)
{
    struct world *world = fg_alloc_zero(sizeof *world);
    unsigned port = 20000 + (unsigned)getpid() % 12000;
    char error[512];

    /* Somebody else may listen there. */
    for (int i = 0; fg_gateway_init(&world->gateway, make_config(port), error, sizeof error) != 0; i++, port++)
        if (i == 100)
            abort();
    if (fg_gateway_start(&world->gateway, error, sizeof error) != 0 || fg_loop_init(&world->admin.loop) != 0)
        abort();
    make_circuits(&world->gateway);
    world->admin.options = (struct fg_admin_options){.token = "t",
                                                     .loopback = true,
                                                     .routes = routes,
                                                     .page = "/dashboard",
                                                     .audit = fg_admin_audit_new("/dev/null", error, sizeof error),
                                                     .context = &world->gateway};
    fg_list_init(&world->admin.connections);
    return world;
}

static void require(bool good, const struct fg_admin_connection *connection, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "%s:\n%.*s\n", what, (int)connection->out_len, connection->out);
    abort();
}

static bool has(struct fg_str head, const char *text)
{
    return memmem(head.p, head.len, text, strlen(text)) != NULL;
}

static void check_json(const struct fg_admin_connection *connection, const char *text, size_t len)
{
    json_error_t error;
    json_t *value = json_loadb(text, len, JSON_DISABLE_EOF_CHECK, &error);

    require(value != NULL, connection, error.text);
    json_decref(value);
}

/* One answer in `out`: its head is what our own strict parser takes, and it ends where the head says. */
static void check_answer(const struct fg_admin_connection *connection, struct fg_mem *mem)
{
    const struct fg_h1_limits limits = {FG_ADMIN_HEAD_BYTES, 64};
    struct fg_arena arena;
    struct fg_h1_head head;
    enum fg_h1_fault fault;

    fg_arena_init(&arena, mem);
    ssize_t used =
        fg_h1_head_parse(FG_H1_RESPONSE, connection->out, connection->out_len, &limits, &arena, &head, &fault);
    require(used > 0, connection, "an answer that is no HTTP");
    size_t body = connection->out_len - (size_t)used;
    struct fg_str text = {connection->out, (size_t)used};
    require(connection->follow || head.status == 304 || body == 0 || (int64_t)body == head.content_length, connection,
            "an answer of another length");
    require(has(text, "nosniff") && has(text, "content-security-policy: default-src 'none'"), connection, "no guards");
    if (has(text, "application/json") && body > 0)
        check_json(connection, connection->out + used, body);
    fg_arena_cleanup(&arena);
}

/* Lines of an event stream (or of a list that is followed) have no bytes that end them early. */
static void check_follow(struct fg_admin_connection *connection)
{
    free(connection->out);
    connection->out = NULL;
    connection->out_len = 0;
    fg_admin_follow_on(connection, connection->said_ns + 20 * FG_S);
    require(connection->out_len > 0 && memchr(connection->out, '\0', connection->out_len) == NULL, connection,
            "a follower hears nothing");
}

static void end(struct fg_admin_connection *connection)
{
    connection->admin->followers -= connection->follow != NULL;
    free(connection->out);
    free(connection->state);
    free(connection);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct world *world;

    if (!world)
        world = make_world();
    if (len < 1 || len > FG_ADMIN_HEAD_BYTES)
        return 0;
    struct fg_admin_connection *connection = fg_alloc_zero(sizeof *connection);
    size_t piece = data[0] ? data[0] : len;
    connection->admin = &world->admin;
    connection->peer.storage.ss_family = AF_UNIX;
    for (size_t at = 1; at < len && !connection->close_after && !connection->follow; at += piece) {
        piece = FG_MIN(piece, len - at);
        memcpy(connection->in + connection->in_len, data + at, piece);
        connection->in_len += piece;
        while (!connection->follow && !connection->close_after && fg_admin_take_request(connection)) {
            check_answer(connection, &world->admin.loop.mem);
            if (connection->follow)
                check_follow(connection);
            free(connection->out);
            connection->out = NULL;
            connection->out_len = 0;
        }
    }
    end(connection);
    return 0;
}
