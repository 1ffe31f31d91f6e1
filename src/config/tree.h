/* A YAML document as nodes with positions: what the schema's walk reads. Syntax, size and nesting are checked here. */
#ifndef FG_CONFIG_TREE_H
#define FG_CONFIG_TREE_H

#include "base/mem.h"
#include "config/config.h"

#define FG_TREE_MAX_BYTES (4u << 20)
#define FG_TREE_MAX_DEPTH 32

/* Counts what an alias stands for each time it is used: nested aliases grow exponentially ("billion laughs"). */
#define FG_TREE_MAX_NODES 100000u

enum fg_node_kind { FG_NODE_SCALAR, FG_NODE_LIST, FG_NODE_MAPPING };

struct fg_node {
    enum fg_node_kind kind;
    bool is_null;       /* an empty or `~` or `null` scalar without quotes */
    int line, column;   /* from 1; 0 for a node that stands in no file */
    struct fg_str text; /* SCALAR; zero-terminated, but it may contain zeros */
    struct fg_child *first, *last;
    size_t children;
    size_t weight; /* nodes in it, itself included */
};

struct fg_child {
    struct fg_node *key; /* MAPPING; a scalar */
    struct fg_node *value;
    struct fg_child *next;
};

/* Parses TEXT into nodes in ARENA. NULL with at least one error if it is not one sound YAML document. */
struct fg_node *fg_tree_parse(struct fg_arena *arena, struct fg_str text, struct fg_config_errors *errors);

/* Nodes that stand in no file, for the command line. */
struct fg_node *fg_tree_scalar(struct fg_arena *arena, struct fg_str text);
struct fg_node *fg_tree_collection(struct fg_arena *arena, enum fg_node_kind kind);

/* KEY is NULL in a list. */
void fg_tree_append(struct fg_arena *arena, struct fg_node *parent, struct fg_node *key, struct fg_node *value);

#endif
