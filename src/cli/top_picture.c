#include "cli/top_picture.h"

#include <stdarg.h>
#include <stdlib.h>
#include <wchar.h>

#include "base/mem.h"

void fg_picture_init(struct fg_picture *picture, unsigned rows, unsigned cols, bool utf8)
{
    *picture = (struct fg_picture){.rows = rows, .cols = cols, .utf8 = utf8};
    picture->cells = fg_alloc((size_t)rows * cols * sizeof *picture->cells + 1);
    for (size_t i = 0; i < (size_t)rows * cols; i++)
        picture->cells[i] = (struct fg_picture_cell){" ", FG_STYLE_NORMAL};
}

void fg_picture_cleanup(struct fg_picture *picture)
{
    free(picture->cells);
    picture->cells = NULL;
}

/* ---- characters ---- */

/* Takes one from *TEXT; OUT is what is shown of it. Returns its columns; 0: it has none, or the text is over. */
static unsigned next(const struct fg_picture *picture, const char **text, char out[5])
{
    const unsigned char *p = (const unsigned char *)*text;
    size_t len = p[0] < 0xc0 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    uint32_t c = len == 1 ? p[0] : p[0] & (0xffu >> (len + 1));

    out[0] = '\0';
    if (p[0] == '\0')
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) { /* no UTF-8: what is printable is */
            len = i;
            c = '?';
            break;
        }
        c = c << 6 | (p[i] & 0x3fu);
    }
    *text += len;
    int width = c < 0x80 ? 1 : picture->utf8 ? wcwidth((wchar_t)c) : -1;
    bool shown = c >= 0x20 && c != 0x7f && width >= 0;
    memcpy(out, shown ? (const char *)p : "?", shown ? len : 1);
    out[shown ? len : 1] = '\0';
    if (c == '?')
        memcpy(out, "?", 2);
    return shown ? (unsigned)width : 1;
}

unsigned fg_picture_width(const struct fg_picture *picture, const char *text)
{
    char out[5];
    unsigned width = 0;

    while (*text)
        width += next(picture, &text, out);
    return width;
}

/* ---- putting ---- */

unsigned fg_picture_put(struct fg_picture *picture, unsigned row, unsigned col, unsigned width, enum fg_style style,
                        const char *text)
{
    unsigned end = FG_MIN(picture->cols, col + width);

    if (row >= picture->rows)
        return col;
    struct fg_picture_cell *cells = &picture->cells[(size_t)row * picture->cols];
    while (*text && col < end) {
        struct fg_picture_cell cell = {.style = (uint8_t)style};
        unsigned takes = next(picture, &text, cell.text);
        if (takes == 0)
            continue;
        if (col + takes > end)
            break;
        cells[col] = cell;
        for (unsigned i = 1; i < takes; i++)
            cells[col + i] = (struct fg_picture_cell){.style = (uint8_t)style};
        col += takes;
    }
    return col;
}

unsigned fg_picture_putf(struct fg_picture *picture, unsigned row, unsigned col, enum fg_style style,
                         const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return fg_picture_put(picture, row, col, picture->cols, style, text);
}

void fg_picture_put_right(struct fg_picture *picture, unsigned row, unsigned col, unsigned width, enum fg_style style,
                          const char *text)
{
    unsigned takes = FG_MIN(fg_picture_width(picture, text), width);
    fg_picture_put(picture, row, col + width - takes, takes, style, text);
}

void fg_picture_put_end(struct fg_picture *picture, unsigned row, unsigned col, unsigned width, enum fg_style style,
                        const char *text)
{
    unsigned takes = fg_picture_width(picture, text);
    char out[5];

    if (takes > width && width > 1) {
        while (takes > width - 1)
            takes -= next(picture, &text, out);
        col = fg_picture_put(picture, row, col, 1, style, picture->utf8 ? "\xe2\x80\xa6" : "<"); /* an ellipsis */
        width--;
    }
    fg_picture_put(picture, row, col, width, style, text);
}

void fg_picture_style_row(struct fg_picture *picture, unsigned row, enum fg_style style)
{
    for (unsigned col = 0; row < picture->rows && col < picture->cols; col++)
        picture->cells[(size_t)row * picture->cols + col].style = (uint8_t)style;
}

/* ---- as text ---- */

static unsigned used_cols(const struct fg_picture *picture, unsigned row)
{
    unsigned cols = picture->cols;

    while (cols > 0 && strcmp(picture->cells[(size_t)row * picture->cols + cols - 1].text, " ") == 0)
        cols--;
    return cols;
}

void fg_picture_print(const struct fg_picture *picture, FILE *out)
{
    unsigned rows = picture->rows;

    while (rows > 0 && used_cols(picture, rows - 1) == 0)
        rows--;
    for (unsigned row = 0; row < rows; row++) {
        unsigned cols = used_cols(picture, row);
        for (unsigned col = 0; col < cols; col++)
            fputs(picture->cells[(size_t)row * picture->cols + col].text, out);
        fputc('\n', out);
    }
}
