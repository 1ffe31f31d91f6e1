#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "rpc/http_rule.h"

#include "rule_build.h"

enum { GET = 2, PUT, POST };

static struct fg_descriptors *make(const struct built_rule *rules, size_t len)
{
    struct fg_descriptors_error error;
    struct fg_descriptors *set;
    struct built raw;

    build_rules(&raw, rules, len);
    if (fg_descriptors_new(raw.bytes, raw.len, &set, &error) != 0)
        fail_msg("%s", error.text);
    return set;
}

/* "M3", "404", or "405 GET, POST". */
static void find(const struct fg_descriptors *set, const char *method, const char *path, char *out, size_t len)
{
    struct fg_http_match match;

    switch (fg_http_route(fg_descriptors_http(set), fg_str_from(method), fg_str_from(path), &match)) {
    case FG_HTTP_FOUND:
        snprintf(out, len, "%s", match.binding->method->path.p + 5);
        out[2] = '\0';
        break;
    case FG_HTTP_NO_METHOD:
        snprintf(out, len, "405 %s", match.allow);
        break;
    case FG_HTTP_NO_PATH:
        snprintf(out, len, "404");
        break;
    }
}

static void what_is_more_exact_goes_first(void **state)
{
    static const struct built_rule rules[] = {
        {GET, "/v1/shelves/{one_i}", NULL, NULL},
        {GET, "/v1/shelves/all", NULL, NULL},
        {GET, "/v1/{one_i=shelves/**}", NULL, NULL},
        {POST, "/v1/shelves/{one_i}:clear", "*", NULL},
        {PUT, "/v1/shelves/{one_i}", "*", NULL},
        {GET, "/v1/*/books/{one_i=a/*}", NULL, NULL},
        {GET, "/", NULL, NULL},
        {GET, "/v1/shelves/all", NULL, NULL},
    };
    static const struct {
        const char *method, *path, *found;
    } cases[] = {
        {"GET", "/v1/shelves/x", "M0"},
        {"GET", "/v1/shelves/all", "M7"}, /* the later one */
        {"GET", "/v1/shelves/x/y/z", "M2"},
        {"GET", "/v1/shelves", "M2"},
        {"GET", "/v1/shelves/", "M2"}, /* an empty segment is none for "*" */
        {"POST", "/v1/shelves/x:clear", "M3"},
        {"GET", "/v1/shelves/x:clear", "M0"}, /* part of the name */
        {"POST", "/v1/shelves/x", "405 PUT, GET"},
        {"PUT", "/v1/shelves/x", "M4"},
        {"GET", "/v1/any/books/a/b", "M5"},
        {"GET", "/v1/any/books/b/b", "404"},
        {"GET", "/", "M6"},
        {"GET", "/v1", "404"},
        {"GET", "", "404"},
        {"GET", "x", "404"},
        {"POST", "/v1/shelves/x:", "405 PUT, GET"},
    };
    struct fg_descriptors *set = make(rules, FG_ARRAY_LEN(rules));
    (void)state;

    assert_string_equal(fg_descriptors_http_problem(set), "");
    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++) {
        char found[128];
        find(set, cases[i].method, cases[i].path, found, sizeof found);
        if (strcmp(found, cases[i].found) != 0)
            fail_msg("%s %s: %s, not %s", cases[i].method, cases[i].path, found, cases[i].found);
    }
    fg_descriptors_unref(set);
}

static void bad_rules_are_named_and_left_out(void **state)
{
    static const struct {
        struct built_rule rule;
        const char *problem;
    } cases[] = {
        {{GET, "v1", NULL, NULL}, "does not begin with"},
        {{GET, "/v1/{nope}", NULL, NULL}, "no field \"nope\""},
        {{GET, "/v1/{one_i.x}", NULL, NULL}, "no field \"x\""},
        {{GET, "/v1/{many_i}", NULL, NULL}, "repeated"},
        {{GET, "/v1/{labels}", NULL, NULL}, "repeated"},
        {{GET, "/v1/{one_k}", NULL, NULL}, "one value"},
        {{GET, "/v1/{}", NULL, NULL}, "one value"},
        {{GET, "/v1/{one_i", NULL, NULL}, "does not end"},
        {{GET, "/v1/{one_i=a/{one_c}}", NULL, NULL}, "inside"},
        {{GET, "/v1/**/x", NULL, NULL}, "last segment"},
        {{GET, "/v1//x", NULL, NULL}, "empty"},
        {{GET, "/v1/x:", NULL, NULL}, "verb"},
        {{GET, "/v1/x y", NULL, NULL}, "not expected"},
        {{POST, "/v1/x", "nope", NULL}, "body"},
        {{POST, "/v1/x", "*", "nope"}, "response_body"},
    };
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++) {
        struct fg_descriptors *set = make(&cases[i].rule, 1);
        size_t len;
        (void)fg_http_router_bindings(fg_descriptors_http(set), &len);
        if (len != 0 || !strstr(fg_descriptors_http_problem(set), cases[i].problem) ||
            !strstr(fg_descriptors_http_problem(set), "/t.S/M0"))
            fail_msg("%s: \"%s\", not %s", cases[i].rule.path, fg_descriptors_http_problem(set), cases[i].problem);
        fg_descriptors_unref(set);
    }
}

static int keep(void *context, const char *bytes, size_t len)
{
    char *out = context;
    strncat(out, bytes, len);
    return 0;
}

