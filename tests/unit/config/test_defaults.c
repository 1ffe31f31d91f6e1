/* What the snapshot holds: with nothing but the required keys, and with every key there is. */
#include "expect.h"

#include <unistd.h>

#include "base/time.h"
#include "config/schema.h"
#include "config/tree.h"
#include "every_key.h"
#include "rpc/status.h"

#define MINIMAL "listeners: [{address: '0.0.0.0:8080'}]\nclusters: {a: {endpoints: ['10.0.0.1:50051']}}\n"

static void expect_http2_defaults(const struct fg_config_http2 *h)
{
    assert_int_equal(h->stream_window, 256 << 10);
    assert_int_equal(h->connection_window, 0);
    assert_int_equal(h->max_frame_size, 16 << 10);
    assert_int_equal(h->header_table_size, 4 << 10);
    assert_int_equal(h->max_header_list, 64 << 10);
    assert_int_equal(h->max_header_fields, 100);
    assert_int_equal(h->max_continuations, 8);
    assert_int_equal(h->header_timeout_ns, 5 * FG_S);
    assert_int_equal(h->settings_timeout_ns, 10 * FG_S);
    assert_int_equal(h->idle_timeout_ns, 300 * FG_S);
    assert_int_equal(h->keepalive_interval_ns, 60 * FG_S);
    assert_int_equal(h->keepalive_timeout_ns, 20 * FG_S);
    assert_int_equal(h->write_stall_timeout_ns, 300 * FG_S);
}

static void expect_guard_defaults(const struct fg_config_guard *g)
{
    assert_int_equal(g->reset_burst, 1000);
    assert_int_equal(g->reset_rate, 33);
    assert_true(g->reset_ratio == 0.5);
    assert_int_equal(g->reset_ratio_minimum, 500);
    assert_int_equal(g->ping_rate, 10);
    assert_int_equal(g->settings_rate, 10);
    assert_int_equal(g->queued_control_frames, 1000);
    assert_int_equal(g->empty_data_frames, 1);
    assert_int_equal(g->error_burst, 100);
    assert_int_equal(g->error_rate, 10);
}

static void listener_defaults(void **state)
{
    (void)state;
    struct fg_config *c = must_parse("gateway.yaml", MINIMAL);
    assert_in_range(c->workers, 1, 256);
    assert_int_equal(c->drain_timeout_ns, 30 * FG_S);
    assert_true(c->error_details);
    assert_string_equal(c->source, "gateway.yaml");
    assert_int_equal(c->listeners_len, 1);
    assert_string_equal(c->listeners[0].address, "0.0.0.0:8080");
    assert_false(c->listeners[0].tls.enabled);
    assert_int_equal(c->listeners[0].max_connections, 0);
    assert_int_equal(c->listeners[0].http2.max_concurrent_streams, 100);
    assert_int_equal(c->listeners[0].http2.preface_timeout_ns, 10 * FG_S);
    expect_http2_defaults(&c->listeners[0].http2);
    expect_guard_defaults(&c->listeners[0].guard);
    assert_null(c->admin.address);
    assert_null(c->admin.token);
    assert_null(c->admin.audit_log);
    assert_string_equal(c->access_log.path, "off");
    assert_null(c->crash_report);
    assert_string_equal(c->access_log.format, "json");
    assert_int_equal(c->access_log.keep, FG_LOG_KEEP_ALL);
    assert_true(c->access_log.share == 1);
    assert_int_equal(c->access_log.interval_ns, 0);
    assert_true(c->tap.enabled);
    assert_int_equal(c->tap.redact_headers_len, 0);
    assert_int_equal(c->tap.redact_fields_len, 0);
    assert_int_equal(c->tap.max_calls_per_s, 1000);
    fg_config_unref(c);
}

