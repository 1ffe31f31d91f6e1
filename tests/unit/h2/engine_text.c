/* What the engine sends, as text. */
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>

static void print(struct engine *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void print(struct engine *e, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int len = vsnprintf(e->out + e->out_len, sizeof e->out - e->out_len, format, args);
    va_end(args);
    assert_in_range(len, 0, (int)(sizeof e->out - e->out_len) - 1);
    e->out_len += (size_t)len;
}

static const char *type_name(uint8_t type)
{
    static const char *const names[FG_H2_FRAME_TYPES] = {
        [FG_H2_DATA] = "DATA",
        [FG_H2_HEADERS] = "HEADERS",
        [FG_H2_RST_STREAM] = "RST_STREAM",
        [FG_H2_PING] = "PING",
        [FG_H2_GOAWAY] = "GOAWAY",
        [FG_H2_WINDOW_UPDATE] = "WINDOW_UPDATE",
        [FG_H2_SETTINGS] = "SETTINGS",
        [FG_H2_CONTINUATION] = "CONTINUATION",
    };

    assert_true(type < FG_H2_FRAME_TYPES && names[type]); /* others we never send */
    return names[type];
}

static void print_settings(struct engine *e, const uint8_t *payload, uint32_t len)
{
    static const char *const names[] = {
        [FG_H2_SETTING_HEADER_TABLE_SIZE] = "HEADER_TABLE_SIZE",
        [FG_H2_SETTING_ENABLE_PUSH] = "ENABLE_PUSH",
        [FG_H2_SETTING_MAX_CONCURRENT_STREAMS] = "MAX_CONCURRENT_STREAMS",
        [FG_H2_SETTING_INITIAL_WINDOW_SIZE] = "INITIAL_WINDOW_SIZE",
        [FG_H2_SETTING_MAX_FRAME_SIZE] = "MAX_FRAME_SIZE",
        [FG_H2_SETTING_MAX_HEADER_LIST_SIZE] = "MAX_HEADER_LIST_SIZE",
    };

    for (uint32_t at = 0; at + 6 <= len; at += 6) {
        uint16_t id = fg_load_u16(payload + at);
        assert_true(id < FG_ARRAY_LEN(names) && names[id]);
        print(e, " %s=%u", names[id], fg_load_u32(payload + at + 2));
    }
}

static void print_payload(struct engine *e, struct fg_h2_frame frame, const uint8_t *payload)
{
    switch (frame.type) {
    case FG_H2_DATA:
        print(e, " %u", frame.len);
        break;
    case FG_H2_HEADERS:
    case FG_H2_CONTINUATION:
        print(e, " ");
        for (uint32_t i = 0; i < frame.len; i++)
            print(e, "%02x", payload[i]);
        break;
    case FG_H2_RST_STREAM:
        print(e, " %s", fg_h2_error_name(fg_load_u32(payload)));
        break;
    case FG_H2_SETTINGS:
        print_settings(e, payload, frame.len);
        break;
    case FG_H2_PING:
        print(e, " \"%.8s\"", (const char *)payload);
        break;
    case FG_H2_GOAWAY:
        print(e, " last=%u %s: %.*s", fg_load_u32(payload), fg_h2_error_name(fg_load_u32(payload + 4)),
              (int)frame.len - 8, (const char *)payload + 8);
        break;
    case FG_H2_WINDOW_UPDATE:
        print(e, " %u", fg_load_u32(payload));
        break;
    }
}

static void print_frame(struct engine *e, struct fg_h2_frame frame, const uint8_t *payload)
{
    bool is_block = frame.type == FG_H2_HEADERS || frame.type == FG_H2_CONTINUATION;
    bool has_stream = is_block || frame.type == FG_H2_DATA || frame.type == FG_H2_RST_STREAM;

    print(e, "%s", type_name(frame.type));
    if (has_stream || frame.type == FG_H2_WINDOW_UPDATE)
        print(e, " %u", frame.stream_id);
    else
        assert_int_equal(frame.stream_id, 0);
    if (frame.flags & FG_H2_FLAG_END_STREAM) /* the bit is that of ACK */
        print(e, has_stream ? " end" : " ack");
    if (is_block && !(frame.flags & FG_H2_FLAG_END_HEADERS))
        print(e, " more");
    print_payload(e, frame, payload);
    print(e, "\n");
}

/* Takes what is queued, as a transport would, and prints it. */
static void turn(struct engine *e)
{
    fg_h2_conn_pull(&e->conn, SIZE_MAX);
    size_t len = e->conn.out.bytes, at = 0;
    uint8_t *wire = fg_alloc(len);

    while (e->conn.out.bytes > 0) {
        struct iovec iov;
        assert_int_equal(fg_outq_peek(&e->conn.out, &iov, 1), 1);
        memcpy(wire + at, iov.iov_base, iov.iov_len);
        at += iov.iov_len;
        fg_outq_consume(&e->conn.out, iov.iov_len);
    }
    fg_h2_conn_set_blocked(&e->conn, false, len > 0);
    e->out_len = 0;
    e->out[0] = '\0';
    at = 0;
    if (len >= FG_H2_PREFACE_BYTES && memcmp(wire, FG_H2_PREFACE, FG_H2_PREFACE_BYTES) == 0) {
        print(e, "preface\n");
        at = FG_H2_PREFACE_BYTES;
    }
    while (at < len) {
        assert_true(len - at >= FG_H2_FRAME_HEADER_BYTES);
        struct fg_h2_frame frame = fg_h2_frame_parse(wire + at);
        at += FG_H2_FRAME_HEADER_BYTES;
        assert_true(frame.len <= len - at);
        print_frame(e, frame, wire + at);
        at += frame.len;
    }
    free(wire);
}

void skip_out(struct engine *e)
{
    turn(e);
}

void expect_out(struct engine *e, const char *frames)
{
    turn(e);
    assert_string_equal(e->out, frames);
}
