#include "config/schema.h"

#include <string.h>

#include "base/bytes.h"
#include "base/time.h"
#include "rpc/status.h"

#define KIB        (UINT64_C(1) << 10)
#define MIB        (UINT64_C(1) << 20)
#define DAY        (24 * 3600 * FG_S)
#define MAX_WINDOW INT32_MAX /* RFC 9113 section 6.9.1 */

#define FIELD(type, member) .offset = offsetof(type, member), .bytes = sizeof(((type *)0)->member)
#define ITEMS(type, member) FIELD(type, member), .len_offset = offsetof(type, member##_len)
/* A key whose value is one number in a range; F() says where it goes. */
#define NUMBER(key_type, key, member, text, least, most, about)                                                        \
    {                                                                                                                  \
        .name = key, .type = FG_KEY_##key_type, F(member), .default_text = text, .min = least, .max = most,            \
        .description = about                                                                                           \
    }
#define KEYS(array) .keys = (array), .keys_len = FG_ARRAY_LEN(array)

static const struct fg_key_word tls_versions[] = {{"1.2", 12}, {"1.3", 13}, {NULL, 0}};

/* ---- http2 ---- */

#define F(member) FIELD(struct fg_config_http2, member)
static const struct fg_key http2_keys[] = {
    /* Keys of listeners only stand first, so that a cluster's table is the rest. */
    NUMBER(INTEGER, "max_concurrent_streams", max_concurrent_streams, "100", 1, 1000000,
           "Streams a client may have open at once; more are refused (REFUSED_STREAM)."),
    NUMBER(DURATION, "preface_timeout", preface_timeout_ns, "10s", FG_MS, DAY,
           "Time for the first bytes of a new connection to arrive."),
    NUMBER(SIZE, "stream_window", stream_window, "256KiB", 1, MAX_WINDOW,
           "Bytes of DATA a peer may send on one stream before the other side has taken them."),
    NUMBER(SIZE, "connection_window", connection_window, "0", 0, MAX_WINDOW,
           "The same for the whole connection; at least 65535. 0: as much as all streams together may use."),
    NUMBER(SIZE, "max_frame_size", max_frame_size, "16KiB", 16384, 16777215, "Largest frame a peer may send."),
    NUMBER(SIZE, "header_table_size", header_table_size, "4KiB", 0, 1 * MIB,
           "HPACK table that the peer's encoder may use."),
    NUMBER(SIZE, "max_header_list", max_header_list, "64KiB", 1 * KIB, 16 * MIB,
           "Size of one decoded header list (names, values and 32 bytes for each)."),
    NUMBER(INTEGER, "max_header_fields", max_header_fields, "100", 8, 10000, "Fields of one header list."),
    NUMBER(INTEGER, "max_continuations", max_continuations, "8", 0, 1000, "CONTINUATION frames of one header block."),
    NUMBER(DURATION, "header_timeout", header_timeout_ns, "5s", FG_MS, DAY,
           "Time for one header block to arrive completely."),
    NUMBER(DURATION, "settings_timeout", settings_timeout_ns, "10s", FG_MS, DAY,
           "Time for the peer to acknowledge SETTINGS."),
    NUMBER(DURATION, "idle_timeout", idle_timeout_ns, "5m", 0, DAY,
           "A connection without a stream is closed after this long. 0: never."),
    NUMBER(DURATION, "keepalive_interval", keepalive_interval_ns, "60s", 0, DAY,
           "A PING is sent after this long without a byte from the peer. 0: never."),
    NUMBER(DURATION, "keepalive_timeout", keepalive_timeout_ns, "20s", FG_MS, DAY,
           "Time for the answer to that PING before the connection counts as dead."),
    NUMBER(DURATION, "write_stall_timeout", write_stall_timeout_ns, "5m", 0, DAY,
           "Time that data may wait for a peer that does not read or gives no window. 0: for ever."),
};
#undef F
#define LISTENER_ONLY 2

static const struct fg_table http2_listener = {.title = "http2 of a listener", KEYS(http2_keys)};
static const struct fg_table http2_cluster = {.title = "http2 of a cluster",
                                              .keys = http2_keys + LISTENER_ONLY,
                                              .keys_len = FG_ARRAY_LEN(http2_keys) - LISTENER_ONLY};

/* ---- guard ---- */

