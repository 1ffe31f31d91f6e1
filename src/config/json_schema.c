/* A JSON Schema (2020-12) of the file, for editors. What it cannot say (that a cluster exists, say) only the parser
 * checks. */
#include <jansson.h>

#include "config/value.h"
#include "rpc/status.h"

static json_t *describe_table(const struct fg_table *table);

static json_t *text_schema(const char *pattern)
{
    return pattern ? json_pack("{s:s, s:s}", "type", "string", "pattern", pattern)
                   : json_pack("{s:s}", "type", "string");
}

static json_t *any_of(json_t *a, json_t *b)
{
    return json_pack("{s:[o, o]}", "anyOf", a, b);
}

static json_t *integer_schema(const struct fg_key *key)
{
    return json_pack("{s:s, s:I, s:I}", "type", "integer", "minimum", (json_int_t)key->min, "maximum",
                     (json_int_t)key->max);
}

static json_t *ratio_schema(const struct fg_key *key)
{
    return json_pack("{s:s, s:f, s:f}", "type", "number", "minimum", (double)key->min / FG_RATIO_UNIT, "maximum",
                     (double)key->max / FG_RATIO_UNIT);
}

static json_t *codes_of(uint64_t set)
{
    json_t *names = json_array();
    for (unsigned i = FG_STATUS_OK + 1; i < FG_STATUS_LEN; i++)
        if (set >> i & 1)
            json_array_append_new(names, json_string(fg_status_name(i)));
    return names;
}

static json_t *codes_schema(const struct fg_key *key)
{
    json_t *one = json_pack("{s:o}", "enum", codes_of(UINT64_MAX));
    json_t *list = json_pack("{s:s, s:I, s:I, s:b, s:O}", "type", "array", "minItems", (json_int_t)key->min, "maxItems",
                             (json_int_t)key->max, "uniqueItems", 1, "items", one);
    return any_of(one, list);
}

static json_t *describe_text(const struct fg_key *key)
{
    json_t *schema =
        text_schema(key->type == FG_KEY_PATH        ? "^/"
                    : key->type == FG_KEY_METHOD    ? "^(\\*|[A-Za-z_][A-Za-z0-9_.]*/(\\*|[A-Za-z_][A-Za-z0-9_]*))$"
                    : key->type == FG_KEY_LISTEN    ? "^.+:[0-9]+$"
                    : key->type == FG_KEY_ENDPOINT  ? "^.+:[0-9]+$"
                    : key->type == FG_KEY_LIMIT_KEY ? "^header:[^:]+$"
                                                    : NULL);
    if (key->max > 0)
        json_object_set_new(schema, "maxLength", json_integer((json_int_t)key->max));
    return schema;
}

static json_t *describe_scalar(const struct fg_key *key)
{
    switch (key->type) {
    case FG_KEY_BOOL:
        return json_pack("{s:s}", "type", "boolean");
    case FG_KEY_INTEGER:
        return integer_schema(key);
    case FG_KEY_SIZE:
        return any_of(integer_schema(key), text_schema("^[0-9]+(KiB|MiB|GiB)?$"));
    case FG_KEY_DURATION:
        return key->min > 0 ? text_schema("^[0-9]+(us|ms|s|m|h)$")
                            : any_of(json_pack("{s:i}", "const", 0), text_schema("^([0-9]+(us|ms|s|m|h)|0)$"));
    case FG_KEY_RATIO:
    case FG_KEY_FACTOR:
        return any_of(ratio_schema(key), text_schema("^[0-9]+(\\.[0-9]+)?%?$"));
    case FG_KEY_RATE:
        return text_schema("^[0-9]+/s$");
    case FG_KEY_INTERVAL:
        return text_schema("^[0-9]+/[smh]$");
    case FG_KEY_CODES:
        return codes_schema(key);
    default:
        return describe_text(key);
    }
}

/* A word that is also a number, 1.3, says the same with and without quotes. */
static json_t *describe_words(const struct fg_key *key)
{
    json_t *words = json_array();
    for (const struct fg_key_word *word = key->words; word->text; word++) {
        uint64_t millionths;
        json_array_append_new(words, json_string(word->text));
        if (fg_value_ratio(fg_str_from(word->text), &millionths) == 0)
            json_array_append_new(words, json_real((double)millionths / FG_RATIO_UNIT));
    }
    return json_pack("{s:o}", "enum", words);
}

