/* A face, a call and an endpoint without sockets: routes, call and faces are the real ones; the client's stream and the
 * endpoint's are played here, and so is the clock. One exchange at a time. */
#ifndef FUZZ_FACE_WORLD_H
#define FUZZ_FACE_WORLD_H

#include <sanitizer/allocator_interface.h>
#include <stdio.h>
#include <stdlib.h>

#include "../tests/unit/h1/engine.h" /* struct text */
#include "../tests/unit/rpc/descriptor_build.h"
#include "dialect/dialect.h"
#include "http/engine.h"
#include "rpc/base64_stream.h"
#include "rpc/gzip.h"
#include "rpc/message.h"

#define MAX_MESSAGE 4096 /* of the route */
#define KEPT_MAX    (2u << 20)

enum {
    FRAMED = 1,
    GZIP = 2,
    FAILS = 4,
    DETAILS = 8,
    EARLY = 16, /* the endpoint answers before it has the request */
    LOST = 32,  /* the endpoint's stream is reset where its trailers would stand */
    LEAVES = 64 /* the client goes away in the middle of its request */
};

struct exchange {
    const char *method, *path, *content_type, *fields; /* of the request; FIELDS: "name: value" lines */
    unsigned options;
    struct text request, answer;
};

/* What came of it. */
struct result {
    struct text up, head, out; /* to the endpoint; to the client */
    bool up_ended, finished, reset;
    unsigned calls;
    enum fg_status code;
    const char *reason;
};

struct world {
    struct fg_loop loop;
    struct fg_stats stats;
    struct fg_config *config;
    struct fg_cluster cluster;
    struct fg_call_env env;
    struct fg_descriptors *descriptors;
    struct fg_conn client, endpoint;
    struct fg_stream down, up;
    struct fg_arena down_arena, up_arena;
    bool down_lives, down_closes, up_lives, up_seen;
    size_t down_sent, up_sent; /* not told yet */
    size_t begin_bytes;        /* allocated before the exchange */
    struct result *result;
};

static struct world world;

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

/* ---- what both streams have in common ---- */

static void no_consume(struct fg_stream *stream, size_t bytes)
{
    (void)stream;
    (void)bytes;
}

static void no_priority(struct fg_stream *stream, int offset, unsigned weight)
{
    (void)stream;
    (void)offset;
    (void)weight;
}

static struct fg_wait no_wait(const struct fg_stream *stream)
{
    (void)stream;
    return (struct fg_wait){0, FG_WAIT_NONE};
}

static void no_stalls(const struct fg_stream *stream, uint64_t stall_ns[FG_WAIT_LEN])
{
    (void)stream;
    (void)stall_ns;
}

static uint32_t no_id(const struct fg_stream *stream)
{
    (void)stream;
    return 1;
}

/* ---- the endpoint's stream ---- */

static void up_headers(struct fg_stream *stream, struct fg_headers *headers, bool end)
{
    (void)stream;
    (void)headers;
    (void)end;
}

static void up_trailers(struct fg_stream *stream, struct fg_headers *headers)
{
    (void)stream;
    (void)headers;
}

static void up_data(struct fg_stream *stream, struct fg_buf buf, bool end)
{
    (void)stream;
    check(world.up_lives && !world.result->up_ended, "something follows the end of the request");
    text_put(&world.result->up, buf.data, buf.len);
    world.result->up_ended |= end;
    world.up_sent += buf.len;
    fg_buf_unref(&buf);
}

static void up_reset(struct fg_stream *stream, uint32_t code)
{
    (void)stream;
    (void)code;
    world.up_lives = false;
}

static bool up_local_ended(const struct fg_stream *stream)
{
    (void)stream;
    return world.result->up_ended;
}

static struct fg_stream *up_request(struct fg_conn *conn, struct fg_headers *headers, bool end,
                                    const struct fg_stream_events *events, void *user)
{
    static const struct fg_stream_ops ops = {up_headers,  up_data, up_trailers, no_consume, up_reset,      up_reset,
                                             no_priority, no_wait, no_stalls,   no_id,      up_local_ended};
    (void)headers;

    check(!world.up_seen, "a call has two attempts");
    fg_arena_init(&world.up_arena, &world.loop.mem);
    world.up = (struct fg_stream){.ops = &ops, .events = events, .user = user, .conn = conn, .arena = &world.up_arena};
    world.up_lives = world.up_seen = true;
    world.result->up_ended = end;
    return &world.up;
}

/* Linked in place of the pool's. */
struct fg_conn *__wrap_fg_endpoint_find_slot(struct fg_endpoint *endpoint);

struct fg_conn *__wrap_fg_endpoint_find_slot(struct fg_endpoint *endpoint)
{
    (void)endpoint;
    return &world.endpoint;
}

/* ---- the client's stream ---- */

static void put_fields(const struct fg_headers *headers)
{
    for (uint32_t i = 0; i < headers->len; i++)
        text_print(&world.result->head, "%.*s: %.*s\n", (int)headers->items[i].name.len, headers->items[i].name.p,
                   (int)FG_MIN(headers->items[i].value.len, (size_t)400), headers->items[i].value.p);
}

static void down_headers(struct fg_stream *stream, struct fg_headers *headers, bool end)
{
    (void)stream;
    check(world.down_lives && !world.result->finished && world.result->head.len == 0, "a head out of order");
    put_fields(headers);
    world.result->finished = end;
}

