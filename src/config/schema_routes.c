#include "config/schema_int.h"
#include "rpc/status.h"

/* ---- matches ---- */

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
#undef F

static const struct fg_table match_table = {.title = "match of a route", KEYS(match_keys)};

/* ---- what becomes of a call ---- */

#define F(member) FIELD(struct fg_config_tenant_weight, member)
static const struct fg_key tenant_weight_keys[] = {
    {.name = "weight",
     .type = FG_KEY_INTEGER,
     F(weight),
     .flags = FG_KEY_REQUIRED,
     .min = 1,
     .max = 100,
     .description = "Its share, relative to the other tenants; one that is not named has the route's `weight`."},
};
#undef F

static const struct fg_table tenant_weights = {.title = "weights of a tenant",
                                               KEYS(tenant_weight_keys),
                                               .bytes = sizeof(struct fg_config_tenant_weight),
                                               .name_offset = offsetof(struct fg_config_tenant_weight, name),
                                               .name_type = FG_KEY_TENANT,
                                               .shorthand = FG_SHORTHAND_ONLY};

#define F(member) FIELD(struct fg_config_tenant, member)
static const struct fg_key tenant_keys[] = {
    {.name = "header",
     .type = FG_KEY_CALL_HEADER,
     F(header),
     .flags = FG_KEY_REQUIRED,
     .description = "Header of the request that names the tenant."},
    {.name = "weights",
     .type = FG_KEY_MAP,
     ITEMS(struct fg_config_tenant, weights),
     .table = &tenant_weights,
     .min = 1,
     .max = 1000,
     .description = "Values of that header and the shares of these tenants."},
};
#undef F

static const struct fg_table tenant_table = {
    .title = "tenant of a route",
    .about = "Among waiting calls of one priority, tenants take turns in proportion to their weights.",
    KEYS(tenant_keys)};

#define CODES(key, member, text, least, about)                                                                         \
    {                                                                                                                  \
        .name = key, .type = FG_KEY_CODES, F(member), .default_text = text, .min = least, .max = FG_STATUS_LEN - 1,    \
        .description = about                                                                                           \
    }

#define F(member) FIELD(struct fg_config_outcomes, member)
static const struct fg_key outcomes_keys[] = {
    CODES("failure", failure, "[UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, DATA_LOSS]", 0,
          "The endpoint is at fault: these open breakers."),
    CODES("overload", overload, "[RESOURCE_EXHAUSTED]", 0,
          "The endpoint has too much to do: these open nothing, but less is sent to it."),
    CODES("ignore", ignore, "[CANCELLED]", 0, "Says nothing about the endpoint."),
};
#undef F

static const struct fg_table outcomes_table = {
    .title = "outcomes of a route",
    .about =
        "What the status codes of answers mean for the endpoint; a code in no set is a success. A set that is written "
        "replaces its default, and a code that is written in one set is taken out of the defaults of the others. An "
        "answer with `grpc-retry-pushback-ms` that is no success is an overload whatever its code.",
    KEYS(outcomes_keys)};

#define F(member) FIELD(struct fg_config_backoff, member)
static const struct fg_key backoff_keys[] = {
    NUMBER(DURATION, "initial", initial_ns, "500ms", FG_MS, 3600 * FG_S, "Pause before the second attempt."),
    NUMBER(FACTOR, "multiplier", multiplier, "2", FG_RATIO_UNIT, 10 * FG_RATIO_UNIT,
           "Each further pause is so many times as long."),
    NUMBER(RATIO, "jitter", jitter, "20%", 0, FG_RATIO_UNIT, "Share by which a pause is at random shorter or longer."),
    NUMBER(DURATION, "max", max_ns, "10s", FG_MS, 3600 * FG_S, "Longest pause, before jitter."),
};
#undef F

static const struct fg_table backoff_table = {
    .title = "backoff of a retry",
    .about = "An endpoint that sends `grpc-retry-pushback-ms` sets the pause itself.",
    KEYS(backoff_keys)};

