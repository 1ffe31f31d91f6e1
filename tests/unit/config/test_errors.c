/* What the reader and the YAML tree say about a file, and where. */
#include "expect.h"

#define GOOD_LISTENER "listeners: [{address: 'a:1'}]\n"
#define GOOD_CLUSTER  "clusters: {a: {endpoints: ['b:2']}}\n"
#define GOOD          GOOD_LISTENER GOOD_CLUSTER

struct error_case {
    const char *text, *errors;
};

static void run(const struct error_case *cases, size_t len)
{
    for (size_t i = 0; i < len; i++)
        expect_errors(cases[i].text, cases[i].errors);
}

#define RUN(...)                                                                                                       \
    do {                                                                                                               \
        const struct error_case cases[] = {__VA_ARGS__};                                                               \
        run(cases, sizeof cases / sizeof cases[0]);                                                                    \
    } while (0)

static void unknown_keys_get_the_nearest_name(void **state)
{
    (void)state;
    RUN({GOOD "worker: 2\n", "f:3:1: worker: unknown key; did you mean \"workers\"?\n"},
        {GOOD "drainTimeout: 2s\n", "f:3:1: drainTimeout: unknown key; did you mean \"drain_timeout\"?\n"},
        {GOOD "zzz: 1\n",
         "f:3:1: zzz: unknown key, expected one of: workers, error_details, drain_timeout, listeners, routes, "
         "clusters, admin, access_log, crash_report, tap\n"},
        {"listeners:\n- address: a:1\n  http2:\n    stream_windw: 1MiB\n" GOOD_CLUSTER,
         "f:4:5: listeners[0].http2.stream_windw: unknown key; did you mean \"stream_window\"?\n"},
        {GOOD_LISTENER "clusters: {a: {endpoints: ['b:2'], http2: {preface_timeout: 1s}}}\n",
         "f:2:44: clusters.a.http2.preface_timeout: unknown key; did you mean \"header_timeout\"?\n"},
        {GOOD "access_log: {<<: {path: x}}\n",
         "f:3:14: access_log.<<: unknown key, expected one of: path, format, keep, share, interval\n"});
}

static void required_keys_are_missed_where_they_belong(void **state)
{
    (void)state;
    RUN({"workers: 2\n", "f:1:1: listeners: is missing, expected a list\n"
                         "f:1:1: clusters: is missing, expected a mapping from names to settings\n"},
        {"listeners: []\nclusters: {}\n", "f:1:12: listeners: found 0 entries, expected 1 to 256\n"
                                          "f:2:11: clusters: found 0 entries, expected 1 to 4096\n"},
        {"listeners:\n- max_connections: 1\n" GOOD_CLUSTER,
         "f:2:3: listeners[0].address: is missing, expected host:port or [v6]:port\n"},
        {GOOD_LISTENER "clusters:\n  a: {balance: round_robin}\n",
         "f:3:6: clusters.a.endpoints: is missing, expected a list\n"},
        {GOOD_LISTENER "clusters: {a: {endpoints: []}}\n",
         "f:2:27: clusters.a.endpoints: found 0 entries, expected 1 to 4096\n"},
        {GOOD_LISTENER "clusters: {a: {endpoints: [{weight: 2}]}}\n",
         "f:2:28: clusters.a.endpoints[0].address: is missing, expected host:port or [v6]:port\n"},
        {GOOD "routes: [{timeout: 1s}]\n", "f:3:10: routes[0].cluster: is missing, expected the name of a cluster\n"},
        {GOOD "routes: []\n", "f:3:9: routes: found 0 entries, expected 1 to 4096\n"});
}

