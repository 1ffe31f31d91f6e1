#include "call/tap.h"

#include <assert.h>
#include <stdio.h>

#include "call/route.h"

#define FIELDS_BYTES 16384u /* of one header block; fields beyond are left out */
#define NAME_BYTES   255u   /* of an endpoint, in an end */
#define REASON_BYTES 100u
#define PATH_BYTES   4096u /* of what a client sent */

_Static_assert(sizeof(struct fg_tap_record) + sizeof(struct fg_tap_end) + NAME_BYTES + REASON_BYTES <= FG_TAP_END_BYTES,
               "the end of each call has its room");

/* A chosen call at one of the sinks. */
struct fg_tap_entry {
    struct fg_list node; /* in sink->calls */
    struct fg_tap_call *owner;
    struct fg_tap_sink *sink; /* NULL: it did not choose the call, or is gone */
};

/* Where one direction is in its messages. */
struct side {
    uint8_t prefix[5], prefix_len;
    uint32_t len, at; /* of the message */
    uint64_t number;
};

/* In the call's arena. */
struct fg_tap_call {
    struct fg_call *call;
    unsigned sinks;
    struct fg_tap_entry entries[FG_TAP_SESSIONS];
    struct side up, down;
};

/* ---- sessions ---- */

void fg_tap_attach(struct fg_call_env *env, struct fg_tap *tap, struct fg_tap_sink *sink)
{
    assert(tap->len < FG_TAP_SESSIONS);
    fg_list_init(&sink->calls);
    tap->sinks[tap->len++] = sink;
    env->tap = tap;
}

static void leave(struct fg_tap_entry *entry)
{
    fg_list_remove(&entry->node);
    entry->sink->calls_len--;
    entry->sink = NULL;
    if (--entry->owner->sinks == 0)
        entry->owner->call->tap = NULL;
}

void fg_tap_detach(struct fg_call_env *env, struct fg_tap *tap, struct fg_tap_sink *sink)
{
    while (!fg_list_empty(&sink->calls))
        leave(FG_LIST_FIRST(&sink->calls, struct fg_tap_entry, node));
    for (unsigned i = 0; i < tap->len; i++) {
        if (tap->sinks[i] != sink)
            continue;
        tap->sinks[i] = tap->sinks[--tap->len];
        break;
    }
    env->tap = tap->len > 0 ? tap : NULL;
}

/* ---- records ---- */

/* HEAD, then PARTS, at every sink that has chosen the call. */
static void put(struct fg_tap_call *tap, struct fg_tap_sink *sink, struct fg_tap_record head, const struct fg_str *body,
                size_t body_len)
{
    struct fg_str parts[4];
    size_t reserve = head.kind == FG_TAP_END ? 0 : (size_t)sink->calls_len * FG_TAP_END_BYTES;

    assert(body_len < FG_ARRAY_LEN(parts));
    head.call = tap->call->number;
    head.at_ns = tap->call->env->loop->now_ns;
    parts[0] = (struct fg_str){(const char *)&head, sizeof head};
    for (size_t i = 0; i < body_len; i++) {
        parts[i + 1] = body[i];
        head.len += (uint32_t)body[i].len;
    }
    if (fg_ring_put_parts(&sink->ring, parts, body_len + 1, reserve))
        return;
    fg_stat_add(&sink->missed, 1);
    FG_COUNT(tap->call->env->stats, tap_events_missed);
}

static void put_all(struct fg_call *call, struct fg_tap_record head, const struct fg_str *body, size_t body_len)
{
    for (unsigned i = 0; i < FG_TAP_SESSIONS; i++)
        if (call->tap->entries[i].sink)
            put(call->tap, call->tap->entries[i].sink, head, body, body_len);
}

static struct fg_str bytes_of(const void *p, size_t len)
{
    return (struct fg_str){p, len};
}

/* Fields as a record has them; the length. *CUT: some are left out. */
static size_t write_fields(const struct fg_headers *fields, char *out, bool *cut)
{
    size_t len = 0;

    for (uint32_t i = 0; i < fields->len; i++) {
        const struct fg_header *field = &fields->items[i];
        struct fg_tap_field head = {(uint32_t)field->name.len, (uint32_t)field->value.len, field->sensitive};
        if (sizeof head + field->name.len + field->value.len > FIELDS_BYTES - len) {
            *cut = true;
            continue;
        }
        memcpy(out + len, &head, sizeof head);
        len += sizeof head;
        memcpy(out + len, field->name.p, field->name.len);
        len += field->name.len;
        memcpy(out + len, field->value.p, field->value.len);
        len += field->value.len;
    }
    return len;
}

/* ---- which calls ---- */

