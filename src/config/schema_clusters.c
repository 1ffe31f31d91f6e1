#include "config/schema_int.h"
#include "rpc/status.h"

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
     .words = fg_schema_tls_versions,
     .default_text = "1.2",
     .description = "Oldest TLS version that is accepted."},
};
#undef F

static const struct fg_table tls_client_table = {.title = "tls of a cluster", KEYS(tls_client_keys)};

#define F(member) FIELD(struct fg_config_breaker, member)
static const struct fg_key breaker_keys[] = {
    VALUE(BOOL, "enabled", enabled, "true", "false: endpoints are never refused."),
    NUMBER(DURATION, "window", window_ns, "10s", 100 * FG_MS, 3600 * FG_S, "How far back calls are counted."),
    NUMBER(RATIO, "failure_ratio", failure_ratio, "50%", PERCENT, FG_RATIO_UNIT,
           "Share of failed calls in the window that opens the breaker."),
    NUMBER(INTEGER, "minimum_calls", minimum_calls, "20", 1, 100000, "Calls in the window before a share counts."),
    NUMBER(INTEGER, "consecutive_failures", consecutive_failures, "5", 0, 10000,
           "Failures in a row that open the breaker. 0: off."),
    NUMBER(RATIO, "slow_ratio", slow_ratio, "80%", PERCENT, FG_RATIO_UNIT,
           "Share of slow calls in the window that opens the breaker."),
    NUMBER(DURATION, "slow_call", slow_call_ns, "0", 0, DAY,
           "A call with at most one message in the answer is slow when it takes longer. 0: none is."),
    NUMBER(DURATION, "slow_first_message", slow_first_message_ns, "0", 0, DAY,
           "A call is slow when its first message takes longer. 0: none is."),
    NUMBER(RATIO, "overload_share", overload_share, "50%", PERCENT, FG_RATIO_UNIT,
           "Share of overloads in the window beyond which less is sent. 100%: off."),
    NUMBER(DURATION, "open_for", open_for_ns, "5s", FG_MS, 3600 * FG_S,
           "How long an open breaker refuses before it lets probes pass; each further trip adds as much."),
    NUMBER(DURATION, "max_open_for", max_open_for_ns, "300s", 0, 3600 * FG_S,
           "Longest such pause. 0: always open_for."),
    NUMBER(INTEGER, "half_open_calls", half_open_calls, "3", 1, 1000,
           "Exact number of probes; as many successes close the breaker."),
    NUMBER(RATIO, "max_ejected", max_ejected, "100%", 0, FG_RATIO_UNIT,
           "Share of the endpoints that may be refused at once, at least one."),
};
#undef F

static const struct fg_table breaker_table = {
    .title = "breaker of a cluster",
    .about =
        "One circuit breaker for each method of each endpoint and one for each endpoint, fed by the outcomes of calls. "
        "The thresholds rise with the priority and weight of a call, so that low ones leave a sick endpoint first.",
    KEYS(breaker_keys)};

#define F(member) FIELD(struct fg_config_adaptive, member)
static const struct fg_key adaptive_keys[] = {
    VALUE(BOOL, "enabled", enabled, "true", "false: as if `adaptive` were absent."),
    NUMBER(INTEGER, "initial", initial, "20", 1, MANY, "The limit at first."),
    NUMBER(INTEGER, "minimum", minimum, "5", 1, MANY, "It never falls below this."),
    NUMBER(INTEGER, "maximum", maximum, "10000", 1, MANY, "It never rises above this."),
    NUMBER(FACTOR, "tolerance", tolerance, "1.5", FG_RATIO_UNIT, 10 * FG_RATIO_UNIT,
           "Latency up to so many times the usual one is not yet a queue."),
    NUMBER(DURATION, "window", window_ns, "1s", 10 * FG_MS, 60 * FG_S, "How often the limit is looked at."),
    NUMBER(INTEGER, "samples", samples, "50", 1, 100000, "Calls before it is looked at."),
};
#undef F

static const struct fg_table adaptive_table = {
    .title = "adaptive limit of a cluster",
    .about =
        "A limit on attempts in progress that falls when the latency says that calls queue in the endpoints, and rises "
        "when it does not. `streams` holds beside it.",
    KEYS(adaptive_keys)};