static void values_outside_their_type_or_range(void **state)
{
    (void)state;
    RUN({GOOD "workers: 0\n", "f:3:10: workers: found \"0\", expected auto or a whole number from 1 to 256\n"},
        {GOOD "workers: 257\n", "f:3:10: workers: found \"257\", expected auto or a whole number from 1 to 256\n"},
        {GOOD "workers: atuo\n", "f:3:10: workers: found \"atuo\", expected auto or a whole number from 1 to 256; did "
                                 "you mean \"auto\"?\n"},
        {GOOD "drain_timeout: 30\n", "f:3:16: drain_timeout: found \"30\", expected a duration from 0 to 24h, such as "
                                     "250ms, 2s or 5m; did you mean \"30s\"?\n"},
        {GOOD "drain_timeout: 25h\n",
         "f:3:16: drain_timeout: found \"25h\", expected a duration from 0 to 24h, such as 250ms, 2s or 5m\n"},
        {"listeners: [{address: 'a:1', http2: {stream_window: 64KB}}]\n" GOOD_CLUSTER,
         "f:1:53: listeners[0].http2.stream_window: found \"64KB\", expected a size from 1 to 2147483647, such as "
         "64KiB "
         "or 1MiB; did you mean \"64KiB\"?\n"},
        {"listeners: [{address: 'a:1', http2: {stream_window: 2GiB}}]\n" GOOD_CLUSTER,
         "f:1:53: listeners[0].http2.stream_window: found \"2GiB\", expected a size from 1 to 2147483647, such as "
         "64KiB "
         "or 1MiB\n"},
        {"listeners: [{address: 'a:1', http2: {max_frame_size: 16383}}]\n" GOOD_CLUSTER,
         "f:1:54: listeners[0].http2.max_frame_size: found \"16383\", expected a size from 16KiB to 16777215, such as "
         "64KiB or 1MiB\n"},
        {"listeners: [{address: 'a:1', http2: {max_frame_size: 16MiB}}]\n" GOOD_CLUSTER,
         "f:1:54: listeners[0].http2.max_frame_size: found \"16MiB\", expected a size from 16KiB to 16777215, such as "
         "64KiB or 1MiB\n"},
        {"listeners: [{address: 'a:1', http2: {keepalive_timeout: 0}}]\n" GOOD_CLUSTER,
         "f:1:57: listeners[0].http2.keepalive_timeout: found \"0\", expected a duration from 1ms to 24h, such as "
         "250ms, 2s or 5m\n"},
        {"listeners: [{address: 'a:1', guard: {ping_rate: 10}}]\n" GOOD_CLUSTER,
         "f:1:49: listeners[0].guard.ping_rate: found \"10\", expected a rate from 1/s to 1000000/s, such as 10/s; did "
         "you mean \"10/s\"?\n"},
        {"listeners: [{address: 'a:1', guard: {reset_ratio: 50}}]\n" GOOD_CLUSTER,
         "f:1:51: listeners[0].guard.reset_ratio: found \"50\", expected a ratio from 0% to 100%, such as 20% or 0.2; "
         "did you mean \"50%\"?\n"},
        {GOOD_LISTENER "clusters: {a: {endpoints: ['b:2'], balance: least_requests}}\n",
         "f:2:45: clusters.a.balance: found \"least_requests\", expected least_request or round_robin; did you mean "
         "\"least_request\"?\n"},
        {GOOD_LISTENER "clusters: {a: {endpoints: ['b:2'], protocol: h3}}\n",
         "f:2:46: clusters.a.protocol: found \"h3\", expected h2, h1 or auto; did you mean \"h2\"?\n"},
        {GOOD_LISTENER "clusters: {a: {endpoints: ['b:2'], breaker: {enabled: on}}}\n",
         "f:2:55: clusters.a.breaker.enabled: found \"on\", expected true or false; did you mean \"true\"?\n"},
        {"listeners: [{address: 'a:1', tls: {certificate: c, key: k, min_version: 1.1}}]\n" GOOD_CLUSTER,
         "f:1:73: listeners[0].tls.min_version: found \"1.1\", expected 1.2 or 1.3; did you mean \"1.2\"?\n"},
        {GOOD "routes: [{cluster: a, priority: 3}]\n",
         "f:3:33: routes[0].priority: found \"3\", expected a whole number from 0 to 2\n"},
        {GOOD "routes: [{cluster: a, weight: 101}]\n",
         "f:3:31: routes[0].weight: found \"101\", expected a whole number from 1 to 100\n"},
        {GOOD "drain_timeout: \"1s\\n\"\n", "f:3:16: drain_timeout: found \"1s\\n\", expected a duration from 0 to "
                                            "24h, such as 250ms, 2s or 5m\n"});
}

