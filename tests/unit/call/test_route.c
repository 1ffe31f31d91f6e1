/* Which route a request takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "call/route.h"

#define MAX_FIELDS 4

/* A request: its path, and fields as name and value. */
struct request {
    const char *path;
    const char *fields[MAX_FIELDS][2];
};

static struct fg_config_route any_route(void)
{
    return (struct fg_config_route){.path_match = FG_MATCH_ANY};
}

static struct fg_config_route path_route(enum fg_config_path_match match, const char *path)
{
    return (struct fg_config_route){.path_match = match, .path = path, .path_len = strlen(path)};
}

static struct fg_config_route authority_route(const char *authority)
{
    return (struct fg_config_route){.path_match = FG_MATCH_ANY, .authority = authority};
}

/* The index of the route that REQUEST takes; -1: none. */
static int find(struct fg_config_route *routes, size_t routes_len, const struct request *request)
{
    struct fg_config config = {.routes = routes, .routes_len = routes_len};
    struct fg_headers headers;
    struct fg_arena arena;
    struct fg_mem mem;

    fg_mem_init(&mem);
    fg_arena_init(&arena, &mem);
    fg_headers_init(&headers);
    for (int i = 0; i < MAX_FIELDS && request->fields[i][0]; i++) {
        struct fg_str name = fg_str_from(request->fields[i][0]), value = fg_str_from(request->fields[i][1]);
        enum fg_token token = fg_token_find(name);
        if (token != FG_TOKEN_NONE)
            fg_headers_add_token(&headers, &arena, token, value);
        else
            fg_headers_add(&headers, &arena, name, value);
    }
    const struct fg_config_route *route = fg_route_find(&config, fg_str_from(request->path), &headers);
    fg_arena_cleanup(&arena);
    fg_mem_cleanup(&mem);
    return route ? (int)(route - routes) : -1;
}

static int find_path(struct fg_config_route *routes, size_t routes_len, const char *path)
{
    struct request request = {.path = path};
    return find(routes, routes_len, &request);
}

static bool takes(struct fg_config_route route, struct request request)
{
    return find(&route, 1, &request) == 0;
}

static void without_routes_there_is_none(void **state)
{
    (void)state;
    assert_int_equal(find_path(NULL, 0, "/pkg.Service/Method"), -1);
}

static void the_first_that_matches_is_taken(void **state)
{
    struct fg_config_route routes[] = {
        path_route(FG_MATCH_EXACT, "/pkg.Service/Method"),
        path_route(FG_MATCH_PREFIX, "/pkg.Service/"),
        path_route(FG_MATCH_EXACT, "/pkg.Service/Other"), /* never reached */
        any_route(),
    };
    (void)state;

    assert_int_equal(find_path(routes, 4, "/pkg.Service/Method"), 0);
    assert_int_equal(find_path(routes, 4, "/pkg.Service/Other"), 1);
    assert_int_equal(find_path(routes, 4, "/else"), 3);
    assert_int_equal(find_path(routes, 3, "/else"), -1);
}

static void any_takes_every_path(void **state)
{
    (void)state;
    assert_true(takes(any_route(), (struct request){.path = "/"}));
    assert_true(takes(any_route(), (struct request){.path = "*"}));
    assert_true(takes(any_route(), (struct request){.path = ""}));
}

static void exact_is_exact(void **state)
{
    struct fg_config_route route = path_route(FG_MATCH_EXACT, "/pkg.Service/Method");
    static const char *const others[] = {"/pkg.Service/Metho",   "/pkg.Service/Methods", "/pkg.Service/method",
                                         "/pkg.Service/Method/", "pkg.Service/Method",   ""};
    (void)state;

    assert_int_equal(find_path(&route, 1, "/pkg.Service/Method"), 0);
    for (size_t i = 0; i < FG_ARRAY_LEN(others); i++)
        if (find_path(&route, 1, others[i]) != -1)
            fail_msg("%s was taken", others[i]);
}

/* "pkg.Service/" followed by an asterisk is the prefix with both slashes: no service whose name only begins alike. */
static void a_prefix_ends_where_it_says(void **state)
{
    struct fg_config_route route = path_route(FG_MATCH_PREFIX, "/pkg.Service/");
    (void)state;

    assert_int_equal(find_path(&route, 1, "/pkg.Service/Method"), 0);
    assert_int_equal(find_path(&route, 1, "/pkg.Service/"), 0);
    assert_int_equal(find_path(&route, 1, "/pkg.Service"), -1);
    assert_int_equal(find_path(&route, 1, "/pkg.ServiceX/Method"), -1);
    assert_int_equal(find_path(&route, 1, "/PKG.Service/Method"), -1);
    assert_int_equal(find_path(&route, 1, "/x/pkg.Service/Method"), -1);
}