static json_t *describe_item(const struct fg_table *table)
{
    if (table->shorthand == FG_SHORTHAND_NONE)
        return describe_table(table);
    json_t *shorthand = describe_scalar(&table->keys[0]);
    return table->shorthand == FG_SHORTHAND_ONLY ? shorthand : any_of(shorthand, describe_table(table));
}

static json_t *describe_kind(const struct fg_key *key)
{
    switch (key->type) {
    case FG_KEY_TABLE:
        return describe_table(key->table);
    case FG_KEY_LIST:
        return json_pack("{s:s, s:I, s:I, s:o}", "type", "array", "minItems", (json_int_t)key->min, "maxItems",
                         (json_int_t)key->max, "items", describe_item(key->table));
    case FG_KEY_MAP:
        return json_pack("{s:s, s:I, s:I, s:o}", "type", "object", "minProperties", (json_int_t)key->min,
                         "maxProperties", (json_int_t)key->max, "additionalProperties", describe_item(key->table));
    case FG_KEY_ENUM:
        return describe_words(key);
    default:
        return key->words ? any_of(describe_words(key), describe_scalar(key)) : describe_scalar(key);
    }
}

/* As an editor would insert it. */
static json_t *default_of(const struct fg_key *key)
{
    struct fg_str text = fg_str_from(key->default_text);
    char why[FG_VALUE_WHY_BYTES];
    uint64_t n;
    if (key->type == FG_KEY_CODES && fg_value_parse(key, text, &n, why) == 0)
        return codes_of(n);
    if (key->type == FG_KEY_BOOL && fg_value_bool(text, &n) == 0)
        return json_boolean(n != 0);
    if (key->type != FG_KEY_ENUM && fg_value_integer(text, &n) == 0)
        return json_integer((json_int_t)n);
    return json_string(key->default_text);
}

/* No two of the exclusive keys together. */
static void add_exclusive(json_t *schema, const struct fg_table *table)
{
    json_t *pairs = json_array();
    for (size_t i = 0; i < table->keys_len; i++)
        for (size_t j = i + 1; j < table->keys_len; j++)
            if (table->keys[i].flags & table->keys[j].flags & FG_KEY_EXCLUSIVE)
                json_array_append_new(pairs,
                                      json_pack("{s:[s, s]}", "required", table->keys[i].name, table->keys[j].name));
    if (json_array_size(pairs) > 0)
        json_object_set_new(schema, "not", json_pack("{s:O}", "anyOf", pairs));
    json_decref(pairs);
}

static json_t *describe_table(const struct fg_table *table)
{
    json_t *properties = json_object(), *required = json_array(), *company = json_object();
    for (size_t i = 0; i < table->keys_len; i++) {
        const struct fg_key *key = &table->keys[i];
        json_t *schema = describe_kind(key);
        json_object_set_new(schema, "description", json_string(key->description));
        if (key->default_text)
            json_object_set_new(schema, "default", default_of(key));
        json_object_set_new(properties, key->name, schema);
        if (key->flags & FG_KEY_REQUIRED)
            json_array_append_new(required, json_string(key->name));
        if (key->needs)
            json_object_set_new(company, key->name, json_pack("[s]", key->needs));
    }
    json_t *schema =
        json_pack("{s:s, s:b, s:o}", "type", "object", "additionalProperties", 0, "properties", properties);
    if (json_array_size(required) > 0)
        json_object_set(schema, "required", required);
    if (json_object_size(company) > 0)
        json_object_set(schema, "dependentRequired", company);
    json_decref(required);
    json_decref(company);
    add_exclusive(schema, table);
    return schema;
}

void fg_config_print_schema(FILE *to)
{
    json_t *body = describe_table(fg_schema());
    json_t *schema = json_pack("{s:s, s:s}", "$schema", "https://json-schema.org/draft/2020-12/schema", "title",
                               "fusegate configuration");
    json_object_update(schema, body);
    json_dumpf(schema, to, JSON_INDENT(2));
    fputc('\n', to);
    json_decref(body);
    json_decref(schema);
}