static void addresses_say_what_is_wrong(void **state)
{
    (void)state;
#define LISTEN(text)      "listeners: [{address: '" text "'}]\n" GOOD_CLUSTER
#define ANSWER(text, why) "f:1:23: listeners[0].address: found \"" text "\", " why "\n"
    RUN({LISTEN("0.0.0.0:0"), ANSWER("0.0.0.0:0", "port 0 would listen on a random port; name one")},
        {LISTEN(":80"), ANSWER(":80", "the host is missing; write 0.0.0.0 or [::] for every address")},
        {LISTEN("*:80"), ANSWER("*:80", "* is no host; write 0.0.0.0 or [::] for every address")},
        {LISTEN("localhost"), ANSWER("localhost", "expected host:port or [v6]:port; the port is missing")},
        {LISTEN("a:65536"), ANSWER("a:65536", "expected a port from 1 to 65535")},
        {LISTEN("a:http"), ANSWER("a:http", "expected a port from 1 to 65535 after the last colon")},
        {LISTEN("::1:80"), ANSWER("::1:80", "expected host:port or [v6]:port; an IPv6 address stands in brackets")},
        {LISTEN("[::x]:80"),
         ANSWER("[::x]:80", "expected host:port or [v6]:port; there is no IPv6 address in the brackets")},
        {LISTEN("1.2.3:80"), ANSWER("1.2.3:80", "expected host:port or [v6]:port; the host is not an IPv4 address")},
        {GOOD_LISTENER "clusters: {a: {endpoints: ['b:0']}}\n",
         "f:2:28: clusters.a.endpoints[0]: found \"b:0\", expected a port from 1 to 65535\n"},
        {GOOD_LISTENER "clusters: {a: {endpoints: [{address: b}]}}\n",
         "f:2:38: clusters.a.endpoints[0].address: found \"b\", expected host:port or [v6]:port; the port is "
         "missing\n"},
        {GOOD "tap: {redact_fields: ['a..b']}\n", "f:3:23: tap.redact_fields[0]: found \"a..b\", expected a path of "
                                                  "fields such as password, card.number or *.token\n"},
        {GOOD "tap: {redact_fields: ['*']}\n", "f:3:23: tap.redact_fields[0]: found \"*\", expected a path of fields "
                                               "such as password, card.number or *.token\n"},
        {GOOD "tap: {redact_fields: ['.a']}\n", "f:3:23: tap.redact_fields[0]: found \".a\", expected a path of fields "
                                                "such as password, card.number or *.token\n"},
        {GOOD "tap: {redact_fields: ['a.']}\n", "f:3:23: tap.redact_fields[0]: found \"a.\", expected a path of fields "
                                                "such as password, card.number or *.token\n"},
        {GOOD "tap: {redact_fields: ['a*']}\n", "f:3:23: tap.redact_fields[0]: found \"a*\", expected a path of fields "
                                                "such as password, card.number or *.token\n"},
        {GOOD "tap: {redact_fields: ['*a']}\n", "f:3:23: tap.redact_fields[0]: found \"*a\", expected a path of fields "
                                                "such as password, card.number or *.token\n"},
        {GOOD "tap: {redact_fields: ['a b']}\n", "f:3:23: tap.redact_fields[0]: found \"a b\", expected a path of "
                                                 "fields such as password, card.number or *.token\n"},
        {GOOD "admin: {address: 'unix:'}\n", "f:3:18: admin.address: found \"unix:\", expected a path after unix:\n"});
}

