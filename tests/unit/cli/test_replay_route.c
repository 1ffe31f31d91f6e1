#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cli/replay_route.h"

static const char text[] =
    "listeners: [{address: 127.0.0.1:8080}]\n"
    "routes:\n"
    "- {match: {method: s/Gold, headers: {x-tenant: gold}}, cluster: a, priority: 2, weight: 3}\n"
    "- {match: {method: s/Gold, headers: {x-tenant: iron}}, cluster: a, priority: 0}\n"
    "- {match: {method: s/Only, authority: x.example}, cluster: a, priority: 2}\n"
    "- {match: {method: s/Other}, cluster: b}\n"
    "- {match: {method: s/*}, cluster: a, weight: 9}\n"
    "clusters: {a: {endpoints: [127.0.0.1:1]}, b: {endpoints: [127.0.0.1:2]}}\n";

static struct fg_config *load(void)
{
    struct fg_config *config = NULL;
    struct fg_config_errors errors = {0};

    if (fg_config_parse("test", text, sizeof text - 1, &config, &errors) != 0) {
        fg_config_errors_print(&errors, "test", stderr);
        fail();
    }
    return config;
}

static void assert_route(struct fg_replay_routes *routes, const struct fg_config *config, const char *cluster,
                         const char *method, unsigned priority, unsigned weight, int index)
{
    const struct fg_config_route *route =
        fg_replay_route(routes, fg_replay_cluster(config, fg_str_from(cluster)), fg_str_from(method), priority, weight);
    int found = route ? (int)(route - config->routes) : -1;

    if (found != index)
        fail_msg("%s to %s with %u, %u: route %d, not %d", method, cluster, priority, weight, found, index);
}

static void the_route_is_the_one_that_leads_there(void **state)
{
    struct fg_config *config = load();
    struct fg_replay_routes *routes = fg_replay_routes_new(config);
    (void)state;

    for (int again = 0; again < 2; again++) { /* the second time it is remembered */
        assert_route(routes, config, "a", "/s/M", 1, 1, 4);
        assert_route(routes, config, "a", "/s/Gold", 2, 3, 0);
        assert_route(routes, config, "a", "/s/Gold", 0, 1, 1);
        assert_route(routes, config, "a", "/s/Gold", 1, 9, 4);
        assert_route(routes, config, "a", "/s/Only", 2, 1, 2);
        assert_route(routes, config, "a", "/s/Only", 1, 1, 4);
        assert_route(routes, config, "b", "/s/Other", 1, 1, 3);
        assert_route(routes, config, "a", "/s/Other", 1, 1, -1); /* it is led elsewhere */
        assert_route(routes, config, "b", "/s/M", 1, 1, -1);
        assert_route(routes, config, "a", "/t/M", 1, 1, -1);
    }
    fg_replay_routes_free(routes);
    fg_config_unref(config);
}

static void clusters_are_found_by_name(void **state)
{
    struct fg_config *config = load();
    (void)state;

    assert_ptr_equal(fg_replay_cluster(config, FG_STR("b")), &config->clusters[1]);
    assert_null(fg_replay_cluster(config, FG_STR("c")));
    assert_null(fg_replay_cluster(config, FG_STR("")));
    fg_config_unref(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_route_is_the_one_that_leads_there),
        cmocka_unit_test(clusters_are_found_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
