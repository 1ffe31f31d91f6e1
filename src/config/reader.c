#include "config/reader.h"

#include <assert.h>
#include <stdarg.h>

#include "config/errors.h"
#include "config/nearest.h"
#include "config/value.h"

static void read_value(struct fg_reader *r, const struct fg_key *key, const struct fg_node *node, char *base);

/* ---- path ---- */

/* Appends to the path; the returned length takes it back. */
__attribute__((format(printf, 2, 3))) static size_t enter(struct fg_reader *r, const char *format, ...)
{
    size_t before = r->path_len;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(r->path + before, sizeof r->path - before, format, args);
    va_end(args);
    r->path_len = FG_MIN(before + (size_t)FG_MAX(n, 0), sizeof r->path - 1);
    return before;
}

static size_t enter_key(struct fg_reader *r, struct fg_str name)
{
    char quoted[FG_QUOTE_BYTES];
    fg_errors_quote(quoted, name);
    size_t len = strlen(quoted) - 2; /* without the quotes */
    return enter(r, "%s%.*s", r->path_len > 0 ? "." : "", (int)len, quoted + 1);
}

static void leave(struct fg_reader *r, size_t before)
{
    r->path_len = before;
    r->path[before] = '\0';
}

/* ---- problems ---- */

static const char *found(const struct fg_node *node, char quoted[FG_QUOTE_BYTES])
{
    if (node->kind == FG_NODE_LIST)
        return "a list";
    if (node->kind == FG_NODE_MAPPING)
        return "a mapping";
    return node->is_null ? "nothing" : fg_errors_quote(quoted, node->text);
}

static void complain(struct fg_reader *r, const struct fg_node *node, const char *expected)
{
    char quoted[FG_QUOTE_BYTES];
    fg_errors_add(r->errors, node->line, node->column, r->path, "found %s, %s", found(node, quoted), expected);
}

static void unknown_key(struct fg_reader *r, const struct fg_table *table, const struct fg_node *node)
{
    struct fg_nearest nearest;
    char names[400] = "";
    size_t len = 0;

    fg_nearest_init(&nearest, node->text);
    for (size_t i = 0; i < table->keys_len; i++) {
        fg_nearest_offer(&nearest, table->keys[i].name);
        int n = snprintf(names + len, sizeof names - len, "%s%s", i > 0 ? ", " : "", table->keys[i].name);
        len = FG_MIN(len + (size_t)FG_MAX(n, 0), sizeof names - 1);
    }
    if (nearest.best)
        fg_errors_add(r->errors, node->line, node->column, r->path, "unknown key; did you mean \"%s\"?", nearest.best);
    else
        fg_errors_add(r->errors, node->line, node->column, r->path, "unknown key, expected one of: %s", names);
}

static void missing_key(struct fg_reader *r, const struct fg_key *key, const struct fg_node *node)
{
    char expected[FG_VALUE_WHY_BYTES];
    if (key->type == FG_KEY_LIST)
        snprintf(expected, sizeof expected, "a list");
    else if (key->type == FG_KEY_MAP)
        snprintf(expected, sizeof expected, "a mapping from names to settings");
    else
        fg_value_expected(key, expected);
    fg_errors_add(r->errors, node->line, node->column, r->path, "is missing, expected %s", expected);
}

/* ---- storing ---- */

static void store_number(const struct fg_key *key, uint64_t number, char *base)
{
    char *field = base + key->offset;
    if (key->type == FG_KEY_RATIO || key->type == FG_KEY_FACTOR) {
        double ratio = (double)number / FG_RATIO_UNIT;
        memcpy(field, &ratio, sizeof ratio);
    } else if (key->bytes == sizeof(bool) && key->type == FG_KEY_BOOL) {
        bool yes = number != 0;
        memcpy(field, &yes, sizeof yes);
    } else if (key->bytes == sizeof(uint32_t)) {
        uint32_t small = (uint32_t)number;
        memcpy(field, &small, sizeof small);
    } else if (key->bytes == sizeof number) {
        memcpy(field, &number, sizeof number);
    } else {
        assert(key->bytes == 0); /* a key that is checked and not stored */
    }
}

static const char *lower(struct fg_arena *arena, struct fg_str text)
{
    struct fg_str copy = fg_arena_copy(arena, text);
    char *p = (char *)copy.p;
    for (size_t i = 0; i < copy.len; i++)
        if (p[i] >= 'A' && p[i] <= 'Z')
            p[i] = (char)(p[i] - 'A' + 'a');
    return p;
}

