#include "observe/access_line.h"

#include <stdio.h>
#include <time.h>

#include "observe/json_line.h"

size_t fg_access_time(char out[FG_ACCESS_TIME_BYTES], uint64_t wall_ns, struct fg_access_second *second)
{
    time_t at_s = (time_t)(wall_ns / FG_S);
    unsigned ms = (unsigned)(wall_ns / FG_MS % 1000);

    if (second->len == 0 || second->at_s != (uint64_t)at_s) {
        struct tm utc;
        gmtime_r(&at_s, &utc);
        second->len = strftime(second->text, sizeof second->text, "%Y-%m-%dT%H:%M:%S", &utc);
        second->at_s = (uint64_t)at_s;
    }
    const char tail[] = {'.', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10), 'Z'};
    memcpy(out, second->text, second->len);
    memcpy(out + second->len, tail, sizeof tail);
    return second->len + sizeof tail;
}

static void put_time(struct fg_json_line *line, uint64_t wall_ns, struct fg_access_second *second)
{
    char text[FG_ACCESS_TIME_BYTES];
    size_t len = fg_access_time(text, wall_ns, second);
    fg_json_line_put_name(line, FG_STR("time"), (struct fg_str){text, len});
}

static void put_since(struct fg_json_line *line, struct fg_str key, uint64_t start_ns, uint64_t at_ns)
{
    if (at_ns != 0)
        fg_json_line_put_ms(line, key, at_ns - start_ns);
}

static void put_stalls(struct fg_json_line *line, const struct fg_outcome *outcome)
{
    bool any = false;

    for (int i = 0; i < FG_WAIT_LEN; i++) {
        if (fg_wait_is_for_peer((enum fg_wait_cause)i) || outcome->stall_ns[i] < FG_US)
            continue;
        if (!any)
            fg_json_line_object(line, "stalls_ms");
        any = true;
        fg_json_line_put_ms(line, fg_str_from(fg_wait_name((enum fg_wait_cause)i)), outcome->stall_ns[i]);
    }
    if (any)
        fg_json_line_close(line);
}

/* How it ended, in the words that attempts and calls share. */
static void put_end(struct fg_json_line *line, const struct fg_outcome *outcome)
{
    fg_json_line_name(line, "code", fg_status_name(outcome->code));
    fg_json_line_name(line, "source", fg_source_name(outcome->source));
    fg_json_line_name(line, "class", fg_class_name(outcome->class));
    fg_json_line_name(line, "phase", fg_phase_name(outcome->phase));
    fg_json_line_name(line, "safe_to_retry", fg_retry_safety_name(outcome->safe_to_retry));
    if (outcome->reason)
        fg_json_line_text(line, "reason", fg_str_from(outcome->reason));
}

/* ---- attempts ---- */

/* Until the request was sent: a slow call is timed from there. */
static uint64_t waited_ns(const struct fg_outcome *outcome)
{
    return outcome->stall_ns[FG_WAIT_GATE] + outcome->stall_ns[FG_WAIT_STREAM_SLOT] +
           outcome->stall_ns[FG_WAIT_CONNECT] + outcome->stall_ns[FG_WAIT_TLS] + outcome->stall_ns[FG_WAIT_SETTINGS];
}

static void put_attempt(struct fg_json_line *line, const struct fg_call *call, const struct fg_attempt *attempt)
{
    const struct fg_outcome *outcome = &attempt->outcome;
    struct fg_json_line before = *line;

    line->cut = false;
    fg_json_line_object(line, "");
    fg_json_line_text(line, "endpoint", outcome->endpoint);
    put_end(line, outcome);
    fg_json_line_number(line, "start_us", fg_access_us_between(call->start_ns, outcome->start_ns));
    fg_json_line_number(line, "duration_us", fg_access_us_between(outcome->start_ns, outcome->end_ns));
    if (waited_ns(outcome) >= FG_US)
        fg_json_line_number(line, "waited_us", waited_ns(outcome) / FG_US);
    if (outcome->first_message_ns != 0)
        fg_json_line_number(line, "first_message_us",
                            fg_access_us_between(outcome->start_ns, outcome->first_message_ns));
    fg_json_line_number(line, "messages_down", outcome->messages_down);
    if (outcome->pushback)
        fg_json_line_true(line, "pushback");
    if (attempt->is_hedge)
        fg_json_line_true(line, "hedge");
    fg_json_line_close(line);
    if (line->cut)
        *line = before; /* half an attempt says something else than the whole */
    line->cut |= before.cut;
}