#define F(member) FIELD(struct fg_config_guard, member)
static const struct fg_key guard_keys[] = {
    NUMBER(INTEGER, "reset_burst", reset_burst, "1000", 1, 1000000,
           "Stream resets at once before the connection is closed (rapid reset)."),
    NUMBER(RATE, "reset_rate", reset_rate, "33/s", 1, 1000000, "Lasting rate of stream resets."),
    NUMBER(RATIO, "reset_ratio", reset_ratio, "50%", 0, FG_RATIO_UNIT,
           "Share of a connection's streams that may end in a reset. 100%: any."),
    NUMBER(INTEGER, "reset_ratio_minimum", reset_ratio_minimum, "500", 1, 1000000000,
           "Streams of a connection before that share counts."),
    NUMBER(RATE, "ping_rate", ping_rate, "10/s", 1, 1000000, "PING frames a peer may send."),
    NUMBER(RATE, "settings_rate", settings_rate, "10/s", 1, 1000000, "SETTINGS frames a peer may send."),
    NUMBER(INTEGER, "queued_control_frames", queued_control_frames, "1000", 10, 1000000,
           "Answers that may wait for a peer that does not read them."),
    NUMBER(INTEGER, "empty_data_frames", empty_data_frames, "1", 0, 1000000,
           "Empty DATA frames in a row that do not end their stream."),
    NUMBER(INTEGER, "error_burst", error_burst, "100", 1, 1000000,
           "Weighted protocol anomalies at once before the connection is closed."),
    NUMBER(RATE, "error_rate", error_rate, "10/s", 1, 1000000, "Lasting rate of weighted protocol anomalies."),
};
#undef F

static const struct fg_table guard_table = {
    .title = "guard",
    .about = "Limits on abuse of one HTTP/2 connection. A peer that exceeds one is told why and cut off.",
    KEYS(guard_keys)};

/* ---- listeners ---- */

#define F(member) FIELD(struct fg_config_certificate, member)
static const struct fg_key certificate_keys[] = {
    {.name = "certificate",
     .type = FG_KEY_FILE,
     F(certificate),
     .flags = FG_KEY_REQUIRED,
     .description = "PEM file: the server's certificate first, then the intermediates."},
    {.name = "key",
     .type = FG_KEY_FILE,
     F(key),
     .flags = FG_KEY_REQUIRED,
     .description = "PEM file with its private key."},
};
#undef F

static const struct fg_table certificate_table = {
    .title = "certificates of a listener", KEYS(certificate_keys), .bytes = sizeof(struct fg_config_certificate)};

#define F(member) FIELD(struct fg_raw_listener, member)
static const struct fg_key tls_server_keys[] = {
    {.name = "certificate",
     .type = FG_KEY_FILE,
     F(single.certificate),
     .needs = "key",
     .description = "PEM file: the server's certificate first, then the intermediates."},
    {.name = "key",
     .type = FG_KEY_FILE,
     F(single.key),
     .needs = "certificate",
     .description = "PEM file with its private key."},
    {.name = "certificates",
     .type = FG_KEY_LIST,
     ITEMS(struct fg_raw_listener, out.tls.certificates),
     .table = &certificate_table,
     .min = 1,
     .max = 1000,
     .description = "Further certificates; the server name a client asks for picks one."},
    {.name = "client_ca",
     .type = FG_KEY_FILE,
     F(out.tls.client_ca),
     .description = "PEM file with the authorities that client certificates are checked against. Absent: clients are "
                    "not asked for one."},
    {.name = "require_client_certificate",
     .type = FG_KEY_BOOL,
     F(out.tls.require_client_certificate),
     .default_text = "false",
     .description = "Refuse clients without a certificate; needs client_ca."},
    {.name = "min_version",
     .type = FG_KEY_ENUM,
     F(out.tls.min_version),
     .words = tls_versions,
     .default_text = "1.2",
     .description = "Oldest TLS version that is accepted."},
    {.name = "session_resumption",
     .type = FG_KEY_BOOL,
     F(out.tls.session_resumption),
     .default_text = "true",
     .description = "Let returning clients skip the full handshake."},
    NUMBER(DURATION, "handshake_timeout", out.tls.handshake_timeout_ns, "10s", FG_MS, DAY,
           "Time for the handshake of a new connection."),
};

static const struct fg_table tls_server_table = {.title = "tls of a listener", KEYS(tls_server_keys)};

static const struct fg_key listener_keys[] = {
    {.name = "address",
     .type = FG_KEY_LISTEN,
     F(out.address),
     .flags = FG_KEY_REQUIRED,
     .description = "Where to listen; 0.0.0.0 or [::] for every address of the machine."},
    {.name = "tls",
     .type = FG_KEY_TABLE,
     .table = &tls_server_table,
     .flags = FG_KEY_OPTIONAL_TABLE,
     .description = "Absent: connections are not encrypted."},
    {.name = "http2",
     .type = FG_KEY_TABLE,
     F(out.http2),
     .table = &http2_listener,
     .description = "HTTP/2 limits towards clients."},
    {.name = "guard", .type = FG_KEY_TABLE, F(out.guard), .table = &guard_table, .description = "Limits on abuse."},
    NUMBER(INTEGER, "max_connections", out.max_connections, "0", 0, 10000000,
           "Open connections over all workers. 0: no limit."),
};
#undef F

