#include "rpc/grpc.h"

#include <strings.h>

bool fg_grpc_is_content_type(struct fg_str content_type)
{
    static const struct fg_str base = {"application/grpc", sizeof("application/grpc") - 1};

    /* Media types are case-insensitive (RFC 9110 section 8.3.1). */
    if (content_type.len < base.len || strncasecmp(content_type.p, base.p, base.len) != 0)
        return false;
    if (content_type.len == base.len)
        return true;
    char next = content_type.p[base.len];
    return next == '+' || next == ';' || next == ' ' || next == '\t';
}

/* ---- grpc-timeout ---- */

/* Nanoseconds of a unit; 0: not a unit. */
static uint64_t unit_ns(char unit)
{
    switch (unit) {
    case 'n':
        return 1;
    case 'u':
        return FG_US;
    case 'm':
        return FG_MS;
    case 'S':
        return FG_S;
    case 'M':
        return 60 * FG_S;
    case 'H':
        return 3600 * FG_S;
    default:
        return 0;
    }
}

int fg_grpc_timeout_parse(struct fg_str value, uint64_t *out_ns)
{
    uint64_t count = 0;

    if (value.len < 2 || value.len > 9)
        return -1;
    for (size_t i = 0; i + 1 < value.len; i++) {
        unsigned digit = (unsigned)(unsigned char)value.p[i] - '0';
        if (digit > 9)
            return -1;
        count = count * 10 + digit;
    }
    uint64_t unit = unit_ns(value.p[value.len - 1]);
    if (unit == 0)
        return -1;
    /* Only hours can pass the bound: 99999999 minutes are 6.0e18 ns, the bound is 9.2e18. */
    *out_ns = count > FG_GRPC_TIMEOUT_CAP_NS / unit ? FG_GRPC_TIMEOUT_CAP_NS : count * unit;
    return 0;
}

size_t fg_grpc_timeout_format(uint64_t timeout_ns, char out[FG_GRPC_TIMEOUT_MAX])
{
    static const char units[] = {'n', 'u', 'm', 'S', 'M', 'H'};
    uint64_t count = timeout_ns;
    size_t unit = 0, len = 0;
    char digits[8];

    /* 2^64 ns are 5.1 million hours, so that the last unit always fits. */
    while (count > 99999999) {
        unit++;
        count = timeout_ns / unit_ns(units[unit]);
    }
    do {
        digits[len++] = (char)('0' + count % 10);
        count /= 10;
    } while (count > 0);
    for (size_t i = 0; i < len; i++)
        out[i] = digits[len - 1 - i];
    out[len++] = units[unit];
    return len;
}

/* ---- grpc-message ---- */

static bool passes(unsigned char c)
{
    return c >= 0x20 && c <= 0x7e && c != '%';
}

struct fg_str fg_grpc_message_encode(struct fg_arena *arena, struct fg_str text)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t len = text.len;

    for (size_t i = 0; i < text.len; i++)
        len += passes((unsigned char)text.p[i]) ? 0 : 2;
    char *out = fg_arena_alloc(arena, len), *at = out;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (passes(c)) {
            *at++ = (char)c;
            continue;
        }
        *at++ = '%';
        *at++ = hex[c >> 4];
        *at++ = hex[c & 15];
    }
    return (struct fg_str){out, len};
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

struct fg_str fg_grpc_message_decode(struct fg_arena *arena, struct fg_str value)
{
    char *out = fg_arena_alloc(arena, value.len), *at = out;

    for (size_t i = 0; i < value.len; i++) {
        char c = value.p[i];
        if (c == '%' && value.len - i > 2) {
            int high = hex_value(value.p[i + 1]), low = hex_value(value.p[i + 2]);
            if (high >= 0 && low >= 0) {
                c = (char)(high << 4 | low);
                i += 2;
            }
        }
        *at++ = c;
    }
    return (struct fg_str){out, (size_t)(at - out)};
}

