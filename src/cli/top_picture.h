/* What `fusegate top` shows, before it is on a terminal: rows of cells, each a character and a style. Texts are
 * printable already (grid.h: fg_printable). */
#ifndef FG_CLI_TOP_PICTURE_H
#define FG_CLI_TOP_PICTURE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Colour is only ever an addition to what the text says. */
enum fg_style {
    FG_STYLE_NORMAL,
    FG_STYLE_STRONG,
    FG_STYLE_DIM,
    FG_STYLE_GOOD,
    FG_STYLE_WARN,
    FG_STYLE_BAD,
    FG_STYLE_CHOSEN, /* reverse */
    FG_STYLE_LEN
};

struct fg_picture_cell {
    char text[5]; /* one character; empty: the right half of a wide one */
    uint8_t style;
};

struct fg_picture {
    unsigned rows, cols;
    bool utf8; /* whoever shows it can show more than ASCII */
    struct fg_picture_cell *cells;
};

void fg_picture_init(struct fg_picture *picture, unsigned rows, unsigned cols, bool utf8);
void fg_picture_cleanup(struct fg_picture *picture);

/* How many columns TEXT takes. */
unsigned fg_picture_width(const struct fg_picture *picture, const char *text);

/* Puts TEXT into at most WIDTH columns from COL on, as far as the picture goes; what does not fit is cut at the end.
 * Returns the column behind it. */
unsigned fg_picture_put(struct fg_picture *picture, unsigned row, unsigned col, unsigned width, enum fg_style style,
                        const char *text);
unsigned fg_picture_putf(struct fg_picture *picture, unsigned row, unsigned col, enum fg_style style,
                         const char *format, ...) __attribute__((format(printf, 5, 6)));
/* The same at the right end of the WIDTH columns. */
void fg_picture_put_right(struct fg_picture *picture, unsigned row, unsigned col, unsigned width, enum fg_style style,
                          const char *text);
/* The same; what does not fit is cut at the front: the ends of methods tell more than their packages. */
void fg_picture_put_end(struct fg_picture *picture, unsigned row, unsigned col, unsigned width, enum fg_style style,
                        const char *text);

/* Of all of the row. */
void fg_picture_style_row(struct fg_picture *picture, unsigned row, enum fg_style style);

/* Without styles, white space at line ends and empty lines at the end. */
void fg_picture_print(const struct fg_picture *picture, FILE *out);

#endif
