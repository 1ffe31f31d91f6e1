/* Finished calls as an HTTP archive (HAR 1.2). After each call the file is a whole archive: the end is written over by
 * the next one. */
#include <stdlib.h>

#include "base/mem.h"
#include "cli/ask.h"
#include "cli/json_text.h"
#include "cli/tap_output.h"

#define CALL_EVENTS_MAX 1000 /* of one call, that are kept; a stream may have any number */

struct har {
    struct fg_tap_output output;
    FILE *file;
    json_t *calls; /* id -> list of events */
    long end_at;   /* where the end of the archive begins */
    bool any;
};

static const char tail[] = "\n]}}\n";

/* ---- the events of a call ---- */

static const json_t *find(const json_t *events, const char *kind)
{
    json_t *event;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)events, i, event)
    {
        if (strcmp(fg_answer_text(event, "event"), kind) == 0)
            return event;
    }
    return NULL;
}

static const char *field_of(const json_t *event, const char *name)
{
    json_t *field;
    size_t i;

    json_array_foreach(json_object_get(event, "headers"), i, field)
    {
        if (strcmp(fg_tap_part(field, 0), name) == 0)
            return fg_tap_part(field, 1);
    }
    return "";
}

/* ---- parts of an entry ---- */

static json_t *text_of(const char *text)
{
    json_t *string = json_string(text);
    return string ? string : json_string("");
}

static void add_fields(json_t *list, const json_t *event)
{
    json_t *field;
    size_t i;

    json_array_foreach(json_object_get(event, "headers"), i, field)
    {
        if (fg_tap_part(field, 0)[0] == ':')
            continue;
        json_array_append_new(
            list, json_pack("{s:O, s:O}", "name", json_array_get(field, 0), "value", json_array_get(field, 1)));
    }
}

static json_t *query_of(const char *path)
{
    json_t *list = json_array();
    const char *at = strchr(path, '?');

    while (at) { /* it is before a parameter */
        at++;
        size_t len = strcspn(at, "&"), name_len = FG_MIN(strcspn(at, "="), len);
        const char *value = at + name_len + (name_len < len);
        json_array_append_new(
            list, json_pack("{s:s%, s:s%}", "name", at, name_len, "value", value, len - (size_t)(value - at)));
        at = at[len] ? at + len : NULL;
    }
    return list;
}

/* What one event holds, as a value. */
static json_t *value_of(const json_t *event)
{
    json_t *json = json_object_get(event, "json");

    if (json)
        return json_incref(json);
    if (json_is_true(json_object_get(event, "hidden")))
        return json_string("[not shown]");
    return json_pack("{s:O?, s:O?}", "base64", json_object_get(event, "base64"), "text",
                     json_object_get(event, "text"));
}

/* One message is its JSON, several are a list of them. */
static char *messages_text(const json_t *events, const char *direction)
{
    json_t *list = json_array(), *event;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)events, i, event)
    {
        if (strcmp(fg_answer_text(event, "event"), "message") == 0 &&
            strcmp(fg_answer_text(event, "direction"), direction) == 0)
            json_array_append_new(list, value_of(event));
    }
    char *text = json_array_size(list) == 0
                     ? NULL
                     : fg_json_print_text(json_array_size(list) == 1 ? json_array_get(list, 0) : list);
    json_decref(list);
    return text;
}

/* Bytes without messages: text if all of it is, else base64. */
static char *data_text(const json_t *events, const char *direction, bool *base64)
{
    char *text = NULL;
    size_t len = 0, i;
    json_t *event;
    FILE *out = open_memstream(&text, &len);

    *base64 = false;
    if (!out)
        return NULL;
    json_array_foreach((json_t *)(uintptr_t)events, i, event)
    {
        if (strcmp(fg_answer_text(event, "event"), "data") != 0 ||
            strcmp(fg_answer_text(event, "direction"), direction) != 0)
            continue;
        size_t bytes_len;
        char *bytes = fg_tap_bytes(event, &bytes_len);
        *base64 |= json_object_get(event, "base64") != NULL;
        if (bytes)
            fwrite(bytes, 1, bytes_len, out);
        free(bytes);
    }
    fclose(out);
    if (!*base64)
        return text;
    char *encoded = fg_tap_base64(text, len);
    free(text);
    return encoded;
}

/* {"mimeType": ..., "text": ...}; *MESSAGES: there were some. */
static json_t *content_of(const json_t *events, const char *direction, const char *type)
{
    char *text = messages_text(events, direction);
    bool messages = text != NULL, base64 = false;

    if (!text)
        text = data_text(events, direction, &base64);
    json_t *content = json_pack("{s:o, s:o}", "mimeType", text_of(messages ? "application/json" : type), "text",
                                text_of(text ? text : ""));
    if (base64)
        json_object_set_new(content, "encoding", json_string("base64"));
    free(text);
    return content;
}

static json_t *request_of(const json_t *events, const json_t *begin, const json_t *end)
{
    const json_t *client = find(events, "client");
    const char *path = client ? fg_answer_text(client, "path") : field_of(begin, ":path");
    const char *method = client ? fg_answer_text(client, "method") : field_of(begin, ":method");
    const char *host = field_of(begin, ":authority"), *scheme = field_of(begin, ":scheme");
    json_t *fields = json_array();
    char *url = NULL;
    size_t len = 0;

    if (host[0] == '\0')
        host = field_of(begin, "host");
    FILE *out = open_memstream(&url, &len);
    if (out) {
        fprintf(out, "%s://%s%s", scheme[0] ? scheme : "http", host, path);
        fclose(out);
    }
    add_fields(fields, begin);
    json_t *request =
        json_pack("{s:o, s:o, s:s, s:[], s:o, s:o, s:i, s:f}", "method", text_of(method), "url",
                  text_of(url ? url : ""), "httpVersion", "HTTP/2.0", "cookies", "headers", fields, "queryString",
                  query_of(path), "headersSize", -1, "bodySize", fg_answer_number(end, "bytes_up"));
    if (fg_answer_number(end, "bytes_up") > 0)
        json_object_set_new(request, "postData", content_of(events, "request", field_of(begin, "content-type")));
    free(url);
    return request;
}

