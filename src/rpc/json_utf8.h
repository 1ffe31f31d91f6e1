/* UTF-8 that comes in pieces (RFC 3629 section 4: no surrogates, nothing overlong, nothing above U+10FFFF). */
#ifndef FG_RPC_JSON_UTF8_H
#define FG_RPC_JSON_UTF8_H

#include <endian.h>

#include "base/bytes.h"

/* All zero: between characters. */
struct fg_utf8 {
    uint8_t need;      /* further bytes of the character */
    uint8_t low, high; /* what the next of them may be */
};

static inline bool fg_utf8_step(struct fg_utf8 *state, uint8_t byte)
{
    if (state->need > 0) {
        if (byte < state->low || byte > state->high)
            return false;
        *state = (struct fg_utf8){(uint8_t)(state->need - 1), 0x80, 0xbf};
        return true;
    }
    if (byte < 0x80)
        return true;
    if (byte < 0xc2 || byte > 0xf4)
        return false;
    state->need = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
    state->low = byte == 0xe0 ? 0xa0 : byte == 0xf0 ? 0x90 : 0x80;
    state->high = byte == 0xed ? 0x9f : byte == 0xf4 ? 0x8f : 0xbf;
    return true;
}

static inline bool fg_utf8_valid(struct fg_str text)
{
    struct fg_utf8 state = {0};

    for (size_t i = 0; i < text.len; i++) {
        if (!fg_utf8_step(&state, (uint8_t)text.p[i]))
            return false;
    }
    return state.need == 0;
}

/* The bytes of a character, which is no surrogate; how many. */
static inline size_t fg_utf8_put(uint32_t c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* Of 8 bytes, the first being the lowest: the top bit of each that is not plain. Those above the first one may be
 * wrong.
 */
static inline uint64_t fg_json_not_plain(uint64_t bytes)
{
    const uint64_t ones = 0x0101010101010101ull, tops = 0x8080808080808080ull;
    uint64_t quote = bytes ^ ones * '"', slash = bytes ^ ones * '\\';

    return (bytes | (bytes - ones * 0x20) | (quote - ones) | (slash - ones)) & tops;
}

/* How many bytes at P, up to LEN, are plain in a JSON string: printable ASCII but for quote and backslash. */
static inline size_t fg_json_plain_len(const uint8_t *p, size_t len)
{
    size_t i = 0;

    for (; len - i >= 8; i += 8) {
        uint64_t bytes;
        memcpy(&bytes, p + i, 8);
        uint64_t found = fg_json_not_plain(le64toh(bytes));
        if (found != 0)
            return i + (size_t)__builtin_ctzll(found) / 8;
    }
    while (i < len && p[i] >= 0x20 && p[i] < 0x80 && p[i] != '"' && p[i] != '\\')
        i++;
    return i;
}

#endif