static const struct fg_table listener_table = {.title = "listeners",
                                               .about = "Where clients connect to.",
                                               KEYS(listener_keys),
                                               .bytes = sizeof(struct fg_raw_listener)};

/* ---- routes ---- */

static const struct fg_key header_match_keys[] = {
    {.name = "value",
     .type = FG_KEY_TEXT,
     FIELD(struct fg_config_header_match, value),
     .flags = FG_KEY_REQUIRED,
     .max = 4096,
     .description = "The exact value."},
};

static const struct fg_table header_match_table = {.title = "headers of a match",
                                                   KEYS(header_match_keys),
                                                   .bytes = sizeof(struct fg_config_header_match),
                                                   .name_offset = offsetof(struct fg_config_header_match, name),
                                                   .name_type = FG_KEY_HEADER,
                                                   .shorthand = FG_SHORTHAND_ONLY};

/* ---- what a route does with its calls ---- */

static const struct fg_key_word codes[] = {
#define X(name, code, http) {#name, 1u << (code)},
    FG_STATUSES(X)
#undef X
        {NULL, 0}};

#define CODES(key, member, text, about)                                                                                \
    {                                                                                                                  \
        .name = key, .type = FG_KEY_CODES, F(member), .words = codes, .default_text = text, .description = about       \
    }

#define F(member) FIELD(struct fg_raw_route, out.outcomes.member)
static const struct fg_key outcomes_keys[] = {
    CODES("failure", failure, "UNKNOWN DEADLINE_EXCEEDED INTERNAL UNAVAILABLE DATA_LOSS",
          "Codes that count against an endpoint."),
    CODES("overload", overload, "RESOURCE_EXHAUSTED", "Codes that say that an endpoint has too much to do."),
    CODES("ignore", ignore, "CANCELLED", "Codes that say nothing about an endpoint."),
};
#undef F

static const struct fg_table outcomes_table = {
    .title = "outcomes of a route",
    .about =
        "What the codes mean to breakers. A code in none of the sets is a success. A code that is named in one set "
        "leaves the defaults of the others.",
    KEYS(outcomes_keys)};

#define F(member) FIELD(struct fg_raw_route, out.retry.backoff.member)
static const struct fg_key backoff_keys[] = {
    NUMBER(DURATION, "initial", initial_ns, "500ms", FG_MS, 3600 * FG_S, "The pause before the second attempt."),
    NUMBER(RATIO, "multiplier", multiplier, "2", FG_RATIO_UNIT, 10 * FG_RATIO_UNIT,
           "Each further pause is so many times as long."),
    NUMBER(RATIO, "jitter", jitter, "20%", 0, FG_RATIO_UNIT,
           "Each pause is longer or shorter by up to this, at random."),
    NUMBER(DURATION, "max", max_ns, "10s", FG_MS, 3600 * FG_S, "The longest pause."),
};
#undef F

static const struct fg_table backoff_table = {.title = "backoff of a retry", KEYS(backoff_keys)};

#define F(member) FIELD(struct fg_raw_route, out.retry.member)
static const struct fg_key retry_keys[] = {
    NUMBER(INTEGER, "attempts", attempts, "1", 1, 5, "Attempts of a call, with the first. 1: no retries."),
    CODES("on", on, "UNAVAILABLE", "Codes after which a call is tried again."),
    {.name = "idempotent",
     .type = FG_KEY_BOOL,
     F(idempotent),
     .default_text = "false",
     .description = "Calls may be repeated although an endpoint may have done their work already."},
    NUMBER(DURATION, "attempt_timeout", attempt_timeout_ns, "0", 0, DAY,
           "Time for one attempt. 0: as long as the call."),
    NUMBER(DURATION, "hedge_delay", hedge_delay_ns, "0", 0, DAY,
           "A further attempt begins beside the others after this long. 0: attempts follow one another."),
    NUMBER(SIZE, "buffer", buffer, "64KiB", 0, 16 * MIB,
           "A request that is larger is not tried again: so much of it is kept."),
    {.name = "backoff",
     .type = FG_KEY_TABLE,
     .table = &backoff_table,
     .description = "How long to wait before the next attempt."},
};
#undef F

