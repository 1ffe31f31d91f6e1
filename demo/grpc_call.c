#include "grpc_int.h"

#include <assert.h>
#include <stdlib.h>

#include "rpc/grpc.h"

#define PREFIX_BYTES      5
#define MESSAGE_MAX_BYTES (4u << 20) /* what gRPC implementations accept unless told otherwise */

struct grpc_paced {
    struct grpc_paced *next;
    struct fg_buf buf;
};

static void set_state(struct grpc_call *call, enum grpc_state state)
{
    assert(state > call->state);
    call->state = (uint8_t)state;
}

static struct fg_timers *timers_of(const struct grpc_call *call)
{
    return &call->server->http.side.loop->timers;
}

static uint64_t now_of(const struct grpc_call *call)
{
    return call->server->http.side.loop->now_ns;
}

static void give_window_back(struct grpc_call *call)
{
    if (call->unconsumed > 0)
        fg_stream_consume(call->stream, call->unconsumed);
    call->unconsumed = 0;
}

/* ---- answering ---- */

void grpc_fill_headers(struct fg_headers *headers, struct fg_arena *arena)
{
    fg_headers_init(headers);
    fg_headers_add_token(headers, arena, FG_TOKEN_STATUS, FG_STR("200"));
    fg_headers_add_token(headers, arena, FG_TOKEN_CONTENT_TYPE, FG_STR("application/grpc"));
}

void grpc_fill_status(struct fg_headers *headers, struct fg_arena *arena, enum fg_status status, const char *message)
{
    fg_headers_add_token(headers, arena, FG_TOKEN_GRPC_STATUS, fg_status_number(status));
    if (message)
        fg_headers_add_token(headers, arena, FG_TOKEN_GRPC_MESSAGE,
                             fg_grpc_message_encode(arena, fg_str_from(message)));
}

void grpc_send_headers(struct grpc_call *call)
{
    struct fg_headers headers;

    if (call->headers_sent || call->state >= GRPC_FINISHED)
        return;
    call->headers_sent = true;
    grpc_fill_headers(&headers, call->stream->arena);
    fg_stream_send_headers(call->stream, &headers, false);
}

/* Our side of the stream is over. The client may not have ended its own yet. */
static void end_sent(struct grpc_call *call)
{
    if (call->state == GRPC_CLOSED)
        return;
    give_window_back(call);
    if (!call->half_closed)
        fg_stream_reset_after_end(call->stream, FG_H2_NO_ERROR);
}

void grpc_finish(struct grpc_call *call, enum fg_status status, const char *message)
{
    struct fg_headers headers;

    if (call->state >= GRPC_FINISHED)
        return;
    if (call->paced_head) {
        call->finish_waits = true;
        call->finish_status = status;
        call->finish_message = message;
        return;
    }
    set_state(call, GRPC_FINISHED);
    fg_timer_cancel(timers_of(call), &call->deadline);
    fg_timer_cancel(timers_of(call), &call->later);
    if (call->headers_sent) {
        fg_headers_init(&headers);
        grpc_fill_status(&headers, call->stream->arena, status, message);
        fg_stream_send_trailers(call->stream, &headers);
    } else {
        grpc_fill_headers(&headers, call->stream->arena);
        grpc_fill_status(&headers, call->stream->arena, status, message);
        fg_stream_send_headers(call->stream, &headers, true);
    }
    end_sent(call);
}

void grpc_end_without_status(struct grpc_call *call)
{
    if (call->state >= GRPC_FINISHED)
        return;
    grpc_send_headers(call);
    set_state(call, GRPC_FINISHED);
    fg_timer_cancel(timers_of(call), &call->deadline);
    fg_stream_send_data(call->stream, (struct fg_buf){0}, true);
    end_sent(call);
}

static void push(struct grpc_call *call, struct fg_buf buf)
{
    grpc_send_headers(call);
    fg_stream_send_data(call->stream, buf, false);
}

