#include "cli/top_view.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/wait.h"
#include "cli/ask.h"

/* ---- for all ---- */

const char *fg_top_number(double value, char out[FG_TOP_NUMBER_BYTES])
{
    static const char units[] = " kMGT";
    size_t unit = 0;

    for (; value >= 999.5 && unit + 2 < sizeof units; unit++)
        value /= 1000;
    if (unit == 0)
        snprintf(out, FG_TOP_NUMBER_BYTES, value < 9.95 && value != (double)(int)value ? "%.1f" : "%.0f", value);
    else
        snprintf(out, FG_TOP_NUMBER_BYTES, value < 9.95 ? "%.1f%c" : "%.0f%c", value, units[unit]);
    return out;
}

enum fg_style fg_top_state_style(const char *state)
{
    return strcmp(state, "open") == 0 ? FG_STYLE_BAD : strcmp(state, "closed") == 0 ? FG_STYLE_NORMAL : FG_STYLE_WARN;
}

void fg_top_cell_state(struct fg_top_table *table, const struct fg_top_data *data, const char *state)
{
    bool open = strcmp(state, "open") == 0, closed = strcmp(state, "closed") == 0;
    const char *symbol = data->utf8 ? (open     ? "\xe2\x9c\x96"  /* a heavy cross */
                                       : closed ? "\xe2\x9c\x93"  /* a tick */
                                                : "\xe2\x97\x90") /* half a circle */
                                    : (open     ? "x"
                                       : closed ? "v"
                                                : "~");
    fg_top_table_cellf(table, "%s %s", symbol, state);
}

void fg_top_cell_ms(struct fg_top_table *table, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    char text[FG_DURATION_BYTES];

    fg_top_table_cell(table, json_is_number(value) ? fg_duration_text(json_number_value(value), text) : "-");
}

void fg_top_cell_name(struct fg_top_table *table, const json_t *object, const char *key, const char *otherwise)
{
    char *name = fg_answer_name(object, key);

    fg_top_table_cell(table, name[0] ? name : otherwise);
    free(name);
}

struct fg_top_row *fg_top_add(struct fg_top_table *table, const json_t *object, const char *const *keys, size_t len)
{
    char id[4096];
    size_t at = 0;

    id[0] = '\0';
    for (size_t i = 0; i < len && at < sizeof id; i++)
        at += (size_t)snprintf(id + at, sizeof id - at, "%s%s", i > 0 ? "\n" : "", fg_answer_text(object, keys[i]));
    return fg_top_table_add(table, id, object);
}

static void cell_number(struct fg_top_table *table, const json_t *object, const char *key)
{
    char text[FG_TOP_NUMBER_BYTES];
    fg_top_table_cell(table, fg_top_number(fg_answer_number(object, key), text));
}

static void cell_share(struct fg_top_table *table, double part, double all)
{
    double share = all > 0 ? 100 * part / all : 0;
    fg_top_table_cellf(table, share > 0 && share < 9.95 ? "%.1f %%" : "%.0f %%", share);
}

/* ---- 1: methods ---- */

static const struct fg_top_column method_columns[] = {
    {"METHOD", 0, FG_TOP_NAME},   {"CLUSTER", 100, FG_TOP_NAME},     {">CALLS/S", 0, FG_TOP_FIXED},
    {">FAILED", 0, FG_TOP_FIXED}, {">REFUSED/S", 100, FG_TOP_FIXED}, {">P50", 0, FG_TOP_FIXED},
    {">P90", 90, FG_TOP_FIXED},   {">P99", 0, FG_TOP_FIXED},         {">CALLS", 110, FG_TOP_FIXED},
};