static const char *in_folder(struct fg_reader *r, struct fg_str name)
{
    bool absolute = name.len > 0 && name.p[0] == '/';
    return fg_arena_printf(r->arena, "%s%s", absolute ? "" : r->folder, name.p).p;
}

static const char *text_of(struct fg_reader *r, const struct fg_key *key, struct fg_str text)
{
    struct fg_str unix_prefix = FG_STR("unix:");
    for (const struct fg_key_word *word = key->words; word && word->text; word++)
        if (fg_str_eq(text, fg_str_from(word->text)))
            return word->text;
    if (key->type == FG_KEY_FILE)
        return in_folder(r, text);
    if (key->type == FG_KEY_HOST || key->type == FG_KEY_HEADER || key->type == FG_KEY_CALL_HEADER)
        return lower(r->arena, text);
    if (key->type == FG_KEY_ADMIN && fg_str_starts_with(text, unix_prefix)) {
        struct fg_str path = {text.p + unix_prefix.len, text.len - unix_prefix.len};
        return fg_arena_printf(r->arena, "unix:%s", in_folder(r, path)).p;
    }
    return fg_arena_copy(r->arena, text).p;
}

static bool is_number(enum fg_key_type type)
{
    return type >= FG_KEY_BOOL && type <= FG_KEY_LIMIT_KEY;
}

static int store(struct fg_reader *r, const struct fg_key *key, struct fg_str text, char *base,
                 char why[FG_VALUE_WHY_BYTES])
{
    uint64_t number;
    if (fg_value_parse(key, text, &number, why) != 0)
        return -1;
    if (is_number(key->type)) {
        store_number(key, number, base);
        if (key->type == FG_KEY_LIMIT_KEY) {
            struct fg_str header = fg_value_header_of(text);
            const char *name = header.p ? lower(r->arena, header) : NULL;
            memcpy(base + key->header_offset, &name, sizeof name);
        }
    } else {
        const char *copy = text_of(r, key, text);
        memcpy(base + key->offset, &copy, sizeof copy);
    }
    return 0;
}

void fg_reader_defaults(struct fg_reader *r, const struct fg_table *table, void *base)
{
    for (size_t i = 0; i < table->keys_len; i++) {
        const struct fg_key *key = &table->keys[i];
        if (key->type == FG_KEY_TABLE && !(key->flags & FG_KEY_OPTIONAL_TABLE)) {
            fg_reader_defaults(r, key->table, (char *)base + key->offset);
        } else if (key->default_text) {
            char why[FG_VALUE_WHY_BYTES];
            int rc = store(r, key, fg_str_from(key->default_text), base, why);
            assert(rc == 0); /* the table of keys contradicts itself */
            (void)rc;
        }
    }
}

/* ---- nodes ---- */

static void mark(struct fg_reader *r, const void *base, const struct fg_key *key, const struct fg_node *node, bool bad)
{
    fg_marks_add(
        r->marks,
        (struct fg_mark){
            .base = base, .key = key, .path = r->path, .line = node->line, .column = node->column, .bad = bad});
}

static bool has_zero(struct fg_str text)
{
    return text.len > 0 && memchr(text.p, '\0', text.len);
}

static void read_scalar(struct fg_reader *r, const struct fg_key *key, const struct fg_node *node, char *base)
{
    char why[FG_VALUE_WHY_BYTES], expected[FG_VALUE_WHY_BYTES + 16];
    bool bad = true;

    if (node->kind != FG_NODE_SCALAR || node->is_null) {
        fg_value_expected(key, why);
        snprintf(expected, sizeof expected, "expected %s", why);
        complain(r, node, expected);
    } else if (key->type == FG_KEY_TOKEN) { /* a secret: messages end up in logs */
        bad = has_zero(node->text) || store(r, key, node->text, base, why) != 0;
        if (bad)
            fg_errors_add(r->errors, node->line, node->column, r->path,
                          "expected visible ASCII without spaces, at most 1024 characters");
    } else if (has_zero(node->text)) {
        complain(r, node, "expected text without zero bytes");
    } else if (store(r, key, node->text, base, why) != 0) {
        complain(r, node, why);
    } else {
        bad = false;
    }
    mark(r, base, key, node, bad);
}