void grpc_send(struct grpc_call *call, const ProtobufCMessage *message)
{
    if (call->state >= GRPC_FINISHED || call->finish_waits)
        return;
    size_t len = protobuf_c_message_get_packed_size(message);
    struct fg_chunk *chunk = fg_chunk_new(PREFIX_BYTES + len);
    chunk->data[0] = 0; /* not compressed */
    fg_store_u32(chunk->data + 1, (uint32_t)len);
    protobuf_c_message_pack(message, chunk->data + PREFIX_BYTES);
    struct fg_buf buf = {chunk, chunk->data, PREFIX_BYTES + len};
    call->queued += buf.len;
    if (call->pace_ms == 0) {
        push(call, buf);
        return;
    }
    struct grpc_paced *paced = fg_alloc(sizeof *paced);
    *paced = (struct grpc_paced){NULL, buf};
    if (call->paced_tail)
        call->paced_tail->next = paced;
    else
        call->paced_head = paced;
    call->paced_tail = paced;
    if (!fg_timer_armed(&call->pace))
        fg_timer_arm(timers_of(call), &call->pace, now_of(call) + call->pace_ms * FG_MS);
}

static struct fg_buf take_paced(struct grpc_call *call)
{
    struct grpc_paced *paced = call->paced_head;
    struct fg_buf buf = paced->buf;

    call->paced_head = paced->next;
    if (!call->paced_head)
        call->paced_tail = NULL;
    free(paced);
    return buf;
}

static void on_pace(struct fg_timer *timer, uint64_t now_ns)
{
    struct grpc_call *call = FG_CONTAINER_OF(timer, struct grpc_call, pace);

    push(call, take_paced(call));
    if (call->paced_head)
        fg_timer_arm(timers_of(call), &call->pace, now_ns + call->pace_ms * FG_MS);
    else if (call->finish_waits)
        grpc_finish(call, call->finish_status, call->finish_message);
}

void grpc_reply(struct grpc_call *call, const ProtobufCMessage *message)
{
    grpc_send(call, message);
    grpc_finish(call, FG_STATUS_OK, NULL);
}

size_t grpc_queued(const struct grpc_call *call)
{
    return call->queued;
}

/* ---- the request ---- */

static void append(struct grpc_call *call, struct fg_buf buf)
{
    size_t left = call->in_len - call->in_at;

    if (buf.len == 0)
        return;
    if (call->in_at > 0)
        memmove(call->in, call->in + call->in_at, left);
    call->in_at = 0;
    call->in_len = left;
    if (left + buf.len > call->in_cap) {
        call->in_cap = FG_MAX(left + buf.len, FG_MIN(2 * call->in_cap, MESSAGE_MAX_BYTES));
        call->in = fg_realloc(call->in, call->in_cap);
    }
    memcpy(call->in + left, buf.data, buf.len);
    call->in_len += buf.len;
}

/* The next whole message: its length, with the payload at *PAYLOAD. -1: there is none, or the call was finished since
 * the client does not follow the protocol. */
static ssize_t next_message(struct grpc_call *call, const uint8_t **payload)
{
    size_t left = call->in_len - call->in_at;

    if (left < PREFIX_BYTES)
        return -1;
    const uint8_t *prefix = call->in + call->in_at;
    if (prefix[0] != 0) {
        grpc_finish(call, FG_STATUS_UNIMPLEMENTED, "compressed messages are not supported");
        return -1;
    }
    uint32_t len = fg_load_u32(prefix + 1);
    if (len > MESSAGE_MAX_BYTES) {
        grpc_finish(call, FG_STATUS_RESOURCE_EXHAUSTED, "the message is larger than 4 MiB");
        return -1;
    }
    if (left - PREFIX_BYTES < len)
        return -1;
    *payload = prefix + PREFIX_BYTES;
    call->in_at += PREFIX_BYTES + len;
    return (ssize_t)len;
}