static void cluster_defaults(void **state)
{
    (void)state;
    struct fg_config *c = must_parse("gateway.yaml", MINIMAL);
    const struct fg_config_cluster *cluster = &c->clusters[0];
    assert_int_equal(c->clusters_len, 1);
    assert_string_equal(cluster->name, "a");
    assert_int_equal(cluster->line, 2);
    assert_int_equal(cluster->endpoints_len, 1);
    assert_string_equal(cluster->endpoints[0].address, "10.0.0.1:50051");
    assert_string_equal(cluster->endpoints[0].host, "10.0.0.1");
    assert_int_equal(cluster->endpoints[0].port, 50051);
    assert_int_equal(cluster->endpoints[0].weight, 1);
    assert_int_equal(cluster->balance, FG_BALANCE_LEAST_REQUEST);
    assert_false(cluster->tls.enabled);
    expect_http2_defaults(&cluster->http2);
    expect_guard_defaults(&cluster->guard);
    assert_true(cluster->breaker.enabled);
    assert_int_equal(cluster->breaker.window_ns, 10 * FG_S);
    assert_true(cluster->breaker.failure_ratio == 0.5);
    assert_int_equal(cluster->breaker.minimum_calls, 20);
    assert_int_equal(cluster->breaker.consecutive_failures, 5);
    assert_int_equal(cluster->breaker.open_for_ns, 5 * FG_S);
    assert_int_equal(cluster->breaker.half_open_calls, 3);
    assert_true(cluster->breaker.max_ejected == 1.0);
    assert_int_equal(cluster->limits.streams_per_connection, 100);
    assert_int_equal(cluster->limits.connections, 1024);
    assert_int_equal(cluster->limits.pending, 10000);
    assert_int_equal(cluster->limits.pending_timeout_ns, 30 * FG_S);
    assert_int_equal(cluster->connect_timeout_ns, 5 * FG_S);
    fg_config_unref(c);
}

static void a_single_cluster_gets_every_call(void **state)
{
    (void)state;
    struct fg_config *c = must_parse("gateway.yaml", MINIMAL);
    assert_int_equal(c->routes_len, 1);
    assert_int_equal(c->routes[0].path_match, FG_MATCH_ANY);
    assert_int_equal(c->routes[0].path_len, 0);
    assert_null(c->routes[0].authority);
    assert_int_equal(c->routes[0].headers_len, 0);
    assert_int_equal(c->routes[0].cluster, 0);
    assert_int_equal(c->routes[0].timeout_ns, 0);
    assert_int_equal(c->routes[0].priority, 1);
    assert_int_equal(c->routes[0].weight, 1);
    fg_config_unref(c);
}

static void a_present_section_has_its_defaults(void **state)
{
    (void)state;
    struct fg_config *c = must_parse("gateway.yaml", "listeners:\n"
                                                     "- {address: 'a:1', tls: {certificate: /c.pem, key: /k.pem}}\n"
                                                     "clusters: {a: {endpoints: ['b:2'], tls: {}}}\n"
                                                     "admin: {}\n");
    const struct fg_config_tls_server *server = &c->listeners[0].tls;
    assert_true(server->enabled);
    assert_int_equal(server->certificates_len, 1);
    assert_null(server->client_ca);
    assert_false(server->require_client_certificate);
    assert_int_equal(server->min_version, 12);
    assert_true(server->session_resumption);
    assert_int_equal(server->handshake_timeout_ns, 10 * FG_S);
    const struct fg_config_tls_client *client = &c->clusters[0].tls;
    assert_true(client->enabled);
    assert_true(client->verify);
    assert_null(client->ca);
    assert_null(client->certificate);
    assert_null(client->key);
    assert_null(client->server_name);
    assert_int_equal(client->min_version, 12);
    assert_string_equal(c->admin.address, "127.0.0.1:9901");
    assert_null(c->admin.token);
    fg_config_unref(c);
}

