/* Records of workers as lines of JSON. */
#include <stdlib.h>
#include <time.h>

#include "gateway/inspect_int.h"
#include "gateway/tap_int.h"

#define HELD_CALL_MAX    (256u << 10) /* of one call, until it is known whether it is wanted */
#define HELD_SESSION_MAX (16u << 20)

/* ---- the parts of a line ---- */

void fg_tap_begin_line(const struct fg_tap_session *session, const char *event, const struct fg_tap_seen *seen,
                       uint64_t at_ns, FILE *out)
{
    uint64_t wall_ns = at_ns + session->wall_offset_ns;
    time_t seconds = (time_t)(wall_ns / FG_S);
    struct tm utc;
    char text[32];

    gmtime_r(&seconds, &utc);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    fprintf(out, "{\"event\": \"%s\", ", event);
    if (seen)
        fprintf(out, "\"call\": \"%u-%llu\", ", seen->worker, (unsigned long long)seen->number);
    fprintf(out, "\"time\": \"%s.%03uZ\", \"time_us\": %llu", text, (unsigned)(wall_ns / FG_MS % 1000),
            (unsigned long long)(wall_ns / FG_US));
}

static void put_text(FILE *out, const char *key, struct fg_str value)
{
    fputs(", ", out);
    fg_inspect_put_field(out, key, value);
}

static void put_name(FILE *out, const char *key, const char *value)
{
    fprintf(out, ", \"%s\": \"%s\"", key, value);
}

static void put_u64(FILE *out, const char *key, uint64_t value)
{
    fprintf(out, ", \"%s\": %llu", key, (unsigned long long)value);
}

static void put_ms(FILE *out, const char *key, uint64_t value_ns)
{
    fputs(", ", out);
    fg_inspect_put_ms(out, key, value_ns);
}

static void put_address(FILE *out, const char *key, const struct fg_address *address)
{
    char text[FG_ADDRESS_TEXT_BYTES] = "";

    if (address->len > 0)
        fg_address_format(address, text, sizeof text);
    put_text(out, key, fg_str_from(text));
}

/* ---- calls ---- */

static struct fg_list *bucket_of(struct fg_tap_session *session, uint64_t number)
{
    return &session->calls[number % FG_TAP_BUCKETS];
}

static struct fg_tap_seen *find(struct fg_tap_session *session, unsigned worker, uint64_t number)
{
    FG_LIST_EACH (node, bucket_of(session, number)) {
        struct fg_tap_seen *seen = FG_LIST_ENTRY(node, struct fg_tap_seen, node);
        if (seen->worker == worker && seen->number == number)
            return seen;
    }
    return NULL;
}

void fg_tap_seen_free(struct fg_tap_session *session, struct fg_tap_seen *seen)
{
    fg_list_remove(&seen->node);
    fg_descriptors_unref(seen->descriptors);
    free(seen->up.bytes);
    free(seen->down.bytes);
    if (seen->held)
        fclose(seen->held);
    session->held_bytes -= seen->held_counted;
    free(seen->held_text);
    free(seen);
}

static struct fg_str path_of(struct fg_str fields)
{
    struct fg_tap_field field;
    struct fg_str name, value;

    while (fg_tap_next_field(&fields, &field, &name, &value))
        if (fg_str_eq(name, FG_STR(":path"))) {
            const char *query = memchr(value.p, '?', value.len);
            return query ? (struct fg_str){value.p, (size_t)(query - value.p)} : value;
        }
    return FG_STR("");
}

static struct fg_tap_seen *seen_new(struct fg_tap_session *session, unsigned worker, uint64_t number, uint32_t cluster,
                                    struct fg_str path)
{
    struct fg_tap_seen *seen = fg_alloc_zero(sizeof *seen);

    seen->worker = worker;
    seen->number = number;
    fg_list_append(bucket_of(session, number), &seen->node);
    if (cluster != FG_TAP_NO_CLUSTER)
        seen->descriptors = fg_descriptor_source_latest(session->gateway, cluster);
    seen->method = fg_descriptors_method_of(seen->descriptors, path);
    if (session->is_late)
        seen->held = open_memstream(&seen->held_text, &seen->held_len);
    return seen;
}

/* ---- records ---- */

static void put_begin(struct fg_tap_session *session, unsigned worker, const struct fg_tap_record *record,
                      const char *body, FILE *now)
{
    struct fg_tap_begin begin;
    struct fg_str fields = {body + sizeof begin, record->len - sizeof begin};

    memcpy(&begin, body, sizeof begin);
    struct fg_str path = path_of(fields);
    struct fg_tap_seen *seen = seen_new(session, worker, record->call, begin.cluster, path);
    FILE *out = seen->held ? seen->held : now;
    fg_tap_begin_line(session, "begin", seen, record->at_ns, out);
    put_text(out, "method", path);
    put_text(out, "cluster",
             begin.cluster == FG_TAP_NO_CLUSTER ? FG_STR("")
                                                : fg_str_from(session->gateway->config->clusters[begin.cluster].name));
    put_name(out, "dialect", begin.dialect);
    put_address(out, "peer", &begin.peer);
    put_address(out, "local", &begin.local);
    put_u64(out, "stream", begin.stream);
    fg_tap_put_fields(session, record, fields, &seen->gzip_up, out);
    fputs("}\n", out);
}