static void hand_over(struct grpc_call *call, const uint8_t *payload, size_t len)
{
    const struct grpc_method *method = call->entry->method;
    ProtobufCMessage *message = protobuf_c_message_unpack(method->request, NULL, len, payload);

    if (!message) {
        grpc_finish(call, FG_STATUS_INTERNAL, "the message cannot be parsed");
        return;
    }
    method->on_message(call, message);
    protobuf_c_message_free_unpacked(message, NULL);
}

/* A call without request_stream: exactly one message. */
static void deliver_unary(struct grpc_call *call)
{
    const uint8_t *payload;
    ssize_t len = next_message(call, &payload);

    if (len < 0)
        grpc_finish(call, FG_STATUS_INTERNAL, "the request holds no whole message");
    else if (call->in_at != call->in_len)
        grpc_finish(call, FG_STATUS_INTERNAL, "the request holds more than one message");
    else
        hand_over(call, payload, (size_t)len);
}

static void deliver_stream(struct grpc_call *call)
{
    const struct grpc_method *method = call->entry->method;
    const uint8_t *payload;
    ssize_t len;

    while (call->state == GRPC_RUNNING && !call->paused && (len = next_message(call, &payload)) >= 0)
        hand_over(call, payload, (size_t)len);
    if (call->state != GRPC_RUNNING || call->paused || !call->half_closed || call->half_close_told)
        return;
    call->half_close_told = true;
    if (call->in_at != call->in_len)
        grpc_finish(call, FG_STATUS_INTERNAL, "the request ends inside a message");
    else if (method->on_half_close)
        method->on_half_close(call);
}

static void deliver(struct grpc_call *call)
{
    if (call->state != GRPC_RUNNING || call->delivering)
        return;
    call->delivering = true; /* a method that pauses and resumes comes back here */
    if (call->entry->method->request_stream)
        deliver_stream(call);
    else
        deliver_unary(call);
    call->delivering = false;
}

void grpc_proceed(struct grpc_call *call)
{
    const struct grpc_method *method = call->entry->method;

    if (call->state != GRPC_ARRIVED)
        return;
    set_state(call, GRPC_RUNNING);
    call->handled = true;
    call->entry->counts.handled++;
    if (method->on_start)
        method->on_start(call);
    if (!call->paused)
        grpc_resume(call);
}

/* The request is there, as far as its method wants to wait for it. */
static void arrived(struct grpc_call *call)
{
    struct grpc_server *server = call->server;

    call->held = true;
    if (server->intercept && !call->entry->method->never_faulty && server->intercept(call, server->intercept_context))
        return;
    grpc_proceed(call);
}

void grpc_pause(struct grpc_call *call)
{
    call->paused = true;
}

void grpc_resume(struct grpc_call *call)
{
    call->paused = false;
    if (call->state != GRPC_RUNNING)
        return;
    give_window_back(call);
    deliver(call);
}

void grpc_after(struct grpc_call *call, uint32_t delay_ms, void (*on_later)(struct grpc_call *call))
{
    if (call->state >= GRPC_FINISHED)
        return;
    call->on_later = on_later;
    fg_timer_arm(timers_of(call), &call->later, now_of(call) + delay_ms * FG_MS);
}

void grpc_ignore_deadline(struct grpc_call *call)
{
    fg_timer_cancel(timers_of(call), &call->deadline);
}

void grpc_set_pace(struct grpc_call *call, uint32_t pace_ms)
{
    call->pace_ms = pace_ms;
}

static void on_later(struct fg_timer *timer, uint64_t now_ns)
{
    struct grpc_call *call = FG_CONTAINER_OF(timer, struct grpc_call, later);
    (void)now_ns;
    call->on_later(call);
}

/* What still waits for its turn would come too late. */
static void drop_paced(struct grpc_call *call)
{
    fg_timer_cancel(timers_of(call), &call->pace);
    while (call->paced_head) {
        struct fg_buf buf = take_paced(call);
        fg_buf_unref(&buf);
    }
    call->finish_waits = false;
}

