/* The views of `fusegate top` that have a list of their own: streams, breakers, events. */
#include <stdlib.h>

#include "base/bytes.h"
#include "cli/ask.h"
#include "cli/top_view.h"

/* ---- 2: streams; the gateway has put them in order ---- */

static void put_stream(struct fg_top_table *table, const json_t *stream)
{
    const json_t *wait = json_object_get(stream, "wait");
    const char *cause = fg_answer_text(wait, "cause");
    bool waits = strcmp(cause, "none") != 0;

    fg_top_table_cell(table, fg_answer_text(stream, "id"));
    fg_top_cell_name(table, stream, "method", "-");
    fg_top_cell_name(table, stream, "endpoint", "-");
    fg_top_table_cell(table, fg_answer_text(json_object_get(stream, "downstream"), "peer"));
    fg_top_table_cell(table, fg_answer_text(stream, "phase"));
    fg_top_cell_ms(table, stream, "age_ms");
    fg_top_cell_ms(table, stream, "deadline_in_ms");
    fg_top_table_cellf(table, "%.0f", fg_answer_number(stream, "messages_up"));
    fg_top_table_cellf(table, "%.0f", fg_answer_number(stream, "messages_down"));
    fg_top_table_cell(table, waits ? cause : "-");
    if (waits)
        fg_top_cell_ms(table, wait, "age_ms");
    else
        fg_top_table_cell(table, "-");
}

void fg_top_fill_streams(struct fg_top_table *table, const struct fg_top_data *data, unsigned order)
{
    static const char *const names[] = {"id"};
    json_t *stream;
    size_t i;
    (void)order;

    json_array_foreach(json_object_get(data->list, "streams"), i, stream)
    {
        (void)fg_top_add(table, stream, names, FG_ARRAY_LEN(names));
        put_stream(table, stream);
    }
}

/* ---- 3: breakers ---- */

/* In few words: "62 % failed". */
static void cell_why(struct fg_top_table *table, const json_t *object)
{
    const char *cause = fg_answer_text(object, "cause");
    double observed = fg_answer_number(object, "observed");

    if (strcmp(cause, "consecutive_failures") == 0)
        fg_top_table_cellf(table, "%.0f failed in a row", observed);
    else if (strcmp(cause, "failure_ratio") == 0)
        fg_top_table_cellf(table, "%.0f %% failed", 100 * observed);
    else if (strcmp(cause, "slow_ratio") == 0)
        fg_top_table_cellf(table, "%.0f %% were slow", 100 * observed);
    else if (strcmp(cause, "probe_failed") == 0)
        fg_top_table_cell(table, "a probe failed");
    else
        fg_top_table_cell(table, cause[0] ? cause : "-");
}

static double breaker_key(const json_t *breaker, unsigned order)
{
    const char *state = fg_answer_text(breaker, "state");

    if (order == 0)
        return strcmp(state, "closed") == 0 ? 0 : strcmp(state, "half_open") == 0 ? 1 : 2;
    return fg_answer_number(breaker, order == 1 ? "refused" : "failures");
}

void fg_top_fill_breakers(struct fg_top_table *table, const struct fg_top_data *data, unsigned order)
{
    static const char *const names[] = {"cluster", "endpoint", "method"};
    json_t *breaker;
    size_t i;

    json_array_foreach(json_object_get(data->list, "breakers"), i, breaker)
    {
        const char *state = fg_answer_text(breaker, "state");
        bool closed = strcmp(state, "closed") == 0;
        double probe_ms = fg_answer_number(breaker, "retry_in_ms") - data->age_ms;
        char text[FG_DURATION_BYTES], refused[FG_TOP_NUMBER_BYTES];
        struct fg_top_row *row = fg_top_add(table, breaker, names, FG_ARRAY_LEN(names));
        row->key = breaker_key(breaker, order);
        row->style = fg_top_state_style(state);
        fg_top_cell_state(table, data, state);
        fg_top_cell_name(table, breaker, "cluster", "-");
        fg_top_cell_name(table, breaker, "endpoint", "all");
        fg_top_cell_name(table, breaker, "method", "all");
        cell_why(table, breaker);
        fg_top_cell_ms(table, breaker, "since_ms");
        fg_top_table_cell(table, closed ? "-" : probe_ms <= 0 ? "now" : fg_duration_text(probe_ms, text));
        fg_top_table_cell(table, fg_top_number(fg_answer_number(breaker, "refused"), refused));
    }
}

/* ---- 6: events ---- */

/* "12:34:56" of "2026-01-02T12:34:56.789Z". */
static void cell_time(struct fg_top_table *table, const json_t *event)
{
    const char *time = fg_answer_text(event, "time"), *clock = strchr(time, 'T');

    fg_top_table_cellf(table, "%.8s", clock ? clock + 1 : time);
}

void fg_top_fill_events(struct fg_top_table *table, const struct fg_top_data *data, unsigned order)
{
    json_t *event;
    size_t i;

    json_array_foreach(json_object_get(data->list, "events"), i, event)
    {
        double seq = fg_answer_number(event, "seq");
        const char *to = fg_answer_text(event, "to");
        char id[32];
        snprintf(id, sizeof id, "%.0f", seq);
        struct fg_top_row *row = fg_top_table_add(table, id, event);
        row->key = order == 0 ? seq : -seq;
        row->style = fg_top_state_style(to);
        cell_time(table, event);
        fg_top_table_cell(table, id);
        fg_top_table_cellf(table, "%s %s %s", fg_answer_text(event, "from"), data->utf8 ? "\xe2\x86\x92" : "->", to);
        fg_top_cell_name(table, event, "cluster", "-");
        fg_top_cell_name(table, event, "endpoint", "all");
        fg_top_cell_name(table, event, "method", "all");
        if (strcmp(to, "open") == 0)
            cell_why(table, event);
        else
            fg_top_table_cell(table, "-");
    }
}