static void every_key_reaches_its_listener_field(void **state)
{
    (void)state;
    struct fg_config *c = must_parse("/etc/fusegate/gateway.yaml", every_key);
    assert_int_equal(c->workers, 3);
    assert_int_equal(c->drain_timeout_ns, FG_S);
    assert_false(c->error_details);
    const struct fg_config_listener *l = &c->listeners[0];
    assert_string_equal(l->address, "[::]:8443");
    assert_int_equal(l->max_connections, 1000);
    assert_true(l->tls.enabled);
    assert_int_equal(l->tls.certificates_len, 2);
    assert_string_equal(l->tls.certificates[0].certificate, "/etc/fusegate/edge.pem");
    assert_string_equal(l->tls.certificates[0].key, "/etc/fusegate/edge.key");
    assert_string_equal(l->tls.certificates[1].certificate, "/abs/b.pem");
    assert_string_equal(l->tls.certificates[1].key, "/etc/fusegate/sub/b.key");
    assert_string_equal(l->tls.client_ca, "/etc/fusegate/ca.pem");
    assert_true(l->tls.require_client_certificate);
    assert_int_equal(l->tls.min_version, 13);
    assert_false(l->tls.session_resumption);
    assert_int_equal(l->tls.handshake_timeout_ns, 2 * FG_S);
    const struct fg_config_http2 *h = &l->http2;
    assert_int_equal(h->max_concurrent_streams, 7);
    assert_int_equal(h->preface_timeout_ns, 3 * FG_S);
    assert_int_equal(h->stream_window, 1 << 20);
    assert_int_equal(h->connection_window, 2 << 20);
    assert_int_equal(h->max_frame_size, 16777215);
    assert_int_equal(h->header_table_size, 0);
    assert_int_equal(h->max_header_list, 8 << 10);
    assert_int_equal(h->max_header_fields, 50);
    assert_int_equal(h->max_continuations, 2);
    assert_int_equal(h->header_timeout_ns, FG_S);
    assert_int_equal(h->settings_timeout_ns, 2 * FG_S);
    assert_int_equal(h->idle_timeout_ns, 0);
    assert_int_equal(h->keepalive_interval_ns, 60 * FG_S);
    assert_int_equal(h->keepalive_timeout_ns, 250 * FG_MS);
    assert_int_equal(h->write_stall_timeout_ns, 4 * FG_S);
    const struct fg_config_guard *g = &l->guard;
    assert_int_equal(g->reset_burst, 1);
    assert_int_equal(g->reset_rate, 2);
    assert_true(g->reset_ratio == 0.25);
    assert_int_equal(g->reset_ratio_minimum, 3);
    assert_int_equal(g->ping_rate, 4);
    assert_int_equal(g->settings_rate, 5);
    assert_int_equal(g->queued_control_frames, 60);
    assert_int_equal(g->empty_data_frames, 7);
    assert_int_equal(g->error_burst, 8);
    assert_int_equal(g->error_rate, 9);
    assert_string_equal(c->admin.address, "unix:/etc/fusegate/run/admin.sock");
    assert_string_equal(c->admin.token, "s3cret");
    assert_string_equal(c->admin.audit_log, "/etc/fusegate/log/audit.log");
    assert_string_equal(c->access_log.path, "/etc/fusegate/log/access.log");
    assert_string_equal(c->crash_report, "/etc/fusegate/run/crashes");
    assert_string_equal(c->access_log.format, "%{method} %{code}");
    assert_int_equal(c->access_log.keep, FG_LOG_KEEP_FAILURES);
    assert_true(c->access_log.share == 0.01);
    assert_int_equal(c->access_log.interval_ns, 60 * FG_S);
    assert_false(c->tap.enabled);
    assert_int_equal(c->tap.redact_headers_len, 1);
    assert_string_equal(c->tap.redact_headers[0].name, "x-session");
    assert_int_equal(c->tap.redact_fields_len, 2);
    assert_string_equal(c->tap.redact_fields[0].name, "password");
    assert_string_equal(c->tap.redact_fields[1].name, "*.token");
    assert_int_equal(c->tap.max_calls_per_s, 7);
    fg_config_unref(c);
}

static void every_key_reaches_its_route_field(void **state)
{
    (void)state;
    struct fg_config *c = must_parse("/etc/fusegate/gateway.yaml", every_key);
    assert_int_equal(c->routes_len, 5);
    const struct fg_config_route *r = &c->routes[0];
    assert_int_equal(r->path_match, FG_MATCH_EXACT);
    assert_string_equal(r->path, "/a.v1.S/M");
    assert_int_equal(r->path_len, strlen("/a.v1.S/M"));
    assert_string_equal(r->authority, "api.example:443");
    assert_int_equal(r->headers_len, 1);
    assert_string_equal(r->headers[0].name, "x-tenant");
    assert_string_equal(r->headers[0].value, "Gold");
    assert_int_equal(r->cluster, 1);
    assert_int_equal(r->timeout_ns, 2 * FG_S);
    assert_int_equal(r->priority, 2);
    assert_int_equal(r->weight, 3);
    assert_int_equal(r->line, 23);
    assert_int_equal(c->routes[1].path_match, FG_MATCH_EXACT);
    assert_string_equal(c->routes[1].path, "/exact");
    assert_int_equal(c->routes[1].cluster, 0);
    assert_int_equal(c->routes[2].path_match, FG_MATCH_PREFIX);
    assert_string_equal(c->routes[2].path, "/web/");
    assert_int_equal(c->routes[3].path_match, FG_MATCH_PREFIX);
    assert_string_equal(c->routes[3].path, "/a.v1.S/");
    assert_int_equal(c->routes[4].path_match, FG_MATCH_ANY);
    assert_int_equal(c->routes[4].cluster, 1);
    fg_config_unref(c);
}