static const struct fg_table retry_table = {
    .title = "retry of a route",
    .about =
        "When a call is tried again (gRFC A6). What an endpoint refused, or what never reached one, is tried again "
        "without being asked for.",
    KEYS(retry_keys)};

static const struct fg_key_word limit_keys[] = {{"none", 0}, {"peer", 0}, {"method", 0}, {"tenant", 0}, {NULL, 0}};
#define MAX_BURST 1000000000

#define F(member) FIELD(struct fg_raw_route, member)
static const struct fg_key rate_limit_keys[] = {
    {.name = "rate",
     .type = FG_KEY_INTERVAL,
     F(out.rate_limit.interval_ns),
     .flags = FG_KEY_REQUIRED,
     .description = "Calls in a second, minute or hour, evenly spaced; exact over all workers."},
    NUMBER(INTEGER, "burst", out.rate_limit.burst, "1", 0, MAX_BURST,
           "Calls that may come beyond that at once. With 0 a call that comes late is a call lost."),
    {.name = "key",
     .type = FG_KEY_LIMIT_KEY,
     F(limit_key),
     .words = limit_keys,
     .default_text = "none",
     .description =
         "What has a limit of its own: each value of a header, client address, method or tenant; `none`: all "
         "calls of the route together."},
};
#undef F

static const struct fg_table rate_limit_table = {.title = "rate_limit of a route", KEYS(rate_limit_keys)};

static const struct fg_key_word message_actions[] = {
    {"delay", FG_MESSAGE_DELAY}, {"reject", FG_MESSAGE_REJECT}, {NULL, 0}};

#define F(member) FIELD(struct fg_raw_route, out.message_limit.member)
static const struct fg_key message_limit_keys[] = {
    {.name = "rate",
     .type = FG_KEY_INTERVAL,
     F(interval_ns),
     .flags = FG_KEY_REQUIRED,
     .description = "Messages in a second, minute or hour that a client may send in one stream."},
    NUMBER(INTEGER, "burst", burst, "0", 0, MAX_BURST, "Messages that may come beyond that at once."),
    {.name = "action",
     .type = FG_KEY_ENUM,
     F(action),
     .words = message_actions,
     .default_text = "delay",
     .description = "`delay`: the client is made to wait; `reject`: the call ends with RESOURCE_EXHAUSTED."},
};
#undef F

static const struct fg_table message_limit_table = {.title = "message_limit of a route", KEYS(message_limit_keys)};

static const struct fg_key tenant_weight_keys[] = {
    {.name = "weight",
     .type = FG_KEY_INTEGER,
     FIELD(struct fg_config_tenant_weight, weight),
     .flags = FG_KEY_REQUIRED,
     .min = 1,
     .max = 100,
     .description = "Its share."},
};

static const struct fg_table tenant_weight_table = {.title = "weights of tenants",
                                                    KEYS(tenant_weight_keys),
                                                    .bytes = sizeof(struct fg_config_tenant_weight),
                                                    .name_offset = offsetof(struct fg_config_tenant_weight, name),
                                                    .name_type = FG_KEY_TEXT,
                                                    .shorthand = FG_SHORTHAND_ONLY};

#define F(member) FIELD(struct fg_raw_route, out.tenant.member)
static const struct fg_key tenant_keys[] = {
    {.name = "header",
     .type = FG_KEY_HEADER,
     F(header),
     .flags = FG_KEY_REQUIRED,
     .description = "The header that names the tenant of a call."},
    {.name = "weights",
     .type = FG_KEY_MAP,
     ITEMS(struct fg_raw_route, out.tenant.weights),
     .table = &tenant_weight_table,
     .min = 1,
     .max = 1000,
     .description = "Weights of tenants by name; others have the route's."},
};
#undef F

static const struct fg_table tenant_table = {.title = "tenant of a route", KEYS(tenant_keys)};

#define F(member) FIELD(struct fg_raw_route, member)
static const struct fg_key match_keys[] = {
    {.name = "method",
     .type = FG_KEY_METHOD,
     F(method),
     .flags = FG_KEY_EXCLUSIVE,
     .description =
         "A gRPC method (`order.v1.OrderService/Get`), all of a service (`order.v1.OrderService/*`), or `*`."},
    {.name = "path", .type = FG_KEY_PATH, F(path), .flags = FG_KEY_EXCLUSIVE, .description = "The whole path."},
    {.name = "path_prefix",
     .type = FG_KEY_PATH,
     F(path_prefix),
     .flags = FG_KEY_EXCLUSIVE,
     .description = "The beginning of the path."},
    {.name = "authority",
     .type = FG_KEY_HOST,
     F(out.authority),
     .description = "The `:authority` (host) that the client calls. Absent: any."},
    {.name = "headers",
     .type = FG_KEY_MAP,
     ITEMS(struct fg_raw_route, out.headers),
     .table = &header_match_table,
     .min = 1,
     .max = 32,
     .description = "Header names and the values they must have, all of them."},
};