static void down_trailers(struct fg_stream *stream, struct fg_headers *headers)
{
    (void)stream;
    check(world.down_lives && !world.result->finished && world.result->head.len > 0, "trailers out of order");
    text_print(&world.result->head, "---\n");
    put_fields(headers);
    world.result->finished = true;
}

static void down_data(struct fg_stream *stream, struct fg_buf buf, bool end)
{
    (void)stream;
    check(world.down_lives && !world.result->finished && world.result->head.len > 0, "content out of order");
    text_put(&world.result->out, buf.data, buf.len);
    world.result->finished = end;
    world.down_sent += buf.len;
    fg_buf_unref(&buf);
}

static void down_reset(struct fg_stream *stream, uint32_t code)
{
    (void)stream;
    (void)code;
    world.down_lives = false;
    world.result->reset = true;
}

static void down_reset_after_end(struct fg_stream *stream, uint32_t code)
{
    (void)stream;
    (void)code;
    world.down_closes = true;
}

static bool down_local_ended(const struct fg_stream *stream)
{
    (void)stream;
    return world.result->finished;
}

/* ---- the world ---- */

static void on_attempt(void *context, const struct fg_call *call, const struct fg_outcome *outcome)
{
    (void)call;
    (void)context;
    (void)outcome;
}

static void on_call(void *context, const struct fg_call *call, const struct fg_outcome *outcome)
{
    (void)context;
    (void)call;
    world.result->calls++;
    world.result->code = outcome->code;
    world.result->reason = outcome->reason ? outcome->reason : "";
}

/* t.S/Chat takes and gives any number of t.All, t.S/Get one. */
static void make_descriptors(void)
{
    static struct built set;
    struct built file = {0}, service = {0}, method = {0}, options = {0};
    struct fg_descriptors_error error;

    build_well_known(&set);
    build_text(&file, 1, "t.proto");
    build_text(&file, 2, "t");
    build_text(&file, 12, "proto3");
    build_enum(&file, 5, "Color", "NONE", "RED");
    build_all(&file);
    build_text(&service, 1, "S");
    build_text(&method, 1, "Chat");
    build_text(&method, 2, ".t.All");
    build_text(&method, 3, ".t.All");
    build_number(&method, 5, 1);
    build_number(&method, 6, 1);
    build_in(&service, 2, &method);
    method.len = 0;
    build_number(&options, 34, FG_NO_SIDE_EFFECTS);
    build_text(&method, 1, "Get");
    build_text(&method, 2, ".t.All");
    build_text(&method, 3, ".t.All");
    build_in(&method, 4, &options);
    build_in(&service, 2, &method);
    build_in(&file, 6, &service);
    build_in(&set, 1, &file);
    check(fg_descriptors_new(set.bytes, set.len, &world.descriptors, &error) == 0, error.text);
}

static void make_world(void)
{
    static const char text[] = "workers: 1\nlisteners: [{address: 127.0.0.1:1}]\n"
                               "routes: [{cluster: c, max_message: 4KiB}]\n"
                               "clusters: {c: {endpoints: ['127.0.0.1:1'], breaker: {enabled: false}}}\n";
    static const struct fg_engine_ops endpoint = {.name = "fuzz", .request = up_request};
    struct fg_config_errors errors;
    char error[200];

    if (world.config)
        return;
    if (fg_config_parse("fuzz", text, sizeof text - 1, &world.config, &errors) != 0) {
        fg_config_errors_print(&errors, "fuzz", stderr);
        abort();
    }
    check(fg_loop_init(&world.loop) == 0 && fg_cluster_init(&world.cluster, &world.config->clusters[0], &world.loop,
                                                            &world.stats, NULL, 1, error, sizeof error) == 0,
          "no world");
    make_descriptors();
    struct fg_breaker_registry *breakers = fg_breaker_registry_new(100);
    world.cluster.endpoints[0].breaker =
        fg_breaker_get(breakers, world.cluster.name, world.cluster.endpoints[0].name, FG_STR(""));
    world.client = (struct fg_conn){.side = &world.cluster.side, .engine = &fg_h2_engine};
    world.endpoint = (struct fg_conn){.side = &world.cluster.side, .engine = &endpoint};
    world.env = (struct fg_call_env){.loop = &world.loop,
                                     .stats = &world.stats,
                                     .config = world.config,
                                     .clusters = &world.cluster,
                                     .breakers = breakers,
                                     .learned = fg_learned_table_new(10),
                                     .limiter = fg_rate_limiter_new(10),
                                     .sink = {on_attempt, on_call, NULL},
                                     .random = 1};
    fg_list_init(&world.env.calls);
}

/* What was sent is on its way; nothing is kept without end. */
static void turn(const struct exchange *x)
{
    while (world.down_sent + world.up_sent > 0) {
        size_t down = world.down_sent, up = world.up_sent;
        world.down_sent = world.up_sent = 0;
        if (up > 0 && world.up_lives)
            world.up.events->on_sent(&world.up, up);
        if (down > 0 && world.down_lives)
            world.down.events->on_sent(&world.down, down);
    }
    size_t allocated = __sanitizer_get_current_allocated_bytes();
    check(allocated < world.begin_bytes + KEPT_MAX + 16 * (x->request.len + x->answer.len), "too much is kept");
}

#endif