static void every_key_reaches_its_cluster_field(void **state)
{
    (void)state;
    struct fg_config *c = must_parse("/etc/fusegate/gateway.yaml", every_key);
    const struct fg_config_cluster *b = &c->clusters[1];
    assert_int_equal(c->clusters_len, 2);
    assert_string_equal(c->clusters[0].name, "a");
    assert_string_equal(b->name, "b");
    assert_string_equal(b->endpoints[0].address, "[::1]:50051");
    assert_string_equal(b->endpoints[0].host, "::1");
    assert_int_equal(b->endpoints[0].port, 50051);
    assert_int_equal(b->endpoints[0].weight, 9);
    assert_int_equal(b->protocol, FG_PROTOCOL_H1);
    assert_int_equal(b->service, FG_SERVICE_HTTP);
    assert_int_equal(b->http_statuses_len, 2);
    assert_string_equal(b->http_statuses[1].http, "5xx");
    assert_int_equal(b->http_statuses[1].status, FG_STATUS_INTERNAL);
    assert_string_equal(b->descriptors, "reflection");
    assert_int_equal(b->descriptors_refresh_ns, 9 * FG_S);
    assert_int_equal(b->balance, FG_BALANCE_ROUND_ROBIN);
    assert_false(b->tls.enabled);
    assert_string_equal(b->tls.ca, "/etc/fusegate/ca.pem");
    assert_string_equal(b->tls.certificate, "/etc/fusegate/c.pem");
    assert_string_equal(b->tls.key, "/etc/fusegate/c.key");
    assert_string_equal(b->tls.server_name, "orders.internal");
    assert_false(b->tls.verify);
    assert_int_equal(b->tls.min_version, 13);
    assert_int_equal(b->http2.stream_window, 1 << 10);
    assert_int_equal(b->http2.connection_window, 65535);
    assert_int_equal(b->http2.idle_timeout_ns, 3600 * FG_S);
    assert_int_equal(b->http2.keepalive_interval_ns, 0);
    assert_int_equal(b->guard.reset_burst, 11);
    assert_int_equal(b->guard.reset_rate, 12);
    assert_true(b->guard.reset_ratio == 0.13);
    assert_int_equal(b->guard.error_rate, 20);
    assert_false(b->breaker.enabled);
    assert_int_equal(b->breaker.window_ns, FG_S);
    assert_true(b->breaker.failure_ratio == 0.1);
    assert_int_equal(b->breaker.minimum_calls, 2);
    assert_int_equal(b->breaker.consecutive_failures, 0);
    assert_int_equal(b->breaker.open_for_ns, FG_S);
    assert_int_equal(b->breaker.half_open_calls, 4);
    assert_true(b->breaker.max_ejected == 0.3);
    assert_int_equal(b->limits.streams_per_connection, 1);
    assert_int_equal(b->limits.connections, 2);
    assert_int_equal(b->limits.pending, 0);
    assert_int_equal(b->limits.pending_timeout_ns, 4 * FG_S);
    assert_int_equal(b->connect_timeout_ns, 500 * FG_MS);
    fg_config_unref(c);
}

/* Looks for KEY in all mappings of the file that TABLE describes; NODES are those. */
static void expect_used(const struct fg_table *table, const struct fg_node **nodes, size_t len)
{
    for (size_t i = 0; i < table->keys_len; i++) {
        const struct fg_key *key = &table->keys[i];
        const struct fg_node *values[64];
        size_t values_len = 0;
        bool used = table->shorthand != FG_SHORTHAND_NONE;
        for (size_t n = 0; n < len; n++) {
            for (const struct fg_child *child = nodes[n]->first; child; child = child->next) {
                if (!child->key || strcmp(child->key->text.p, key->name) != 0)
                    continue;
                used = true;
                if (key->type == FG_KEY_TABLE)
                    values[values_len++] = child->value;
                else if (key->table)
                    for (const struct fg_child *item = child->value->first; item; item = item->next)
                        values[values_len++] = item->value;
            }
        }
        if (!used)
            fail_msg("the key %s of \"%s\" is not tested", key->name, table->title);
        if (key->table)
            expect_used(key->table, values, values_len);
    }
}

static void no_key_of_the_schema_is_left_out_here(void **state)
{
    (void)state;
    struct fg_mem mem;
    struct fg_arena arena;
    struct fg_config_errors errors = {0};
    fg_mem_init(&mem);
    fg_arena_init(&arena, &mem);
    const struct fg_node *root = fg_tree_parse(&arena, fg_str_from(every_key), &errors);
    assert_non_null(root);
    expect_used(fg_schema(), &root, 1);
    fg_arena_cleanup(&arena);
    fg_mem_cleanup(&mem);
}