static void put_attempt(struct fg_tap_session *session, struct fg_tap_seen *seen, const struct fg_tap_record *record,
                        const char *body, FILE *out)
{
    struct fg_str endpoint = {body + sizeof(struct fg_tap_attempt), record->len - sizeof(struct fg_tap_attempt)};
    bool end = record->kind == FG_TAP_ATTEMPT_END;
    struct fg_tap_attempt attempt;

    memcpy(&attempt, body, sizeof attempt);
    seen->wanted_endpoint |= fg_tap_is_wanted(session->query.endpoint, endpoint);
    fg_tap_begin_line(session, end ? "attempt_end" : "attempt", seen, record->at_ns, out);
    put_u64(out, "attempt", attempt.number);
    put_text(out, "endpoint", endpoint);
    if (attempt.is_hedge)
        fputs(", \"hedge\": true", out);
    if (end) {
        put_name(out, "code", fg_status_name(attempt.code));
        put_name(out, "source", fg_source_name(attempt.source));
        put_ms(out, "duration_ms", record->at_ns - attempt.start_ns);
    }
    fputs("}\n", out);
}

static void put_wait(struct fg_tap_session *session, struct fg_tap_seen *seen, const struct fg_tap_record *record,
                     const char *body, FILE *out)
{
    struct fg_tap_wait wait;

    memcpy(&wait, body, sizeof wait);
    fg_tap_begin_line(session, "wait", seen, record->at_ns, out);
    put_name(out, "cause", fg_wait_name(wait.cause));
    put_ms(out, "duration_ms", record->at_ns - wait.since_ns);
    fputs("}\n", out);
}

static void put_reply(struct fg_tap_session *session, struct fg_tap_seen *seen, const struct fg_tap_record *record,
                      const char *body, FILE *out)
{
    struct fg_tap_reply reply;

    memcpy(&reply, body, sizeof reply);
    fg_tap_begin_line(session, "reply", seen, record->at_ns, out);
    put_name(out, "code", fg_status_name(reply.code));
    put_name(out, "source", fg_source_name(reply.source));
    put_name(out, "reason", fg_reason_name(reply.reason));
    put_text(out, "message", (struct fg_str){body + sizeof reply, record->len - sizeof reply});
    fputs("}\n", out);
}

static void put_since(FILE *out, const char *key, const struct fg_tap_end *end, uint64_t at_ns)
{
    if (at_ns >= end->start_ns && at_ns > 0)
        put_ms(out, key, at_ns - end->start_ns);
}

static void put_waits(FILE *out, const struct fg_tap_end *end)
{
    const char *separator = "";

    fputs(", \"waits_ms\": {", out);
    for (int cause = FG_WAIT_NONE + 1; cause < FG_WAIT_LEN; cause++) {
        if (end->stall_ns[cause] < FG_MS)
            continue;
        fprintf(out, "%s\"%s\": %.3f", separator, fg_wait_name((enum fg_wait_cause)cause),
                (double)end->stall_ns[cause] / (double)FG_MS);
        separator = ", ";
    }
    fputs("}}\n", out);
}

static void put_end(struct fg_tap_session *session, struct fg_tap_seen *seen, const struct fg_tap_record *record,
                    const struct fg_tap_end *end, const char *names, FILE *out)
{
    fg_tap_begin_line(session, "end", seen, record->at_ns, out);
    put_name(out, "code", fg_status_name(end->code));
    put_name(out, "source", fg_source_name(end->source));
    put_name(out, "class", fg_class_name(end->class));
    put_text(out, "endpoint", (struct fg_str){names, end->endpoint_len});
    if (end->reason_len > 0)
        put_text(out, "reason", (struct fg_str){names + end->endpoint_len, end->reason_len});
    put_u64(out, "http_status", end->http_status);
    if (end->rst_code)
        put_u64(out, "rst_code", end->rst_code);
    put_u64(out, "attempts", end->attempts);
    put_u64(out, "bytes_up", end->bytes_up);
    put_u64(out, "bytes_down", end->bytes_down);
    put_u64(out, "messages_up", end->messages_up);
    put_u64(out, "messages_down", end->messages_down);
    put_ms(out, "duration_ms", record->at_ns - end->start_ns);
    put_since(out, "headers_ms", end, end->headers_ns);
    put_since(out, "first_message_ms", end, end->first_message_ns);
    put_waits(out, end);
}

