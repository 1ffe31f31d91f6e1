#include "observe/access_text.h"

#include <time.h>

#include "observe/json_line.h"

/* A text of ours or a number needs no more room than this. */
#define OWN_BYTES 64

/* What a name looks at, and where it writes: OWN_BYTES and an escape are free at `at`. */
struct text {
    char *at;
    const char *full; /* whatever is chosen by others ends there */
    const struct fg_access_record *record;
    const struct fg_call *call;
    const struct fg_outcome *outcome;
    const struct fg_log_part *part;
    struct fg_access_second *second;
};

static void put_absent(struct text *text)
{
    *text->at++ = '-';
}

/* A literal of ours, or a name out of a table. */
static void put_own(struct text *text, const char *value)
{
    size_t len = FG_MIN(strlen(value), (size_t)OWN_BYTES);
    memcpy(text->at, value, len);
    text->at += len;
}

/* What others choose. */
static void put_foreign(struct text *text, struct fg_str value)
{
    bool cut = false;

    if (value.len == 0)
        put_absent(text);
    else
        text->at = fg_json_line_escape(text->at, text->full, value, &cut);
}

static void put_number(struct text *text, uint64_t value)
{
    text->at = fg_json_line_digits(text->at, value, 1);
}

static void put_ms(struct text *text, uint64_t value_ns)
{
    put_number(text, value_ns / FG_MS);
    *text->at++ = '.';
    text->at = fg_json_line_digits(text->at, value_ns / FG_US % 1000, 3);
}

static void put_since_start(struct text *text, uint64_t at_ns)
{
    if (at_ns == 0)
        put_absent(text);
    else
        put_ms(text, fg_access_us_between(text->outcome->start_ns, at_ns) * FG_US);
}

static bool is_over(const struct text *text)
{
    return text->record->kind != FG_ACCESS_SO_FAR;
}

/* ---- one for each name ---- */

static void put_time(struct text *text)
{
    text->at += fg_access_time(text->at, text->record->wall_ns, text->second);
}

static void put_time_clf(struct text *text)
{
    struct fg_access_second *second = text->second;
    time_t at_s = (time_t)(text->record->wall_ns / FG_S);
    struct tm utc;

    if (second->clf_len == 0 || second->clf_at_s != (uint64_t)at_s) {
        gmtime_r(&at_s, &utc);
        second->clf_len = strftime(second->clf, sizeof second->clf, "%d/%b/%Y:%H:%M:%S +0000", &utc);
        second->clf_at_s = (uint64_t)at_s;
    }
    memcpy(text->at, second->clf, second->clf_len);
    text->at += second->clf_len;
}

static void put_time_ms(struct text *text)
{
    put_number(text, text->record->wall_ns / FG_MS);
}

static void put_id(struct text *text)
{
    put_number(text, text->record->worker);
    *text->at++ = '-';
    put_number(text, text->call->number);
}

static void put_peer(struct text *text)
{
    put_foreign(text, fg_str_from(text->record->peer));
}

static void put_peer_host(struct text *text)
{
    struct fg_str peer = fg_str_from(text->record->peer);
    const char *colon = fg_str_starts_with(peer, FG_STR("unix:")) ? NULL : strrchr(peer.p, ':');

    if (colon)
        peer.len = (size_t)(colon - peer.p);
    if (peer.len > 2 && peer.p[0] == '[')
        peer = (struct fg_str){peer.p + 1, peer.len - 2};
    put_foreign(text, peer);
}

static void put_dialect(struct text *text)
{
    put_own(text, text->call->dialect->name);
}

static void put_protocol(struct text *text)
{
    put_own(text, text->call->is_http1 ? "HTTP/1.1" : "HTTP/2.0");
}

static void put_method(struct text *text)
{
    struct fg_str method = text->outcome->method;
    put_foreign(text, (struct fg_str){method.p, FG_MIN(method.len, (size_t)FG_ACCESS_LINE_METHOD_MAX)});
}

