#include "rpc/json_hide.h"

#define DEPTH_MAX 256

/* One name on the way from the top. */
struct step {
    struct fg_str key;            /* as the JSON has it */
    const struct fg_field *field; /* NULL: not known, or a key of a map */
};

struct hider {
    const struct fg_json_hide *how;
    const char *at, *end;
    FILE *out;
    size_t depth, nesting;
    struct step steps[DEPTH_MAX];
};

/* ---- which ---- */

static bool is_step(const struct step *step, struct fg_str name)
{
    if (fg_str_eq(name, FG_STR("*")) || fg_str_eq(name, step->key))
        return true;
    return step->field && (fg_str_eq(name, step->field->name) || fg_str_eq(name, step->field->json_name));
}

static bool is_path(const struct step *steps, size_t depth, const char *path)
{
    size_t len = strlen(path);

    for (;;) {
        size_t begin = len;
        while (begin > 0 && path[begin - 1] != '.')
            begin--;
        if (depth == 0 || !is_step(&steps[--depth], (struct fg_str){path + begin, len - begin}))
            return false;
        if (begin == 0)
            return true;
        len = begin - 1;
    }
}

static bool is_hidden(const struct hider *h)
{
    for (size_t i = 0; i < h->how->paths_len; i++)
        if (is_path(h->steps, h->depth, h->how->paths[i]))
            return true;
    return false;
}

bool fg_json_hides_path(const struct fg_json_hide *how, struct fg_str path)
{
    struct step steps[16];
    size_t depth = 0;

    for (size_t at = 0; at <= path.len;) {
        const char *dot = memchr(path.p + at, '.', path.len - at);
        size_t len = dot ? (size_t)(dot - path.p) - at : path.len - at;
        if (depth == FG_ARRAY_LEN(steps))
            return true; /* nobody writes that: rather not */
        steps[depth++] = (struct step){.key = {path.p + at, len}};
        at += len + 1;
        for (size_t i = 0; i < how->paths_len; i++)
            if (is_path(steps, depth, how->paths[i]))
                return true;
    }
    return false;
}

/* ---- JSON ---- */

static void put(const struct hider *h, const char *begin, const char *end)
{
    if (h->out)
        fwrite(begin, 1, (size_t)(end - begin), h->out);
}

/* The inside of a string, as it stands there. */
static bool take_string(struct hider *h, struct fg_str *inside)
{
    const char *begin = h->at;

    if (h->at == h->end || *h->at++ != '"')
        return false;
    while (h->at < h->end && *h->at != '"')
        h->at += *h->at == '\\' ? 2 : 1;
    if (h->at >= h->end)
        return false;
    *inside = (struct fg_str){begin + 1, (size_t)(h->at - begin - 1)};
    h->at++;
    put(h, begin, h->at);
    return true;
}

static bool take(struct hider *h, char c)
{
    if (h->at == h->end || *h->at != c)
        return false;
    put(h, h->at, h->at + 1);
    h->at++;
    return true;
}

static bool take_scalar(struct hider *h)
{
    const char *begin = h->at;
    struct fg_str inside;

    if (h->at < h->end && *h->at == '"')
        return take_string(h, &inside);
    while (h->at < h->end && *h->at != ',' && *h->at != '}' && *h->at != ']')
        h->at++;
    put(h, begin, h->at);
    return h->at > begin;
}

static bool take_value(struct hider *h, const struct fg_message *type, bool map);

/* What the value of a field holds; MAP: it is one from keys to that. */
static const struct fg_message *type_of(const struct fg_field *field, bool *map)
{
    *map = field && field->map;
    if (!field || !field->message)
        return NULL;
    if (!field->map)
        return field->message;
    const struct fg_field *value = fg_message_field(field->message, 2);
    return value ? value->message : NULL;
}

/* The member's value, or what stands in its place. */
static bool take_member(struct hider *h, const struct step *step, const struct fg_message *type, bool map)
{
    if (h->depth == DEPTH_MAX)
        return false;
    h->steps[h->depth++] = *step;
    FILE *out = h->out;
    if (out && is_hidden(h)) {
        fputs("\"[redacted]\"", out);
        h->out = NULL;
    }
    bool good = take_value(h, type, map);
    h->out = out;
    h->depth--;
    return good;
}

/* "type.googleapis.com/pkg.Order" */
static const struct fg_message *any_type(const struct hider *h, struct fg_str url)
{
    const char *slash = memrchr(url.p, '/', url.len);

    if (!slash || !h->how->descriptors)
        return NULL;
    return fg_descriptors_message(h->how->descriptors,
                                  (struct fg_str){slash + 1, url.len - (size_t)(slash + 1 - url.p)});
}

static bool take_object(struct hider *h, const struct fg_message *type, bool map)
{
    bool any = type && type->well_known == FG_ANY;
    const struct fg_message *fields = type && type->well_known == FG_NOT_WELL_KNOWN && !map ? type : NULL;

    if (!take(h, '{'))
        return false;
    if (take(h, '}'))
        return true;
    do {
        struct step step = {.field = NULL};
        const struct fg_message *value_type = map ? type : NULL;
        bool value_map = false;
        if (!take_string(h, &step.key) || !take(h, ':'))
            return false;
        if (any && !map && fg_str_eq(step.key, FG_STR("@type"))) { /* comes first, and says what follows */
            struct fg_str url;
            if (!take_string(h, &url))
                return false;
            type = any_type(h, url);
            fields = type && type->well_known == FG_NOT_WELL_KNOWN ? type : NULL;
            continue;
        }
        if (fields) {
            step.field = fg_message_field_named(fields, step.key);
            value_type = type_of(step.field, &value_map);
        }
        if (!take_member(h, &step, value_type, value_map))
            return false;
    } while (take(h, ','));
    return take(h, '}');
}

static bool take_list(struct hider *h, const struct fg_message *type)
{
    if (!take(h, '['))
        return false;
    if (take(h, ']'))
        return true;
    do
        if (!take_value(h, type, false))
            return false;
    while (take(h, ','));
    return take(h, ']');
}

static bool take_value(struct hider *h, const struct fg_message *type, bool map)
{
    bool good;

    if (h->at == h->end || h->nesting == DEPTH_MAX)
        return false;
    h->nesting++;
    if (*h->at == '{')
        good = take_object(h, type, map);
    else if (*h->at == '[')
        good = take_list(h, type);
    else
        good = take_scalar(h);
    h->nesting--;
    return good;
}

int fg_json_hide(const struct fg_json_hide *how, const struct fg_message *type, struct fg_str json, FILE *out)
{
    struct hider h = {.how = how, .at = json.p, .end = json.p + json.len, .out = out};

    return take_value(&h, type, false) && h.at == h.end ? 0 : -1;
}
