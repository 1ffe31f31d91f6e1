#include "cli/top_table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <strings.h>

#include "base/mem.h"
#include "cli/grid.h"

#define GAP          2
#define FLEXIBLE_MIN 12

void fg_top_table_init(struct fg_top_table *table, const struct fg_top_column *columns, size_t len)
{
    *table = (struct fg_top_table){.columns = columns, .columns_len = len};
}

static void free_row(struct fg_top_row *row)
{
    for (size_t i = 0; i < FG_TOP_COLUMNS; i++)
        free(row->cells[i]);
    free(row->id);
}

void fg_top_table_cleanup(struct fg_top_table *table)
{
    for (size_t i = 0; i < table->len; i++)
        free_row(&table->rows[i]);
    free(table->rows);
    *table = (struct fg_top_table){0};
}

struct fg_top_row *fg_top_table_add(struct fg_top_table *table, const char *id, const json_t *object)
{
    if (table->len == table->cap) {
        table->cap = table->cap ? 2 * table->cap : 64;
        table->rows = fg_realloc(table->rows, table->cap * sizeof *table->rows);
    }
    struct fg_top_row *row = &table->rows[table->len];
    *row = (struct fg_top_row){.id = fg_strdup(id), .number = table->len, .object = object};
    table->len++;
    return row;
}

void fg_top_table_cell(struct fg_top_table *table, const char *text)
{
    struct fg_top_row *row = &table->rows[table->len - 1];
    size_t at = 0;

    while (at < table->columns_len && row->cells[at])
        at++;
    if (at < table->columns_len)
        row->cells[at] = fg_printable(text);
}

void fg_top_table_cellf(struct fg_top_table *table, const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fg_top_table_cell(table, text);
}

static bool has(const struct fg_top_row *row, const char *text)
{
    for (size_t i = 0; i < FG_TOP_COLUMNS; i++)
        if (row->cells[i] && strcasestr(row->cells[i], text))
            return true;
    return false;
}

void fg_top_table_filter(struct fg_top_table *table, const char *text)
{
    size_t kept = 0;

    for (size_t i = 0; i < table->len; i++) {
        if (has(&table->rows[i], text))
            table->rows[kept++] = table->rows[i];
        else
            free_row(&table->rows[i]);
    }
    table->len = kept;
}

static int by_key(const void *a, const void *b)
{
    const struct fg_top_row *x = a, *y = b;

    if (x->key != y->key)
        return x->key > y->key ? -1 : 1;
    return x->number < y->number ? -1 : 1;
}

void fg_top_table_sort(struct fg_top_table *table)
{
    if (table->len > 1)
        qsort(table->rows, table->len, sizeof *table->rows, by_key);
}

size_t fg_top_table_find(const struct fg_top_table *table, const char *id)
{
    size_t i = 0;

    while (i < table->len && strcmp(table->rows[i].id, id) != 0)
        i++;
    return i;
}

/* ---- drawing ---- */

static bool is_shown(const struct fg_top_column *column, const struct fg_picture *picture)
{
    return picture->cols >= column->from_cols;
}

static const char *text_of(const char *cell)
{
    return cell ? cell : "";
}

/* Of those rows that are drawn. */
static unsigned width_of(const struct fg_top_table *table, size_t column, const struct fg_picture *picture,
                         size_t first, size_t end)
{
    const char *heading = table->columns[column].heading;
    unsigned width = fg_picture_width(picture, heading + (heading[0] == '>'));

    for (size_t i = first; i < end; i++)
        width = FG_MAX(width, fg_picture_width(picture, text_of(table->rows[i].cells[column])));
    return width;
}

/* What a flexible column may take of LEFT: what all together need, or as much as lets the greedy ones have the same,
 * with what the others do not need. */
static unsigned fair_share(const unsigned *needs, size_t len, unsigned left)
{
    unsigned share = 0;

    for (unsigned taken = 0; taken <= left; share++) {
        unsigned before = taken;
        taken = 0;
        for (size_t i = 0; i < len; i++)
            taken += FG_MIN(needs[i], share + 1);
        if (taken == before && share > 0) /* nobody needs more */
            break;
    }
    return FG_MAX(share, FLEXIBLE_MIN);
}

static void set_widths(const struct fg_top_table *table, const struct fg_picture *picture, size_t first, size_t end,
                       unsigned widths[FG_TOP_COLUMNS])
{
    unsigned used = 0, needs[FG_TOP_COLUMNS];
    size_t flexible = 0;

    for (size_t i = 0; i < table->columns_len; i++) {
        widths[i] = 0;
        if (!is_shown(&table->columns[i], picture))
            continue;
        widths[i] = width_of(table, i, picture, first, end);
        used += GAP;
        if (table->columns[i].fit == FG_TOP_FIXED)
            used += widths[i];
        else
            needs[flexible++] = widths[i];
    }
    unsigned share = fair_share(needs, flexible, picture->cols > used ? picture->cols - used : 0);
    for (size_t i = 0; i < table->columns_len; i++)
        if (table->columns[i].fit != FG_TOP_FIXED)
            widths[i] = FG_MIN(widths[i], share);
}

static void put_cell(const struct fg_top_column *column, struct fg_picture *picture, unsigned row, unsigned col,
                     unsigned width, enum fg_style style, const char *text)
{
    if (column->heading[0] == '>')
        fg_picture_put_right(picture, row, col, width, style, text);
    else if (column->fit == FG_TOP_NAME)
        fg_picture_put_end(picture, row, col, width, style, text);
    else
        fg_picture_put(picture, row, col, width, style, text);
}

void fg_top_table_draw(const struct fg_top_table *table, struct fg_picture *picture, unsigned row, unsigned height,
                       size_t first, size_t chosen)
{
    size_t end = height > 1 ? FG_MIN(table->len, first + height - 1) : first;
    unsigned widths[FG_TOP_COLUMNS], col = GAP;

    set_widths(table, picture, first, end, widths);
    for (size_t i = 0; i < table->columns_len && height > 0; i++) {
        const struct fg_top_column *column = &table->columns[i];
        if (!is_shown(column, picture))
            continue;
        put_cell(column, picture, row, col, widths[i], FG_STYLE_STRONG, column->heading + (column->heading[0] == '>'));
        for (size_t k = first; k < end; k++)
            put_cell(column, picture, row + 1 + (unsigned)(k - first), col, widths[i], table->rows[k].style,
                     text_of(table->rows[k].cells[i]));
        col += widths[i] + GAP;
    }
    if (chosen >= first && chosen < end) {
        unsigned at = row + 1 + (unsigned)(chosen - first);
        fg_picture_put(picture, at, 0, 1, FG_STYLE_CHOSEN, ">");
        fg_picture_style_row(picture, at, FG_STYLE_CHOSEN);
    }
}
