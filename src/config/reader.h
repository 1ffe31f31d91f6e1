/* The walk of a file's nodes along the schema. Insiders of the folder only. */
#ifndef FG_CONFIG_READER_H
#define FG_CONFIG_READER_H

#include "config/marks.h"
#include "config/tree.h"

struct fg_reader {
    struct fg_arena *arena; /* of the snapshot: strings and arrays */
    const char *folder;     /* that file names are relative to, with its slash; "" for none */
    struct fg_marks *marks; /* takes the position of every value */
    struct fg_config_errors *errors;
    char path[512]; /* of the value in hand, dotted */
    size_t path_len;
};

/* Fills RAW with the defaults and then with what ROOT says. Problems go to the reader's errors; a value with a problem
 * keeps its default. */
void fg_reader_read(struct fg_reader *reader, const struct fg_node *root, struct fg_raw_config *raw);

/* Only the defaults of TABLE, into the struct at BASE. */
void fg_reader_defaults(struct fg_reader *reader, const struct fg_table *table, void *base);

#endif