static const struct fg_table match_table = {.title = "match of a route", KEYS(match_keys)};

static const struct fg_key route_keys[] = {
    {.name = "match",
     .type = FG_KEY_TABLE,
     .table = &match_table,
     .description = "Which calls it is for. Absent: all."},
    {.name = "cluster",
     .type = FG_KEY_CLUSTER,
     F(cluster),
     .flags = FG_KEY_REQUIRED,
     .description = "Where they go: a name under `clusters`."},
    NUMBER(DURATION, "timeout", out.timeout_ns, "0", 0, DAY, "Cap on the deadline of the caller. 0: none."),
    NUMBER(DURATION, "stream_idle_timeout", out.stream_idle_timeout_ns, "0", 0, DAY,
           "Time without a message in either direction after which a call is ended. 0: any."),
    NUMBER(DURATION, "max_stream_duration", out.max_stream_duration_ns, "0", 0, 30 * DAY,
           "Time after which a call is ended whatever its deadline. 0: none."),
    NUMBER(INTEGER, "priority", out.priority, "1", 0, 2, "0 low, 1 normal, 2 high."),
    {.name = "priority_header",
     .type = FG_KEY_HEADER,
     F(out.priority_header),
     .description = "A header with which clients say the priority: 0, 1 or 2. Anything else is counted and means "
                    "`priority`."},
    NUMBER(INTEGER, "weight", out.weight, "1", 1, 100, "Share among calls of the same priority."),
    {.name = "tenant",
     .type = FG_KEY_TABLE,
     .table = &tenant_table,
     .flags = FG_KEY_OPTIONAL_TABLE,
     .description = "Who shares with whom. Absent: the route is one tenant."},
    {.name = "outcomes", .type = FG_KEY_TABLE, .table = &outcomes_table, .description = "What codes mean to breakers."},
    {.name = "retry", .type = FG_KEY_TABLE, .table = &retry_table, .description = "When a call is tried again."},
    {.name = "rate_limit",
     .type = FG_KEY_TABLE,
     .table = &rate_limit_table,
     .flags = FG_KEY_OPTIONAL_TABLE,
     .description = "How often calls may come. Absent: no limit."},
    {.name = "message_limit",
     .type = FG_KEY_TABLE,
     .table = &message_limit_table,
     .flags = FG_KEY_OPTIONAL_TABLE,
     .description = "How often messages may come in a stream. Absent: no limit."},
};
#undef F

static const struct fg_table route_table = {.title = "routes",
                                            .about = "Which calls go where; the first route that matches wins. With a "
                                                     "single cluster they may be left out: then every call goes there.",
                                            KEYS(route_keys),
                                            .bytes = sizeof(struct fg_raw_route)};

/* ---- clusters ---- */

#define F(member) FIELD(struct fg_config_endpoint, member)
static const struct fg_key endpoint_keys[] = {
    {.name = "address",
     .type = FG_KEY_ENDPOINT,
     F(address),
     .flags = FG_KEY_REQUIRED,
     .description = "host:port or [v6]:port."},
    NUMBER(INTEGER, "weight", weight, "1", 1, 1000, "Share of the calls, relative to the other endpoints."),
};
#undef F

static const struct fg_table endpoint_table = {
    .title = "endpoints of a cluster",
    .about = "An endpoint without further keys can be written as its address alone.",
    KEYS(endpoint_keys),
    .bytes = sizeof(struct fg_config_endpoint),
    .shorthand = FG_SHORTHAND_ALLOWED};

#define F(member) FIELD(struct fg_config_tls_client, member)
static const struct fg_key tls_client_keys[] = {
    {.name = "enabled",
     .type = FG_KEY_BOOL,
     F(enabled),
     .default_text = "true",
     .description = "false: as if `tls` were absent."},
    {.name = "ca",
     .type = FG_KEY_FILE,
     F(ca),
     .description = "PEM file with the trusted authorities. Absent: those of the system."},
    {.name = "certificate",
     .type = FG_KEY_FILE,
     F(certificate),
     .needs = "key",
     .description = "PEM file with our own certificate."},
    {.name = "key",
     .type = FG_KEY_FILE,
     F(key),
     .needs = "certificate",
     .description = "PEM file with its private key."},
    {.name = "server_name",
     .type = FG_KEY_HOST,
     F(server_name),
     .description = "Name in the certificate of the endpoints. Absent: the endpoint's host."},
    {.name = "verify",
     .type = FG_KEY_BOOL,
     F(verify),
     .default_text = "true",
     .description = "Check the certificates of the endpoints."},
    {.name = "min_version",
     .type = FG_KEY_ENUM,
     F(min_version),
     .words = tls_versions,
     .default_text = "1.2",
     .description = "Oldest TLS version that is accepted."},
};
#undef F