#define F(member) FIELD(struct fg_config_retry, member)
static const struct fg_key retry_keys[] = {
    NUMBER(INTEGER, "attempts", attempts, "1", 1, 5, "Attempts of one call, with the first. 1: no retry."),
    CODES("on", on, "[UNAVAILABLE]", 1, "Codes after which a call is tried again, if that is safe."),
    VALUE(BOOL, "idempotent", idempotent, "false",
          "true: a call may be processed twice. false: it is only tried again when no endpoint has begun it."),
    NUMBER(DURATION, "attempt_timeout", attempt_timeout_ns, "0", 0, DAY, "Time for each attempt. 0: none."),
    NUMBER(DURATION, "hedge_delay", hedge_delay_ns, "0", 0, DAY,
           "The next attempt begins beside those in progress after so long without an answer. 0: none does."),
    NUMBER(SIZE, "buffer", buffer, "64KiB", 0, 16 * MIB,
           "Bytes of a request that are kept for another attempt; a call with more is not tried again."),
    TABLE("backoff", backoff, backoff_table, "Pauses between attempts."),
};
#undef F

static const struct fg_table retry_table = {
    .title = "retry of a route",
    .about = "Whatever is written here, a call that never left the gateway is tried again, and one that an endpoint "
             "refused is tried once more (gRFC A6).",
    KEYS(retry_keys)};

static const struct fg_key_word limit_keys[] = {{"none", FG_LIMIT_KEY_NONE},
                                                {"peer", FG_LIMIT_KEY_PEER},
                                                {"method", FG_LIMIT_KEY_METHOD},
                                                {"tenant", FG_LIMIT_KEY_TENANT},
                                                {NULL, 0}};

#define INTERVAL(about)                                                                                                \
    {                                                                                                                  \
        .name = "rate", .type = FG_KEY_INTERVAL, F(interval_ns), .flags = FG_KEY_REQUIRED, .min = INTERVAL_MIN,        \
        .max = INTERVAL_MAX, .description = about                                                                      \
    }

#define F(member) FIELD(struct fg_config_rate_limit, member)
static const struct fg_key rate_limit_keys[] = {
    INTERVAL("Calls that may come, evenly spaced."),
    NUMBER(INTEGER, "burst", burst, "1", 0, BURST_MAX,
           "Calls that may come at once beyond these. With 0 a call that comes late is a call lost."),
    {.name = "key",
     .type = FG_KEY_LIMIT_KEY,
     F(key),
     .header_offset = offsetof(struct fg_config_rate_limit, header),
     .words = limit_keys,
     .default_text = "none",
     .description = "What has a limit of its own: each address of a client, method, tenant or value of a header. none: "
                    "the route has one for all."},
};
#undef F

static const struct fg_table rate_limit_table = {
    .title = "rate_limit of a route",
    .about =
        "Exact over all workers. A call beyond it is answered with RESOURCE_EXHAUSTED and told when to come again.",
    KEYS(rate_limit_keys)};

static const struct fg_key_word message_actions[] = {
    {"delay", FG_MESSAGE_DELAY}, {"reject", FG_MESSAGE_REJECT}, {NULL, 0}};

#define F(member) FIELD(struct fg_config_message_limit, member)
static const struct fg_key message_limit_keys[] = {
    INTERVAL("Messages that a client may send in one stream, evenly spaced."),
    NUMBER(INTEGER, "burst", burst, "0", 0, BURST_MAX, "Messages that it may send at once beyond these."),
    {.name = "action",
     .type = FG_KEY_ENUM,
     F(action),
     .words = message_actions,
     .default_text = "delay",
     .description = "delay: what is too early has to wait. reject: the call ends with RESOURCE_EXHAUSTED."},
};
#undef F

static const struct fg_table message_limit_table = {.title = "message_limit of a route", KEYS(message_limit_keys)};

#define F(member) FIELD(struct fg_config_fault, member)
static const struct fg_key fault_keys[] = {
    {.name = "abort",
     .type = FG_KEY_ENUM,
     F(abort),
     .words = fg_schema_status_words + 1,
     .flags = FG_KEY_REQUIRED,
     .description = "The code that calls are answered with instead of going to an endpoint."},
    NUMBER(RATIO, "share", share, "100%", 0, FG_RATIO_UNIT, "Of the calls, at random."),
};
#undef F

static const struct fg_table fault_table = {
    .title = "fault of a route",
    .about = "Failures on purpose: they say how callers take them. They have the origin `local_fault`, and breakers do "
             "not see them.",
    KEYS(fault_keys)};

