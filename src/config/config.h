/* The configuration snapshot: what a valid file means, with every default filled in.
 *
 * A snapshot is immutable after fg_config_load() and reference counted across threads; calls that started under it
 * keep it until they end. All strings and arrays live in the snapshot's own arena. Durations are nanoseconds, sizes
 * bytes, ratios 0..1. The keys, their defaults, units and one-line descriptions live in the schema*.c alone; the
 * parser, the reference page (doc/configuration.md) and the JSON Schema are made from these tables. */
#ifndef FG_CONFIG_CONFIG_H
#define FG_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct fg_config_certificate {
    const char *certificate; /* PEM file: leaf first, then intermediates */
    const char *key;         /* PEM file */
};

/* TLS of a listener (server side). */
struct fg_config_tls_server {
    bool enabled;
    struct fg_config_certificate *certificates; /* the first one is the default; SNI picks among all by their names */
    size_t certificates_len;
    const char *client_ca;           /* NULL: client certificates are not asked for */
    bool require_client_certificate; /* only with client_ca */
    int min_version;                 /* 12 or 13 */
    bool session_resumption;
    uint64_t handshake_timeout_ns;
};

/* TLS to the endpoints of a cluster (client side). */
struct fg_config_tls_client {
    bool enabled;
    const char *ca;          /* NULL: the system's trust store */
    const char *certificate; /* NULL: no client certificate */
    const char *key;
    const char *server_name; /* NULL: the endpoint's host */
    bool verify;
    int min_version;
};

/* HTTP/2 settings of one side: a listener (downstream) or a cluster (upstream). */
struct fg_config_http2 {
    uint32_t max_concurrent_streams; /* what the peer may open; listeners only */
    uint32_t stream_window;
    uint32_t connection_window; /* 0: max_concurrent_streams (or streams_per_connection) x stream_window, so that no
                                   stream can starve another */
    uint32_t max_frame_size;
    uint32_t header_table_size;
    uint32_t max_header_list;
    uint32_t max_header_fields;
    uint32_t max_continuations;
    uint64_t header_timeout_ns;     /* for one header block */
    uint64_t preface_timeout_ns;    /* listeners only */
    uint64_t settings_timeout_ns;   /* for the peer's SETTINGS ack */
    uint64_t idle_timeout_ns;       /* no stream open; 0: never */
    uint64_t keepalive_interval_ns; /* PING after this long without a byte from the peer; 0: never */
    uint64_t keepalive_timeout_ns;
    uint64_t write_stall_timeout_ns; /* a write stalled on the socket or on a zero window; 0: never */
};

/* Abuse limits, see doc/threat-model.md. A rate is events per second, a burst the bucket's depth. */
struct fg_config_guard {
    uint32_t reset_burst;
    uint32_t reset_rate;
    double reset_ratio;           /* resets / streams that closes a connection... */
    uint32_t reset_ratio_minimum; /* ... once this many streams were seen */
    uint32_t ping_rate;
    uint32_t settings_rate;
    uint32_t queued_control_frames;
    uint32_t empty_data_frames; /* in a row, without END_STREAM */
    uint32_t error_burst;       /* weighted peer anomalies (frames on closed streams, zero increments ...) */
    uint32_t error_rate;
};

struct fg_config_listener {
    const char *address; /* host:port or [v6]:port, as written */
    const char *host;    /* without brackets */
    uint16_t port;
    struct fg_config_tls_server tls;
    struct fg_config_http2 http2;
    struct fg_config_guard guard;
    uint32_t max_connections; /* per listener over all workers; 0: no limit */
};

struct fg_config_header_match {
    const char *name; /* lower case */
    const char *value;
};

/* Sets of gRPC codes: bit n is code n. What is in none of them is a success. No code is in two; OK is in none. */
struct fg_config_outcomes {
    uint32_t failure, overload, ignore;
};