static const struct fg_table tls_client_table = {.title = "tls of a cluster", KEYS(tls_client_keys)};

#define F(member) FIELD(struct fg_config_breaker, member)
static const struct fg_key breaker_keys[] = {
    {.name = "enabled",
     .type = FG_KEY_BOOL,
     F(enabled),
     .default_text = "true",
     .description = "false: endpoints are never refused."},
    NUMBER(DURATION, "window", window_ns, "10s", 100 * FG_MS, 3600 * FG_S, "How far back calls are counted."),
    NUMBER(RATIO, "failure_ratio", failure_ratio, "50%", FG_RATIO_UNIT / 100, FG_RATIO_UNIT,
           "Share of failed calls in the window that opens the breaker."),
    NUMBER(INTEGER, "minimum_calls", minimum_calls, "20", 1, 100000, "Calls in the window before that share counts."),
    NUMBER(INTEGER, "consecutive_failures", consecutive_failures, "5", 0, 10000,
           "Failures in a row that open the breaker. 0: off."),
    NUMBER(
        RATIO, "slow_ratio", slow_ratio, "80%", FG_RATIO_UNIT / 100, FG_RATIO_UNIT,
        "Share of slow calls in the window that opens the breaker; counts with `slow_call` or `slow_first_message`."),
    NUMBER(DURATION, "slow_call", slow_call_ns, "0", 0, DAY,
           "A call of at most one answer message that takes longer is slow. 0: none is."),
    NUMBER(DURATION, "slow_first_message", slow_first_message_ns, "0", 0, DAY,
           "A call whose first message takes longer is slow. 0: none is."),
    NUMBER(RATIO, "overload_share", overload_share, "50%", FG_RATIO_UNIT / 100, FG_RATIO_UNIT,
           "Share of overload answers above which the endpoint is sent less. 100%: never."),
    NUMBER(DURATION, "open_for", open_for_ns, "5s", FG_MS, 3600 * FG_S,
           "How long an open breaker refuses before it lets probes pass."),
    NUMBER(DURATION, "max_open_for", max_open_for_ns, "300s", FG_MS, DAY,
           "Each trip without healthy time in between makes the pause longer by `open_for`, up to this."),
    NUMBER(INTEGER, "half_open_calls", half_open_calls, "3", 1, 1000,
           "Exact number of probes; as many successes close the breaker."),
    NUMBER(RATIO, "max_ejected", max_ejected, "100%", 0, FG_RATIO_UNIT,
           "Share of the endpoints that may be refused at once, at least one."),
};
#undef F

static const struct fg_table breaker_table = {
    .title = "breaker of a cluster",
    .about = "One circuit breaker for each endpoint, fed by the outcomes of its calls.",
    KEYS(breaker_keys)};

#define F(member) FIELD(struct fg_config_adaptive, member)
static const struct fg_key adaptive_keys[] = {
    {.name = "enabled",
     .type = FG_KEY_BOOL,
     F(enabled),
     .default_text = "true",
     .description = "false: as if `adaptive` were absent."},
    NUMBER(INTEGER, "initial", initial, "20", 1, 1000000, "Where the limit begins."),
    NUMBER(INTEGER, "minimum", minimum, "5", 1, 1000000, "It never goes below."),
    NUMBER(INTEGER, "maximum", maximum, "10000", 1, 10000000, "It never goes above."),
    NUMBER(RATIO, "tolerance", tolerance, "150%", FG_RATIO_UNIT, 10 * FG_RATIO_UNIT,
           "How much longer calls may take than without a queue before the limit goes down."),
    NUMBER(DURATION, "window", window_ns, "1s", 10 * FG_MS, 3600 * FG_S, "How often the limit is looked at."),
    NUMBER(INTEGER, "samples", samples, "50", 1, 1000000, "Calls that must have ended before it is."),
};
#undef F

static const struct fg_table adaptive_table = {.title = "adaptive limit of a cluster", KEYS(adaptive_keys)};

