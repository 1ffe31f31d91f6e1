#include "h2/hpack_int.h"

static inline uint64_t load_u64(const uint8_t *p)
{
    return (uint64_t)fg_load_u32(p) << 32 | fg_load_u32(p + 4);
}

/* Decodes one symbol whose code is longer than the window, from the top of BITS; 0: it is EOS. */
static unsigned decode_long(uint64_t bits, uint8_t *symbol)
{
    uint32_t top = (uint32_t)(bits >> 32);

    for (size_t i = 0; i < FG_HUFFMAN_ROWS; i++) {
        const struct fg_huffman_row *row = &fg_huffman_rows[i];
        if (top < row->end) {
            *symbol = fg_huffman_long_symbols[row->symbols_at + ((top - row->first) >> (32 - row->bits))];
            return row->bits;
        }
    }
    return 0;
}

/* The end of a string: BITS (left-aligned, HAVE of them valid) and then the bytes from IN to END. */
static ssize_t decode_tail(uint64_t bits, unsigned have, const uint8_t *in, const uint8_t *end, uint8_t *out)
{
    uint8_t *to = out;

    for (;;) {
        for (; have <= 56 && in < end; have += 8)
            bits |= (uint64_t)*in++ << (56 - have);
        if (have < 64)
            bits |= ~0ull >> have; /* as if the padding (RFC 7541 section 5.2) went on */
        uint32_t pair = fg_huffman_pairs[bits >> (64 - FG_HUFFMAN_WINDOW)];
        unsigned count = pair >> 28, used = pair & 0xff;
        uint8_t symbol = (uint8_t)(pair >> 8);
        if (count == 0) {
            used = decode_long(bits, &symbol);
            count = 1;
        } else if (used > have) {
            used = pair >> 24 & 15;
            count = 1;
        }
        if (used == 0 || used > have)
            break;
        *to++ = symbol;
        if (count == 2)
            *to++ = (uint8_t)(pair >> 16);
        bits <<= used;
        have -= used;
        bits &= ~(~0ull >> have); /* makes room for the bytes to come */
    }
    return have < 8 && bits == ~0ull ? to - out : -1;
}

#define WINDOWS_PER_LOAD 4 /* of the 56 bits that there are at least */

ssize_t fg_huffman_decode(const uint8_t *in, size_t len, uint8_t *out)
{
    const uint8_t *end = in + len;
    uint8_t *to = out;
    uint64_t bits = 0; /* left-aligned; what is below the HAVE valid ones is the beginning of the byte at IN */
    unsigned have = 0;

    while (end - in >= 8) {
        bits |= load_u64(in) >> have;
        in += (63 - have) >> 3;
        have |= 56;
        for (int i = 0; i < WINDOWS_PER_LOAD; i++) {
            uint32_t pair = fg_huffman_pairs[bits >> (64 - FG_HUFFMAN_WINDOW)];
            to[0] = (uint8_t)(pair >> 8);
            to[1] = (uint8_t)(pair >> 16);
            to += pair >> 28;
            bits <<= pair & 63;
            have -= pair & 63;
            if (pair == 0)
                break;
        }
        if (have < FG_HUFFMAN_LONGEST || fg_huffman_pairs[bits >> (64 - FG_HUFFMAN_WINDOW)] != 0)
            continue;
        unsigned used = decode_long(bits, to);
        if (used == 0)
            return -1;
        to++;
        bits <<= used;
        have -= used;
    }
    if (have < 64)
        bits &= ~(~0ull >> have);
    ssize_t tail = decode_tail(bits, have, in, end, to);
    return tail < 0 ? -1 : to - out + tail;
}

size_t fg_huffman_encoded_len(const uint8_t *in, size_t len)
{
    size_t bits = 0;
    for (size_t i = 0; i < len; i++)
        bits += fg_huffman_bits[in[i]];
    return (bits + 7) / 8;
}

size_t fg_huffman_encode(const uint8_t *in, size_t len, uint8_t *out)
{
    uint8_t *to = out;
    uint64_t bits = 0; /* the lowest HAVE are still to be written */
    unsigned have = 0;

    for (size_t i = 0; i < len; i++) {
        bits = bits << fg_huffman_bits[in[i]] | fg_huffman_codes[in[i]];
        have += fg_huffman_bits[in[i]];
        if (have >= 32) {
            have -= 32;
            fg_store_u32(to, (uint32_t)(bits >> have));
            to += 4;
        }
    }
    if (have % 8 > 0) { /* padded with the beginning of EOS: ones */
        unsigned pad = 8 - have % 8;
        bits = bits << pad | ((1u << pad) - 1);
        have += pad;
    }
    for (; have > 0; have -= 8)
        *to++ = (uint8_t)(bits >> (have - 8));
    return (size_t)(to - out);
}
