#include "rpc/base64_stream.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* -1: no character of the alphabet. */
static int value_of(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Writes the bytes of a whole group; how many, or -1: bits that padding cuts off are not zero. */
static int flush(struct fg_base64_stream *stream, uint8_t *out)
{
    const uint8_t *h = stream->held;
    uint32_t bits = (uint32_t)h[0] << 18 | (uint32_t)h[1] << 12 | (uint32_t)h[2] << 6 | h[3];
    int bytes = 3 - stream->padding;

    if (stream->padding > 0 && (bits & ((1u << 8 * stream->padding) - 1)) != 0)
        return -1;
    for (int i = 0; i < bytes; i++)
        out[i] = (uint8_t)(bits >> (16 - 8 * i));
    *stream = (struct fg_base64_stream){0};
    return bytes;
}

int64_t fg_base64_stream_feed(struct fg_base64_stream *stream, const uint8_t *text, size_t len, uint8_t *out)
{
    int64_t written = 0;

    for (size_t i = 0; i < len; i++) {
        int value = text[i] == '=' && stream->len >= 2 ? 0 : value_of(text[i]);
        if (value < 0 || (stream->padding > 0 && text[i] != '='))
            return -1;
        stream->padding = (uint8_t)(stream->padding + (text[i] == '='));
        stream->held[stream->len++] = (uint8_t)value;
        if (stream->len < 4)
            continue;
        int bytes = flush(stream, out + written);
        if (bytes < 0)
            return -1;
        written += bytes;
    }
    return written;
}

void fg_base64_padded(const uint8_t *data, size_t len, char *out)
{
    for (; len >= 3; len -= 3, data += 3, out += 4) {
        uint32_t bits = (uint32_t)data[0] << 16 | (uint32_t)data[1] << 8 | data[2];
        for (int i = 0; i < 4; i++)
            out[i] = alphabet[bits >> (18 - 6 * i) & 63];
    }
    if (len == 0)
        return;
    uint32_t bits = (uint32_t)data[0] << 16 | (len == 2 ? (uint32_t)data[1] << 8 : 0);
    out[0] = alphabet[bits >> 18];
    out[1] = alphabet[bits >> 12 & 63];
    out[2] = len == 2 ? alphabet[bits >> 6 & 63] : '=';
    out[3] = '=';
}