#define F(member) FIELD(struct fg_config_retry_throttle, member)
static const struct fg_key throttle_keys[] = {
    NUMBER(INTEGER, "max_tokens", max_tokens, "0", 0, 1000,
           "A failure takes a token; with half of them or less nothing is retried. 0: no throttle."),
    NUMBER(RATIO, "token_ratio", token_ratio, "10%", FG_RATIO_UNIT / 1000, FG_RATIO_UNIT, "What a success gives back."),
};
#undef F

static const struct fg_table throttle_table = {.title = "retry_throttle of a cluster", KEYS(throttle_keys)};

#define F(member) FIELD(struct fg_config_retry_budget, member)
static const struct fg_key budget_keys[] = {
    NUMBER(RATIO, "share", share, "20%", 0, FG_RATIO_UNIT,
           "Retries in progress, as a share of all attempts in progress."),
    NUMBER(INTEGER, "minimum", minimum, "3", 0, 1000000, "So many may be in progress in any case."),
};
#undef F

static const struct fg_table budget_table = {.title = "retry_budget of a cluster", KEYS(budget_keys)};

#define F(member) FIELD(struct fg_config_limits, member)
static const struct fg_key limits_keys[] = {
    NUMBER(INTEGER, "streams_per_connection", streams_per_connection, "100", 1, 1000000,
           "Calls on one connection; the endpoint may allow less."),
    NUMBER(INTEGER, "connections", connections, "1024", 1, 100000, "Connections to one endpoint, for each worker."),
    NUMBER(INTEGER, "streams", streams, "0", 0, 10000000,
           "Attempts in progress, exactly, over all workers; more wait. 0: no limit."),
    NUMBER(INTEGER, "long_streams", long_streams, "0", 0, 10000000,
           "Attempts that have lasted longer than `long_after` count here instead. 0: they do not."),
    NUMBER(DURATION, "long_after", long_after_ns, "10s", FG_MS, DAY, "When an attempt counts as long."),
    NUMBER(INTEGER, "pending", pending, "10000", 0, 10000000,
           "Calls that may wait for room or a free stream, exactly, over all workers."),
    NUMBER(DURATION, "pending_timeout", pending_timeout_ns, "30s", FG_MS, DAY, "How long they may wait."),
    NUMBER(INTEGER, "retries", retries, "0", 0, 10000000, "Retries and hedges in progress. 0: only the budget counts."),
    {.name = "refuse_doomed",
     .type = FG_KEY_BOOL,
     F(refuse_doomed),
     .default_text = "true",
     .description =
         "Refuse a call at once when the time until its deadline is less than such calls are known to take."},
    {.name = "adaptive",
     .type = FG_KEY_TABLE,
     F(adaptive),
     .table = &adaptive_table,
     .flags = FG_KEY_OPTIONAL_TABLE,
     .description = "A limit on attempts in progress that follows the latency. Absent: none. `{}`: with the defaults."},
};
#undef F

static const struct fg_table limits_table = {.title = "limits of a cluster", KEYS(limits_keys)};

static const struct fg_key_word protocols[] = {{"h2", 0}, {NULL, 0}};
static const struct fg_key_word balances[] = {
    {"least_request", FG_BALANCE_LEAST_REQUEST}, {"round_robin", FG_BALANCE_ROUND_ROBIN}, {NULL, 0}};

#define F(member) FIELD(struct fg_config_cluster, member)
static const struct fg_key cluster_keys[] = {
    {.name = "endpoints",
     .type = FG_KEY_LIST,
     ITEMS(struct fg_config_cluster, endpoints),
     .table = &endpoint_table,
     .flags = FG_KEY_REQUIRED,
     .min = 1,
     .max = 4096,
     .description = "The servers of the service."},
    {.name = "protocol",
     .type = FG_KEY_ENUM,
     .words = protocols,
     .default_text = "h2",
     .description = "What the endpoints speak."},
    {.name = "balance",
     .type = FG_KEY_ENUM,
     F(balance),
     .words = balances,
     .default_text = "least_request",
     .description = "How an endpoint is chosen."},
    {.name = "tls",
     .type = FG_KEY_TABLE,
     F(tls),
     .table = &tls_client_table,
     .flags = FG_KEY_OPTIONAL_TABLE,
     .description = "Absent: connections are not encrypted. `{}`: encrypted, with the defaults."},
    {.name = "http2",
     .type = FG_KEY_TABLE,
     F(http2),
     .table = &http2_cluster,
     .description = "HTTP/2 limits towards endpoints."},
    {.name = "guard",
     .type = FG_KEY_TABLE,
     F(guard),
     .table = &guard_table,
     .description = "Limits on abuse by endpoints."},
    {.name = "breaker",
     .type = FG_KEY_TABLE,
     F(breaker),
     .table = &breaker_table,
     .description = "When an endpoint is refused."},
    {.name = "limits",
     .type = FG_KEY_TABLE,
     F(limits),
     .table = &limits_table,
     .description = "How much goes to the endpoints at once."},
    {.name = "retry_throttle",
     .type = FG_KEY_TABLE,
     F(retry_throttle),
     .table = &throttle_table,
     .description = "Stops retries while most attempts fail."},
    {.name = "retry_budget",
     .type = FG_KEY_TABLE,
     F(retry_budget),
     .table = &budget_table,
     .description = "How many retries may be in progress."},
    NUMBER(DURATION, "connect_timeout", connect_timeout_ns, "5s", FG_MS, DAY,
           "Time for a new connection to be usable, with TLS."),
};
#undef F

