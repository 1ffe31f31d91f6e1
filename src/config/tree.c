#include "config/tree.h"

#include <yaml.h>

#include "config/errors.h"

#define MAX_ANCHORS 256

struct anchor {
    const char *name;
    struct fg_node *node;
};

struct frame {
    struct fg_node *node;
    struct fg_node *key; /* MAPPING: read, its value not yet */
    const char *anchor;
};

struct builder {
    struct fg_arena *arena;
    struct fg_config_errors *errors;
    struct frame stack[FG_TREE_MAX_DEPTH];
    size_t depth;
    struct anchor anchors[MAX_ANCHORS];
    size_t anchors_len;
    size_t nodes;
    struct fg_node *root;
    bool ended; /* the first document */
};

/* ---- nodes ---- */

static struct fg_node *make_node(struct fg_arena *arena, enum fg_node_kind kind, struct fg_str text)
{
    struct fg_node *node = fg_arena_alloc(arena, sizeof *node);
    *node = (struct fg_node){.kind = kind, .weight = 1, .text = text};
    return node;
}

struct fg_node *fg_tree_scalar(struct fg_arena *arena, struct fg_str text)
{
    return make_node(arena, FG_NODE_SCALAR, fg_arena_copy(arena, text));
}

struct fg_node *fg_tree_collection(struct fg_arena *arena, enum fg_node_kind kind)
{
    return make_node(arena, kind, (struct fg_str){"", 0});
}

void fg_tree_append(struct fg_arena *arena, struct fg_node *parent, struct fg_node *key, struct fg_node *value)
{
    struct fg_child *child = fg_arena_alloc(arena, sizeof *child);
    *child = (struct fg_child){.key = key, .value = value};
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
    parent->children++;
    parent->weight += value->weight + (key ? 1 : 0);
}

/* ---- bytes ---- */

struct place {
    int line, column;
};

static struct place place_of(struct fg_str text, size_t offset)
{
    struct place place = {1, 1};
    for (size_t i = 0; i < offset; i++) {
        if (text.p[i] == '\n')
            place = (struct place){place.line + 1, 1};
        else if (((unsigned char)text.p[i] & 0xc0) != 0x80)
            place.column++;
    }
    return place;
}

