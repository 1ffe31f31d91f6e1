/* Errors, limits, and what the gateway needs besides whole messages. That the JSON is right is checked against
 * python3-protobuf (tests/interop/test_proto_json.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "rpc/proto_json.h"

#include "descriptor_build.h"

struct fixture {
    struct fg_mem mem;
    struct fg_descriptors *set;
    const struct fg_message *all;
    struct fg_proto_json_error error;
    struct built wire;
    char json[16384];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct fg_descriptors_error error;
    struct built raw;

    build_set(&raw);
    fg_mem_init(&f->mem);
    if (fg_descriptors_new(raw.bytes, raw.len, &f->set, &error) < 0)
        return -1;
    f->all = fg_descriptors_message(f->set, FG_STR("t.All"));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    fg_descriptors_unref(f->set);
    fg_mem_cleanup(&f->mem);
    free(f);
    return 0;
}

/* Moves the bytes to f->wire. */
static void collect(struct fixture *f, struct fg_proto_out *out)
{
    struct fg_outq q;
    struct iovec iov;

    f->wire.len = 0;
    fg_outq_init(&q, &f->mem);
    fg_proto_out_move(out, &q);
    while (fg_outq_peek(&q, &iov, 1) > 0) {
        assert_true(f->wire.len + iov.iov_len <= sizeof f->wire.bytes);
        memcpy(f->wire.bytes + f->wire.len, iov.iov_base, iov.iov_len);
        f->wire.len += iov.iov_len;
        fg_outq_consume(&q, iov.iov_len);
    }
    fg_outq_cleanup(&q);
}

static int parse(struct fixture *f, const char *json, uint64_t max)
{
    struct fg_json_to_proto how = {.descriptors = f->set};
    struct fg_str text = fg_str_from(json);
    struct fg_proto_out out;

    fg_proto_out_init(&out, &f->mem, max);
    int rc = fg_json_to_proto(&how, f->all, &text, 1, &out, &f->error);
    if (rc == 0)
        collect(f, &out);
    fg_proto_out_cleanup(&out);
    return rc;
}

static int drop(void *context, const char *bytes, size_t len)
{
    (void)context, (void)bytes, (void)len;
    return 0;
}

static int print(struct fixture *f, size_t max)
{
    struct fg_proto_to_json how = {.descriptors = f->set};
    struct fg_str part = {(const char *)f->wire.bytes, f->wire.len};
    struct fg_json_out out;

    fg_json_out_init(&out, f->json, sizeof f->json, drop, NULL);
    out.max = max;
    return fg_proto_to_json(&how, f->all, &part, 1, &out, &f->error);
}

static int keep(void *context, const char *bytes, size_t len)
{
    struct built *to = context;

    if (to->len + len > sizeof to->bytes)
        return -1;
    memcpy(to->bytes + to->len, bytes, len);
    to->len += len;
    return 0;
}

static void assert_prints(struct fixture *f, const char *expected)
{
    struct fg_proto_to_json how = {.descriptors = f->set};
    struct fg_str part = {(const char *)f->wire.bytes, f->wire.len};
    struct fg_json_out out;
    struct built json = {0};
    char buffer[32];

    fg_json_out_init(&out, buffer, sizeof buffer, keep, &json);
    if (fg_proto_to_json(&how, f->all, &part, 1, &out, &f->error) < 0)
        fail_msg("%s: %s", f->error.path, f->error.message);
    json.bytes[json.len] = '\0';
    assert_string_equal((char *)json.bytes, expected);
}

static void an_error_has_line_column_path_and_reason(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(parse(f, "{\"oneE\": 1,\n \"manyK\": [{},\n  {\"labels\": {\"a\": 7}}]}", 1000), -1);
    assert_int_equal(f->error.code, FG_STATUS_INVALID_ARGUMENT);
    assert_int_equal(f->error.line, 3);
    assert_int_equal(f->error.column, 20);
    assert_string_equal(f->error.path, "manyK[1].labels[\"a\"]");
    assert_string_equal(f->error.message, "expected a string");
}

static void bytes_of_clients_do_not_get_into_errors(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(parse(f, "{\"a\\u0007\\u00e9\": 1}", 1000), -1);
    assert_string_equal(f->error.path, "a???");
}

static void a_message_larger_than_allowed_is_resource_exhausted(void **state)
{
    struct fixture *f = *state;
    char json[9000] = "{\"oneI\": \"";

    memset(json + 10, 'x', 5000);
    memcpy(json + 5010, "\"}", 3);
    assert_int_equal(parse(f, json, 5003), 0);
    assert_int_equal(parse(f, json, 5002), -1);
    assert_int_equal(f->error.code, FG_STATUS_RESOURCE_EXHAUSTED);
    assert_int_equal(parse(f, json, 6000), 0);
    assert_int_equal(print(f, 5000), -1);
    assert_int_equal(f->error.code, FG_STATUS_RESOURCE_EXHAUSTED);
}

static void a_huge_message_stops_soon_after_its_limit(void **state)
{
    struct fixture *f = *state;
    size_t len = 4 << 20;
    char *json = malloc(len + 16);

    memcpy(json, "{\"manyI\":[", 10);
    for (size_t i = 10; i + 4 < len; i += 4)
        memcpy(json + i, "\"a\",", 4);
    memcpy(json + len - 6, "\"a\"]}", 6);
    assert_int_equal(parse(f, json, 100000), -1);
    assert_int_equal(f->error.code, FG_STATUS_RESOURCE_EXHAUSTED);
    free(json);
}

