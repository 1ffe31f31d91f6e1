/* What must hold between values. */
#include "expect.h"

#define A_CLUSTER "clusters: {a: {endpoints: ['b:2']}}\n"
#define GOOD      "listeners: [{address: 'a:1'}]\n" A_CLUSTER
#define TWO       "listeners: [{address: 'a:1'}]\nclusters: {a: {endpoints: ['b:2']}, b: {endpoints: ['b:3']}}\n"

static void routes_lead_to_clusters(void **state)
{
    (void)state;
    expect_errors(TWO, "f:1:1: routes: is missing: with 2 clusters, say which calls go to which\n");
    expect_errors(TWO "routes: [{cluster: b}]\n", "");
    expect_errors(TWO "routes: [{cluster: c}]\n",
                  "f:3:20: routes[0].cluster: there is no cluster \"c\" under clusters\n");
    expect_errors(
        "listeners: [{address: 'a:1'}]\nclusters: {orders: {endpoints: ['b:2']}}\nroutes: [{cluster: order}]\n",
        "f:3:20: routes[0].cluster: there is no cluster \"order\"; did you mean \"orders\"?\n");
    expect_errors(TWO "routes: [{cluster: shadow}]\n",
                  "f:3:20: routes[0].cluster: there is no cluster \"shadow\" under clusters\n");
}

static void addresses_are_used_once(void **state)
{
    (void)state;
    expect_errors("listeners:\n- address: 127.0.0.1:80\n- address: 127.0.0.1:080\n" A_CLUSTER,
                  "f:3:12: listeners[1].address: the address 127.0.0.1:80 stands in listeners[0].address already\n");
    expect_errors("listeners:\n- address: '[::1]:80'\n- address: '[0:0::0001]:80'\n" A_CLUSTER,
                  "f:3:12: listeners[1].address: the address [::1]:80 stands in listeners[0].address already\n");
    expect_errors("listeners:\n- address: 127.0.0.1:9901\n" A_CLUSTER "admin: {}\n",
                  "f:4:8: admin: the address 127.0.0.1:9901 stands in listeners[0].address already\n");
    expect_errors("listeners:\n- address: 127.0.0.1:9901\n" A_CLUSTER "admin: {address: off}\n", "");
    expect_errors("listeners:\n- address: 127.0.0.1:80\n- address: 127.0.0.2:80\n" A_CLUSTER, "");
    expect_errors("listeners: [{address: 'a:1'}]\nclusters: {a: {endpoints: ['b:2', {address: 'B:2'}]}}\n",
                  "f:2:45: clusters.a.endpoints[1].address: the address b:2 stands in clusters.a.endpoints[0] already; "
                  "give it a weight instead\n");
}

static void tls_is_complete(void **state)
{
    (void)state;
#define TLS(text) "listeners: [{address: 'a:1', tls: {" text "}}]\n" A_CLUSTER
    expect_errors(TLS("certificate: c, key: k"), "");
    expect_errors(TLS("certificates: [{certificate: c, key: k}]"), "");
    expect_errors(TLS(""),
                  "f:1:35: listeners[0].tls: has no certificate, expected certificate and key, or certificates\n");
    expect_errors(TLS("key: k"), "f:1:36: listeners[0].tls.key: needs \"certificate\" beside it\n");
    expect_errors(TLS("certificate: c"), "f:1:36: listeners[0].tls.certificate: needs \"key\" beside it\n");
    expect_errors(TLS("certificates: [{certificate: c}]"),
                  "f:1:51: listeners[0].tls.certificates[0].key: is missing, expected a file name\n");
    expect_errors(TLS("certificate: c, key: k, require_client_certificate: true"),
                  "f:1:88: listeners[0].tls.require_client_certificate: found true without client_ca, which says whom "
                  "to trust\n");
    expect_errors(TLS("certificate: c, key: k, require_client_certificate: false"), "");
    expect_errors(TLS("certificate: c, key: k, client_ca: a, require_client_certificate: true"), "");
    expect_errors("listeners: [{address: 'a:1'}]\nclusters: {a: {endpoints: ['b:2'], tls: {key: k}}}\n",
                  "f:2:42: clusters.a.tls.key: needs \"certificate\" beside it\n");
}

