#include "h2/hpack.h"
#include "h2/huffman_table.h"

ssize_t fg_huffman_decode(const uint8_t *in, size_t len, uint8_t *out)
{
    uint8_t *at = out;
    unsigned state = 0;
    unsigned flags = FG_HUFFMAN_ACCEPT;

    for (size_t i = 0; i < len; i++) {
        const struct fg_huffman_step *high = &fg_huffman_steps[state][in[i] >> 4];
        if (high->flags & FG_HUFFMAN_EMIT)
            *at++ = high->symbol;
        const struct fg_huffman_step *low = &fg_huffman_steps[high->next][in[i] & 15];
        if (low->flags & FG_HUFFMAN_EMIT)
            *at++ = low->symbol;
        if ((high->flags | low->flags) & FG_HUFFMAN_FAIL)
            return -1;
        state = low->next;
        flags = low->flags;
    }
    return flags & FG_HUFFMAN_ACCEPT ? at - out : -1;
}

size_t fg_huffman_encoded_len(const uint8_t *in, size_t len)
{
    size_t bits = 0;
    for (size_t i = 0; i < len; i++)
        bits += fg_huffman_codes[in[i]].bits;
    return (bits + 7) / 8;
}

size_t fg_huffman_encode(const uint8_t *in, size_t len, uint8_t *out)
{
    uint8_t *at = out;
    uint64_t pending = 0;
    unsigned bits = 0;

    for (size_t i = 0; i < len; i++) {
        pending = pending << fg_huffman_codes[in[i]].bits | fg_huffman_codes[in[i]].code;
        bits += fg_huffman_codes[in[i]].bits; /* at most 7 + 30 */
        while (bits >= 8) {
            bits -= 8;
            *at++ = (uint8_t)(pending >> bits);
        }
    }
    if (bits > 0) /* padded with the first bits of EOS: ones */
        *at++ = (uint8_t)(pending << (8 - bits) | (0xffu >> bits));
    return (size_t)(at - out);
}