static void put_token(struct text *text, enum fg_token token)
{
    const struct fg_header *field = fg_headers_get(&text->call->request, token);
    put_foreign(text, field ? field->value : (struct fg_str){0});
}

static void put_http_method(struct text *text)
{
    put_token(text, FG_TOKEN_METHOD);
}

static void put_path(struct text *text)
{
    put_token(text, FG_TOKEN_PATH);
}

static void put_authority(struct text *text)
{
    put_token(text, FG_TOKEN_AUTHORITY);
}

static void put_cluster(struct text *text)
{
    put_foreign(text, text->outcome->cluster);
}

static void put_endpoint(struct text *text)
{
    put_foreign(text, text->outcome->endpoint);
}

static void put_priority(struct text *text)
{
    put_number(text, text->call->priority);
}

static void put_weight(struct text *text)
{
    put_number(text, text->call->weight);
}

/* How a call ended is not known before it has. */
static void put_end(struct text *text, const char *name)
{
    if (is_over(text) && name)
        put_own(text, name);
    else
        put_absent(text);
}

static void put_code(struct text *text)
{
    put_end(text, fg_status_name(text->outcome->code));
}

static void put_code_number(struct text *text)
{
    if (is_over(text))
        put_number(text, text->outcome->code);
    else
        put_absent(text);
}

static void put_source(struct text *text)
{
    put_end(text, fg_source_name(text->outcome->source));
}

static void put_class(struct text *text)
{
    put_end(text, fg_class_name(text->outcome->class));
}

static void put_phase(struct text *text)
{
    put_own(text, fg_phase_name(text->outcome->phase));
}

static void put_safe_to_retry(struct text *text)
{
    put_end(text, fg_retry_safety_name(text->outcome->safe_to_retry));
}

static void put_reason(struct text *text)
{
    put_end(text, text->outcome->reason);
}

static void put_if_any(struct text *text, uint64_t value)
{
    if (value == 0)
        put_absent(text);
    else
        put_number(text, value);
}

static void put_http_status(struct text *text)
{
    put_if_any(text, text->outcome->http_status);
}

static void put_rst_code(struct text *text)
{
    put_if_any(text, text->outcome->rst_code);
}

static void put_attempt(struct text *text)
{
    put_number(text, text->outcome->attempt);
}

static void put_bytes_up(struct text *text)
{
    put_number(text, text->outcome->bytes_up);
}

static void put_bytes_down(struct text *text)
{
    put_number(text, text->outcome->bytes_down);
}

static void put_messages_up(struct text *text)
{
    put_number(text, text->outcome->messages_up);
}

static void put_messages_down(struct text *text)
{
    put_number(text, text->outcome->messages_down);
}

static void put_duration_ms(struct text *text)
{
    put_since_start(text, text->outcome->end_ns);
}

static void put_headers_ms(struct text *text)
{
    put_since_start(text, text->outcome->headers_ns);
}

static void put_first_message_ms(struct text *text)
{
    put_since_start(text, text->outcome->first_message_ns);
}

static void put_stall_ms(struct text *text)
{
    uint64_t total_ns = 0;

    for (unsigned i = 0; i < FG_WAIT_LEN; i++)
        if (text->part->wait == 0 || text->part->wait == i)
            total_ns += text->outcome->stall_ns[i];
    put_ms(text, total_ns);
}

static void put_final(struct text *text)
{
    put_own(text, is_over(text) ? "true" : "false");
}

static void put_wait(struct text *text)
{
    if (is_over(text))
        put_absent(text);
    else
        put_own(text, fg_wait_name(text->record->wait.cause));
}

static void put_wait_ms(struct text *text)
{
    if (is_over(text) || text->record->wait.cause == FG_WAIT_NONE)
        put_absent(text);
    else
        put_ms(text, fg_access_us_between(text->record->wait.since_ns, text->outcome->end_ns) * FG_US);
}