/* At most one of the exclusive keys; and no key without the one it needs. */
static void check_company(struct fg_reader *r, const struct fg_table *table, const struct fg_node *const *given)
{
    const struct fg_key *first = NULL;
    for (size_t i = 0; i < table->keys_len; i++) {
        const struct fg_key *key = &table->keys[i];
        if (!given[i])
            continue;
        size_t before = enter_key(r, fg_str_from(key->name));
        if (key->flags & FG_KEY_EXCLUSIVE) {
            if (first)
                fg_errors_add(r->errors, given[i]->line, given[i]->column, r->path,
                              "stands beside \"%s\"; only one of them may", first->name);
            else
                first = key;
        }
        if (key->needs && !given[fg_schema_find(table, key->needs) - table->keys])
            fg_errors_add(r->errors, given[i]->line, given[i]->column, r->path, "needs \"%s\" beside it", key->needs);
        leave(r, before);
    }
}

#define MAX_KEYS 32 /* of one table */

static void read_entries(struct fg_reader *r, const struct fg_table *table, const struct fg_node *node, char *base)
{
    const struct fg_node *given[MAX_KEYS] = {0};
    assert(table->keys_len <= MAX_KEYS);

    for (const struct fg_child *child = node->first; child; child = child->next) {
        const struct fg_key *key = has_zero(child->key->text) ? NULL : fg_schema_find(table, child->key->text.p);
        size_t before = enter_key(r, child->key->text);
        if (!key) {
            unknown_key(r, table, child->key);
        } else if (given[key - table->keys]) {
            fg_errors_add(r->errors, child->key->line, child->key->column, r->path,
                          "stands twice; the first is in line %d", given[key - table->keys]->line);
        } else {
            given[key - table->keys] = child->key;
            read_value(r, key, child->value, base);
        }
        leave(r, before);
    }
    for (size_t i = 0; i < table->keys_len; i++) {
        const struct fg_key *key = &table->keys[i];
        if (given[i] || !(key->flags & FG_KEY_REQUIRED))
            continue;
        size_t before = enter_key(r, fg_str_from(key->name));
        missing_key(r, key, node);
        leave(r, before);
    }
    check_company(r, table, given);
}

/* The struct at BASE is zero, or has its defaults already. */
static void read_table(struct fg_reader *r, const struct fg_table *table, const struct fg_node *node, char *base)
{
    fg_reader_defaults(r, table, base);
    bool is_scalar = node->kind == FG_NODE_SCALAR && !node->is_null;

    if (table->shorthand == FG_SHORTHAND_ONLY || (table->shorthand == FG_SHORTHAND_ALLOWED && is_scalar))
        read_scalar(r, &table->keys[0], node, base);
    else if (node->kind != FG_NODE_MAPPING)
        complain(r, node, node->is_null ? "expected a mapping; {} stands for all defaults" : "expected a mapping");
    else
        read_entries(r, table, node, base);
}

static bool is_count_good(struct fg_reader *r, const struct fg_key *key, const struct fg_node *node)
{
    if (node->children >= key->min && node->children <= key->max)
        return true;
    fg_errors_add(r->errors, node->line, node->column, r->path, "found %zu entries, expected %llu to %llu",
                  node->children, (unsigned long long)key->min, (unsigned long long)key->max);
    return false;
}

static bool read_code(struct fg_reader *r, const struct fg_node *node, uint64_t *set)
{
    char why[FG_VALUE_WHY_BYTES] = "expected a status code, such as UNAVAILABLE";
    uint64_t code;

    if (node->kind != FG_NODE_SCALAR || node->is_null || fg_value_code(node->text, &code, why) != 0) {
        complain(r, node, why);
        return false;
    }
    if (*set & code) {
        complain(r, node, "which stands in the list already");
        return false;
    }
    *set |= code;
    return true;
}

/* A single code may stand without its list. */
static void read_codes(struct fg_reader *r, const struct fg_key *key, const struct fg_node *node, char *base)
{
    uint64_t set = 0;
    bool good = true;

    if (node->kind == FG_NODE_LIST) {
        good = is_count_good(r, key, node);
        size_t i = 0;
        for (const struct fg_child *child = node->first; child; child = child->next) {
            size_t before = enter(r, "[%zu]", i++);
            good = read_code(r, child->value, &set) && good;
            leave(r, before);
        }
    } else if (node->kind == FG_NODE_SCALAR && !node->is_null) {
        good = read_code(r, node, &set);
    } else {
        complain(r, node, "expected a list of status codes, such as [UNAVAILABLE, INTERNAL]");
        good = false;
    }
    if (good)
        store_number(key, set, base);
    mark(r, base, key, node, !good);
}

