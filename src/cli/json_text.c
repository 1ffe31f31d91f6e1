#include "cli/json_text.h"

#include "base/mem.h"
#include "rpc/json_write.h"

#define STEP 2

static int to_file(void *context, const char *bytes, size_t len)
{
    return fwrite(bytes, 1, len, context) == len ? 0 : -1;
}

static void put_line(struct fg_json_out *out, int indent)
{
    if (indent < 0)
        return;
    fg_json_put(out, '\n');
    for (int i = 0; i < indent; i++)
        fg_json_put(out, ' ');
}

static void put(struct fg_json_out *out, const json_t *value, int indent);

static void put_object(struct fg_json_out *out, const json_t *object, int indent)
{
    int inner = indent < 0 ? indent : indent + STEP;
    const char *key;
    json_t *value;
    bool first = true;

    fg_json_put(out, '{');
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (!first)
            fg_json_put(out, ',');
        first = false;
        put_line(out, inner);
        fg_json_put_text(out, fg_str_from(key));
        fg_json_put(out, ':');
        if (indent >= 0)
            fg_json_put(out, ' ');
        put(out, value, inner);
    }
    if (!first)
        put_line(out, indent);
    fg_json_put(out, '}');
}

static void put_array(struct fg_json_out *out, const json_t *array, int indent)
{
    int inner = indent < 0 ? indent : indent + STEP;
    json_t *value;
    size_t i;

    fg_json_put(out, '[');
    json_array_foreach((json_t *)(uintptr_t)array, i, value)
    {
        if (i > 0)
            fg_json_put(out, ',');
        put_line(out, inner);
        put(out, value, inner);
    }
    if (json_array_size(array) > 0)
        put_line(out, indent);
    fg_json_put(out, ']');
}

static void put_word(struct fg_json_out *out, const char *word)
{
    fg_json_put_raw(out, word, strlen(word));
}

static void put(struct fg_json_out *out, const json_t *value, int indent)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        put_object(out, value, indent);
        break;
    case JSON_ARRAY:
        put_array(out, value, indent);
        break;
    case JSON_STRING:
        fg_json_put_text(out, (struct fg_str){json_string_value(value), json_string_length(value)});
        break;
    case JSON_INTEGER:
        fg_json_put_i64(out, json_integer_value(value));
        break;
    case JSON_REAL:
        fg_json_put_double(out, json_real_value(value));
        break;
    case JSON_TRUE:
        put_word(out, "true");
        break;
    case JSON_FALSE:
        put_word(out, "false");
        break;
    case JSON_NULL:
        put_word(out, "null");
        break;
    }
}

void fg_json_print(const json_t *value, int indent, FILE *out)
{
    struct fg_json_out json;
    char buffer[4096];

    fg_json_out_init(&json, buffer, sizeof buffer, to_file, out);
    put(&json, value, indent);
    fg_json_flush(&json);
}

char *fg_json_print_text(const json_t *value)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    if (!out)
        return fg_strdup("");
    fg_json_print(value, -1, out);
    fclose(out);
    return text;
}
