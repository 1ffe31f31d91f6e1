/* Where in the file each value came from, so that a check of the meaning can point at it. Insiders of the folder only.
 */
#ifndef FG_CONFIG_MARKS_H
#define FG_CONFIG_MARKS_H

#include "base/mem.h"
#include "config/schema.h"

struct fg_mark {
    const void *base;         /* the struct that the key's table fills */
    const struct fg_key *key; /* NULL: the struct itself, an item of a list or map */
    const char *path;         /* dotted */
    int line, column;
    bool bad; /* an error about it is reported already */
};

struct fg_marks {
    struct fg_arena *arena; /* borrowed */
    struct fg_mark *items;
    size_t len, cap;
};

void fg_marks_add(struct fg_marks *marks, struct fg_mark mark);
void fg_marks_sort(struct fg_marks *marks); /* before fg_marks_find */

/* NULL if the file does not have it. KEY_NAME NULL: the item. TABLE says which key the name means. */
const struct fg_mark *fg_marks_find(const struct fg_marks *marks, const void *base, const struct fg_table *table,
                                    const char *key_name);

void fg_marks_cleanup(struct fg_marks *marks);

#endif
