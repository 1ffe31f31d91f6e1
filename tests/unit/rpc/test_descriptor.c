#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "rpc/descriptor.h"

#include "descriptor_build.h"

static struct fg_descriptors *compile(const struct built *set)
{
    struct fg_descriptors *out = NULL;
    struct fg_descriptors_error error;

    if (fg_descriptors_new(set->bytes, set->len, &out, &error) < 0)
        fail_msg("%s", error.text);
    return out;
}

static const struct fg_message *message(const struct fg_descriptors *set, const char *name)
{
    const struct fg_message *found = fg_descriptors_message(set, fg_str_from(name));
    assert_non_null(found);
    return found;
}

static void assert_text(struct fg_str text, const char *expected)
{
    assert_int_equal(text.len, strlen(expected));
    assert_memory_equal(text.p, expected, text.len);
}

static void fields_are_found_by_number_and_by_both_names(void **state)
{
    struct built raw;

    (void)state;
    build_set(&raw);
    struct fg_descriptors *set = compile(&raw);
    const struct fg_message *all = message(set, "t.All");
    for (uint32_t i = 0; i < all->fields_len; i++) {
        const struct fg_field *field = &all->fields[i];
        assert_ptr_equal(fg_message_field(all, field->number), field);
        assert_ptr_equal(fg_message_field_named(all, field->name), field);
        assert_ptr_equal(fg_message_field_named(all, field->json_name), field);
        assert_int_equal(field->index, i);
    }
    assert_int_equal(all->dense_len, 18);
    assert_null(fg_message_field(all, 0));
    assert_null(fg_message_field(all, 19));
    assert_null(fg_message_field(all, 99999));
    assert_null(fg_message_field_named(all, FG_STR("onea")));
    const struct fg_field *numbers = fg_message_field_named(all, FG_STR("manyE"));
    assert_true(numbers->packed && numbers->repeated && !numbers->presence);
    assert_text(numbers->json_key, "\"manyE\":");
    fg_descriptors_unref(set);
}

static void references_maps_oneofs_and_well_known_types_are_resolved(void **state)
{
    struct built raw;

    (void)state;
    build_set(&raw);
    struct fg_descriptors *set = compile(&raw);
    const struct fg_message *all = message(set, "t.All");
    assert_ptr_equal(fg_message_field(all, FG_TYPE_MESSAGE)->message, all);
    assert_true(fg_message_field(all, 42)->map);
    assert_false(fg_message_field(all, FG_TYPE_MESSAGE + 20)->map);
    assert_int_equal(fg_message_field(all, 52)->oneof, 0);
    assert_int_equal(fg_message_field(all, 61)->oneof, FG_FIELD_NO_ONEOF);
    assert_true(fg_message_field(all, 61)->presence);
    assert_int_equal(message(set, "google.protobuf.Timestamp")->well_known, FG_TIMESTAMP);
    assert_int_equal(message(set, "google.protobuf.Struct")->well_known, FG_STRUCT);
    assert_int_equal(message(set, "google.protobuf.Value")->well_known, FG_VALUE);
    assert_int_equal(message(set, "google.protobuf.Any")->well_known, FG_ANY);
    const struct fg_enum *color = fg_descriptors_enum(set, FG_STR("t.Color"));
    assert_text(fg_enum_value(color, 1)->name, "RED");
    assert_int_equal(fg_enum_value_named(color, FG_STR("RED"))->number, 1);
    assert_null(fg_enum_value(color, 2));
    assert_null(fg_enum_value_named(color, FG_STR("red")));
    assert_null(fg_descriptors_enum(set, FG_STR("t.All")));
    fg_descriptors_unref(set);
}

static void methods_have_types_streaming_idempotency_and_their_http_rule(void **state)
{
    struct built raw;
    size_t len;

    (void)state;
    build_set(&raw);
    struct fg_descriptors *set = compile(&raw);
    const struct fg_method *get = fg_descriptors_method(set, FG_STR("/t.Things/Get"));
    assert_non_null(get);
    assert_ptr_equal(get->input, message(set, "t.All"));
    assert_ptr_equal(get->output, get->input);
    assert_int_equal(get->idempotency, FG_NO_SIDE_EFFECTS);
    assert_text(get->http, BUILD_HTTP_RULE);
    const struct fg_method *watch = fg_descriptors_method(set, FG_STR("/t.Things/Watch"));
    assert_true(watch->server_streaming && !watch->client_streaming && watch->http.len == 0);
    const struct fg_method *const *methods = fg_descriptors_methods(set, &len);
    assert_int_equal(len, 2);
    assert_ptr_equal(methods[1], watch);
    assert_null(fg_descriptors_method(set, FG_STR("t.Things.Get")));
    assert_null(fg_descriptors_method(set, FG_STR("/t.Things/get")));
    fg_descriptors_unref(fg_descriptors_ref(set));
    fg_descriptors_unref(set);
}

static void a_file_that_comes_twice_counts_once(void **state)
{
    struct built once, twice = {0};

    (void)state;
    build_set(&once);
    memcpy(twice.bytes, once.bytes, once.len);
    memcpy(twice.bytes + once.len, once.bytes, once.len);
    twice.len = 2 * once.len;
    fg_descriptors_unref(compile(&twice));
}