/* Retries of a route (gRFC A6). Transparent retries are always made. */
struct fg_config_backoff {
    uint64_t initial_ns;
    double multiplier; /* 1..10 */
    double jitter;     /* 0.2: x random(0.8, 1.2) */
    uint64_t max_ns;   /* before jitter; at least initial_ns */
};

struct fg_config_retry {
    uint32_t attempts;           /* with the first; 1..5; 1: no retry */
    uint32_t on;                 /* set of codes, not empty */
    bool idempotent;             /* calls may be repeated although they may have been processed */
    uint64_t attempt_timeout_ns; /* 0: none */
    uint64_t hedge_delay_ns;     /* 0: no hedging; else attempts > 1 and idempotent */
    uint32_t buffer;             /* bytes of a request that are kept for another attempt */
    struct fg_config_backoff backoff;
};

enum fg_config_limit_key {
    FG_LIMIT_KEY_NONE,
    FG_LIMIT_KEY_PEER,
    FG_LIMIT_KEY_METHOD,
    FG_LIMIT_KEY_TENANT,
    FG_LIMIT_KEY_HEADER
};

/* How often; an interval of 0 means no limit. burst x interval is at most a day, so it fits in 64 bits with ease. */
struct fg_config_rate_limit {
    uint64_t interval_ns; /* between two calls: 100 ms for 10/s; rounded up, at most an hour */
    uint32_t burst;       /* calls beyond the evenly spaced ones */
    enum fg_config_limit_key key;
    const char *header; /* of FG_LIMIT_KEY_HEADER, lower case */
};

enum fg_config_message_action { FG_MESSAGE_DELAY, FG_MESSAGE_REJECT };

/* Messages that a client sends in one stream. */
struct fg_config_message_limit {
    uint64_t interval_ns; /* 0: no limit */
    uint32_t burst;
    enum fg_config_message_action action;
};

struct fg_config_tenant_weight {
    const char *name;
    uint32_t weight; /* 1..100 */
};

struct fg_config_tenant {
    const char *header;                      /* lower case; NULL: the route is the tenant */
    struct fg_config_tenant_weight *weights; /* in the order of the file; who is not named has the route's weight */
    size_t weights_len;
};

enum fg_config_path_match { FG_MATCH_ANY, FG_MATCH_PREFIX, FG_MATCH_EXACT };

/* Which pages may call from a browser (fetch.spec.whatwg.org, "CORS protocol"). */
struct fg_config_origin {
    const char *origin; /* "https://shop.example", or "*": any */
};

struct fg_config_cors {
    struct fg_config_origin *origins;
    size_t origins_len; /* 0: none; no CORS field is ever sent */
    bool credentials;
    uint64_t max_age_ns;
};

/* Failures on purpose, to see what callers make of them. */
struct fg_config_fault {
    unsigned abort; /* enum fg_status; 0: off */
    double share;   /* 0..1, of the calls */
};

enum fg_config_unknown { FG_UNKNOWN_REJECT, FG_UNKNOWN_IGNORE };

struct fg_config_route {
    enum fg_config_path_match path_match;
    const char *path; /* "/pkg.Service/" for method "pkg.Service/ *" */
    size_t path_len;
    const char *authority; /* NULL: any */
    struct fg_config_header_match *headers;
    size_t headers_len;
    size_t cluster;                                          /* index into clusters */
    uint64_t timeout_ns;                                     /* cap on the caller's deadline; 0: none */
    uint64_t stream_idle_timeout_ns, max_stream_duration_ns; /* 0: none */
    unsigned priority;                                       /* 0 low, 1 normal, 2 high */
    const char *priority_header; /* lower case; its value 0, 1 or 2 goes before `priority`; NULL: none */
    unsigned weight;             /* 1..100, share within the priority */
    struct fg_config_tenant tenant;
    struct fg_config_outcomes outcomes;
    struct fg_config_retry retry;
    struct fg_config_rate_limit rate_limit;
    struct fg_config_message_limit message_limit;
    struct fg_config_fault fault;
    uint64_t max_message; /* bytes; of what is kept whole because its form is changed */
    struct fg_config_cors cors;
    enum fg_config_unknown unknown_fields; /* of JSON */
    unsigned unify; /* HTTP status of everything that a breaker would count; 0: each has its own */
    int line;       /* where the file defines it */
};

