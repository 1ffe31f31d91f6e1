/* The Huffman code of RFC 7541 appendix B, as generated tables. */
#ifndef FG_H2_HUFFMAN_TABLE_H
#define FG_H2_HUFFMAN_TABLE_H

#include <stdint.h>

struct fg_huffman_code {
    uint32_t code;
    uint8_t bits;
};

enum { FG_HUFFMAN_EMIT = 1, FG_HUFFMAN_ACCEPT = 2, FG_HUFFMAN_FAIL = 4 };

/* What four more bits do in a state (an inner node of the code tree; 0 is the root). */
struct fg_huffman_step {
    uint8_t next, flags, symbol;
};

extern const struct fg_huffman_code fg_huffman_codes[256];
extern const struct fg_huffman_step fg_huffman_steps[256][16];

#endif