/* The message as JSON, or the error. */
static void fill(const struct fg_descriptors *set, const char *path, const char *query, char *out, size_t len)
{
    struct fg_proto_to_json how = {.descriptors = set};
    struct fg_proto_json_error error;
    struct fg_http_match match;
    struct fg_proto_out proto;
    const struct fg_json_to_proto reading = {.descriptors = set};
    struct fg_json_out json;
    struct fg_arena arena;
    struct fg_outq q;
    struct fg_mem mem;

    fg_mem_init(&mem);
    fg_arena_init(&arena, &mem);
    fg_outq_init(&q, &mem);
    fg_proto_out_init(&proto, &mem, 100000);
    assert_int_equal(fg_http_route(fg_descriptors_http(set), FG_STR("GET"), fg_str_from(path), &match), FG_HTTP_FOUND);
    if (fg_http_put_fields(&match, fg_str_from(query), &reading, &arena, &proto, &error) != 0) {
        snprintf(out, len, "%s: %s", error.path, error.message);
    } else {
        uint8_t bytes[4096];
        fg_proto_out_move(&proto, &q);
        struct fg_str part = {(char *)bytes, q.bytes};
        fg_outq_read(&q, bytes, q.bytes);
        char buffer[256];
        out[0] = '\0';
        fg_json_out_init(&json, buffer, sizeof buffer, keep, out);
        (void)!fg_proto_to_json(&how, match.binding->method->input, &part, 1, &json, &error);
    }
    fg_proto_out_cleanup(&proto);
    fg_outq_cleanup(&q);
    fg_arena_cleanup(&arena);
    fg_mem_cleanup(&mem);
}

static void path_and_query_become_fields(void **state)
{
    static const struct built_rule rules[] = {
        {GET, "/a/{one_i}", NULL, NULL},
        {GET, "/b/{one_k.one_i=x/*/y}", NULL, NULL},
        {GET, "/c/{one_i=**}", NULL, NULL},
        {GET, "/d/{one_c}", "one_k", NULL},
    };
    static const struct {
        const char *path, *query, *json;
    } cases[] = {
        {"/a/b%2Fc%20d+e", "", "{\"oneI\":\"b/c d+e\"}"},
        {"/b/x/%2F%41/y", "", "{\"oneK\":{\"oneI\":\"x/%2FA/y\"}}"},
        {"/c", "", "{}"},
        {"/c/d/e", "", "{\"oneI\":\"d/e\"}"},
        {"/a/b", "one_k.one_k.manyI=1&oneK.oneK.manyI=%32&&",
         "{\"oneI\":\"b\",\"oneK\":{\"oneK\":{\"manyI\":[\"1\",\"2\"]}}}"},
        {"/a/b", "wait=1.5s&boxed=7&oneN=RED&oneH", "oneH: "},
        {"/a/b", "one_n=RED&wait=1.5s&boxed=7",
         "{\"oneI\":\"b\",\"oneN\":\"RED\",\"wait\":\"1.500s\",\"boxed\":\"7\"}"},
        {"/a/%", "", "one_i: the path has a malformed escape"},
        {"/a/b", "one_c=%1", "one_c: the query has a malformed escape"},
        {"/a/b", "one_c=x", "oneC: "},
        {"/a/b", "one_i=x", "one_i: the path or the content has this field already"},
        {"/d/1", "one_k.one_i=x", "one_k.one_i: the path or the content has this field already"},
        {"/a/b", "labels=x", "labels: a map cannot be given in a query"},
        {"/a/b", "labels.x=x", "labels.x: the query goes through a repeated field"},
        {"/a/b", "manyK.oneI=x", "manyK.oneI: the query goes through a repeated field"},
        {"/a/b", "x\x01y=1", "x?y: the query names no field of the request"},
        {"/a/b", "=1", ": the query names no field of the request"},
        {"/a/b", "oneK=x", "oneK: "},
    };
    struct fg_descriptors *set = make(rules, FG_ARRAY_LEN(rules));
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++) {
        char json[1024];
        size_t len = strlen(cases[i].json);
        fill(set, cases[i].path, cases[i].query, json, sizeof json);
        bool open = cases[i].json[len - 1] == ' ';
        if (open ? strncmp(json, cases[i].json, len) != 0 : strcmp(json, cases[i].json) != 0)
            fail_msg("%s?%s: %s, not %s", cases[i].path, cases[i].query, json, cases[i].json);
    }
    fg_descriptors_unref(set);
}

static void a_path_is_bounded(void **state)
{
    static const struct built_rule rule = {GET, "/a/{one_i=**}", NULL, NULL};
    struct fg_descriptors *set = make(&rule, 1);
    char path[2 * FG_HTTP_SEGMENTS_MAX + 8] = "/a", found[16];
    (void)state;

    for (size_t i = 1; i < FG_HTTP_SEGMENTS_MAX; i++)
        memcpy(path + 2 * i, "/b", 3);
    find(set, "GET", path, found, sizeof found);
    assert_string_equal(found, "M0");
    memcpy(path + strlen(path), "/b", 3);
    find(set, "GET", path, found, sizeof found);
    assert_string_equal(found, "404");
    fg_descriptors_unref(set);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_more_exact_goes_first),
        cmocka_unit_test(bad_rules_are_named_and_left_out),
        cmocka_unit_test(path_and_query_become_fields),
        cmocka_unit_test(a_path_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
