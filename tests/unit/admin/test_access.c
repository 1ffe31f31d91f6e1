#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "admin/access.h"

/* A request of these fields, each "name: value"; ends with NULL. */
static struct fg_headers headers_of(struct fg_arena *arena, const char *const *fields)
{
    struct fg_headers headers;

    fg_headers_init(&headers);
    for (; *fields; fields++)
        assert_int_equal(fg_h1_field_parse(fg_str_from(*fields), arena, &headers), FG_H1_FAULT_NONE);
    return headers;
}

#define FIELDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static bool knows(const char *field, const char *token, const char *user)
{
    struct fg_mem mem;
    struct fg_arena arena;
    struct fg_str said;

    fg_mem_init(&mem);
    fg_arena_init(&arena, &mem);
    struct fg_headers headers = headers_of(&arena, FIELDS(field));
    bool known = fg_admin_knows_token(&headers, token, &arena, &said);
    if (known && !fg_str_eq(said, fg_str_from(user)))
        fail_msg("%s: the user is %.*s", field, (int)said.len, said.p);
    fg_arena_cleanup(&arena);
    fg_mem_cleanup(&mem);
    return known;
}

static void the_token_comes_as_bearer_or_as_a_password(void **state)
{
    (void)state;
    assert_true(knows("authorization: Bearer s3cret", "s3cret", ""));
    assert_true(knows("authorization: bEARER s3cret", "s3cret", ""));
    assert_true(knows("authorization: Basic YWxpY2U6czNjcmV0", "s3cret", "alice"));
    assert_true(knows("authorization: basic OnMzY3JldA==", "s3cret", ""));         /* ":s3cret" */
    assert_true(knows("authorization: Basic YTpiOnM6Yw", "b:s:c", "a"));           /* "a:b:s:c", unpadded */
    assert_true(knows("authorization: Basic w6Q6czNjcmV0", "s3cret", "\xc3\xa4")); /* UTF-8 */
}

static void nothing_else_is_the_token(void **state)
{
    static const char *const wrong[] = {
        "authorization: Bearer s3cre",
        "authorization: Bearer s3cret2",
        "authorization: Bearer  s3cret",
        "authorization: Bearer",
        "authorization: Bearer S3CRET",
        "authorization: s3cret",
        "authorization: Basic s3cret",
        "authorization: Basic YWxpY2U6czNjcmU=",
        "authorization: Basic czNjcmV0", /* no colon */
        "authorization: Basic ====",
        "authorization: Basic YWxpY2U6",
        "authorization: Basic YWxpY2U6czNjcmV0!",
        "authorization: Basicx YWxpY2U6czNjcmV0",
        "x-authorization: Bearer s3cret",
        "authorization: Basic czNjcmV0OmFsaWNl", /* "s3cret:alice" */
    };
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(wrong); i++)
        if (knows(wrong[i], "s3cret", ""))
            fail_msg("%s was taken", wrong[i]);
}

static void check_origin(const char *const *fields, bool same, bool fetched)
{
    struct fg_mem mem;
    struct fg_arena arena;

    fg_mem_init(&mem);
    fg_arena_init(&arena, &mem);
    struct fg_headers headers = headers_of(&arena, fields);
    if (fg_admin_is_same_origin(&headers) != same || fg_admin_is_own_fetch(&headers) != fetched)
        fail_msg("%s, %s", fields[0], fields[1] ? fields[1] : "");
    fg_arena_cleanup(&arena);
    fg_mem_cleanup(&mem);
}

static void acts_come_from_our_own_page_or_from_no_browser(void **state)
{
    (void)state;
    check_origin(FIELDS("host: gate:9901"), true, true);
    check_origin(FIELDS("host: gate:9901", "origin: http://gate:9901"), true, true);
    check_origin(FIELDS("host: Gate:9901", "origin: https://gate:9901", "sec-fetch-site: same-origin"), true, true);
    check_origin(FIELDS("host: gate:9901", "origin: http://gate:9902"), false, true);
    check_origin(FIELDS("host: gate:9901", "origin: http://gate:99012"), false, true);
    check_origin(FIELDS("host: gate:9901", "origin: http://evil.gate:9901"), false, true);
    check_origin(FIELDS("host: gate:9901", "origin: ftp://gate:9901"), false, true);
    check_origin(FIELDS("host: gate:9901", "origin: null"), false, true);
    check_origin(FIELDS("origin: http://gate:9901"), false, true);
    check_origin(FIELDS("origin: http://", "host: "), false, true);
    check_origin(FIELDS("host: gate:9901", "sec-fetch-site: cross-site"), false, false);
    check_origin(FIELDS("host: gate:9901", "sec-fetch-site: same-site", "origin: http://gate:9901"), false, false);
    check_origin(FIELDS("host: gate:9901", "sec-fetch-site: none"), false, true);
    check_origin(FIELDS("host: gate:9901", "sec-fetch-site: cross-site", "sec-fetch-mode: navigate"), false, true);
    check_origin(FIELDS("host: gate:9901", "sec-fetch-site: cross-site", "sec-fetch-mode: no-cors"), false, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_token_comes_as_bearer_or_as_a_password),
        cmocka_unit_test(nothing_else_is_the_token),
        cmocka_unit_test(acts_come_from_our_own_page_or_from_no_browser),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
