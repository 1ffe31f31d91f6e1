/* Intrusive doubly linked list. A node that is in no list points to itself. */
#ifndef FG_BASE_LIST_H
#define FG_BASE_LIST_H

#include "base/bytes.h"

struct fg_list {
    struct fg_list *next, *prev;
};

static inline void fg_list_init(struct fg_list *list)
{
    list->next = list->prev = list;
}

static inline bool fg_list_empty(const struct fg_list *list)
{
    return list->next == list;
}

static inline void fg_list_append(struct fg_list *list, struct fg_list *node)
{
    node->prev = list->prev;
    node->next = list;
    list->prev->next = node;
    list->prev = node;
}

static inline void fg_list_prepend(struct fg_list *list, struct fg_list *node)
{
    fg_list_append(list->next, node);
}

/* Takes the node out of whatever list holds it; harmless if none does. */
static inline void fg_list_remove(struct fg_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    fg_list_init(node);
}

#define FG_LIST_ENTRY(node, type, member) FG_CONTAINER_OF(node, type, member)
#define FG_LIST_FIRST(list, type, member) FG_CONTAINER_OF((list)->next, type, member)

/* Iterates; the current node may be removed inside the loop, its successor may not. */
#define FG_LIST_EACH(node, list)                                                                                       \
    for (struct fg_list *node = (list)->next, *node##_next = node->next; node != (list);                               \
         node = node##_next, node##_next = node->next)

#endif