static void assert_refused(const struct built *file, const char *expected)
{
    struct built set = {0};
    struct fg_descriptors *out = NULL;
    struct fg_descriptors_error error;

    build_in(&set, 1, file);
    assert_int_equal(fg_descriptors_new(set.bytes, set.len, &out, &error), -1);
    if (!strstr(error.text, expected))
        fail_msg("%s, not %s", error.text, expected);
}

/* A file with message m.M, which has what FILL gives it. */
static void assert_message_refused(void (*fill)(struct built *), const char *expected)
{
    struct built file = {0}, declared = {0};

    build_text(&file, 2, "m");
    build_text(&file, 12, "proto3");
    build_text(&declared, 1, "M");
    fill(&declared);
    build_in(&file, 4, &declared);
    assert_refused(&file, expected);
}

static void missing_type(struct built *m)
{
    build_field(m, "x", 1, BUILD_ONE, FG_TYPE_MESSAGE, ".other.Missing");
}

static void same_number(struct built *m)
{
    build_field(m, "x", 1, BUILD_ONE, FG_TYPE_INT32, NULL);
    build_field(m, "y", 1, BUILD_ONE, FG_TYPE_INT32, NULL);
}

static void number_0(struct built *m)
{
    build_field(m, "x", 0, BUILD_ONE, FG_TYPE_INT32, NULL);
}

static void type_19(struct built *m)
{
    build_field(m, "x", 1, BUILD_ONE, 19, NULL);
}

static void enum_of_message(struct built *m)
{
    build_field(m, "x", 1, BUILD_ONE, FG_TYPE_ENUM, "M");
}

static void no_oneof(struct built *m)
{
    build_field(m, "x", 1, BUILD_MEMBER, FG_TYPE_INT32, NULL);
}

static void not_utf8(struct built *m)
{
    build_field(m, "x\xff", 1, BUILD_ONE, FG_TYPE_INT32, NULL);
}

static void broken_field(struct built *m)
{
    build_text(m, 2, "\x0a\x09x");
}

static void empty_enum(struct built *m)
{
    build_text(m, 4,
               "\x0a\x01"
               "E");
}

static void declared_twice(struct built *m)
{
    build_text(m, 3, "\x0a\x01N");
    build_text(m, 3, "\x0a\x01N");
}

static void nested_40(struct built *m)
{
    struct built inner = {0};

    for (int i = 0; i < 40; i++) {
        struct built outer = {0};
        build_text(&outer, 1, "N");
        if (i > 0)
            build_in(&outer, 3, &inner);
        inner = outer;
    }
    build_in(m, 3, &inner);
}

static void sets_that_make_no_sense_are_refused_by_name(void **state)
{
    struct built file = {0};

    (void)state;
    assert_message_refused(missing_type, "m.M: field x: the type .other.Missing is not in the set");
    assert_message_refused(same_number, "m.M: two fields have the number 1");
    assert_message_refused(number_0, "m.M: a field has no valid number");
    assert_message_refused(type_19, "m.M: field x has no valid type");
    assert_message_refused(enum_of_message, "m.M: field x has no valid type");
    assert_message_refused(no_oneof, "m.M: a field has no valid oneof");
    assert_message_refused(not_utf8, "m.M: the name of a field is not UTF-8");
    assert_message_refused(broken_field, "m.M: a field is no valid protobuf");
    assert_message_refused(empty_enum, "m.M.E: an enum without values");
    assert_message_refused(declared_twice, "m.M.N: declared twice");
    assert_message_refused(nested_40, "nested more than 32 deep");
    build_text(&file, 12, "proto9");
    assert_refused(&file, "unknown syntax");
}

static void a_message_that_only_has_the_name_is_not_well_known(void **state)
{
    struct built set = {0}, file = {0}, fake = {0};

    (void)state;
    build_text(&file, 2, "google.protobuf");
    build_text(&fake, 1, "Timestamp");
    build_field(&fake, "seconds", 1, BUILD_ONE, FG_TYPE_STRING, NULL);
    build_in(&file, 4, &fake);
    build_in(&set, 1, &file);
    struct fg_descriptors *out = compile(&set);
    assert_int_equal(message(out, "google.protobuf.Timestamp")->well_known, FG_NOT_WELL_KNOWN);
    fg_descriptors_unref(out);
}

static void a_cut_or_changed_set_is_handled(void **state)
{
    struct built raw;
    struct fg_descriptors_error error;

    (void)state;
    build_set(&raw);
    for (size_t len = 0; len < raw.len; len++) {
        struct fg_descriptors *out = NULL;
        uint8_t *exact = malloc(len + 1);
        memcpy(exact, raw.bytes, len);
        if (fg_descriptors_new(exact, len, &out, &error) == 0)
            fg_descriptors_unref(out);
        else
            assert_string_not_equal(error.text, "");
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_found_by_number_and_by_both_names),
        cmocka_unit_test(references_maps_oneofs_and_well_known_types_are_resolved),
        cmocka_unit_test(methods_have_types_streaming_idempotency_and_their_http_rule),
        cmocka_unit_test(a_file_that_comes_twice_counts_once),
        cmocka_unit_test(sets_that_make_no_sense_are_refused_by_name),
        cmocka_unit_test(a_message_that_only_has_the_name_is_not_well_known),
        cmocka_unit_test(a_cut_or_changed_set_is_handled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