bool fg_tap_is_wanted(const char *wanted, struct fg_str text)
{
    size_t len = strlen(wanted);

    if (len == 0)
        return true;
    if (wanted[len - 1] == '*')
        return fg_str_starts_with(text, (struct fg_str){wanted, len - 1});
    return fg_str_eq(text, (struct fg_str){wanted, len});
}

static bool is_method_wanted(const char *wanted, struct fg_str path)
{
    bool bare = wanted[0] != '/' && wanted[0] != '*' && path.len > 0 && path.p[0] == '/';
    return fg_tap_is_wanted(wanted, bare ? (struct fg_str){path.p + 1, path.len - 1} : path);
}

static bool has_field(const struct fg_tap_filter *filter, const struct fg_headers *request)
{
    if (filter->header[0] == '\0')
        return true;
    for (uint32_t i = 0; i < request->len; i++)
        if (fg_str_eq(request->items[i].name, fg_str_from(filter->header)) &&
            fg_tap_is_wanted(filter->value, request->items[i].value))
            return true;
    return false;
}

static struct fg_str path_of(const struct fg_call *call)
{
    const struct fg_header *field = fg_headers_get(&call->request, FG_TOKEN_PATH);
    struct fg_str path = field ? field->value : FG_STR("");
    const char *query = path.len > 0 ? memchr(path.p, '?', path.len) : NULL;

    return query ? (struct fg_str){path.p, (size_t)(query - path.p)} : path;
}

/* Where the call will go; the route has not been looked for yet. */
static uint32_t cluster_of(const struct fg_call *call)
{
    const struct fg_config_route *route = fg_route_find(call->env->config, path_of(call), &call->request);
    return route ? (uint32_t)route->cluster : FG_TAP_NO_CLUSTER;
}

static bool matches(const struct fg_tap_filter *filter, const struct fg_call *call)
{
    char peer[FG_ADDRESS_TEXT_BYTES] = "";

    if ((filter->method[0] && !is_method_wanted(filter->method, path_of(call))) ||
        (filter->dialect[0] && !fg_tap_is_wanted(filter->dialect, fg_str_from(call->dialect->name))) ||
        !has_field(filter, &call->request))
        return false;
    if (filter->peer[0])
        fg_address_format(call->peer, peer, sizeof peer);
    if (!fg_tap_is_wanted(filter->peer, fg_str_from(peer)))
        return false;
    if (filter->cluster[0] == '\0')
        return true;
    uint32_t cluster = cluster_of(call);
    return cluster != FG_TAP_NO_CLUSTER &&
           fg_tap_is_wanted(filter->cluster, fg_str_from(call->env->config->clusters[cluster].name));
}