static void fill_methods(struct fg_top_table *table, const struct fg_top_data *data, unsigned order)
{
    static const char *const names[] = {"cluster", "method"};
    static const char *const keys[] = {"calls_per_s", "failures_per_s", "p99_ms", "calls"};
    json_t *method;
    size_t i;

    json_array_foreach(json_object_get(data->overview, "methods"), i, method)
    {
        double calls = fg_answer_number(method, "calls_per_s"), failures = fg_answer_number(method, "failures_per_s");
        struct fg_top_row *row = fg_top_add(table, method, names, FG_ARRAY_LEN(names));
        row->key = fg_answer_number(method, keys[order % FG_ARRAY_LEN(keys)]);
        row->style = failures > 0 && failures >= calls / 10 ? FG_STYLE_BAD
                     : failures > 0                         ? FG_STYLE_WARN
                                                            : FG_STYLE_NORMAL;
        fg_top_cell_name(table, method, "method", "-");
        fg_top_cell_name(table, method, "cluster", "-");
        cell_number(table, method, "calls_per_s");
        cell_share(table, failures, calls);
        cell_number(table, method, "refused_per_s");
        fg_top_cell_ms(table, method, "p50_ms");
        fg_top_cell_ms(table, method, "p90_ms");
        fg_top_cell_ms(table, method, "p99_ms");
        cell_number(table, method, "calls");
    }
}

/* ---- 4: endpoints ---- */

static const struct fg_top_column endpoint_columns[] = {
    {"ENDPOINT", 0, FG_TOP_NAME},     {"CLUSTER", 100, FG_TOP_NAME}, {"BREAKER", 0, FG_TOP_FIXED},
    {">ATTEMPTS/S", 0, FG_TOP_FIXED}, {">FAILED", 0, FG_TOP_FIXED},  {">P50", 90, FG_TOP_FIXED},
    {">P99", 0, FG_TOP_FIXED},        {">CONNS", 0, FG_TOP_FIXED},   {">STREAMS", 0, FG_TOP_FIXED},
};

static void fill_endpoints(struct fg_top_table *table, const struct fg_top_data *data, unsigned order)
{
    static const char *const names[] = {"cluster", "endpoint"};
    static const char *const keys[] = {"failures_per_s", "attempts_per_s", "p99_ms", "streams"};
    json_t *endpoint;
    size_t i;

    json_array_foreach(json_object_get(data->overview, "endpoints"), i, endpoint)
    {
        const char *state = fg_answer_text(endpoint, "breaker");
        double failures = fg_answer_number(endpoint, "failures_per_s");
        struct fg_top_row *row = fg_top_add(table, endpoint, names, FG_ARRAY_LEN(names));
        row->key = fg_answer_number(endpoint, keys[order % FG_ARRAY_LEN(keys)]);
        row->style = failures > 0 && strcmp(state, "closed") == 0 ? FG_STYLE_WARN : fg_top_state_style(state);
        fg_top_cell_name(table, endpoint, "endpoint", "-");
        fg_top_cell_name(table, endpoint, "cluster", "-");
        fg_top_cell_state(table, data, state);
        cell_number(table, endpoint, "attempts_per_s");
        cell_share(table, failures, fg_answer_number(endpoint, "attempts_per_s"));
        fg_top_cell_ms(table, endpoint, "p50_ms");
        fg_top_cell_ms(table, endpoint, "p99_ms");
        cell_number(table, endpoint, "connections");
        cell_number(table, endpoint, "streams");
    }
}

/* ---- 5: waits ---- */

static const struct fg_top_column wait_columns[] = {
    {"WAITS FOR", 0, FG_TOP_FIXED}, {">NOW", 0, FG_TOP_FIXED}, {">ENDED/S", 0, FG_TOP_FIXED},
    {">P50", 90, FG_TOP_FIXED},     {">P99", 0, FG_TOP_FIXED}, {">ENDED", 100, FG_TOP_FIXED},
    {"THAT IS", 0, FG_TOP_TEXT},
};

const char *fg_top_wait_meaning(const char *cause)
{
    static const char *const texts[] = {
#define X(cause, name, text) text,
        FG_WAITS(X)
#undef X
    };
    for (int i = 0; i < FG_WAIT_LEN; i++)
        if (strcmp(cause, fg_wait_name((enum fg_wait_cause)i)) == 0)
            return texts[i];
    return "";
}