/* Is the call, which has ended, one of those that were asked for? */
static bool is_wanted(const struct fg_tap_session *session, const struct fg_tap_seen *seen,
                      const struct fg_tap_end *end)
{
    const struct fg_tap_query *query = &session->query;

    if (query->count > 0 && session->shown >= query->count)
        return false;
    return (query->endpoint[0] == '\0' || seen->wanted_endpoint) &&
           (query->code < 0 || (int)end->code == query->code) && (!query->failed || end->code != FG_STATUS_OK);
}

static void finish(struct fg_tap_session *session, struct fg_tap_seen *seen, const struct fg_tap_record *record,
                   const char *body, FILE *now)
{
    struct fg_tap_end end;
    FILE *out = seen->held ? seen->held : now;

    memcpy(&end, body, sizeof end);
    fg_tap_flush_message(session, seen, false, out);
    fg_tap_flush_message(session, seen, true, out);
    put_end(session, seen, record, &end, body + sizeof end, out);
    bool wanted = is_wanted(session, seen, &end);
    session->shown += wanted;
    if (seen->held) {
        fflush(seen->held);
        if (wanted)
            fwrite(seen->held_text, 1, seen->held_len, now);
    }
    fg_tap_seen_free(session, seen);
}

static void put_data(struct fg_tap_session *session, struct fg_tap_seen *seen, const struct fg_tap_record *record,
                     const char *body, FILE *out)
{
    struct fg_tap_piece piece;

    memcpy(&piece, body, sizeof piece);
    fg_tap_take_piece(session, seen, record, &piece, body + sizeof piece, out);
}

/* What is a field of the message may stand in it: in the path, in the query, or all of them in one parameter. */
static void put_client(struct fg_tap_session *session, struct fg_tap_seen *seen, const struct fg_tap_record *record,
                       const char *body, FILE *out)
{
    struct fg_tap_client client;
    struct fg_str rest = {body + sizeof client, record->len - sizeof client};

    memcpy(&client, body, sizeof client);
    fg_tap_begin_line(session, "client", seen, record->at_ns, out);
    put_text(out, "method", (struct fg_str){rest.p, client.method_len});
    if (session->hide.paths_len > 0)
        fputs(", \"hidden\": true", out);
    else
        put_text(out, "path", (struct fg_str){rest.p + client.method_len, rest.len - client.method_len});
    fputs("}\n", out);
}

static void put_event(struct fg_tap_session *session, struct fg_tap_seen *seen, const struct fg_tap_record *record,
                      const char *body, FILE *out)
{
    bool *gzip = record->kind == FG_TAP_HEADERS ? &seen->gzip_down : NULL;

    switch ((enum fg_tap_kind)record->kind) {
    case FG_TAP_CLIENT:
        put_client(session, seen, record, body, out);
        break;
    case FG_TAP_HEADERS:
    case FG_TAP_TRAILERS:
        fg_tap_flush_message(session, seen, true, out);
        fg_tap_begin_line(session, record->kind == FG_TAP_HEADERS ? "headers" : "trailers", seen, record->at_ns, out);
        fg_tap_put_fields(session, record, (struct fg_str){body, record->len}, gzip, out);
        fputs("}\n", out);
        break;
    case FG_TAP_MESSAGE:
    case FG_TAP_BYTES:
        put_data(session, seen, record, body, out);
        break;
    case FG_TAP_REQUEST_END:
        fg_tap_flush_message(session, seen, false, out);
        fg_tap_begin_line(session, "request_end", seen, record->at_ns, out);
        fputs("}\n", out);
        break;
    case FG_TAP_ATTEMPT:
    case FG_TAP_ATTEMPT_END:
        put_attempt(session, seen, record, body, out);
        break;
    case FG_TAP_WAIT:
        put_wait(session, seen, record, body, out);
        break;
    case FG_TAP_REPLY:
        put_reply(session, seen, record, body, out);
        break;
    case FG_TAP_BEGIN:
    case FG_TAP_END:
        break; /* see below */
    }
}

/* Of calls whose events are kept back: how much that is. */
static bool has_room(struct fg_tap_session *session, struct fg_tap_seen *seen)
{
    fflush(seen->held);
    session->held_bytes += seen->held_len - seen->held_counted;
    seen->held_counted = seen->held_len;
    return seen->held_len < HELD_CALL_MAX && session->held_bytes < HELD_SESSION_MAX;
}

void fg_tap_put_record(struct fg_tap_session *session, unsigned worker, const struct fg_tap_record *record,
                       const char *body, FILE *out)
{
    if (record->kind == FG_TAP_BEGIN) {
        put_begin(session, worker, record, body, out);
        return;
    }
    struct fg_tap_seen *seen = find(session, worker, record->call);
    if (!seen)
        return; /* cannot be: beginnings are never missed */
    if (record->kind == FG_TAP_END)
        finish(session, seen, record, body, out);
    else if (!seen->held)
        put_event(session, seen, record, body, out);
    else if (has_room(session, seen))
        put_event(session, seen, record, body, seen->held);
    else
        session->missed++;
}
