/* What is made from the schema: the reference page, the JSON Schema; and that the table itself makes sense. */
#include "expect.h"

#include <jansson.h>

#include "config/schema.h"
#include "config/value.h"

static char *printed(void (*print)(FILE *to))
{
    char *out = NULL;
    size_t len = 0;
    FILE *memory = open_memstream(&out, &len);
    print(memory);
    fclose(memory);
    return out;
}

static void the_page_is_up_to_date(void **state)
{
    (void)state;
    char *made = printed(fg_config_print_reference), *stored = read_source("doc/configuration.md");
    if (strcmp(made, stored) != 0)
        fail_msg("doc/configuration.md differs from what fg_config_print_reference prints; print it anew");
    free(made);
    free(stored);
}

static void visit(const struct fg_table *table, void (*look)(const struct fg_key *key, void *with), void *with)
{
    for (size_t i = 0; i < table->keys_len; i++) {
        look(&table->keys[i], with);
        if (table->keys[i].table)
            visit(table->keys[i].table, look, with);
    }
}

static void expect_row(const struct fg_key *key, void *page)
{
    char row[128];
    snprintf(row, sizeof row, "| `%s` | ", key->name);
    const char *at = strstr(page, row);
    if (!at && strcmp(key->name, "value") != 0) /* it is written without its key */
        fail_msg("the page does not have %s", key->name);
    if (!strstr(page, key->description))
        fail_msg("the page does not describe %s", key->name);
    if (!key->default_text)
        return;
    snprintf(row, sizeof row, " | `%s` | %.40s", key->default_text, key->description);
    if (!strstr(page, row))
        fail_msg("the page does not say that %s is %s", key->name, key->default_text);
}

static void the_page_has_every_key_and_default(void **state)
{
    (void)state;
    char *page = printed(fg_config_print_reference);
    visit(fg_schema(), expect_row, page);
    free(page);
}

static void expect_sound(const struct fg_key *key, void *with)
{
    (void)with;
    char why[FG_VALUE_WHY_BYTES], text[64];
    uint64_t n;
    assert_non_null(key->description);
    assert_null(strchr(key->description, '\n'));
    if (key->type <= FG_KEY_MAP) {
        assert_non_null(key->table);
        assert_null(key->default_text);
        return;
    }
    if (key->default_text && fg_value_parse(key, fg_str_from(key->default_text), &n, why) != 0)
        fail_msg("the default of %s: %s", key->name, why);
    if (key->type < FG_KEY_INTEGER || key->type > FG_KEY_INTERVAL)
        return;
    assert_true(key->max > key->min);
    const uint64_t edges[] = {key->min, key->max};
    for (int i = 0; i < 2; i++) {
        fg_value_format(key->type, edges[i], text, sizeof text);
        if (fg_value_parse(key, fg_str_from(text), &n, why) != 0 || n != edges[i])
            fail_msg("%s: %s must be allowed", key->name, text);
    }
    if (key->type == FG_KEY_INTERVAL) /* what is beyond an edge is no rate that one could write */
        return;
    uint64_t step = key->type == FG_KEY_RATIO || key->type == FG_KEY_FACTOR ? 100
                    : key->type == FG_KEY_DURATION                          ? 1000
                                                                            : 1;
    fg_value_format(key->type, key->max + step, text, sizeof text);
    if (fg_value_parse(key, fg_str_from(text), &n, why) == 0)
        fail_msg("%s: %s must be refused", key->name, text);
    if (key->min < step)
        return;
    fg_value_format(key->type, key->min - step, text, sizeof text);
    if (fg_value_parse(key, fg_str_from(text), &n, why) == 0)
        fail_msg("%s: %s must be refused", key->name, text);
}

static void the_schema_is_sound_at_its_edges(void **state)
{
    (void)state;
    visit(fg_schema(), expect_sound, NULL);
}

/* The properties of the JSON Schema are the keys of the table, no more and no less. */
static void expect_same(const struct fg_table *table, json_t *schema)
{
    json_t *properties = json_object_get(schema, "properties");
    assert_true(json_is_false(json_object_get(schema, "additionalProperties")));
    assert_int_equal(json_object_size(properties), table->keys_len);
    for (size_t i = 0; i < table->keys_len; i++) {
        const struct fg_key *key = &table->keys[i];
        json_t *property = json_object_get(properties, key->name);
        assert_non_null(property);
        assert_string_equal(json_string_value(json_object_get(property, "description")), key->description);
        assert_int_equal(json_object_get(property, "default") != NULL, key->default_text != NULL);
        json_t *item = key->type == FG_KEY_TABLE  ? property
                       : key->type == FG_KEY_LIST ? json_object_get(property, "items")
                       : key->type == FG_KEY_MAP  ? json_object_get(property, "additionalProperties")
                                                  : NULL;
        if (item && json_object_get(item, "anyOf"))
            item = json_array_get(json_object_get(item, "anyOf"), 1);
        if (item && key->table->shorthand != FG_SHORTHAND_ONLY)
            expect_same(key->table, item);
    }
}

static void the_json_schema_has_every_key(void **state)
{
    (void)state;
    char *text = printed(fg_config_print_schema);
    json_error_t error;
    json_t *schema = json_loads(text, 0, &error);
    assert_non_null(schema);
    assert_string_equal(json_string_value(json_object_get(schema, "$schema")),
                        "https://json-schema.org/draft/2020-12/schema");
    expect_same(fg_schema(), schema);
    json_decref(schema);
    free(text);
}

static void the_packaged_example_is_good(void **state)
{
    (void)state;
    char *text = read_source("packaging/gateway.yaml");
    struct fg_config *c = must_parse("/etc/fusegate/gateway.yaml", text);
    assert_int_equal(c->listeners_len, 2);
    assert_int_equal(c->routes_len, 3);
    assert_int_equal(c->clusters_len, 2);
    assert_string_equal(c->listeners[0].tls.certificates[0].key, "/etc/fusegate/edge.key");
    assert_int_equal(c->clusters[0].endpoints[1].weight, 3);
    fg_config_unref(c);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_is_up_to_date),           cmocka_unit_test(the_page_has_every_key_and_default),
        cmocka_unit_test(the_schema_is_sound_at_its_edges), cmocka_unit_test(the_json_schema_has_every_key),
        cmocka_unit_test(the_packaged_example_is_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