struct fg_config_endpoint {
    const char *address; /* as written */
    const char *host;    /* without brackets */
    uint16_t port;
    unsigned weight;
};

enum fg_config_protocol { FG_PROTOCOL_H2, FG_PROTOCOL_H1, FG_PROTOCOL_AUTO };
enum fg_config_service { FG_SERVICE_GRPC, FG_SERVICE_HTTP, FG_SERVICE_REST };
enum fg_config_balance { FG_BALANCE_ROUND_ROBIN, FG_BALANCE_LEAST_REQUEST };

struct fg_config_breaker {
    bool enabled;
    uint64_t window_ns;
    double failure_ratio;           /* 0..1 */
    uint32_t minimum_calls;         /* in the window before the ratio counts */
    uint32_t consecutive_failures;  /* 0: off */
    double slow_ratio;              /* 0..1, of the calls in the window that are slow */
    uint64_t slow_call_ns;          /* 0: off */
    uint64_t slow_first_message_ns; /* 0: off */
    double overload_share;          /* 0..1, of the calls in the window that end in overload; 1: off */
    uint64_t open_for_ns;
    uint64_t max_open_for_ns; /* never less than open_for_ns */
    uint32_t half_open_calls; /* exact number of probes; as many successes close the breaker */
    double max_ejected; /* share of a cluster's endpoints that may be refused at once, at least one; the last healthy
                           one counts */
};

/* A limit on attempts in progress that follows the latency. */
struct fg_config_adaptive {
    bool enabled;
    uint32_t initial, minimum, maximum;
    double tolerance;   /* 1..: short latency / long latency that is not yet a queue */
    uint64_t window_ns; /* how often the limit is looked at */
    uint32_t samples;   /* calls in a window before it counts */
};

/* Exact over all workers, except streams_per_connection and connections. */
struct fg_config_limits {
    uint32_t streams_per_connection;
    uint32_t connections;  /* per endpoint and worker */
    uint32_t streams;      /* attempts in progress; 0: no limit */
    uint32_t long_streams; /* those that last longer than long_after; 0: no limit of their own */
    uint64_t long_after_ns;
    uint32_t pending; /* calls that wait for room or a stream slot */
    uint64_t pending_timeout_ns;
    uint32_t retries; /* in progress; 0: no limit */
    bool refuse_doomed;
    struct fg_config_adaptive adaptive;
};

/* Retries stop while failures use up the tokens (gRFC A6): -1 for each failure, +token_ratio for each success, and
 * only above half of max_tokens. */
struct fg_config_retry_throttle {
    uint32_t max_tokens; /* 0: off */
    double token_ratio;
};

/* Retries in progress are at most this share of the calls in progress, but never less than the minimum. */
struct fg_config_retry_budget {
    double share;
    uint32_t minimum;
};

/* What an HTTP status of a service means. */
struct fg_config_http_status {
    const char *http; /* "404", or "4xx": those that are not named */
    unsigned status;  /* enum fg_status */
};

struct fg_config_cluster {
    const char *name;
    struct fg_config_endpoint *endpoints;
    size_t endpoints_len;
    enum fg_config_protocol protocol;
    enum fg_config_service service;
    enum fg_config_balance balance;
    struct fg_config_tls_client tls;
    struct fg_config_http2 http2;
    struct fg_config_guard guard;
    struct fg_config_breaker breaker;
    struct fg_config_limits limits;
    struct fg_config_retry_throttle retry_throttle;
    struct fg_config_retry_budget retry_budget;
    const char *descriptors;                     /* a file, or "reflection"; NULL: none */
    uint64_t descriptors_refresh_ns;             /* of reflection; 0: never again */
    struct fg_config_http_status *http_statuses; /* of services that do not speak gRPC: what differs from the usual */
    size_t http_statuses_len;
    double mean_weight[3]; /* of the routes of each priority, with those of their tenants; one with a priority_header is
                              of all priorities; 1 where there is none */
    uint64_t connect_timeout_ns;
    int line;
};

