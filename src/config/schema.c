#include "config/schema_int.h"

#include <string.h>

#include "config/log_format.h"

#define MAX_WINDOW INT32_MAX /* RFC 9113 section 6.9.1 */

const struct fg_key_word fg_schema_tls_versions[] = {{"1.2", 12}, {"1.3", 13}, {NULL, 0}};

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
const struct fg_table fg_schema_http2_of_cluster = {.title = "http2 of a cluster",
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

const struct fg_table fg_schema_guard = {
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
     .words = fg_schema_tls_versions,
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
    {.name = "guard", .type = FG_KEY_TABLE, F(out.guard), .table = &fg_schema_guard, .description = "Limits on abuse."},
    NUMBER(INTEGER, "max_connections", out.max_connections, "0", 0, 10000000,
           "Open connections over all workers. 0: no limit."),
};
#undef F

static const struct fg_table listener_table = {.title = "listeners",
                                               .about = "Where clients connect to.",
                                               KEYS(listener_keys),
                                               .bytes = sizeof(struct fg_raw_listener)};

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
    {.name = "audit_log",
     .type = FG_KEY_FILE,
     FIELD(struct fg_config_admin, audit_log),
     .description =
         "A file for one JSON line about each act, such as ending a call, and each that was refused; nothing is "
         "done that it cannot tell of. Absent: the lines are in the error log. Opened again at SIGHUP."},
};

static const struct fg_table admin_table = {.title = "admin", KEYS(admin_keys)};

static const struct fg_key_word log_words[] = {{"off", 0}, {"-", 0}, {NULL, 0}};

static const struct fg_key_word log_keep_words[] = {
    {"all", FG_LOG_KEEP_ALL}, {"failures", FG_LOG_KEEP_FAILURES}, {NULL, 0}};

static const struct fg_key access_log_keys[] = {
    {.name = "path",
     .type = FG_KEY_FILE,
     FIELD(struct fg_config_access_log, path),
     .words = log_words,
     .default_text = "off",
     .description = "A file, `-` for standard output, or `off`."},
    {.name = "format",
     .type = FG_KEY_TEXT,
     FIELD(struct fg_config_access_log, format),
     .max = FG_LOG_FORMAT_MAX,
     .default_text = "json",
     .description =
         "`json`: an object with everything, which `fusegate replay` reads. `combined`: as web servers write "
         "it. Else a template such as `%{method} %{code} %{duration_ms}`."},
    {.name = "keep",
     .type = FG_KEY_ENUM,
     FIELD(struct fg_config_access_log, keep),
     .words = log_keep_words,
     .default_text = "all",
     .description = "`failures`: only calls whose class is failure or overload, or that the gateway answered itself."},
    {.name = "share",
     .type = FG_KEY_RATIO,
     FIELD(struct fg_config_access_log, share),
     .max = FG_RATIO_UNIT,
     .default_text = "100%",
     .description = "Share of the other calls that have a line, drawn by chance; failures always have one."},
    {.name = "interval",
     .type = FG_KEY_DURATION,
     FIELD(struct fg_config_access_log, interval_ns),
     .max = DAY,
     .default_text = "0",
     .description = "A call that lasts longer has a line each time, with its totals so far and what it waits for "
                    "(`final` is false), and one at its end, whatever keep and share say. 0: one line, at the end."},
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
    VALUE(BOOL, "error_details", out.error_details, "true",
          "Statuses that the gateway makes itself carry ErrorInfo: reason, cluster, endpoint, observed value and "
          "threshold. "
          "false: only their code, message and `x-fusegate-origin`, for callers who should not know."),
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
     .table = &fg_schema_routes,
     .min = 1,
     .max = 4096,
     .description = "Which calls go where."},
    {.name = "clusters",
     .type = FG_KEY_MAP,
     ITEMS(struct fg_raw_config, clusters),
     .table = &fg_schema_clusters,
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
    {.name = "crash_report",
     .type = FG_KEY_FILE,
     F(out.crash_report),
     .description = "A folder that gets a file with a report when the gateway crashes, or a file that it is appended "
                    "to. Absent: it goes to standard error alone."},
    TABLE("tap", out.tap, fg_schema_tap, "What `fusegate tap` may show."),
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