/* ---- base64 (RFC 4648 section 4) ---- */

struct fg_str fg_base64_encode(struct fg_arena *arena, const void *data, size_t len)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *in = data;
    size_t rest = len % 3;
    size_t out_len = len / 3 * 4 + (rest ? rest + 1 : 0);
    char *out = fg_arena_alloc(arena, out_len), *at = out;

    for (; len >= 3; len -= 3, in += 3) {
        uint32_t group = fg_load_u24(in);
        *at++ = alphabet[group >> 18];
        *at++ = alphabet[group >> 12 & 63];
        *at++ = alphabet[group >> 6 & 63];
        *at++ = alphabet[group & 63];
    }
    if (rest > 0) {
        uint32_t group = (uint32_t)in[0] << 16 | (rest == 2 ? (uint32_t)in[1] << 8 : 0);
        *at++ = alphabet[group >> 18];
        *at++ = alphabet[group >> 12 & 63];
        if (rest == 2)
            *at++ = alphabet[group >> 6 & 63];
    }
    return (struct fg_str){out, out_len};
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : -1;
}

int fg_base64_decode(struct fg_arena *arena, struct fg_str text, struct fg_str *out)
{
    size_t len = text.len;
    uint32_t bits = 0;
    unsigned have = 0;

    if (len > 0 && len % 4 == 0 && text.p[len - 1] == '=')
        len -= text.p[len - 2] == '=' ? 2 : 1;
    if (len % 4 == 1)
        return -1;
    char *bytes = fg_arena_alloc(arena, len / 4 * 3 + 2), *at = bytes;
    for (size_t i = 0; i < len; i++) {
        int value = base64_value(text.p[i]);
        if (value < 0)
            return -1;
        bits = bits << 6 | (uint32_t)value;
        have += 6;
        if (have >= 8) {
            have -= 8;
            *at++ = (char)(bits >> have & 0xff);
        }
    }
    *out = (struct fg_str){bytes, (size_t)(at - bytes)};
    return 0;
}

/* ---- message framing ---- */

static int begin_message(struct fg_grpc_framing *framing, const uint8_t prefix[5])
{
    if (prefix[0] > 1)
        return -1;
    framing->compressed_seen |= prefix[0] == 1;
    framing->messages++;
    framing->left = fg_load_u32(prefix + 1);
    return 0;
}

/* Collects a prefix that is cut between payloads. Returns how many bytes it took, or -1. */
static int feed_prefix(struct fg_grpc_framing *framing, const uint8_t *data, size_t len)
{
    size_t take = FG_MIN(sizeof framing->prefix - framing->prefix_len, len);

    if (framing->prefix_len == 0 && data[0] > 1)
        return -1; /* known before the rest of the prefix comes */
    memcpy(framing->prefix + framing->prefix_len, data, take);
    framing->prefix_len = (uint8_t)(framing->prefix_len + take);
    if (framing->prefix_len < sizeof framing->prefix)
        return (int)take;
    framing->prefix_len = 0;
    return begin_message(framing, framing->prefix) < 0 ? -1 : (int)take;
}

int fg_grpc_framing_feed(struct fg_grpc_framing *framing, const uint8_t *data, size_t len)
{
    /* Most payloads are whole messages: one turn for each, with the prefix read where it lies. */
    while (len > 0) {
        if (framing->left == 0) {
            int took = sizeof framing->prefix;
            if (framing->prefix_len > 0 || len < sizeof framing->prefix)
                took = feed_prefix(framing, data, len);
            else if (begin_message(framing, data) < 0)
                took = -1;
            if (took < 0)
                return -1;
            data += took;
            len -= (size_t)took;
        }
        size_t take = FG_MIN(framing->left, len);
        framing->left -= (uint32_t)take;
        data += take;
        len -= take;
    }
    return 0;
}

bool fg_grpc_framing_at_boundary(const struct fg_grpc_framing *framing)
{
    return framing->left == 0 && framing->prefix_len == 0;
}