static json_t *response_of(const json_t *events, const json_t *end)
{
    const json_t *headers = find(events, "headers"), *trailers = find(events, "trailers");
    const json_t *first = headers ? headers : trailers, *reply = find(events, "reply");
    json_t *fields = json_array(), *last = json_array();
    const char *code = fg_answer_text(end, "code"), *status = field_of(first, ":status");

    add_fields(fields, first);
    if (headers && trailers)
        add_fields(last, trailers);
    json_t *content = content_of(events, "response", field_of(first, "content-type"));
    json_object_set_new(content, "size", json_real(fg_answer_number(end, "bytes_down")));
    json_t *response =
        json_pack("{s:i, s:o, s:s, s:[], s:o, s:o, s:s, s:i, s:f}", "status", (int)strtol(status, NULL, 10),
                  "statusText", text_of(code), "httpVersion", "HTTP/2.0", "cookies", "headers", fields, "content",
                  content, "redirectURL", "", "headersSize", -1, "bodySize", fg_answer_number(end, "bytes_down"));
    json_object_set_new(response, "_trailers", last);
    if (reply)
        json_object_set(response, "_error", json_object_get(reply, "message"));
    return response;
}

/* send: until the answer's headers came is not told apart from the wait for them. */
static json_t *timings_of(const json_t *end)
{
    double all = fg_answer_number(end, "duration_ms");
    const json_t *headers = json_object_get(end, "headers_ms");
    double wait = headers ? FG_MIN(json_number_value(headers), all) : all;

    return json_pack("{s:i, s:f, s:f}", "send", 0, "wait", wait, "receive", all - wait);
}

static json_t *entry_of(const json_t *events, const json_t *end)
{
    const json_t *begin = find(events, "begin");
    json_t *entry =
        json_pack("{s:o, s:f, s:o, s:o, s:{}, s:o}", "startedDateTime", text_of(fg_answer_text(begin, "time")), "time",
                  fg_answer_number(end, "duration_ms"), "request", request_of(events, begin, end), "response",
                  response_of(events, end), "cache", "timings", timings_of(end));
    static const char *const kept[] = {"call", "code", "source", "reason", "endpoint", "attempts", "waits_ms"};
    json_t *call = json_object();

    json_object_set(call, "method", json_object_get(begin, "method"));
    json_object_set(call, "dialect", json_object_get(begin, "dialect"));
    json_object_set(call, "cluster", json_object_get(begin, "cluster"));
    for (size_t i = 0; i < FG_ARRAY_LEN(kept); i++)
        if (json_object_get(end, kept[i]))
            json_object_set(call, kept[i], json_object_get(end, kept[i]));
    if (json_array_size(events) >= CALL_EVENTS_MAX)
        json_object_set_new(call, "cut", json_true());
    json_object_set_new(entry, "_call", call);
    json_object_set(entry, "connection", json_object_get(begin, "peer"));
    return entry;
}

/* ---- the file ---- */

static bool put_entry(struct har *har, const json_t *entry)
{
    if (fseek(har->file, har->end_at, SEEK_SET) != 0)
        return false;
    fputs(har->any ? ",\n" : "\n", har->file);
    har->any = true;
    fg_json_print(entry, -1, har->file);
    har->end_at = ftell(har->file);
    fputs(tail, har->file);
    return fflush(har->file) == 0 && !ferror(har->file);
}

static bool on_event(struct fg_tap_output *output, const char *kind, const json_t *event)
{
    struct har *har = (struct har *)(void *)output;
    const char *id = fg_answer_text(event, "call");
    json_t *events = json_object_get(har->calls, id);
    bool good = true;

    if (strcmp(kind, "begin") == 0)
        json_object_set_new(har->calls, id, json_pack("[O]", event));
    else if (events && strcmp(kind, "end") == 0) {
        json_t *entry = entry_of(events, event);
        good = put_entry(har, entry);
        json_decref(entry);
        json_object_del(har->calls, id);
    } else if (events && (json_array_size(events) < CALL_EVENTS_MAX || strcmp(kind, "trailers") == 0)) {
        json_array_append(events, (json_t *)(uintptr_t)event);
    }
    return good;
}

static void har_free(struct fg_tap_output *output)
{
    struct har *har = (struct har *)(void *)output;

    json_decref(har->calls);
    free(har);
}

struct fg_tap_output *fg_tap_har_new(FILE *file)
{
    struct har *har = fg_alloc_zero(sizeof *har);

    fprintf(
        file,
        "{\"log\": {\"version\": \"1.2\", \"creator\": {\"name\": \"fusegate\", \"version\": \"%s\"}, \"entries\": [",
        FG_VERSION);
    har->output = (struct fg_tap_output){on_event, har_free};
    har->file = file;
    har->calls = json_object();
    har->end_at = ftell(file);
    fputs(tail, file);
    if (har->end_at > 0 && fflush(file) == 0)
        return &har->output;
    har_free(&har->output);
    return NULL;
}