static void matches_say_what_is_wrong(void **state)
{
    (void)state;
#define ROUTE(match) GOOD "routes: [{match: {" match "}, cluster: a}]\n"
    RUN({ROUTE("path: x"), "f:3:25: routes[0].match.path: found \"x\", expected a path that starts with \"/\"\n"},
        {ROUTE("path_prefix: web"),
         "f:3:32: routes[0].match.path_prefix: found \"web\", expected a path that starts with \"/\"\n"},
        {ROUTE("path: '/a?b'"), "f:3:25: routes[0].match.path: found \"/a?b\", expected a path; what follows ? or # "
                                "takes no part in the match\n"},
        {ROUTE("method: order.Get"),
         "f:3:27: routes[0].match.method: found \"order.Get\", expected pkg.Service/Method, pkg.Service/* or *\n"},
        {ROUTE("method: 'order./Get'"),
         "f:3:27: routes[0].match.method: found \"order./Get\", expected pkg.Service/Method, pkg.Service/* or *\n"},
        {ROUTE("method: 'o.S/Get*'"),
         "f:3:27: routes[0].match.method: found \"o.S/Get*\", expected pkg.Service/Method, pkg.Service/* or *\n"},
        {ROUTE("method: /o.S/Get"), "f:3:27: routes[0].match.method: found \"/o.S/Get\", expected pkg.Service/Method, "
                                    "pkg.Service/* or *, without a slash in front\n"},
        {ROUTE("method: o.S/Get, path: /x"),
         "f:3:36: routes[0].match.path: stands beside \"method\"; only one of them may\n"},
        {ROUTE("headers: {':path': x}"), "f:3:29: routes[0].match.headers.:path: found \":path\", expected a header "
                                         "name; for :authority and :path there are keys of their own\n"},
        {ROUTE("headers: {'a b': x}"), "f:3:29: routes[0].match.headers.a b: found \"a b\", expected a header name\n"},
        {ROUTE("headers: {a: x, A: y}"), "f:3:35: routes[0].match.headers.A: stands twice\n"},
        {ROUTE("headers: {a: {value: x}}"), "f:3:32: routes[0].match.headers.a: found a mapping, expected text\n"},
        {ROUTE("headers: {a: \"x\\r\\ny\"}"), "f:3:32: routes[0].match.headers.a: found \"x\\x0d\\ny\", expected text "
                                              "without control characters\n"},
        {ROUTE("authority: 'a b'"), "f:3:30: routes[0].match.authority: found \"a b\", expected a host name, with "
                                    ":port if clients send one\n"});
}

static void duplicates_name_the_first(void **state)
{
    (void)state;
    RUN({GOOD "workers: 1\nworkers: 2\n", "f:4:1: workers: stands twice; the first is in line 3\n"},
        {GOOD_LISTENER "clusters:\n  a: {endpoints: ['b:2']}\n  a: {endpoints: ['b:3']}\n",
         "f:4:3: clusters.a: stands twice\n"});
}

static void wrong_kinds_of_nodes(void **state)
{
    (void)state;
    RUN({"- a\n", "f:1:1: found a list, expected a mapping\n"},
        {"hello\n", "f:1:1: found \"hello\", expected a mapping\n"},
        {"listeners: {address: 'a:1'}\n" GOOD_CLUSTER, "f:1:12: listeners: found a mapping, expected a list\n"},
        {"listeners: ['a:1']\n" GOOD_CLUSTER, "f:1:13: listeners[0]: found \"a:1\", expected a mapping\n"},
        {GOOD_LISTENER "clusters: [a]\n",
         "f:2:11: clusters: found a list, expected a mapping from names to settings\n"},
        {GOOD "workers: [1]\n", "f:3:10: workers: found a list, expected auto or a whole number from 1 to 256\n"},
        {GOOD "workers:\n", "f:3:9: workers: found nothing, expected auto or a whole number from 1 to 256\n"},
        {GOOD "admin:\n", "f:3:7: admin: found nothing, expected a mapping; {} stands for all defaults\n"},
        {GOOD "admin: ~\n", "f:3:8: admin: found nothing, expected a mapping; {} stands for all defaults\n"},
        {GOOD "[a]: b\n", "f:3:1: found a list or a mapping, expected the name of a key\n"});
}

static void yaml_itself_can_be_wrong(void **state)
{
    (void)state;
    RUN({"", "f:1:1: the file is empty; it needs at least listeners and clusters\n"},
        {"# nothing\n", "f:1:1: the file is empty; it needs at least listeners and clusters\n"},
        {"---\n", "f:1:1: the file is empty; it needs at least listeners and clusters\n"},
        {"a: [1\n",
         "f:2:1: not valid YAML: did not find expected ',' or ']' (while parsing a flow sequence that begins "
         "in line 1)\n"},
        {"admin:\n\taddress: x\n", "f:2:1: a tab in the indentation; YAML wants spaces\n"},
        {GOOD "---\n" GOOD, "f:3:1: a second document (---); one file holds one configuration\n"},
        {GOOD "workers: !!int 2\n", "f:3:10: tags (!...) are not used here; write the plain value\n"},
        {GOOD "workers: *w\n",
         "f:3:10: an alias (*name) of an anchor (&name) that does not stand completely before it\n"},
        {"a: &a [*a]\n", "f:1:8: an alias (*name) of an anchor (&name) that does not stand completely before it\n"},
        {"a: \xff\n", "f:1:4: byte 0xff is not valid UTF-8; is this a text file?\n"},
        {"x: \xc3\xa9\xc3\xa9 \xed\xa0\x80\n", "f:1:7: byte 0xed is not valid UTF-8; is this a text file?\n"},
        {"a: 1\nb: \x01\n", "f:2:4: control character 0x01; is this a text file?\n"},
        {GOOD "access_log: {path: \"a\\0b\"}\n",
         "f:3:20: access_log.path: found \"a\\x00b\", expected text without zero bytes\n"});
}