/* Room for the items, zeroed, and stored in the struct at BASE. */
static char *make_items(struct fg_reader *r, const struct fg_key *key, size_t len, char *base)
{
    char *items = fg_arena_alloc(r->arena, len * key->table->bytes);
    memset(items, 0, len * key->table->bytes);
    memcpy(base + key->offset, &items, sizeof items);
    memcpy(base + key->len_offset, &len, sizeof len);
    return items;
}

static void read_list(struct fg_reader *r, const struct fg_key *key, const struct fg_node *node, char *base)
{
    if (node->kind != FG_NODE_LIST) {
        complain(r, node, "expected a list");
        mark(r, base, key, node, true);
        return;
    }
    bool good = is_count_good(r, key, node);
    mark(r, base, key, node, !good);
    if (!good)
        return;
    char *item = make_items(r, key, node->children, base);
    size_t i = 0;
    for (const struct fg_child *child = node->first; child; child = child->next, item += key->table->bytes) {
        size_t before = enter(r, "[%zu]", i++);
        mark(r, item, NULL, child->value, false);
        read_table(r, key->table, child->value, item);
        leave(r, before);
    }
}

static const char *read_name(struct fg_reader *r, const struct fg_table *table, const struct fg_node *node)
{
    struct fg_key name = {.type = table->name_type};
    char why[FG_VALUE_WHY_BYTES];
    const char *out = NULL;
    if (has_zero(node->text))
        complain(r, node, "expected a name without zero bytes");
    else if (store(r, &name, node->text, (char *)&out, why) != 0)
        complain(r, node, why);
    return out;
}

/* A name that stands twice, or none at all. The number of entries is limited, so comparing all pairs is cheap enough.
 */
static bool is_name_taken(struct fg_reader *r, const struct fg_table *table, const char *first, const char *item,
                          const struct fg_node *node)
{
    const char *name, *other;
    memcpy(&name, item + table->name_offset, sizeof name);
    for (const char *p = first; name && p < item; p += table->bytes) {
        memcpy(&other, p + table->name_offset, sizeof other);
        if (!other || strcmp(name, other) != 0)
            continue;
        fg_errors_add(r->errors, node->line, node->column, r->path, "stands twice");
        return true;
    }
    return false;
}

static void read_map(struct fg_reader *r, const struct fg_key *key, const struct fg_node *node, char *base)
{
    const struct fg_table *table = key->table;
    if (node->kind != FG_NODE_MAPPING) {
        complain(r, node, "expected a mapping from names to settings");
        mark(r, base, key, node, true);
        return;
    }
    bool good = is_count_good(r, key, node);
    mark(r, base, key, node, !good);
    if (!good)
        return;
    char *first = make_items(r, key, node->children, base), *item = first;
    for (const struct fg_child *child = node->first; child; child = child->next, item += table->bytes) {
        size_t before = enter_key(r, child->key->text);
        const char *name = read_name(r, table, child->key);
        memcpy(item + table->name_offset, &name, sizeof name);
        bool taken = is_name_taken(r, table, first, item, child->key);
        mark(r, item, NULL, child->key, !name || taken);
        if (!taken)
            read_table(r, table, child->value, item);
        leave(r, before);
    }
}

static void read_value(struct fg_reader *r, const struct fg_key *key, const struct fg_node *node, char *base)
{
    switch (key->type) {
    case FG_KEY_TABLE:
        mark(r, base, key, node, node->kind != FG_NODE_MAPPING);
        read_table(r, key->table, node, base + key->offset);
        break;
    case FG_KEY_LIST:
        read_list(r, key, node, base);
        break;
    case FG_KEY_MAP:
        read_map(r, key, node, base);
        break;
    case FG_KEY_CODES:
        read_codes(r, key, node, base);
        break;
    default:
        read_scalar(r, key, node, base);
    }
}

void fg_reader_read(struct fg_reader *r, const struct fg_node *root, struct fg_raw_config *raw)
{
    *raw = (struct fg_raw_config){0};
    leave(r, 0);
    read_table(r, fg_schema(), root, (char *)raw);
}
