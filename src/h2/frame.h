/* HTTP/2 frames (RFC 9113 section 4 and 6, RFC 9218 section 7.1): names, layout, legality, writing. */
#ifndef FG_H2_FRAME_H
#define FG_H2_FRAME_H

#include "base/outq.h"

#define FG_H2_FRAME_HEADER_BYTES 9
#define FG_H2_PREFACE            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define FG_H2_PREFACE_BYTES      24
#define FG_H2_INITIAL_WINDOW     65535
#define FG_H2_MAX_WINDOW         0x7fffffff
#define FG_H2_MIN_MAX_FRAME      16384
#define FG_H2_MAX_STREAM_ID      0x7fffffff

enum fg_h2_frame_type {
    FG_H2_DATA = 0,
    FG_H2_HEADERS = 1,
    FG_H2_PRIORITY = 2,
    FG_H2_RST_STREAM = 3,
    FG_H2_SETTINGS = 4,
    FG_H2_PUSH_PROMISE = 5,
    FG_H2_PING = 6,
    FG_H2_GOAWAY = 7,
    FG_H2_WINDOW_UPDATE = 8,
    FG_H2_CONTINUATION = 9,
    FG_H2_PRIORITY_UPDATE = 16,
    FG_H2_FRAME_TYPES = 17
};

enum {
    FG_H2_FLAG_END_STREAM = 0x1,
    FG_H2_FLAG_ACK = 0x1,
    FG_H2_FLAG_END_HEADERS = 0x4,
    FG_H2_FLAG_PADDED = 0x8,
    FG_H2_FLAG_PRIORITY = 0x20,
};

enum fg_h2_setting {
    FG_H2_SETTING_HEADER_TABLE_SIZE = 1,
    FG_H2_SETTING_ENABLE_PUSH = 2,
    FG_H2_SETTING_MAX_CONCURRENT_STREAMS = 3,
    FG_H2_SETTING_INITIAL_WINDOW_SIZE = 4,
    FG_H2_SETTING_MAX_FRAME_SIZE = 5,
    FG_H2_SETTING_MAX_HEADER_LIST_SIZE = 6,
    FG_H2_SETTING_ENABLE_CONNECT_PROTOCOL = 8, /* RFC 8441 section 3 */
    FG_H2_SETTING_NO_RFC7540_PRIORITIES = 9,   /* RFC 9218 section 2.1 */
};

/* X(NAME, code): RFC 9113 section 7 */
#define FG_H2_ERRORS(X)                                                                                                \
    X(NO_ERROR, 0x0)                                                                                                   \
    X(PROTOCOL_ERROR, 0x1)                                                                                             \
    X(INTERNAL_ERROR, 0x2)                                                                                             \
    X(FLOW_CONTROL_ERROR, 0x3)                                                                                         \
    X(SETTINGS_TIMEOUT, 0x4)                                                                                           \
    X(STREAM_CLOSED, 0x5)                                                                                              \
    X(FRAME_SIZE_ERROR, 0x6)                                                                                           \
    X(REFUSED_STREAM, 0x7)                                                                                             \
    X(CANCEL, 0x8)                                                                                                     \
    X(COMPRESSION_ERROR, 0x9)                                                                                          \
    X(CONNECT_ERROR, 0xa)                                                                                              \
    X(ENHANCE_YOUR_CALM, 0xb)                                                                                          \
    X(INADEQUATE_SECURITY, 0xc)                                                                                        \
    X(HTTP_1_1_REQUIRED, 0xd)

enum fg_h2_error {
#define X(name, code) FG_H2_##name = code,
    FG_H2_ERRORS(X)
#undef X
};

const char *fg_h2_error_name(uint32_t code); /* "CANCEL"; "unknown" outside the table */

struct fg_h2_frame {
    uint32_t len;
    uint32_t stream_id; /* reserved bit cleared */
    uint8_t type, flags;
};

static inline struct fg_h2_frame fg_h2_frame_parse(const uint8_t head[FG_H2_FRAME_HEADER_BYTES])
{
    return (struct fg_h2_frame){
        .len = fg_load_u24(head),
        .type = head[3],
        .flags = head[4],
        .stream_id = fg_load_u32(head + 5) & FG_H2_MAX_STREAM_ID,
    };
}

static inline void fg_h2_frame_write(uint8_t head[FG_H2_FRAME_HEADER_BYTES], struct fg_h2_frame frame)
{
    fg_store_u24(head, frame.len);
    head[3] = frame.type;
    head[4] = frame.flags;
    fg_store_u32(head + 5, frame.stream_id);
}

#endif