/* A token bucket that is an instant (GCRA), so that all workers share it without a lock. */
static bool take_turn(struct fg_tap_filter *filter, uint64_t now_ns)
{
    uint64_t next_ns = __atomic_load_n(&filter->next_ns, __ATOMIC_RELAXED);

    for (;;) {
        uint64_t due_ns = FG_MAX(next_ns, now_ns);
        if (due_ns - now_ns > filter->burst_ns)
            return false;
        if (__atomic_compare_exchange_n(&filter->next_ns, &next_ns, due_ns + filter->interval_ns, true,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return true;
    }
}

/* Of `count` calls. */
static bool take_one(struct fg_tap_filter *filter)
{
    uint64_t before = __atomic_fetch_add(&filter->chosen, 1, __ATOMIC_RELAXED);

    if (filter->count == 0 || before < filter->count)
        return true;
    __atomic_fetch_sub(&filter->chosen, 1, __ATOMIC_RELAXED);
    return false;
}

static bool is_over(const struct fg_tap_filter *filter)
{
    return filter->count > 0 && __atomic_load_n(&filter->chosen, __ATOMIC_RELAXED) >= filter->count;
}

/* ---- the beginning ---- */

static void find_local(const struct fg_call *call, struct fg_address *local)
{
    *local = (struct fg_address){.len = sizeof local->storage};
    if (getsockname(call->down->conn->watch.fd, (struct sockaddr *)&local->storage, &local->len) != 0)
        local->len = 0;
}

/* The beginning has room, and so will the end. */
static bool put_begin(struct fg_call *call, struct fg_tap_sink *sink)
{
    struct fg_tap_record head = {.kind = FG_TAP_BEGIN, .end = call->request_ended};
    struct fg_tap_begin begin = {.dialect = call->dialect->name, .stream = call->down->ops->id(call->down)};
    char fields[FIELDS_BYTES];

    head.call = call->number;
    head.at_ns = call->start_ns;
    begin.peer = *call->peer;
    begin.cluster = cluster_of(call);
    find_local(call, &begin.local);
    size_t len = write_fields(&call->request, fields, &head.cut);
    head.len = (uint32_t)(sizeof begin + len);
    const struct fg_str parts[] = {bytes_of(&head, sizeof head), bytes_of(&begin, sizeof begin), {fields, len}};
    return fg_ring_put_parts(&sink->ring, parts, FG_ARRAY_LEN(parts), (sink->calls_len + 1) * (size_t)FG_TAP_END_BYTES);
}

/* Does the sink take the call? */
static bool choose(struct fg_call *call, struct fg_tap_sink *sink)
{
    struct fg_tap_filter *filter = sink->filter;

    if (is_over(filter) || !matches(filter, call))
        return false;
    if (sink->calls_len >= FG_TAP_CALLS || !take_turn(filter, call->start_ns)) {
        fg_stat_add(&sink->skipped, 1);
        return false;
    }
    if (!take_one(filter))
        return false;
    if (put_begin(call, sink))
        return true;
    __atomic_fetch_sub(&filter->chosen, 1, __ATOMIC_RELAXED);
    fg_stat_add(&sink->skipped, 1);
    return false;
}

void fg_tap_on_begin(struct fg_call *call)
{
    const struct fg_tap *tap = call->env->tap;

    for (unsigned i = 0; i < tap->len; i++) {
        struct fg_tap_sink *sink = tap->sinks[i];
        if (!choose(call, sink))
            continue;
        if (!call->tap) {
            call->tap = fg_arena_alloc(call->down->arena, sizeof *call->tap);
            *call->tap = (struct fg_tap_call){.call = call};
        }
        struct fg_tap_entry *entry = &call->tap->entries[call->tap->sinks++];
        *entry = (struct fg_tap_entry){.owner = call->tap, .sink = sink};
        fg_list_append(&sink->calls, &entry->node);
        sink->calls_len++;
    }
}

/* ---- what follows ---- */

void fg_tap_on_client(struct fg_call *call, struct fg_str method, struct fg_str path)
{
    struct fg_tap_client client = {(uint32_t)method.len};
    const struct fg_str body[] = {
        bytes_of(&client, sizeof client), method, {path.p, FG_MIN(path.len, (size_t)PATH_BYTES)}};

    if (!fg_str_eq(method, FG_STR("POST")) || !fg_str_eq(path, path_of(call))) /* else it says nothing new */
        put_all(call, (struct fg_tap_record){.kind = FG_TAP_CLIENT}, body, FG_ARRAY_LEN(body));
}

void fg_tap_on_fields(struct fg_call *call, enum fg_tap_kind kind, const struct fg_headers *fields)
{
    struct fg_tap_record head = {.kind = (uint8_t)kind, .down = true, .end = kind == FG_TAP_TRAILERS};
    char bytes[FIELDS_BYTES];
    const struct fg_str body = {bytes, write_fields(fields, bytes, &head.cut)};

    put_all(call, head, &body, 1);
}

/* Bytes of the message or of a stream without messages; each sink has its own bound. */
static void put_piece(struct fg_call *call, struct fg_tap_record head, struct fg_tap_piece piece, const uint8_t *bytes,
                      uint32_t len)
{
    for (unsigned i = 0; i < FG_TAP_SESSIONS; i++) {
        struct fg_tap_sink *sink = call->tap->entries[i].sink;
        if (!sink)
            continue;
        uint32_t max = sink->filter->max_bytes;
        if (piece.at >= max && piece.at > 0)
            continue; /* of this message enough is known */
        piece.copied = FG_MIN(len, max - piece.at);
        const struct fg_str body[] = {bytes_of(&piece, sizeof piece), bytes_of(bytes, piece.copied)};
        put(call->tap, sink, head, body, 2);
    }
}

/* The 5 bytes before a message (PROTOCOL-HTTP2.md). Their number; `side` is at a message when all have come. */
static size_t take_prefix(struct side *side, const uint8_t *data, size_t len)
{
    size_t taken = FG_MIN(len, sizeof side->prefix - side->prefix_len);

    memcpy(side->prefix + side->prefix_len, data, taken);
    side->prefix_len = (uint8_t)(side->prefix_len + taken);
    if (side->prefix_len == sizeof side->prefix) {
        side->len = fg_load_u32(side->prefix + 1);
        side->at = 0;
        side->number++;
    }
    return taken;
}

static void put_messages(struct fg_call *call, struct fg_tap_record head, struct side *side, const uint8_t *data,
                         size_t len)
{
    while (len > 0) {
        if (side->prefix_len < sizeof side->prefix) {
            size_t taken = take_prefix(side, data, len);
            data += taken;
            len -= taken;
        }
        if (side->prefix_len < sizeof side->prefix || (len == 0 && side->len > 0))
            return;
        uint32_t here = (uint32_t)FG_MIN(len, (size_t)(side->len - side->at));
        struct fg_tap_piece piece = {
            .number = side->number, .len = side->len, .at = side->at, .compressed = side->prefix[0] & 1};
        put_piece(call, head, piece, data, here);
        data += here;
        len -= here;
        side->at += here;
        if (side->at == side->len)
            side->prefix_len = 0;
    }
}

/* A body is like one message; in a tunnel each piece is, since there is no end of it. */
static void put_bytes(struct fg_call *call, struct fg_tap_record head, struct side *side, struct fg_buf buf)
{
    struct fg_tap_piece piece = {.number = ++side->number, .len = (uint32_t)buf.len, .at = call->tunnel ? 0 : side->at};

    put_piece(call, head, piece, buf.data, piece.len);
    side->at += (uint32_t)FG_MIN(buf.len, (size_t)(UINT32_MAX - side->at));
}

void fg_tap_on_data(struct fg_call *call, bool down, struct fg_buf buf, bool end)
{
    struct fg_tap_record head = {.down = down};
    struct side *side = down ? &call->tap->down : &call->tap->up;

    if (buf.len > 0 && call->opaque) {
        head.kind = FG_TAP_BYTES;
        put_bytes(call, head, side, buf);
    } else if (buf.len > 0) {
        head.kind = FG_TAP_MESSAGE;
        put_messages(call, head, side, buf.data, buf.len);
    }
    if (end && !down)
        put_all(call, (struct fg_tap_record){.kind = FG_TAP_REQUEST_END, .end = true}, NULL, 0);
}

void fg_tap_on_attempt(struct fg_call *call, enum fg_tap_kind kind, const struct fg_attempt *attempt)
{
    const struct fg_outcome *outcome = &attempt->outcome;
    struct fg_tap_attempt what = {.number = attempt->number,
                                  .is_hedge = attempt->is_hedge,
                                  .code = outcome->code,
                                  .source = outcome->source,
                                  .start_ns = outcome->start_ns};
    const struct fg_str body[] = {bytes_of(&what, sizeof what), outcome->endpoint};

    put_all(call, (struct fg_tap_record){.kind = (uint8_t)kind}, body, 2);
}

void fg_tap_on_wait(struct fg_call *call, enum fg_wait_cause cause, uint64_t since_ns)
{
    struct fg_tap_wait wait = {cause, since_ns};
    const struct fg_str body = bytes_of(&wait, sizeof wait);

    if (call->env->loop->now_ns - since_ns >= FG_LONG_WAIT_NS)
        put_all(call, (struct fg_tap_record){.kind = FG_TAP_WAIT}, &body, 1);
}

void fg_tap_on_reply(struct fg_call *call, const struct fg_reply *reply)
{
    struct fg_tap_reply what = {reply->code, reply->source, reply->reason};
    const struct fg_str body[] = {bytes_of(&what, sizeof what), reply->message};

    put_all(call, (struct fg_tap_record){.kind = FG_TAP_REPLY, .down = true}, body, 2);
}

void fg_tap_on_end(struct fg_call *call)
{
    const struct fg_outcome *outcome = &call->outcome;
    struct fg_tap_end end = {.code = outcome->code,
                             .source = outcome->source,
                             .class = outcome->class,
                             .rst_code = outcome->rst_code,
                             .attempts = outcome->attempt,
                             .http_status = outcome->http_status,
                             .start_ns = outcome->start_ns,
                             .headers_ns = outcome->headers_ns,
                             .first_message_ns = outcome->first_message_ns,
                             .bytes_up = outcome->bytes_up,
                             .bytes_down = outcome->bytes_down,
                             .messages_up = outcome->messages_up,
                             .messages_down = outcome->messages_down};
    struct fg_str reason = outcome->reason ? fg_str_from(outcome->reason) : FG_STR("");

    end.endpoint_len = (uint32_t)FG_MIN(outcome->endpoint.len, (size_t)NAME_BYTES);
    end.reason_len = (uint32_t)FG_MIN(reason.len, (size_t)REASON_BYTES);
    memcpy(end.stall_ns, outcome->stall_ns, sizeof end.stall_ns);
    const struct fg_str body[] = {
        bytes_of(&end, sizeof end), {outcome->endpoint.p, end.endpoint_len}, {reason.p, end.reason_len}};
    put_all(call, (struct fg_tap_record){.kind = FG_TAP_END, .down = true, .end = true}, body, FG_ARRAY_LEN(body));
    for (unsigned i = 0; call->tap && i < FG_TAP_SESSIONS; i++)
        if (call->tap->entries[i].sink)
            leave(&call->tap->entries[i]);
}