/* RFC 3986 section 3.2.2; the configuration's is in lower case. */
static void an_authority_is_compared_without_case(void **state)
{
    struct fg_config_route route = authority_route("api.example.com:8443");
    (void)state;

    assert_true(takes(route, (struct request){"/", {{":authority", "api.example.com:8443"}}}));
    assert_true(takes(route, (struct request){"/", {{":authority", "API.Example.COM:8443"}}}));
}

static void an_authority_is_compared_as_a_whole(void **state)
{
    static const char *const others[] = {"api.example.com", "api.example.com:844", "api.example.com:84433",
                                         "xapi.example.com:8443", ""};
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(others); i++)
        if (takes(authority_route("api.example.com:8443"), (struct request){"/", {{":authority", others[i]}}}))
            fail_msg("%s was taken", others[i]);
}

static void host_stands_in_for_a_missing_authority(void **state)
{
    struct fg_config_route route = authority_route("a.test");
    (void)state;

    assert_true(takes(route, (struct request){"/", {{"host", "A.test"}}}));
    assert_false(takes(route, (struct request){"/", {{"host", "b.test"}}}));
    assert_false(takes(route, (struct request){"/", {{":authority", "b.test"}, {"host", "a.test"}}}));
    assert_false(takes(route, (struct request){.path = "/"}));
}

static void all_of_a_routes_headers_must_be_there(void **state)
{
    struct fg_config_header_match wanted[] = {{"x-tenant", "gold"}, {"user-agent", "probe"}};
    struct fg_config_route route = any_route();
    (void)state;

    route.headers = wanted;
    route.headers_len = 2;
    assert_true(takes(route, (struct request){"/", {{"user-agent", "probe"}, {"x-tenant", "gold"}}}));
    assert_true(takes(route, (struct request){"/", {{"x-tenant", "gold"}, {"x", "y"}, {"user-agent", "probe"}}}));
    assert_false(takes(route, (struct request){"/", {{"x-tenant", "gold"}}}));
    assert_false(takes(route, (struct request){"/", {{"user-agent", "probe"}}}));
    assert_false(takes(route, (struct request){.path = "/"}));
}

static void a_headers_value_is_exact(void **state)
{
    struct fg_config_header_match wanted = {"x-tenant", "gold"};
    static const char *const others[] = {"Gold", "golden", "gol", "gold ", ""};
    struct fg_config_route route = any_route();
    (void)state;

    route.headers = &wanted;
    route.headers_len = 1;
    for (size_t i = 0; i < FG_ARRAY_LEN(others); i++)
        if (takes(route, (struct request){"/", {{"x-tenant", others[i]}}}))
            fail_msg("\"%s\" was taken", others[i]);
    wanted.value = "";
    assert_true(takes(route, (struct request){"/", {{"x-tenant", ""}}}));
    assert_false(takes(route, (struct request){.path = "/"})); /* empty is not absent */
}

static void path_authority_and_headers_must_all_match(void **state)
{
    struct fg_config_header_match wanted = {"x-version", "2"};
    struct fg_config_route routes[] = {path_route(FG_MATCH_PREFIX, "/s/"), path_route(FG_MATCH_PREFIX, "/s/")};
    (void)state;

    routes[0].authority = "a.test";
    routes[0].headers = &wanted;
    routes[0].headers_len = 1;
    assert_int_equal(find(routes, 2, &(struct request){"/s/m", {{":authority", "a.test"}, {"x-version", "2"}}}), 0);
    assert_int_equal(find(routes, 2, &(struct request){"/s/m", {{":authority", "a.test"}, {"x-version", "1"}}}), 1);
    assert_int_equal(find(routes, 2, &(struct request){"/s/m", {{":authority", "b.test"}, {"x-version", "2"}}}), 1);
    assert_int_equal(find(routes, 2, &(struct request){"/t/m", {{":authority", "a.test"}, {"x-version", "2"}}}), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_routes_there_is_none),
        cmocka_unit_test(the_first_that_matches_is_taken),
        cmocka_unit_test(any_takes_every_path),
        cmocka_unit_test(exact_is_exact),
        cmocka_unit_test(a_prefix_ends_where_it_says),
        cmocka_unit_test(an_authority_is_compared_without_case),
        cmocka_unit_test(an_authority_is_compared_as_a_whole),
        cmocka_unit_test(host_stands_in_for_a_missing_authority),
        cmocka_unit_test(all_of_a_routes_headers_must_be_there),
        cmocka_unit_test(a_headers_value_is_exact),
        cmocka_unit_test(path_authority_and_headers_must_all_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