static void put_request(struct text *text)
{
    const struct fg_header *field = fg_headers_find(&text->call->request, text->part->text);
    put_foreign(text, field ? field->value : (struct fg_str){0});
}

static void put_note(struct text *text)
{
    const struct fg_str *notes = text->call->notes;
    put_foreign(text, notes ? notes[text->part->note] : (struct fg_str){0});
}

/* ---- the line ---- */

size_t fg_access_text(char *out, const struct fg_log_format *format, const struct fg_access_record *record,
                      struct fg_access_second *second)
{
    static void (*const put[])(struct text * text) = {
        [FG_LOG_TIME] = put_time,
        [FG_LOG_TIME_CLF] = put_time_clf,
        [FG_LOG_TIME_MS] = put_time_ms,
        [FG_LOG_ID] = put_id,
        [FG_LOG_PEER] = put_peer,
        [FG_LOG_PEER_HOST] = put_peer_host,
        [FG_LOG_DIALECT] = put_dialect,
        [FG_LOG_PROTOCOL] = put_protocol,
        [FG_LOG_METHOD] = put_method,
        [FG_LOG_HTTP_METHOD] = put_http_method,
        [FG_LOG_PATH] = put_path,
        [FG_LOG_AUTHORITY] = put_authority,
        [FG_LOG_CLUSTER] = put_cluster,
        [FG_LOG_ENDPOINT] = put_endpoint,
        [FG_LOG_PRIORITY] = put_priority,
        [FG_LOG_WEIGHT] = put_weight,
        [FG_LOG_CODE] = put_code,
        [FG_LOG_CODE_NUMBER] = put_code_number,
        [FG_LOG_SOURCE] = put_source,
        [FG_LOG_CLASS] = put_class,
        [FG_LOG_PHASE] = put_phase,
        [FG_LOG_SAFE_TO_RETRY] = put_safe_to_retry,
        [FG_LOG_REASON] = put_reason,
        [FG_LOG_HTTP_STATUS] = put_http_status,
        [FG_LOG_RST_CODE] = put_rst_code,
        [FG_LOG_ATTEMPT] = put_attempt,
        [FG_LOG_BYTES_UP] = put_bytes_up,
        [FG_LOG_BYTES_DOWN] = put_bytes_down,
        [FG_LOG_MESSAGES_UP] = put_messages_up,
        [FG_LOG_MESSAGES_DOWN] = put_messages_down,
        [FG_LOG_DURATION_MS] = put_duration_ms,
        [FG_LOG_HEADERS_MS] = put_headers_ms,
        [FG_LOG_FIRST_MESSAGE_MS] = put_first_message_ms,
        [FG_LOG_STALL_MS] = put_stall_ms,
        [FG_LOG_FINAL] = put_final,
        [FG_LOG_WAIT] = put_wait,
        [FG_LOG_WAIT_MS] = put_wait_ms,
        [FG_LOG_REQUEST] = put_request,
        [FG_LOG_RESPONSE] = put_note,
        [FG_LOG_TRAILER] = put_note,
    };
    struct text text = {.at = out,
                        .full = out + FG_ACCESS_LINE_BYTES - OWN_BYTES - FG_JSON_LINE_ESCAPE - 1,
                        .record = record,
                        .call = record->call,
                        .outcome = record->outcome,
                        .second = second};

    for (size_t i = 0; i < format->len && text.at < text.full; i++) {
        text.part = &format->parts[i];
        if (text.part->field != FG_LOG_TEXT) {
            put[text.part->field](&text);
            continue;
        }
        size_t len = FG_MIN(text.part->text.len, (size_t)(text.full - text.at));
        memcpy(text.at, text.part->text.p, len);
        text.at += len;
    }
    *text.at++ = '\n';
    return (size_t)(text.at - out);
}
