#include "cli/grid.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/mem.h"

/* ---- texts ---- */

/* Length of a valid UTF-8 sequence of a character that is no control; 0: none. */
static size_t printable_len(const unsigned char *p)
{
    uint32_t c;
    size_t len;

    if (p[0] < 0x80)
        return p[0] >= 0x20 && p[0] != 0x7f;
    len = p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : p[0] >= 0xe0 && p[0] < 0xf0 ? 3 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : 0;
    c = p[0] & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) /* the end, too */
            return 0;
        c = c << 6 | (p[i] & 0x3fu);
    }
    /* Controls of Latin-1, overlong forms, halves of pairs, marks that turn the direction of the text. */
    if (c < 0xa0 || (len == 3 && c < 0x800) || (len == 4 && c < 0x10000) || (c >= 0xd800 && c < 0xe000) ||
        c > 0x10ffff || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069))
        return 0;
    return len;
}

char *fg_printable(const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    char *out = fg_alloc(4 * strlen(text) + 1), *at = out;

    while (*p) {
        size_t len = printable_len(p);
        if (len > 0) {
            memcpy(at, p, len);
            at += len;
            p += len;
        } else {
            at += snprintf(at, 5, "\\x%02x", *p++);
        }
    }
    *at = '\0';
    return out;
}

void fg_print_text(FILE *out, const char *text)
{
    char *printable = fg_printable(text);

    fputs(printable, out);
    free(printable);
}

const char *fg_duration_text(double ms, char out[FG_DURATION_BYTES])
{
    unsigned long long s = ms >= 0 && ms < 1e15 ? (unsigned long long)(ms / 1000 + 0.5) : 0;

    if (ms < 0.9995)
        snprintf(out, FG_DURATION_BYTES, "%.0f us", FG_MAX(ms, 0) * 1000);
    else if (ms < 999.5)
        snprintf(out, FG_DURATION_BYTES, "%.*f ms", ms < 9.95 && ms != (double)(int)ms, ms);
    else if (ms < 59950)
        snprintf(out, FG_DURATION_BYTES, "%.3g s", ms / 1000);
    else if (s < 3600)
        snprintf(out, FG_DURATION_BYTES, "%llu min %llu s", s / 60, s % 60);
    else
        snprintf(out, FG_DURATION_BYTES, "%llu h %llu min", s / 3600, s / 60 % 60);
    return out;
}

/* ---- tables ---- */

/* Characters, not bytes. */
static size_t width_of(const char *text)
{
    size_t width = 0;

    for (const char *p = text; *p; p++)
        width += ((unsigned char)*p & 0xc0) != 0x80;
    return width;
}

void fg_grid_begin(struct fg_grid *grid, FILE *out, const char *const *headings, size_t columns)
{
    *grid = (struct fg_grid){.out = out, .headings = headings, .columns = columns};
    grid->cells = fg_alloc(FG_GRID_ROWS * columns * sizeof *grid->cells);
    for (size_t i = 0; i < columns; i++)
        grid->widths[i] = width_of(headings[i]) - (headings[i][0] == '>');
}

static void put_cell(const struct fg_grid *grid, size_t column, const char *text, bool last)
{
    size_t width = width_of(text), room = FG_MAX(grid->widths[column], width) - width;
    bool right = grid->headings[column][0] == '>';

    fprintf(grid->out, "%*s%s", right ? (int)room : 0, "", text);
    if (last)
        fputc('\n', grid->out);
    else
        fprintf(grid->out, "%*s", (right ? 0 : (int)room) + 2, "");
}

/* Without white space at the end. */
static void put_row(const struct fg_grid *grid, const char *const *cells)
{
    size_t len = grid->columns;

    while (len > 1 && cells[len - 1][0] == '\0')
        len--;
    for (size_t i = 0; i < len; i++)
        put_cell(grid, i, cells[i], i + 1 == len);
}

static void put_headings(const struct fg_grid *grid)
{
    const char *cells[FG_GRID_COLUMNS] = {NULL};

    for (size_t i = 0; i < grid->columns; i++)
        cells[i] = grid->headings[i] + (grid->headings[i][0] == '>');
    put_row(grid, cells);
}

void fg_grid_flush(struct fg_grid *grid)
{
    size_t rows = grid->cells_len / grid->columns;

    if (rows > 0 && !grid->begun)
        put_headings(grid);
    grid->begun |= rows > 0;
    for (size_t row = 0; row < rows; row++)
        put_row(grid, (const char *const *)&grid->cells[row * grid->columns]);
    for (size_t i = 0; i < grid->cells_len; i++)
        free(grid->cells[i]);
    grid->cells_len = 0;
}

void fg_grid_cell(struct fg_grid *grid, const char *text)
{
    char *cell = fg_printable(text);

    grid->widths[grid->at] = FG_MAX(grid->widths[grid->at], width_of(cell));
    grid->cells[grid->cells_len++] = cell;
    grid->at = (grid->at + 1) % grid->columns;
    if (grid->cells_len == FG_GRID_ROWS * grid->columns)
        fg_grid_flush(grid);
}

void fg_grid_cellf(struct fg_grid *grid, const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fg_grid_cell(grid, text);
}

void fg_grid_end(struct fg_grid *grid)
{
    while (grid->at != 0)
        fg_grid_cell(grid, "");
    fg_grid_flush(grid);
    free(grid->cells);
    grid->cells = NULL;
}
