#!/usr/bin/env python3
"""Writes src/h2/huffman_table.c: the Huffman code of HPACK (RFC 7541 appendix B) in the shapes that the codec wants.

    tools/gen_huffman.py > src/h2/huffman_table.c

The code is canonical: symbols in order of (length, value) have consecutive codes. The lengths alone define it."""

# Of the symbols 0 to 255, then EOS.
LENGTHS = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28,
    28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11,
    10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8,
    15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5,
    6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7,
    7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23,
    23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21,
    23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25,
    26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26,
    28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
]
EOS = 256
WINDOW = 12  # bits that one step of the decoder looks at; FG_HUFFMAN_WINDOW in hpack_int.h


def canonical(lengths):
    """[(length, code)] by symbol."""
    codes = [None] * len(lengths)
    code = last = 0
    for length, symbol in sorted((length, symbol) for symbol, length in enumerate(lengths)):
        code <<= length - last
        codes[symbol] = (length, code)
        code += 1
        last = length
    assert code == 1 << last, "the code is not complete"
    return codes


def pairs(codes):
    """What the first WINDOW bits hold: two symbols, one, or the beginning of a longer one (0)."""
    short = {}
    for symbol, (length, code) in enumerate(codes):
        if length <= WINDOW:
            short[length, code] = symbol

    def first(window, bits):
        for length in range(5, bits + 1):
            symbol = short.get((length, window >> (bits - length)))
            if symbol is not None:
                return symbol, length
        return None, 0

    for window in range(1 << WINDOW):
        one, one_bits = first(window, WINDOW)
        if one is None:
            yield 0
            continue
        left = WINDOW - one_bits
        two, two_bits = first(window & ((1 << left) - 1), left)
        count = 1 if two is None else 2
        yield count << 28 | one_bits << 24 | (two or 0) << 16 | one << 8 | (one_bits + two_bits)


def long_codes(codes):
    """Rows of one length each: the last code and the first, moved to the top of 32 bits, and their symbols."""
    rows, symbols = [], []
    for length in sorted({length for length, _ in codes if length > WINDOW}):
        of_length = sorted((code, symbol) for symbol, (n, code) in enumerate(codes) if n == length and symbol != EOS)
        shift = 32 - length
        rows.append((of_length[-1][0] + 1 << shift, of_length[0][0] << shift, length, len(symbols)))
        symbols += [symbol for _, symbol in of_length]
    return rows, symbols


def table(declaration, cells):
    lines = ["", declaration + " = {"]
    line = "   "
    for cell in cells:
        if len(line) + len(cell) + 2 > 120:
            lines.append(line)
            line = "   "
        line += " " + cell + ","
    return lines + [line, "};"]


def main():
    codes = canonical(LENGTHS)
    rows, symbols = long_codes(codes)
    out = [
        "/* Written by tools/gen_huffman.py: do not edit. */",
        '#include "h2/hpack_int.h"',
        "",
        "/* clang-format off */",
    ]
    out += table("const uint8_t fg_huffman_bits[256]", [str(bits) for bits, _ in codes[:256]])
    out += table("const uint32_t fg_huffman_codes[256]", [hex(code) for _, code in codes[:256]])
    out += table("const uint32_t fg_huffman_pairs[1 << FG_HUFFMAN_WINDOW]", [hex(cell) for cell in pairs(codes)])
    out += table(
        "const struct fg_huffman_row fg_huffman_rows[FG_HUFFMAN_ROWS]",
        ["{%#x, %#x, %d, %d}" % row for row in rows],
    )
    out += table("const uint8_t fg_huffman_long_symbols[]", [str(symbol) for symbol in symbols])
    print("\n".join(out))


if __name__ == "__main__":
    main()