#define F(member) FIELD(struct fg_config_limits, member)
static const struct fg_key limits_keys[] = {
    NUMBER(INTEGER, "streams_per_connection", streams_per_connection, "100", 1, 1000000,
           "Calls on one connection; the endpoint may allow less."),
    NUMBER(INTEGER, "connections", connections, "1024", 1, 100000, "Connections to one endpoint, for each worker."),
    NUMBER(INTEGER, "streams", streams, "0", 0, MANY, "Attempts in progress. 0: no limit."),
    NUMBER(INTEGER, "long_streams", long_streams, "0", 0, MANY,
           "Streams in progress that last longer than long_after; they do not count as `streams`. 0: they do."),
    NUMBER(DURATION, "long_after", long_after_ns, "10s", FG_MS, DAY, "When a stream is long."),
    NUMBER(INTEGER, "pending", pending, "10000", 0, MANY, "Calls that may wait for room or for a free stream."),
    NUMBER(DURATION, "pending_timeout", pending_timeout_ns, "30s", FG_MS, DAY, "How long they may wait."),
    NUMBER(INTEGER, "retries", retries, "0", 0, MANY, "Retries in progress. 0: only retry_budget limits them."),
    VALUE(BOOL, "refuse_doomed", refuse_doomed, "true",
          "Refuse a call at once when it has less time left than nine of ten calls of its method take."),
    OPTIONAL("adaptive", adaptive, adaptive_table,
             "A limit that follows the latency. Absent: none. `{}`: one with the defaults."),
};
#undef F

static const struct fg_table limits_table = {
    .title = "limits of a cluster",
    .about =
        "Exact over all workers, but for streams_per_connection and connections. When as much goes on as may, calls "
        "wait: those of the highest priority go first, and among these, tenants by weight.",
    KEYS(limits_keys)};

#define F(member) FIELD(struct fg_config_retry_throttle, member)
static const struct fg_key throttle_keys[] = {
    NUMBER(INTEGER, "max_tokens", max_tokens, "0", 0, 1000, "Tokens at first and at most. 0: off."),
    {.name = "token_ratio",
     .type = FG_KEY_RATIO,
     F(token_ratio),
     .needs = "max_tokens",
     .default_text = "10%",
     .min = PERCENT / 10,
     .max = FG_RATIO_UNIT,
     .description = "What a success gives back of a token."},
};
#undef F

static const struct fg_table throttle_table = {
    .title = "retry_throttle of a cluster",
    .about =
        "Stops retries while most calls fail (gRFC A6): a failure takes a token, and calls are only tried again while "
        "more than half of the tokens are left.",
    KEYS(throttle_keys)};

#define F(member) FIELD(struct fg_config_retry_budget, member)
static const struct fg_key budget_keys[] = {
    NUMBER(RATIO, "share", share, "20%", 0, FG_RATIO_UNIT,
           "Retries in progress, as a share of all attempts in progress."),
    NUMBER(INTEGER, "minimum", minimum, "3", 0, MANY, "As many may always be in progress."),
};
#undef F

static const struct fg_table budget_table = {.title = "retry_budget of a cluster", KEYS(budget_keys)};

static const struct fg_key_word protocols[] = {
    {"h2", FG_PROTOCOL_H2}, {"h1", FG_PROTOCOL_H1}, {"auto", FG_PROTOCOL_AUTO}, {NULL, 0}};
static const struct fg_key_word descriptor_words[] = {{"reflection", 0}, {NULL, 0}};
static const struct fg_key_word services[] = {
    {"grpc", FG_SERVICE_GRPC}, {"http", FG_SERVICE_HTTP}, {"rest", FG_SERVICE_REST}, {NULL, 0}};