void grpc_call_give_up(struct grpc_call *call, enum fg_status status, const char *message)
{
    drop_paced(call);
    grpc_finish(call, status, message);
}

static void on_deadline(struct fg_timer *timer, uint64_t now_ns)
{
    struct grpc_call *call = FG_CONTAINER_OF(timer, struct grpc_call, deadline);
    (void)now_ns;
    grpc_call_give_up(call, FG_STATUS_DEADLINE_EXCEEDED, "the deadline ran out in the kitchen");
}

/* ---- events of the stream ---- */

/* The one place where a call ends. */
static void close_call(struct grpc_call *call)
{
    set_state(call, GRPC_CLOSED);
    call->entry->counts.ended++;
    fg_list_remove(&call->node);
    fg_timer_cancel(timers_of(call), &call->deadline);
    fg_timer_cancel(timers_of(call), &call->later);
    drop_paced(call);
    if (call->handled && call->entry->method->on_end)
        call->entry->method->on_end(call);
    free(call->in);
    call->in = NULL;
    call->in_at = call->in_len = 0;
}

void grpc_reset(struct grpc_call *call, uint32_t code)
{
    fg_stream_reset(call->stream, code); /* no on_close follows */
    close_call(call);
}

static void end_of_request(struct grpc_call *call)
{
    call->half_closed = true;
    if (!call->held)
        arrived(call);
    else
        deliver(call);
}

static void on_trailers(struct fg_stream *stream, struct fg_headers *trailers, unsigned flags)
{
    (void)trailers;
    (void)flags;
    end_of_request(stream->user);
}

static void on_data(struct fg_stream *stream, struct fg_buf buf, bool end)
{
    struct grpc_call *call = stream->user;

    if (call->state == GRPC_FINISHED) {
        fg_stream_consume(stream, buf.len);
        call->half_closed |= end;
        return;
    }
    append(call, buf);
    /* Not giving the window back is all there is to back-pressure. */
    if (call->paused || (call->held && call->state == GRPC_ARRIVED))
        call->unconsumed += buf.len;
    else
        fg_stream_consume(stream, buf.len);
    if (end)
        end_of_request(call);
    else if (call->entry->method->request_stream)
        deliver(call);
    else if (call->in_len > PREFIX_BYTES + MESSAGE_MAX_BYTES)
        grpc_finish(call, FG_STATUS_RESOURCE_EXHAUSTED, "the message is larger than 4 MiB");
}

static void on_sent(struct fg_stream *stream, size_t bytes)
{
    struct grpc_call *call = stream->user;

    call->queued -= FG_MIN(bytes, call->queued);
    if (call->state == GRPC_RUNNING && call->entry->method->on_room)
        call->entry->method->on_room(call);
}

static void on_close(struct fg_stream *stream, const struct fg_h2_close *why)
{
    (void)why;
    close_call(stream->user);
}

static const struct fg_stream_events call_events = {on_trailers, on_data, on_sent, on_close};

void grpc_call_begin(struct grpc_server *server, struct grpc_entry *entry, struct fg_stream *stream,
                     uint64_t deadline_ns, bool end)
{
    struct grpc_call *call = fg_arena_alloc(stream->arena, sizeof *call);

    *call = (struct grpc_call){.stream = stream, .server = server, .entry = entry};
    fg_timer_init(&call->deadline, on_deadline);
    fg_timer_init(&call->later, on_later);
    fg_timer_init(&call->pace, on_pace);
    fg_list_append(&server->calls, &call->node);
    entry->counts.arrived++;
    stream->events = &call_events;
    stream->user = call;
    fg_timer_arm(timers_of(call), &call->deadline, deadline_ns);
    if (end)
        end_of_request(call);
    else if (entry->method->request_stream)
        arrived(call);
}