/* Length of the UTF-8 sequence at P (RFC 3629: no surrogates, no overlong forms), 0 if there is none. */
static size_t utf8_len(const unsigned char *p, size_t left)
{
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    if (len == 0 || len > left)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
        (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return len;
}

static int check_bytes(struct fg_str text, struct fg_config_errors *errors)
{
    const unsigned char *p = (const unsigned char *)text.p;

    if (text.len > FG_TREE_MAX_BYTES) {
        fg_errors_add(errors, 0, 0, "", "the file is larger than %u MiB", FG_TREE_MAX_BYTES >> 20);
        return -1;
    }
    for (size_t i = 0; i < text.len;) {
        size_t len = utf8_len(p + i, text.len - i);
        bool control = len == 1 && (p[i] < 0x20 || p[i] == 0x7f) && p[i] != '\t' && p[i] != '\n' && p[i] != '\r';
        if (len == 0 || control) {
            struct place place = place_of(text, i);
            fg_errors_add(errors, place.line, place.column, "",
                          len == 0 ? "byte 0x%02x is not valid UTF-8; is this a text file?"
                                   : "control character 0x%02x; is this a text file?",
                          p[i]);
            return -1;
        }
        i += len;
    }
    return 0;
}

/* ---- events ---- */

static int fail(struct builder *b, const yaml_mark_t *mark, const char *message)
{
    fg_errors_add(b->errors, (int)mark->line + 1, (int)mark->column + 1, "", "%s", message);
    return -1;
}

static int count_nodes(struct builder *b, const yaml_mark_t *mark, size_t more)
{
    b->nodes += more; /* both are bounded, so it cannot overflow */
    return b->nodes > FG_TREE_MAX_NODES
               ? fail(b, mark, "the file has more than 100000 values, counting what aliases repeat")
               : 0;
}

static int add_anchor(struct builder *b, const yaml_mark_t *mark, const char *name, struct fg_node *node)
{
    if (!name)
        return 0;
    if (b->anchors_len == MAX_ANCHORS)
        return fail(b, mark, "the file has more than 256 anchors");
    b->anchors[b->anchors_len++] = (struct anchor){name, node};
    return 0;
}

/* Puts a complete scalar, or a collection that just began, where it belongs. */
static int attach(struct builder *b, const yaml_mark_t *mark, struct fg_node *node)
{
    if (b->depth == 0) {
        b->root = node;
        return 0;
    }
    struct frame *frame = &b->stack[b->depth - 1];
    if (frame->node->kind == FG_NODE_LIST) {
        fg_tree_append(b->arena, frame->node, NULL, node);
    } else if (!frame->key) {
        if (node->kind != FG_NODE_SCALAR)
            return fail(b, mark, "found a list or a mapping, expected the name of a key");
        frame->key = node;
    } else {
        fg_tree_append(b->arena, frame->node, frame->key, node);
        frame->key = NULL;
    }
    return 0;
}

static bool means_null(const yaml_event_t *event)
{
    if (event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    const char *text = (const char *)event->data.scalar.value;
    return text[0] == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0;
}

static const char *copy_name(struct builder *b, const yaml_char_t *name)
{
    return name ? fg_arena_copy(b->arena, fg_str_from((const char *)name)).p : NULL;
}

static int on_scalar(struct builder *b, const yaml_event_t *event)
{
    const yaml_mark_t *mark = &event->start_mark;
    if (event->data.scalar.tag)
        return fail(b, mark, "tags (!...) are not used here; write the plain value");
    if (count_nodes(b, mark, 1) != 0)
        return -1;
    struct fg_node *node =
        fg_tree_scalar(b->arena, (struct fg_str){(const char *)event->data.scalar.value, event->data.scalar.length});
    node->is_null = means_null(event);
    node->line = (int)mark->line + 1;
    node->column = (int)mark->column + 1;
    if (add_anchor(b, mark, copy_name(b, event->data.scalar.anchor), node) != 0)
        return -1;
    return attach(b, mark, node);
}

/* A list or mapping joins its parent when it ends: only then is its weight known. */
static int on_start(struct builder *b, const yaml_event_t *event)
{
    const yaml_mark_t *mark = &event->start_mark;
    bool list = event->type == YAML_SEQUENCE_START_EVENT;
    if (list ? event->data.sequence_start.tag != NULL : event->data.mapping_start.tag != NULL)
        return fail(b, mark, "tags (!...) are not used here; write the plain value");
    if (b->depth == FG_TREE_MAX_DEPTH)
        return fail(b, mark, "nested more than 32 deep");
    if (count_nodes(b, mark, 1) != 0)
        return -1;
    struct fg_node *node = fg_tree_collection(b->arena, list ? FG_NODE_LIST : FG_NODE_MAPPING);
    node->line = (int)mark->line + 1;
    node->column = (int)mark->column + 1;
    const yaml_char_t *anchor = list ? event->data.sequence_start.anchor : event->data.mapping_start.anchor;
    b->stack[b->depth++] = (struct frame){.node = node, .anchor = copy_name(b, anchor)};
    return 0;
}

static int on_end(struct builder *b, const yaml_event_t *event)
{
    struct frame frame = b->stack[--b->depth];
    if (add_anchor(b, &event->start_mark, frame.anchor, frame.node) != 0)
        return -1;
    yaml_mark_t mark = {.line = (size_t)frame.node->line - 1, .column = (size_t)frame.node->column - 1};
    return attach(b, &mark, frame.node);
}

static int on_alias(struct builder *b, const yaml_event_t *event)
{
    const char *name = (const char *)event->data.alias.anchor;
    for (size_t i = b->anchors_len; i-- > 0;) {
        if (strcmp(b->anchors[i].name, name) != 0)
            continue;
        if (count_nodes(b, &event->start_mark, b->anchors[i].node->weight) != 0)
            return -1;
        return attach(b, &event->start_mark, b->anchors[i].node);
    }
    return fail(b, &event->start_mark,
                "an alias (*name) of an anchor (&name) that does not stand completely before it");
}

static int on_event(struct builder *b, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        return b->ended ? fail(b, &event->start_mark, "a second document (---); one file holds one configuration") : 0;
    case YAML_DOCUMENT_END_EVENT:
        b->ended = true;
        return 0;
    case YAML_SCALAR_EVENT:
        return on_scalar(b, event);
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        return on_start(b, event);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return on_end(b, event);
    case YAML_ALIAS_EVENT:
        return on_alias(b, event);
    default:
        return 0;
    }
}

/* ---- syntax errors ---- */

/* Column of a tab in the indentation of LINE, 0 if there is none. */
static int tab_column(struct fg_str text, size_t line)
{
    const char *p = text.p, *end = text.p + text.len;
    for (; line > 0 && p < end; p++)
        line -= *p == '\n';
    for (const char *start = p; p < end && (*p == ' ' || *p == '\t'); p++)
        if (*p == '\t')
            return (int)(p - start) + 1;
    return 0;
}

static void explain(const yaml_parser_t *parser, struct fg_str text, struct fg_config_errors *errors)
{
    int line = (int)parser->problem_mark.line + 1, column = (int)parser->problem_mark.column + 1;
    int tab = tab_column(text, parser->problem_mark.line);

    if (tab > 0)
        fg_errors_add(errors, line, tab, "", "a tab in the indentation; YAML wants spaces");
    else if (parser->context && parser->context_mark.line != parser->problem_mark.line)
        fg_errors_add(errors, line, column, "", "not valid YAML: %s (%s that begins in line %d)",
                      parser->problem ? parser->problem : "unknown problem", parser->context,
                      (int)parser->context_mark.line + 1);
    else
        fg_errors_add(errors, line, column, "", "not valid YAML: %s%s%s",
                      parser->problem ? parser->problem : "unknown problem", parser->context ? " " : "",
                      parser->context ? parser->context : "");
}

struct fg_node *fg_tree_parse(struct fg_arena *arena, struct fg_str text, struct fg_config_errors *errors)
{
    yaml_parser_t parser;
    bool done = false, failed = false;

    if (check_bytes(text, errors) != 0)
        return NULL;
    struct builder *b = fg_alloc_zero(sizeof *b);
    b->arena = arena;
    b->errors = errors;
    if (!yaml_parser_initialize(&parser)) {
        free(b);
        fg_errors_add(errors, 0, 0, "", "out of memory");
        return NULL;
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text.p, text.len);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    while (!done && !failed) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            explain(&parser, text, errors);
            failed = true;
            break;
        }
        done = event.type == YAML_STREAM_END_EVENT;
        failed = on_event(b, &event) != 0;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    struct fg_node *root = failed ? NULL : b->root;
    free(b);
    if (!failed && (!root || root->is_null)) {
        fg_errors_add(errors, 1, 1, "", "the file is empty; it needs at least listeners and clusters");
        root = NULL;
    }
    return root;
}