static void the_last_value_wins_and_messages_are_merged(void **state)
{
    struct fixture *f = *state;

    /* one_e 1, one_k {one_e 1}, one_e 2, one_k {many_e 3}, pick_text "a", pick_number 4 */
    static const uint8_t wire[] = {0x28, 1, 0x5a, 2,    0x28, 1, 0x28, 2,    0x5a, 4, 0xca,
                                   0x01, 1, 3,    0xa2, 0x03, 1, 'a',  0x98, 0x03, 4};
    memcpy(f->wire.bytes, wire, sizeof wire);
    f->wire.len = sizeof wire;
    assert_prints(f, "{\"oneE\":2,\"oneK\":{\"oneE\":1,\"manyE\":[3]},\"pickNumber\":4}");
}

static void truncated_protobuf_is_invalid(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(parse(f, "{\"oneI\": \"abc\", \"labels\": {\"k\": \"v\"}}", 1000), 0);
    size_t whole = f->wire.len;
    for (size_t len = 1; len < whole; len++) {
        f->wire.len = len;
        bool is_whole = len == 5; /* the string alone */
        assert_int_equal(print(f, sizeof f->json), is_whole ? 0 : -1);
        if (!is_whole)
            assert_int_equal(f->error.code, FG_STATUS_INVALID_ARGUMENT);
    }
}

/* As path and query parameters come: fields one by one, then a body; together they are one message. */
static void fields_and_text_of_a_transcoder_become_one_message(void **state)
{
    struct fixture *f = *state;
    struct fg_json_to_proto how = {.descriptors = f->set};
    struct fg_str body = FG_STR("{\"oneE\": 5}");
    struct fg_proto_out out;

    fg_proto_out_init(&out, &f->mem, 1000);
    assert_int_equal(fg_text_to_proto_field(&how, fg_message_field(f->all, 9), FG_STR("a\"b"), &out, &f->error), 0);
    assert_int_equal(fg_text_to_proto_field(&how, fg_message_field(f->all, 25), FG_STR("1"), &out, &f->error), 0);
    assert_int_equal(fg_text_to_proto_field(&how, fg_message_field(f->all, 25), FG_STR("2"), &out, &f->error), 0);
    assert_int_equal(fg_text_to_proto_field(&how, fg_message_field(f->all, 14), FG_STR("RED"), &out, &f->error), 0);
    assert_int_equal(fg_text_to_proto_field(&how, fg_message_field(f->all, 72), FG_STR("1.5s"), &out, &f->error), 0);
    assert_int_equal(fg_json_to_proto_field(&how, fg_message_field(f->all, 11), &body, 1, &out, &f->error), 0);
    collect(f, &out);
    assert_prints(f,
                  "{\"oneI\":\"a\\\"b\",\"manyE\":[1,2],\"oneN\":\"RED\",\"wait\":\"1.500s\",\"oneK\":{\"oneE\":5}}");

    assert_int_equal(fg_text_to_proto_field(&how, fg_message_field(f->all, 5), FG_STR("x"), &out, &f->error), -1);
    assert_string_equal(f->error.path, "oneE");
    assert_int_equal(f->error.line, 0);
    assert_int_equal(fg_text_to_proto_field(&how, fg_message_field(f->all, 11), FG_STR("{}"), &out, &f->error), -1);
    assert_int_equal(fg_text_to_proto_field(&how, fg_message_field(f->all, 41), FG_STR("a"), &out, &f->error), -1);
    assert_int_equal(fg_text_to_proto_field(&how, fg_message_field(f->all, 9), FG_STR("\xff"), &out, &f->error), -1);
    fg_proto_out_cleanup(&out);
}

static void assert_field_prints(struct fixture *f, uint32_t number, const char *expected)
{
    struct fg_proto_to_json how = {.descriptors = f->set};
    struct fg_str part = {(const char *)f->wire.bytes, f->wire.len};
    struct built json = {0};
    struct fg_json_out out;
    char buffer[64];

    fg_json_out_init(&out, buffer, sizeof buffer, keep, &json);
    assert_int_equal(fg_proto_to_json_field(&how, f->all, fg_message_field(f->all, number), &part, 1, &out, &f->error),
                     0);
    json.bytes[json.len] = '\0';
    assert_string_equal((char *)json.bytes, expected);
}

static void one_field_is_printed_alone(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(parse(f, "{\"manyE\": [1,2], \"labels\": {\"a\": \"b\"}, \"oneK\": {\"oneE\": 1}}", 1000), 0);
    assert_field_prints(f, 25, "[1,2]");
    assert_field_prints(f, 41, "{\"a\":\"b\"}");
    assert_field_prints(f, 11, "{\"oneE\":1}");
    assert_field_prints(f, 26, "[]");
    assert_field_prints(f, 42, "{}");
    assert_field_prints(f, 9, "\"\"");
    assert_field_prints(f, 14, "\"NONE\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_error_has_line_column_path_and_reason, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bytes_of_clients_do_not_get_into_errors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_message_larger_than_allowed_is_resource_exhausted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_huge_message_stops_soon_after_its_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_last_value_wins_and_messages_are_merged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(truncated_protobuf_is_invalid, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fields_and_text_of_a_transcoder_become_one_message, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_field_is_printed_alone, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