#define F(member) FIELD(struct fg_config_origin, member)
static const struct fg_key origin_keys[] = {
    {.name = "origin",
     .type = FG_KEY_TEXT,
     F(origin),
     .flags = FG_KEY_REQUIRED,
     .max = 512,
     .description = "Scheme, host and port as the browser sends them (`https://shop.example`), or `*` for any."},
};
#undef F

static const struct fg_table origin_table = {.title = "origins of cors",
                                             KEYS(origin_keys),
                                             .bytes = sizeof(struct fg_config_origin),
                                             .shorthand = FG_SHORTHAND_ALLOWED};

#define F(member) FIELD(struct fg_config_cors, member)
static const struct fg_key cors_keys[] = {
    {.name = "origins",
     .type = FG_KEY_LIST,
     ITEMS(struct fg_config_cors, origins),
     .table = &origin_table,
     .flags = FG_KEY_REQUIRED,
     .min = 1,
     .max = 100,
     .description = "Pages that may call."},
    VALUE(BOOL, "credentials", credentials, "false", "Browsers may send cookies and read the answers."),
    NUMBER(DURATION, "max_age", max_age_ns, "10m", 0, DAY, "How long a browser may remember a preflight's answer."),
};
#undef F

static const struct fg_table cors_table = {
    .title = "cors of a route",
    .about = "Preflight requests are answered by the gateway; every header may be sent, and every header of the answer "
             "may be read.",
    KEYS(cors_keys)};

/* ---- routes ---- */

static const struct fg_key_word unknown_fields[] = {
    {"reject", FG_UNKNOWN_REJECT}, {"ignore", FG_UNKNOWN_IGNORE}, {NULL, 0}};

#define F(member) FIELD(struct fg_raw_route, member)
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
           "A call ends after so long without a message in either direction. 0: never."),
    NUMBER(DURATION, "max_stream_duration", out.max_stream_duration_ns, "0", 0, 30 * DAY,
           "A call ends after so long, whatever goes on in it. 0: never."),
    NUMBER(INTEGER, "priority", out.priority, "1", 0, 2, "0 low, 1 normal, 2 high."),
    VALUE(CALL_HEADER, "priority_header", out.priority_header, NULL,
          "Header of the request whose value, 0, 1 or 2, goes before `priority`."),
    NUMBER(INTEGER, "weight", out.weight, "1", 1, 100, "Share among calls of the same priority."),
    OPTIONAL("tenant", out.tenant, tenant_table, "Whose calls they are. Absent: all are of one tenant, the route."),
    TABLE("outcomes", out.outcomes, outcomes_table, "What status codes mean."),
    TABLE("retry", out.retry, retry_table, "When a call is tried again."),
    OPTIONAL("rate_limit", out.rate_limit, rate_limit_table, "How often calls may come. Absent: no limit."),
    OPTIONAL("message_limit", out.message_limit, message_limit_table,
             "How often messages may come in one stream. Absent: no limit."),
    OPTIONAL("fault", out.fault, fault_table, "Failures on purpose. Absent: none."),
    NUMBER(SIZE, "max_message", out.max_message, "4MiB", 1, 255 * MIB,
           "The largest message that the gateway keeps whole to change its form, for clients that do not speak gRPC. A "
           "larger one ends the call with RESOURCE_EXHAUSTED."),
    {.name = "unknown_fields",
     .type = FG_KEY_ENUM,
     F(out.unknown_fields),
     .words = unknown_fields,
     .default_text = "reject",
     .description =
         "What becomes of fields of JSON and of queries that the service does not have: reject ends the call "
         "with INVALID_ARGUMENT, ignore leaves them out."},
    NUMBER(INTEGER, "unify", out.unify, "0", 0, 599,
           "The HTTP status that REST clients get for every failure or overload (`outcomes`), such as 503. 0: each "
           "code has "
           "its own."),
    OPTIONAL("cors", out.cors, cors_table, "Which pages may call from a browser. Absent: none."),
};
#undef F

const struct fg_table fg_schema_routes = {.title = "routes",
                                          .about = "Which calls go where; the first route that matches wins. With a "
                                                   "single cluster they may be left out: then every call goes there.",
                                          KEYS(route_keys),
                                          .bytes = sizeof(struct fg_raw_route)};
