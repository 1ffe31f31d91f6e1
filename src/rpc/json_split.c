#include "rpc/json_split.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* C is inside of a value. Is the value whole with it? */
static bool is_last(struct fg_json_split *split, char c)
{
    if (split->in_string) {
        if (split->escaped)
            split->escaped = false;
        else if (c == '\\')
            split->escaped = true;
        else if (c == '"')
            split->in_string = false;
        return !split->in_string && split->depth == 0;
    }
    if (c == '"')
        split->in_string = true;
    else if (c == '{' || c == '[')
        split->depth++;
    else if (c == '}' || c == ']')
        split->depth -= split->depth > 0;
    return !split->in_string && split->depth == 0 && (c == '}' || c == ']');
}

/* Between values. False: C may not stand there. */
static bool between(struct fg_json_split *split, char c)
{
    if (split->ended)
        return false;
    if (!split->began && c == '[') {
        split->began = split->array = true;
        return true;
    }
    if (split->array && c == ']' && !split->wants) {
        split->ended = true;
        return true;
    }
    if (split->array && c == ',' && split->comma) {
        split->comma = false;
        split->wants = true;
        return true;
    }
    return false;
}

static bool begins(struct fg_json_split *split, char c)
{
    if (split->ended || c == ',' || c == ']' || c == '}' || (split->array && split->comma))
        return false;
    split->began = split->in_value = true;
    split->wants = false;
    split->depth = 0;
    split->scalar = c != '"' && c != '{' && c != '[';
    return true;
}

static enum fg_json_split_result whole(struct fg_json_split *split)
{
    split->in_value = split->scalar = false;
    split->comma = true;
    return FG_JSON_SPLIT_VALUE;
}

enum fg_json_split_result fg_json_split_feed(struct fg_json_split *split, const char *data, size_t len, size_t *at,
                                             struct fg_str *piece)
{
    size_t from;

    *piece = (struct fg_str){data, 0};
    while (!split->in_value) {
        if (*at == len)
            return FG_JSON_SPLIT_MORE;
        char c = data[*at];
        if (is_space(c) || between(split, c))
            ++*at;
        else if (!begins(split, c))
            return FG_JSON_SPLIT_BAD;
        else
            break;
    }
    from = *at;
    for (; *at < len; ++*at) {
        char c = data[*at];
        if (split->scalar && (is_space(c) || c == ',' || c == ']')) {
            *piece = (struct fg_str){data + from, *at - from};
            return whole(split);
        }
        if (split->scalar)
            continue;
        if (is_last(split, c)) {
            ++*at;
            *piece = (struct fg_str){data + from, *at - from};
            return whole(split);
        }
    }
    *piece = (struct fg_str){data + from, *at - from};
    return FG_JSON_SPLIT_MORE;
}

int fg_json_split_end(const struct fg_json_split *split)
{
    if (split->in_value)
        return split->scalar && !split->array ? 1 : -1;
    return split->array && !split->ended ? -1 : 0;
}
