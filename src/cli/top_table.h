/* A table of `fusegate top`: rows with names and keys, of which one is chosen. */
#ifndef FG_CLI_TOP_TABLE_H
#define FG_CLI_TOP_TABLE_H

#include <jansson.h>
#include <stddef.h>

#include "cli/top_picture.h"

#define FG_TOP_COLUMNS 12

/* Columns of names and texts share what the others leave; names are cut at the front, texts at the end. */
struct fg_top_column {
    const char *heading; /* ">TEXT": to the right */
    unsigned from_cols;  /* shown where the terminal has so many columns */
    enum fg_top_fit { FG_TOP_FIXED, FG_TOP_NAME, FG_TOP_TEXT } fit;
};

struct fg_top_row {
    char *cells[FG_TOP_COLUMNS]; /* owned */
    char *id;                    /* owned; what the row is of, for as long as it lives */
    enum fg_style style;
    double key;           /* the highest is shown first */
    size_t number;        /* in which it came */
    const json_t *object; /* borrowed: what it was made of */
};

struct fg_top_table {
    const struct fg_top_column *columns;
    size_t columns_len;
    struct fg_top_row *rows;
    size_t len, cap;
};

/* COLUMNS are borrowed. */
void fg_top_table_init(struct fg_top_table *table, const struct fg_top_column *columns, size_t len);
void fg_top_table_cleanup(struct fg_top_table *table);

/* A row without cells. ID is copied. Valid until the next one is added. */
struct fg_top_row *fg_top_table_add(struct fg_top_table *table, const char *id, const json_t *object);
/* Adds a cell to the last row: TEXT is made printable. */
void fg_top_table_cell(struct fg_top_table *table, const char *text);
void fg_top_table_cellf(struct fg_top_table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Leaves out rows none of whose cells has TEXT in it, whatever its case. */
void fg_top_table_filter(struct fg_top_table *table, const char *text);
void fg_top_table_sort(struct fg_top_table *table); /* by key; equals as they came */

/* Which row is ID; LEN: none. */
size_t fg_top_table_find(const struct fg_top_table *table, const char *id);

/* Draws the headings into ROW and rows from FIRST on behind them, HEIGHT in all. CHOSEN is marked. */
void fg_top_table_draw(const struct fg_top_table *table, struct fg_picture *picture, unsigned row, unsigned height,
                       size_t first, size_t chosen);

#endif
