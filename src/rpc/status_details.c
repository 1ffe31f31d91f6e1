#include "rpc/status_details.h"

#include <assert.h>

#include "base/time.h"
#include "rpc/grpc.h"

/* Writes protobuf from the back to the front, so that the length of a message is known when its prefix is written. */
struct writer {
    uint8_t *begin, *at;
};

#define TAG_MAX 11 /* one byte of field and wire type, at most ten of a varint */

static void put_varint(struct writer *w, uint64_t value)
{
    uint8_t bytes[10];
    size_t len = 0;

    for (; value >= 0x80; value >>= 7)
        bytes[len++] = (uint8_t)(value | 0x80);
    bytes[len++] = (uint8_t)value;
    assert((size_t)(w->at - w->begin) >= len);
    w->at -= len;
    memcpy(w->at, bytes, len);
}

static void put_number(struct writer *w, unsigned field, uint64_t value)
{
    if (value == 0)
        return; /* proto3: the default is not written */
    put_varint(w, value);
    put_varint(w, field << 3);
}

/* Makes a length-delimited field of what was written since END. */
static void close_field(struct writer *w, unsigned field, const uint8_t *end)
{
    put_varint(w, (uint64_t)(end - w->at));
    put_varint(w, field << 3 | 2);
}

/* Length of the UTF-8 sequence at the front, 0 when there is none (RFC 3629 section 4). */
static size_t sequence_len(const uint8_t *p, size_t len)
{
    size_t need;
    uint8_t low = 0x80, high = 0xbf;

    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 0;
    need = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (p[0] == 0xe0)
        low = 0xa0;
    else if (p[0] == 0xed)
        high = 0x9f;
    else if (p[0] == 0xf0)
        low = 0x90;
    else if (p[0] == 0xf4)
        high = 0x8f;
    if (len < need || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < need; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    return need;
}

/* Decoders refuse a string that is not UTF-8, and methods come from peers: bad bytes become '?'. */
static void put_string(struct writer *w, unsigned field, struct fg_str s)
{
    const uint8_t *end = w->at;

    if (s.len == 0)
        return;
    assert((size_t)(w->at - w->begin) >= s.len);
    w->at -= s.len;
    memcpy(w->at, s.p, s.len);
    for (size_t i = 0; i < s.len;) {
        size_t len = sequence_len(w->at + i, s.len - i);
        if (len == 0)
            w->at[i] = '?';
        i += FG_MAX(len, 1);
    }
    close_field(w, field, end);
}

/* google.rpc.ErrorInfo {reason = 1, domain = 2, map metadata = 3} */
static void put_error_info(struct writer *w, const struct fg_status_details *details)
{
    for (size_t i = details->pairs_len; i-- > 0;) {
        const uint8_t *end = w->at;
        put_string(w, 2, details->pairs[i].value);
        put_string(w, 1, details->pairs[i].key);
        close_field(w, 3, end);
    }
    put_string(w, 2, FG_STR("fusegate"));
    put_string(w, 1, details->reason);
}

/* google.rpc.RetryInfo {google.protobuf.Duration retry_delay = 1 {seconds = 1, nanos = 2}} */
static void put_retry_info(struct writer *w, const struct fg_status_details *details)
{
    const uint8_t *end = w->at;

    put_number(w, 2, details->retry_after_ns % FG_S);
    put_number(w, 1, details->retry_after_ns / FG_S);
    close_field(w, 1, end);
}

/* google.protobuf.Any {type_url = 1, value = 2} as google.rpc.Status.details = 3. */
static void put_any(struct writer *w, const struct fg_status_details *details, struct fg_str type_url,
                    void (*put)(struct writer *, const struct fg_status_details *))
{
    const uint8_t *end = w->at;

    put(w, details);
    close_field(w, 2, end);
    put_string(w, 1, type_url);
    close_field(w, 3, end);
}

#define ERROR_INFO_URL "type.googleapis.com/google.rpc.ErrorInfo"
#define RETRY_INFO_URL "type.googleapis.com/google.rpc.RetryInfo"

/* An upper bound of the serialized size. */
static size_t bound_bytes(const struct fg_status_details *details)
{
    /* Fixed: code and message; per detail type_url, value, the field itself; domain, reason, delay, seconds, nanos. */
    size_t bytes = 13 * TAG_MAX + sizeof ERROR_INFO_URL + sizeof RETRY_INFO_URL + sizeof "fusegate";

    bytes += details->message.len + details->reason.len;
    for (size_t i = 0; i < details->pairs_len; i++)
        bytes += details->pairs[i].key.len + details->pairs[i].value.len + 3 * TAG_MAX;
    return bytes;
}

struct fg_str fg_status_details_encode(struct fg_arena *arena, const struct fg_status_details *details)
{
    size_t bound = bound_bytes(details);
    uint8_t *begin = fg_arena_alloc(arena, bound);
    uint8_t *end = begin + bound;
    struct writer w = {begin, end};

    if (details->retry_after_ns > 0)
        put_any(&w, details, FG_STR(RETRY_INFO_URL), put_retry_info);
    if (details->reason.len > 0)
        put_any(&w, details, FG_STR(ERROR_INFO_URL), put_error_info);
    put_string(&w, 2, details->message);
    put_number(&w, 1, details->code);
    return fg_base64_encode(arena, w.at, (size_t)(end - w.at));
}