static const struct fg_table cluster_table = {.title = "clusters",
                                              .about = "The services behind the gateway, by name.",
                                              KEYS(cluster_keys),
                                              .bytes = sizeof(struct fg_config_cluster),
                                              .name_offset = offsetof(struct fg_config_cluster, name),
                                              .name_type = FG_KEY_CLUSTER};

/* ---- the rest ---- */

static const struct fg_key_word admin_off[] = {{"off", 0}, {NULL, 0}};

static const struct fg_key admin_keys[] = {
    {.name = "address",
     .type = FG_KEY_ADMIN,
     FIELD(struct fg_config_admin, address),
     .words = admin_off,
     .default_text = "127.0.0.1:9901",
     .description = "Where the admin server listens."},
    {.name = "token",
     .type = FG_KEY_TOKEN,
     FIELD(struct fg_config_admin, token),
     .max = 1024,
     .description = "What callers must present; required unless the address is loopback or a unix socket."},
};

static const struct fg_table admin_table = {.title = "admin", KEYS(admin_keys)};

static const struct fg_key_word log_words[] = {{"off", 0}, {"-", 0}, {NULL, 0}};

static const struct fg_key access_log_keys[] = {
    {.name = "path",
     .type = FG_KEY_FILE,
     FIELD(struct fg_config_access_log, path),
     .words = log_words,
     .default_text = "off",
     .description = "A file, `-` for standard output, or `off`."},
};

static const struct fg_table access_log_table = {
    .title = "access_log", .about = "One line for each call.", KEYS(access_log_keys)};

static const struct fg_key_word workers_auto[] = {{"auto", 0}, {NULL, 0}};

#define F(member) FIELD(struct fg_raw_config, member)
static const struct fg_key root_keys[] = {
    {.name = "workers",
     .type = FG_KEY_INTEGER,
     F(out.workers),
     .words = workers_auto,
     .default_text = "auto",
     .min = 1,
     .max = 256,
     .description = "Threads that serve. auto: one for each CPU this process may use."},
    NUMBER(DURATION, "drain_timeout", out.drain_timeout_ns, "30s", 0, DAY,
           "Time for open streams to finish when the gateway stops."),
    {.name = "listeners",
     .type = FG_KEY_LIST,
     ITEMS(struct fg_raw_config, listeners),
     .table = &listener_table,
     .flags = FG_KEY_REQUIRED,
     .min = 1,
     .max = 256,
     .description = "Where clients connect to."},
    {.name = "routes",
     .type = FG_KEY_LIST,
     ITEMS(struct fg_raw_config, routes),
     .table = &route_table,
     .min = 1,
     .max = 4096,
     .description = "Which calls go where."},
    {.name = "clusters",
     .type = FG_KEY_MAP,
     ITEMS(struct fg_raw_config, clusters),
     .table = &cluster_table,
     .flags = FG_KEY_REQUIRED,
     .min = 1,
     .max = 4096,
     .description = "The services behind the gateway, by name."},
    {.name = "admin",
     .type = FG_KEY_TABLE,
     F(out.admin),
     .table = &admin_table,
     .flags = FG_KEY_OPTIONAL_TABLE,
     .description = "Absent: no admin server. `{}`: one with the defaults."},
    {.name = "access_log",
     .type = FG_KEY_TABLE,
     F(out.access_log),
     .table = &access_log_table,
     .description = "One line for each call."},
};
#undef F

static const struct fg_table root_table = {.title = "The file", KEYS(root_keys), .bytes = sizeof(struct fg_raw_config)};

const struct fg_table *fg_schema(void)
{
    return &root_table;
}

const struct fg_key *fg_schema_find(const struct fg_table *table, const char *name)
{
    for (size_t i = 0; i < table->keys_len; i++)
        if (strcmp(table->keys[i].name, name) == 0)
            return &table->keys[i];
    return NULL;
}