static void fill_waits(struct fg_top_table *table, const struct fg_top_data *data, unsigned order)
{
    static const char *const names[] = {"cause"};
    static const char *const keys[] = {"calls", "ended_per_s", "p99_ms"};
    json_t *wait;
    size_t i;

    json_array_foreach(json_object_get(data->overview, "waits"), i, wait)
    {
        struct fg_top_row *row = fg_top_add(table, wait, names, FG_ARRAY_LEN(names));
        row->key = fg_answer_number(wait, keys[order % FG_ARRAY_LEN(keys)]);
        fg_top_cell_name(table, wait, "cause", "-");
        cell_number(table, wait, "calls");
        cell_number(table, wait, "ended_per_s");
        fg_top_cell_ms(table, wait, "p50_ms");
        fg_top_cell_ms(table, wait, "p99_ms");
        cell_number(table, wait, "ended");
        fg_top_table_cell(table, fg_top_wait_meaning(fg_answer_text(wait, "cause")));
    }
}

/* ---- all ---- */

static const struct fg_top_column stream_columns[] = {
    {"ID", 0, FG_TOP_FIXED},        {"METHOD", 0, FG_TOP_NAME},   {"ENDPOINT", 120, FG_TOP_NAME},
    {"PEER", 100, FG_TOP_FIXED},    {"PHASE", 130, FG_TOP_FIXED}, {">AGE", 0, FG_TOP_FIXED},
    {">LEFT", 140, FG_TOP_FIXED},   {">UP", 110, FG_TOP_FIXED},   {">DOWN", 110, FG_TOP_FIXED},
    {"WAITS FOR", 0, FG_TOP_FIXED}, {">SINCE", 0, FG_TOP_FIXED},
};

static const struct fg_top_column breaker_columns[] = {
    {"STATE", 0, FG_TOP_FIXED},     {"CLUSTER", 110, FG_TOP_NAME}, {"ENDPOINT", 0, FG_TOP_NAME},
    {"METHOD", 0, FG_TOP_NAME},     {"WHY", 0, FG_TOP_FIXED},      {">SINCE", 90, FG_TOP_FIXED},
    {">PROBE IN", 0, FG_TOP_FIXED}, {">REFUSED", 0, FG_TOP_FIXED},
};

static const struct fg_top_column event_columns[] = {
    {"TIME", 0, FG_TOP_FIXED},     {">SEQ", 100, FG_TOP_FIXED},  {"CHANGE", 0, FG_TOP_FIXED},
    {"CLUSTER", 110, FG_TOP_NAME}, {"ENDPOINT", 0, FG_TOP_NAME}, {"METHOD", 0, FG_TOP_NAME},
    {"WHY", 0, FG_TOP_FIXED},
};

#define COLUMNS(columns) columns, FG_ARRAY_LEN(columns)

const struct fg_top_view fg_top_views[FG_TOP_VIEWS] = {
    [FG_TOP_OVERVIEW] = {"overview",
                         NULL,
                         COLUMNS(method_columns),
                         {"calls/s", "failures/s", "p99", "calls"},
                         fill_methods,
                         "no call has ended yet"},
    [FG_TOP_STREAMS] = {"streams",
                        "/streams",
                        COLUMNS(stream_columns),
                        {"wait", "age", "bytes", "messages"},
                        fg_top_fill_streams,
                        "no such calls are in progress"},
    [FG_TOP_BREAKERS] = {"breakers",
                         "/breakers?limit=1000",
                         COLUMNS(breaker_columns),
                         {"state", "refused", "failures"},
                         fg_top_fill_breakers,
                         "no such circuits"},
    [FG_TOP_ENDPOINTS] = {"endpoints",
                          NULL,
                          COLUMNS(endpoint_columns),
                          {"failures/s", "attempts/s", "p99", "streams"},
                          fill_endpoints,
                          "no such endpoints"},
    [FG_TOP_WAITS] =
        {"waits", NULL, COLUMNS(wait_columns), {"now", "ended/s", "p99"}, fill_waits, "nothing waits, and nothing has"},
    [FG_TOP_EVENTS] = {"events",
                       "/events",
                       COLUMNS(event_columns),
                       {"newest", "oldest"},
                       fg_top_fill_events,
                       "no breaker has changed its state"},
};
