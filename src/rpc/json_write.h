/* Writes JSON through a buffer of fixed size. What a document is made of is the caller's business; here are its parts.
 */
#ifndef FG_RPC_JSON_WRITE_H
#define FG_RPC_JSON_WRITE_H

#include "base/bytes.h"
#include "rpc/json_utf8.h"

/* Takes LEN bytes, which are gone afterwards; -1: stop. */
typedef int fg_json_write(void *context, const char *bytes, size_t len);

struct fg_json_out {
    char *begin, *at, *end;
    fg_json_write *write;
    void *context;
    uint64_t written, max; /* bytes handed to `write`, and how many there may be */
    bool failed;           /* more than `max`, or `write` said stop: everything else is dropped */
};

/* BUFFER of LEN bytes (at least 32) is the caller's. */
void fg_json_out_init(struct fg_json_out *out, char *buffer, size_t len, fg_json_write *write, void *context);
void fg_json_flush(struct fg_json_out *out);
void fg_json_put_many(struct fg_json_out *out, const void *bytes, size_t len); /* of any length */

static inline void fg_json_put(struct fg_json_out *out, char c)
{
    if (out->at == out->end)
        fg_json_flush(out);
    *out->at++ = c;
}

static inline void fg_json_put_raw(struct fg_json_out *out, const void *bytes, size_t len)
{
    if ((size_t)(out->end - out->at) < len) {
        fg_json_put_many(out, bytes, len);
    } else if (len > 0) {
        memcpy(out->at, bytes, len);
        out->at += len;
    }
}

void fg_json_put_u64(struct fg_json_out *out, uint64_t value);
void fg_json_put_i64(struct fg_json_out *out, int64_t value);
/* The shortest decimal that reads back as the same number; "NaN", "Infinity" and "-Infinity" in quotes. */
void fg_json_put_double(struct fg_json_out *out, double value);
void fg_json_put_float(struct fg_json_out *out, float value);

/* A part of the inside of a string; -1: not UTF-8. STATE begins as zero and has need == 0 when the string is whole. */
int fg_json_put_part(struct fg_json_out *out, struct fg_utf8 *state, const void *bytes, size_t len);
/* A string in quotes. TEXT is UTF-8; what is not is cut off. */
void fg_json_put_text(struct fg_json_out *out, struct fg_str text);

/* Base64 (RFC 4648 section 4, padded) of bytes that come in pieces, without quotes. */
struct fg_json_base64 {
    uint8_t held[3], len;
};
void fg_json_put_base64(struct fg_json_out *out, struct fg_json_base64 *state, const void *bytes, size_t len);
void fg_json_end_base64(struct fg_json_out *out, struct fg_json_base64 *state);

#endif