static void put_attempts(struct fg_json_line *line, const struct fg_call *call)
{
    const struct fg_attempt *shown[2 * FG_ACCESS_LINE_ENDS] = {NULL};
    size_t len = 0, at = 0;

    for (const struct fg_attempt *attempt = call->attempt; attempt; attempt = attempt->previous)
        len++;
    at = len;
    for (const struct fg_attempt *attempt = call->attempt; attempt; attempt = attempt->previous) {
        at--;
        if (at < FG_ACCESS_LINE_ENDS)
            shown[at] = attempt;
        else if (len - at <= FG_ACCESS_LINE_ENDS)
            shown[FG_MIN(len, 2 * (size_t)FG_ACCESS_LINE_ENDS) - (len - at)] = attempt;
    }
    fg_json_line_list(line, "attempts");
    for (size_t i = 0; i < FG_MIN(len, FG_ARRAY_LEN(shown)); i++)
        put_attempt(line, call, shown[i]);
    fg_json_line_close(line);
    if (len > FG_ARRAY_LEN(shown))
        fg_json_line_number(line, "attempts_omitted", len - FG_ARRAY_LEN(shown));
}

/* ---- the line ---- */

static struct fg_str clip(struct fg_str s, size_t max)
{
    return (struct fg_str){s.p, FG_MIN(s.len, max)};
}

static void put_id(struct fg_json_line *line, const struct fg_access_record *record)
{
    char text[48];
    int len = snprintf(text, sizeof text, "%u-%llu", record->worker, (unsigned long long)record->call->number);
    fg_json_line_put_name(line, FG_STR("id"), (struct fg_str){text, (size_t)len});
}

static void put_wait(struct fg_json_line *line, const struct fg_access_record *record)
{
    fg_json_line_name(line, "wait", fg_wait_name(record->wait.cause));
    if (record->wait.cause != FG_WAIT_NONE)
        fg_json_line_ms(line, "wait_ms", fg_access_us_between(record->wait.since_ns, record->outcome->end_ns) * FG_US);
}

static void put_numbers(struct fg_json_line *line, const struct fg_outcome *outcome)
{
    fg_json_line_number(line, "attempt", outcome->attempt);
    fg_json_line_number(line, "bytes_up", outcome->bytes_up);
    fg_json_line_number(line, "bytes_down", outcome->bytes_down);
    fg_json_line_number(line, "messages_up", outcome->messages_up);
    fg_json_line_number(line, "messages_down", outcome->messages_down);
    fg_json_line_ms(line, "duration_ms", fg_access_us_between(outcome->start_ns, outcome->end_ns) * FG_US);
    put_since(line, FG_STR("headers_ms"), outcome->start_ns, outcome->headers_ns);
    put_since(line, FG_STR("first_message_ms"), outcome->start_ns, outcome->first_message_ns);
}

size_t fg_access_line(char *out, const struct fg_access_record *record, struct fg_access_second *second)
{
    const struct fg_call *call = record->call;
    const struct fg_outcome *outcome = record->outcome;
    bool ended = record->kind != FG_ACCESS_SO_FAR;
    struct fg_json_line line;

    fg_json_line_begin(&line, out, FG_ACCESS_LINE_BYTES);
    put_time(&line, record->wall_ns, second);
    if (ended) /* what replay takes for a call has it */
        fg_json_line_number(&line, "end_us", outcome->end_ns / FG_US);
    if (record->kind != FG_ACCESS_WHOLE) {
        put_id(&line, record);
        fg_json_line_put_bool(&line, FG_STR("final"), ended);
    }
    fg_json_line_text(&line, "peer", fg_str_from(record->peer));
    fg_json_line_text(&line, "method", clip(outcome->method, FG_ACCESS_LINE_METHOD_MAX));
    fg_json_line_text(&line, "cluster", outcome->cluster);
    fg_json_line_text(&line, "endpoint", outcome->endpoint);
    fg_json_line_number(&line, "priority", call->priority);
    fg_json_line_number(&line, "weight", call->weight);
    if (ended)
        put_end(&line, outcome);
    else
        fg_json_line_name(&line, "phase", fg_phase_name(outcome->phase));
    fg_json_line_number(&line, "http_status", outcome->http_status);
    if (outcome->rst_code)
        fg_json_line_number(&line, "rst_code", outcome->rst_code);
    put_numbers(&line, outcome);
    if (ended)
        put_attempts(&line, call);
    else
        put_wait(&line, record);
    put_stalls(&line, outcome);
    return fg_json_line_end(&line);
}