static void connection_windows_cannot_shrink(void **state)
{
    (void)state;
    expect_errors("listeners: [{address: 'a:1', http2: {connection_window: 65534}}]\n" A_CLUSTER,
                  "f:1:57: listeners[0].http2.connection_window: found 65534, expected 0 or at least 65535: a "
                  "connection's window begins there and only grows\n");
    expect_errors("listeners: [{address: 'a:1', http2: {connection_window: 65535}}]\n" A_CLUSTER, "");
    expect_errors("listeners: [{address: 'a:1'}]\n"
                  "clusters: {a: {endpoints: ['b:2'], http2: {connection_window: 1}}}\n",
                  "f:2:63: clusters.a.http2.connection_window: found 1, expected 0 or at least 65535: a connection's "
                  "window begins there and only grows\n");
}

static void the_admin_server_is_local_or_guarded(void **state)
{
    (void)state;
#define REFUSED(address, column)                                                                                       \
    "f:3:" column ": admin.address: found \"" address                                                                  \
    "\" without a token: others can reach it, so expected a loopback address, a unix socket, or a token\n"
    expect_errors(GOOD "admin: {}\n", "");
    expect_errors(GOOD "admin: {address: '[::1]:9901'}\n", "");
    expect_errors(GOOD "admin: {address: 'localhost:9901'}\n", "");
    expect_errors(GOOD "admin: {address: 'unix:/run/fusegate.sock'}\n", "");
    expect_errors(GOOD "admin: {address: '0.0.0.0:9901'}\n", REFUSED("0.0.0.0:9901", "18"));
    expect_errors(GOOD "admin: {address: '[::]:9901'}\n", REFUSED("[::]:9901", "18"));
    expect_errors(GOOD "admin: {address: 'admin.internal:9901'}\n", REFUSED("admin.internal:9901", "18"));
    expect_errors(GOOD "admin: {address: '0.0.0.0:9901', token: t}\n", "");
}

/* FIRST and SECOND are the inside of two matches; is the second one dead? */
static void expect_dead(const char *first, const char *second, bool dead)
{
    char text[512];
    snprintf(text, sizeof text, GOOD "routes:\n- {match: {%s}, cluster: a}\n- {match: {%s}, cluster: a}\n", first,
             second);
    expect_errors(text, dead ? "f:5:3: routes[1]: can never match: routes[0] (line 4) matches every call that it does; "
                               "put it before that one\n"
                             : "");
}

static void dead_routes_are_errors(void **state)
{
    (void)state;
    expect_dead("", "path: /x", true);
    expect_dead("method: '*'", "", true);
    expect_dead("path_prefix: /", "method: a.S/M", true);
    expect_dead("path_prefix: /a", "path: /ab", true);
    expect_dead("path_prefix: /a", "path_prefix: /a/b", true);
    expect_dead("method: a.S/*", "method: a.S/M", true);
    expect_dead("method: a.S/M", "path: /a.S/M", true);
    expect_dead("headers: {t: x}", "path: /x, headers: {t: x, u: y}", true);
    expect_dead("authority: A", "path: /x, authority: a", true);

    expect_dead("path: /x", "", false);
    expect_dead("path: /x", "path: /y", false);
    expect_dead("path: /a", "path_prefix: /a", false);
    expect_dead("path_prefix: /a/b", "path_prefix: /a", false);
    expect_dead("method: a.S/M", "method: a.S/*", false);
    expect_dead("path_prefix: /a", "path_prefix: /b", false);
    expect_dead("headers: {t: x}", "path: /x", false);
    expect_dead("headers: {t: x}", "headers: {t: y}", false);
    expect_dead("headers: {t: x, u: y}", "headers: {t: x}", false);
    expect_dead("authority: a", "path: /x", false);
    expect_dead("authority: a", "authority: b", false);
}

static void one_mistake_is_reported_once(void **state)
{
    (void)state;
    /* The first route has no sound match, so it is not a catch-all; nor is an unsound cluster an unknown one. */
    expect_errors(GOOD "routes: [{match: {path: x}, cluster: a}, {cluster: a}]\n",
                  "f:3:25: routes[0].match.path: found \"x\", expected a path that starts with \"/\"\n");
    expect_errors(GOOD "routes: [{match: x, cluster: a}, {cluster: a}]\n",
                  "f:3:18: routes[0].match: found \"x\", expected a mapping\n");
    expect_errors("listeners: [{address: 'a:1'}]\nclusters: {a: 1}\nroutes: [{cluster: a}]\n",
                  "f:2:15: clusters.a: found \"1\", expected a mapping\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_lead_to_clusters),
        cmocka_unit_test(addresses_are_used_once),
        cmocka_unit_test(tls_is_complete),
        cmocka_unit_test(connection_windows_cannot_shrink),
        cmocka_unit_test(the_admin_server_is_local_or_guarded),
        cmocka_unit_test(dead_routes_are_errors),
        cmocka_unit_test(one_mistake_is_reported_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
