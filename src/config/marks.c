#include "config/marks.h"

#include <assert.h>
#include <stdlib.h>

void fg_marks_add(struct fg_marks *marks, struct fg_mark mark)
{
    if (marks->len == marks->cap) {
        marks->cap = marks->cap ? 2 * marks->cap : 256;
        marks->items = fg_realloc(marks->items, marks->cap * sizeof *marks->items);
    }
    mark.path = fg_arena_copy(marks->arena, fg_str_from(mark.path)).p;
    marks->items[marks->len++] = mark;
}

static int order(const void *a, const void *b)
{
    const struct fg_mark *x = a, *y = b;
    uintptr_t keys[4] = {(uintptr_t)x->base, (uintptr_t)y->base, (uintptr_t)x->key, (uintptr_t)y->key};
    if (keys[0] != keys[1])
        return keys[0] < keys[1] ? -1 : 1;
    return (keys[2] > keys[3]) - (keys[2] < keys[3]);
}

void fg_marks_sort(struct fg_marks *marks)
{
    if (marks->len > 0)
        qsort(marks->items, marks->len, sizeof *marks->items, order);
}

const struct fg_mark *fg_marks_find(const struct fg_marks *marks, const void *base, const struct fg_table *table,
                                    const char *key_name)
{
    struct fg_mark wanted = {.base = base, .key = key_name ? fg_schema_find(table, key_name) : NULL};
    assert(!key_name || wanted.key);
    if (marks->len == 0)
        return NULL;
    return bsearch(&wanted, marks->items, marks->len, sizeof *marks->items, order);
}

void fg_marks_cleanup(struct fg_marks *marks)
{
    free(marks->items);
    *marks = (struct fg_marks){0};
}