static void columns_count_characters(void **state)
{
    (void)state;
    expect_errors(GOOD "access_log: {path: '\xc3\xa9\xc3\xa9', x: 1}\n",
                  "f:3:26: access_log.x: unknown key, expected one of: path, format, keep, share, interval\n");
}

static void a_secret_is_never_shown(void **state)
{
    (void)state;
    RUN({GOOD "admin: {token: 'my secret'}\n",
         "f:3:16: admin.token: expected visible ASCII without spaces, at most 1024 characters\n"},
        {GOOD "admin: {token: ''}\n",
         "f:3:16: admin.token: expected visible ASCII without spaces, at most 1024 characters\n"});
}

static void all_errors_come_at_once_in_the_order_of_the_file(void **state)
{
    (void)state;
    expect_errors("listeners:\n"
                  "- address: 0.0.0.0:0\n"
                  "  tls: {certificate: c.pem, kye: k.pem}\n"
                  "routes:\n"
                  "- {match: {path: x}, cluster: ordres}\n"
                  "clusters:\n"
                  "  orders: {endpoints: [b], balance: foo}\n"
                  "  bad name: {endpoints: ['b:2']}\n"
                  "admin: {address: '0.0.0.0:9901'}\n"
                  "worker: 1\n",
                  "f:2:12: listeners[0].address: found \"0.0.0.0:0\", port 0 would listen on a random port; name one\n"
                  "f:3:9: listeners[0].tls.certificate: needs \"key\" beside it\n"
                  "f:3:29: listeners[0].tls.kye: unknown key; did you mean \"key\"?\n"
                  "f:5:18: routes[0].match.path: found \"x\", expected a path that starts with \"/\"\n"
                  "f:5:31: routes[0].cluster: there is no cluster \"ordres\"; did you mean \"orders\"?\n"
                  "f:7:24: clusters.orders.endpoints[0]: found \"b\", expected host:port or [v6]:port; the port is "
                  "missing\n"
                  "f:7:37: clusters.orders.balance: found \"foo\", expected least_request or round_robin\n"
                  "f:8:3: clusters.bad name: found \"bad name\", expected a cluster name: 1 to 64 letters, digits, "
                  "\"_\", \"-\" or \".\"\n"
                  "f:9:18: admin.address: found \"0.0.0.0:9901\" without a token: others can reach it, so expected a "
                  "loopback address, a unix socket, or a token\n"
                  "f:10:1: worker: unknown key; did you mean \"workers\"?\n");
}

static void long_lists_of_errors_end(void **state)
{
    (void)state;
    char text[64 * 200] = GOOD;
    for (int i = 0; i < 150; i++) {
        size_t len = strlen(text);
        snprintf(text + len, sizeof text - len, "unknown_%d: 1\n", i);
    }
    struct fg_config *c = NULL;
    struct fg_config_errors errors;
    assert_int_equal(fg_config_parse("f", text, strlen(text), &c, &errors), -1);
    assert_int_equal(errors.len, 101);
    assert_int_equal(errors.items[99].line, 102);
    assert_string_equal(errors.items[100].message, "there are more problems; these are the first");
    assert_int_equal(errors.items[100].line, 0);
    fg_config_errors_cleanup(&errors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_keys_get_the_nearest_name),
        cmocka_unit_test(required_keys_are_missed_where_they_belong),
        cmocka_unit_test(values_outside_their_type_or_range),
        cmocka_unit_test(addresses_say_what_is_wrong),
        cmocka_unit_test(matches_say_what_is_wrong),
        cmocka_unit_test(duplicates_name_the_first),
        cmocka_unit_test(wrong_kinds_of_nodes),
        cmocka_unit_test(yaml_itself_can_be_wrong),
        cmocka_unit_test(columns_count_characters),
        cmocka_unit_test(a_secret_is_never_shown),
        cmocka_unit_test(all_errors_come_at_once_in_the_order_of_the_file),
        cmocka_unit_test(long_lists_of_errors_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