struct fg_config_admin {
    const char *address;   /* host:port, or unix:/path; NULL or "off": no admin server */
    const char *token;     /* required when the address is neither loopback nor a unix socket */
    const char *audit_log; /* NULL: the error log has it */
};

enum fg_config_log_keep { FG_LOG_KEEP_ALL, FG_LOG_KEEP_FAILURES };

struct fg_config_access_log {
    const char *path;             /* "off", "-" for standard output, or a file */
    const char *format;           /* "json", "combined", or a template (config/log_format.h) */
    enum fg_config_log_keep keep; /* calls that have a line */
    double share;                 /* 0..1, of those that are no failures */
    uint64_t interval_ns;         /* between two lines of a call in progress; 0: none before its end */
};

struct fg_config_tap_name {
    const char *name; /* of a header, in lower case; or a path of fields: "card.number", "*.token" */
};

struct fg_config_tap {
    bool enabled;
    struct fg_config_tap_name *redact_headers;
    size_t redact_headers_len;
    struct fg_config_tap_name *redact_fields;
    size_t redact_fields_len;
    unsigned max_calls_per_s;
};

struct fg_config {
    unsigned workers; /* resolved: never 0 */
    uint64_t drain_timeout_ns;
    bool error_details; /* statuses of the gateway's own have ErrorInfo */
    struct fg_config_listener *listeners;
    size_t listeners_len;
    struct fg_config_route *routes;
    size_t routes_len;
    struct fg_config_cluster *clusters;
    size_t clusters_len;
    struct fg_config_admin admin;
    struct fg_config_access_log access_log;
    const char *crash_report; /* a folder or a file; NULL: standard error alone */
    struct fg_config_tap tap;
    const char *source; /* file name, or FG_CONFIG_FROM_FLAGS */
};

#define FG_CONFIG_FROM_FLAGS "command line"

/* One problem of a file. All strings are owned by the list. */
struct fg_config_error {
    int line, column; /* from 1; 0 where the command line is the source */
    char *key;        /* dotted path, such as clusters.orders.breaker.window */
    char *message;    /* what was found, what was expected, and "did you mean X?" where a near name exists */
};

struct fg_config_errors {
    struct fg_config_error *items;
    size_t len;
};

/* Parses FILE_NAME (text of TEXT_LEN bytes) into a new snapshot with one reference. On success returns 0 and sets
 * *OUT. Otherwise returns -1, leaves *OUT alone and lists every problem found in ERRORS, in the order of the file. */
int fg_config_parse(const char *file_name, const char *text, size_t text_len, struct fg_config **out,
                    struct fg_config_errors *errors) __attribute__((warn_unused_result));

/* Reads and parses a file; a file that cannot be read is one error without line. */
int fg_config_load(const char *file_name, struct fg_config **out, struct fg_config_errors *errors)
    __attribute__((warn_unused_result));

/* The snapshot of `run --listen LISTEN --to ENDPOINTS` (comma-separated): one listener, one cluster "default", one
 * catch-all route. */
int fg_config_from_flags(const char *listen, const char *endpoints, struct fg_config **out,
                         struct fg_config_errors *errors) __attribute__((warn_unused_result));

struct fg_config *fg_config_ref(struct fg_config *config);
void fg_config_unref(struct fg_config *config); /* NULL is allowed */

/* "FILE:LINE:COLUMN: KEY: MESSAGE", one line each. */
void fg_config_errors_print(const struct fg_config_errors *errors, const char *file_name, FILE *to);
void fg_config_errors_cleanup(struct fg_config_errors *errors);

void fg_config_print_reference(FILE *to); /* doc/configuration.md */
void fg_config_print_schema(FILE *to);    /* JSON Schema (2020-12) for editors */

#endif
