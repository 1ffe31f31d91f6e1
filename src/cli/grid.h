/* Tables with aligned columns, and what else commands print for people. Texts may come from peers: what could steer a
 * terminal is shown as \xNN. */
#ifndef FG_CLI_GRID_H
#define FG_CLI_GRID_H

#include <stdio.h>

#include "base/bytes.h"

#define FG_GRID_COLUMNS 16

/* Rows are held until there are so many; the widths found then stay for the rows to come, so that memory is bounded. */
#define FG_GRID_ROWS 1000

struct fg_grid {
    FILE *out;
    const char *const *headings; /* ">TEXT": numbers, to the right */
    size_t columns, at;          /* `at`: the column of the next cell */
    size_t widths[FG_GRID_COLUMNS];
    char **cells; /* of rows not printed yet */
    size_t cells_len;
    bool begun; /* the headings were printed */
};

/* HEADINGS are borrowed until the end. */
void fg_grid_begin(struct fg_grid *grid, FILE *out, const char *const *headings, size_t columns);
/* The next cell; after the last column a new row begins. */
void fg_grid_cell(struct fg_grid *grid, const char *text);
void fg_grid_cellf(struct fg_grid *grid, const char *format, ...) __attribute__((format(printf, 2, 3)));
void fg_grid_flush(struct fg_grid *grid); /* prints the rows so far */
void fg_grid_end(struct fg_grid *grid);   /* prints the rest; of a table without rows nothing */

/* TEXT with what could steer a terminal as \xNN; to be freed. Valid UTF-8 stays. */
char *fg_printable(const char *text);
void fg_print_text(FILE *out, const char *text);

/* "850 us", "12 ms", "3.2 s", "4 min 10 s", "2 h 5 min". Returns OUT. */
#define FG_DURATION_BYTES 32
const char *fg_duration_text(double ms, char out[FG_DURATION_BYTES]);

#endif