const struct fg_key_word fg_schema_status_words[] = {{"OK", FG_STATUS_OK},
                                                     {"CANCELLED", FG_STATUS_CANCELLED},
                                                     {"UNKNOWN", FG_STATUS_UNKNOWN},
                                                     {"INVALID_ARGUMENT", FG_STATUS_INVALID_ARGUMENT},
                                                     {"DEADLINE_EXCEEDED", FG_STATUS_DEADLINE_EXCEEDED},
                                                     {"NOT_FOUND", FG_STATUS_NOT_FOUND},
                                                     {"ALREADY_EXISTS", FG_STATUS_ALREADY_EXISTS},
                                                     {"PERMISSION_DENIED", FG_STATUS_PERMISSION_DENIED},
                                                     {"RESOURCE_EXHAUSTED", FG_STATUS_RESOURCE_EXHAUSTED},
                                                     {"FAILED_PRECONDITION", FG_STATUS_FAILED_PRECONDITION},
                                                     {"ABORTED", FG_STATUS_ABORTED},
                                                     {"OUT_OF_RANGE", FG_STATUS_OUT_OF_RANGE},
                                                     {"UNIMPLEMENTED", FG_STATUS_UNIMPLEMENTED},
                                                     {"INTERNAL", FG_STATUS_INTERNAL},
                                                     {"UNAVAILABLE", FG_STATUS_UNAVAILABLE},
                                                     {"DATA_LOSS", FG_STATUS_DATA_LOSS},
                                                     {"UNAUTHENTICATED", FG_STATUS_UNAUTHENTICATED},
                                                     {NULL, 0}};

#define F(member) FIELD(struct fg_config_http_status, member)
static const struct fg_key http_status_keys[] = {
    {.name = "value",
     .type = FG_KEY_ENUM,
     F(status),
     .words = fg_schema_status_words,
     .flags = FG_KEY_REQUIRED,
     .description = "The code that it is."},
};
#undef F

static const struct fg_table http_statuses_table = {.title = "http_statuses of a cluster",
                                                    KEYS(http_status_keys),
                                                    .bytes = sizeof(struct fg_config_http_status),
                                                    .name_offset = offsetof(struct fg_config_http_status, http),
                                                    .name_type = FG_KEY_HTTP_STATUS,
                                                    .shorthand = FG_SHORTHAND_ONLY};

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
     F(protocol),
     .words = protocols,
     .default_text = "h2",
     .description = "What the endpoints speak: HTTP/2, HTTP/1.1, or what they choose in the TLS handshake (ALPN)."},
    {.name = "service",
     .type = FG_KEY_ENUM,
     F(service),
     .words = services,
     .default_text = "grpc",
     .description = "grpc: calls of any client become gRPC. http: requests and answers go through as they are, and the "
                    "HTTP status of an answer is its outcome. rest: calls become requests with JSON by the methods' "
                    "google.api.http rules, which `descriptors` has."},
    {.name = "http_statuses",
     .type = FG_KEY_MAP,
     ITEMS(struct fg_config_cluster, http_statuses),
     .table = &http_statuses_table,
     .min = 1,
     .max = 400,
     .description = "Of services that are http or rest: HTTP statuses, or classes of them (`4xx`), and the codes that "
                    "they mean. Those that are not written mean what google.rpc.Code says."},
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
     .table = &fg_schema_http2_of_cluster,
     .description = "HTTP/2 limits towards endpoints."},
    {.name = "guard",
     .type = FG_KEY_TABLE,
     F(guard),
     .table = &fg_schema_guard,
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
    TABLE("retry_throttle", retry_throttle, throttle_table, "Stops retries while most calls fail."),
    TABLE("retry_budget", retry_budget, budget_table, "How many retries may be in progress."),
    {.name = "descriptors",
     .type = FG_KEY_FILE,
     F(descriptors),
     .words = descriptor_words,
     .description =
         "What the services look like, for JSON: `reflection` asks the endpoints, anything else is a file of "
         "`protoc --include_imports --descriptor_set_out`. Absent: not known."},
    NUMBER(DURATION, "descriptors_refresh", descriptors_refresh_ns, "5m", 0, DAY,
           "How often reflection is asked again. 0: never. A file is read again at SIGHUP."),
    NUMBER(DURATION, "connect_timeout", connect_timeout_ns, "5s", FG_MS, DAY,
           "Time for a new connection to be usable, with TLS."),
};
#undef F

const struct fg_table fg_schema_clusters = {.title = "clusters",
                                            .about = "The services behind the gateway, by name.",
                                            KEYS(cluster_keys),
                                            .bytes = sizeof(struct fg_config_cluster),
                                            .name_offset = offsetof(struct fg_config_cluster, name),
                                            .name_type = FG_KEY_CLUSTER};