static void references_keep_the_snapshot(void **state)
{
    (void)state;
    struct fg_config *c = must_parse("gateway.yaml", MINIMAL);
    assert_ptr_equal(fg_config_ref(c), c);
    fg_config_unref(c);
    assert_string_equal(c->clusters[0].name, "a");
    fg_config_unref(c);
    fg_config_unref(NULL);
}

static void anchors_repeat_values(void **state)
{
    (void)state;
    struct fg_config *c = must_parse("gateway.yaml", "listeners: [{address: 'a:1', guard: &g {ping_rate: 77/s}}]\n"
                                                     "clusters: {a: {endpoints: ['b:2'], guard: *g}}\n");
    assert_int_equal(c->listeners[0].guard.ping_rate, 77);
    assert_int_equal(c->clusters[0].guard.ping_rate, 77);
    fg_config_unref(c);
}

static void flags_make_a_whole_configuration(void **state)
{
    (void)state;
    struct fg_config *c = NULL;
    struct fg_config_errors errors;
    assert_int_equal(fg_config_from_flags("127.0.0.1:8080", "127.0.0.1:1,[::1]:2", &c, &errors), 0);
    assert_string_equal(c->source, "command line");
    assert_string_equal(c->listeners[0].address, "127.0.0.1:8080");
    assert_int_equal(c->listeners[0].http2.max_concurrent_streams, 100);
    assert_int_equal(c->clusters_len, 1);
    assert_string_equal(c->clusters[0].name, "default");
    assert_int_equal(c->clusters[0].endpoints_len, 2);
    assert_string_equal(c->clusters[0].endpoints[1].host, "::1");
    assert_int_equal(c->routes_len, 1);
    assert_int_equal(c->routes[0].path_match, FG_MATCH_ANY);
    assert_null(c->admin.address);
    fg_config_unref(c);
}

static void bad_flags_are_named_as_flags(void **state)
{
    (void)state;
    struct fg_config *c = NULL;
    struct fg_config_errors errors;
    assert_int_equal(fg_config_from_flags("127.0.0.1:0", "a,", &c, &errors), -1);
    assert_null(c);
    assert_int_equal(errors.len, 3);
    assert_string_equal(errors.items[0].key, "--listen");
    assert_string_equal(errors.items[0].message,
                        "found \"127.0.0.1:0\", port 0 would listen on a random port; name one");
    assert_int_equal(errors.items[0].line, 0);
    assert_string_equal(errors.items[1].key, "--to");
    assert_string_equal(errors.items[1].message, "found \"a\", expected host:port or [v6]:port; the port is missing");
    assert_string_equal(errors.items[2].message, "found \"\", expected host:port or [v6]:port; the port is missing");
    fg_config_errors_cleanup(&errors);
}

static void files_are_read(void **state)
{
    (void)state;
    struct fg_config *c = NULL;
    struct fg_config_errors errors;
    char name[] = "/tmp/fusegate-config-XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, MINIMAL, sizeof MINIMAL - 1), sizeof MINIMAL - 1);
    close(fd);
    assert_int_equal(fg_config_load(name, &c, &errors), 0);
    assert_string_equal(c->source, name);
    fg_config_unref(c);
    unlink(name);

    c = NULL;
    assert_int_equal(fg_config_load(name, &c, &errors), -1);
    assert_null(c);
    assert_int_equal(errors.len, 1);
    assert_int_equal(errors.items[0].line, 0);
    assert_string_equal(errors.items[0].message, "cannot read the file: No such file or directory");
    fg_config_errors_cleanup(&errors);
    assert_int_equal(fg_config_load("/", &c, &errors), -1);
    assert_string_equal(errors.items[0].message, "cannot read the file: Is a directory");
    fg_config_errors_cleanup(&errors);
    assert_int_equal(fg_config_load("/dev/zero", &c, &errors), -1);
    assert_string_equal(errors.items[0].message, "the file is larger than 4 MiB");
    fg_config_errors_cleanup(&errors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listener_defaults),
        cmocka_unit_test(cluster_defaults),
        cmocka_unit_test(a_single_cluster_gets_every_call),
        cmocka_unit_test(a_present_section_has_its_defaults),
        cmocka_unit_test(every_key_reaches_its_listener_field),
        cmocka_unit_test(every_key_reaches_its_route_field),
        cmocka_unit_test(every_key_reaches_its_cluster_field),
        cmocka_unit_test(no_key_of_the_schema_is_left_out_here),
        cmocka_unit_test(references_keep_the_snapshot),
        cmocka_unit_test(anchors_repeat_values),
        cmocka_unit_test(flags_make_a_whole_configuration),
        cmocka_unit_test(bad_flags_are_named_as_flags),
        cmocka_unit_test(files_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
