/* Events of a tap for people: lines that begin with the time and the call. */
#include <stdlib.h>

#include "base/mem.h"
#include "cli/ask.h"
#include "cli/json_text.h"
#include "cli/tap_output.h"

struct print {
    struct fg_tap_output output;
    FILE *out;
    bool colours, pretty;
};

enum colour { PLAIN, BOLD, DIM, GREEN, RED, YELLOW, CYAN };

static void paint(const struct print *p, enum colour colour)
{
    static const char *const codes[] = {"0", "1", "2", "32", "31", "33", "36"};

    if (p->colours)
        fprintf(p->out, "\033[%sm", codes[colour]);
}

static void put(const struct print *p, enum colour colour, const char *text)
{
    paint(p, colour);
    fg_print_text(p->out, text);
    paint(p, PLAIN);
}

/* A name that a peer has chosen. */
static void put_name(const struct print *p, enum colour colour, const json_t *event, const char *key)
{
    char *name = fg_answer_name(event, key);

    put(p, colour, name);
    free(name);
}

/* "12:00:01.123 0-17 " */
static void begin_line(const struct print *p, const json_t *event)
{
    const char *time = fg_answer_text(event, "time");
    char text[64];

    snprintf(text, sizeof text, "%.12s %-6s ", strlen(time) >= 23 ? time + 11 : "", fg_answer_text(event, "call"));
    put(p, DIM, text);
}

static void put_duration(const struct print *p, const json_t *event, const char *key)
{
    char text[FG_DURATION_BYTES];
    fputs(fg_duration_text(fg_answer_number(event, key), text), p->out);
}

/* What says nothing new about a call. */
static bool is_usual(const json_t *event, const char *name, const char *value)
{
    static const char *const usual[][2] = {
        {":method", "POST"}, {":status", "200"}, {":scheme", "http"}, {":scheme", "https"}, {"te", "trailers"}};

    for (size_t i = 0; i < FG_ARRAY_LEN(usual); i++)
        if (strcmp(name, usual[i][0]) == 0 && strcmp(value, usual[i][1]) == 0)
            return true;
    return strcmp(name, ":path") == 0 && strcmp(value, fg_answer_text(event, "method")) == 0;
}

static void put_fields(const struct print *p, const json_t *event)
{
    const json_t *fields = json_object_get(event, "headers");
    json_t *field;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)fields, i, field)
    {
        if (is_usual(event, fg_tap_part(field, 0), fg_tap_part(field, 1)))
            continue;
        json_t *pair = json_pack("{s:O, s:O}", "name", json_array_get(field, 0), "value", json_array_get(field, 1));
        begin_line(p, event);
        fputs("    ", p->out);
        put_name(p, CYAN, pair, "name");
        fputs(": ", p->out);
        put_name(p, PLAIN, pair, "value");
        fputc('\n', p->out);
        json_decref(pair);
    }
}

/* ---- events ---- */

static void put_begin(const struct print *p, const json_t *event)
{
    const char *cluster = fg_answer_text(event, "cluster");

    begin_line(p, event);
    put(p, BOLD, "\xe2\x86\x92 "); /* an arrow to the right */
    put_name(p, BOLD, event, "method");
    fprintf(p->out, " %s (%s)%s%s\n", fg_answer_text(event, "peer"), fg_answer_text(event, "dialect"),
            cluster[0] ? " to " : "", cluster);
    put_fields(p, event);
}

static void put_client(const struct print *p, const json_t *event)
{
    begin_line(p, event);
    fputs("  as ", p->out);
    put_name(p, PLAIN, event, "method");
    fputc(' ', p->out);
    if (json_is_true(json_object_get(event, "hidden")))
        put(p, DIM, "not shown");
    put_name(p, PLAIN, event, "path");
    fputc('\n', p->out);
}

/* JSON strings may hold what steers a terminal: the C1 controls, and what a peer puts into text. */
static void put_json(const struct print *p, const json_t *json)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    if (!out)
        return;
    fg_json_print(json, p->pretty ? 0 : -1, out);
    fclose(out);
    for (char *line = text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        fg_print_text(p->out, line);
        fputs(next ? "\n" : "", p->out);
    }
    free(text);
}

static void put_content(const struct print *p, const json_t *event)
{
    const json_t *json = json_object_get(event, "json"), *text = json_object_get(event, "text");
    const char *error = fg_answer_text(event, "error"), *base64 = fg_answer_text(event, "base64");

    if (json)
        put_json(p, json);
    else if (json_is_true(json_object_get(event, "hidden")))
        put(p, DIM, "not shown");
    else if (text)
        put_json(p, text);
    else
        fg_print_text(p->out, base64);
    if (!json && error[0])
        fprintf(p->out, " (%s)", error);
}

static void put_message(const struct print *p, const json_t *event)
{
    bool request = strcmp(fg_answer_text(event, "direction"), "request") == 0;
    const json_t *cut = json_object_get(event, "cut");

    begin_line(p, event);
    fprintf(p->out, "  %s %.0f: ", request ? "\xe2\x96\xb6" : "\xe2\x97\x80", fg_answer_number(event, "number"));
    put_content(p, event);
    fprintf(p->out, " (%.0f bytes", fg_answer_number(event, "bytes"));
    if (cut)
        fprintf(p->out, ", the first %.0f of them", json_number_value(cut));
    fputs(")\n", p->out);
}

static void put_answer(const struct print *p, const json_t *event)
{
    put_fields(p, event);
}

static void put_attempt(const struct print *p, const json_t *event)
{
    const char *code = fg_answer_text(event, "code");

    if (strcmp(code, "OK") == 0)
        return; /* the call's own end says so */
    begin_line(p, event);
    fprintf(p->out, "  attempt %.0f on %s", fg_answer_number(event, "attempt"), fg_answer_text(event, "endpoint"));
    if (json_is_true(json_object_get(event, "hedge")))
        fputs(", beside another one", p->out);
    if (code[0]) {
        fputs(": ", p->out);
        put(p, RED, code);
        fprintf(p->out, " (%s) after ", fg_answer_text(event, "source"));
        put_duration(p, event, "duration_ms");
    }
    fputc('\n', p->out);
}

static void put_wait(const struct print *p, const json_t *event)
{
    begin_line(p, event);
    fputs("  waited ", p->out);
    put_duration(p, event, "duration_ms");
    fprintf(p->out, " for %s\n", fg_answer_text(event, "cause"));
}

static void put_reply(const struct print *p, const json_t *event)
{
    begin_line(p, event);
    fputs("  the gateway answers ", p->out);
    put(p, YELLOW, fg_answer_text(event, "reason"));
    fputs(": ", p->out);
    put_name(p, PLAIN, event, "message");
    fputc('\n', p->out);
}

static void put_end(const struct print *p, const json_t *event)
{
    const char *code = fg_answer_text(event, "code"), *endpoint = fg_answer_text(event, "endpoint");
    bool ok = strcmp(code, "OK") == 0;
    const char *cause;
    json_t *wait;

    begin_line(p, event);
    put(p, ok ? GREEN : RED, "\xe2\x86\x90 "); /* an arrow to the left */
    put(p, ok ? GREEN : RED, code);
    fputc(' ', p->out);
    put_duration(p, event, "duration_ms");
    if (!ok)
        fprintf(p->out, ", by %s", fg_answer_text(event, "source"));
    if (endpoint[0])
        fprintf(p->out, ", %s", endpoint);
    if (fg_answer_number(event, "attempts") > 1)
        fprintf(p->out, ", %.0f attempts", fg_answer_number(event, "attempts"));
    json_object_foreach(json_object_get(event, "waits_ms"), cause, wait)
    {
        char text[FG_DURATION_BYTES];
        if (json_number_value(wait) >= 100)
            fprintf(p->out, ", %s %s", cause, fg_duration_text(json_number_value(wait), text));
    }
    fputc('\n', p->out);
}

static void put_missed(const struct print *p, const json_t *event)
{
    double events = fg_answer_number(event, "events"), calls = fg_answer_number(event, "calls");

    begin_line(p, event);
    paint(p, YELLOW);
    if (events > 0)
        fprintf(p->out, "%.0f events missed", events);
    if (calls > 0)
        fprintf(p->out, "%s%.0f calls not shown (--rate)", events > 0 ? ", " : "", calls);
    paint(p, PLAIN);
    fputc('\n', p->out);
}

static bool on_event(struct fg_tap_output *output, const char *kind, const json_t *event)
{
    static const struct {
        const char *kind;
        void (*put)(const struct print *p, const json_t *event);
    } kinds[] = {
        {"begin", put_begin},    {"client", put_client},   {"message", put_message}, {"data", put_message},
        {"headers", put_answer}, {"trailers", put_answer}, {"attempt", put_attempt}, {"attempt_end", put_attempt},
        {"wait", put_wait},      {"reply", put_reply},     {"end", put_end},         {"missed", put_missed}};
    const struct print *p = (const struct print *)(const void *)output;

    for (size_t i = 0; i < FG_ARRAY_LEN(kinds); i++)
        if (strcmp(kind, kinds[i].kind) == 0)
            kinds[i].put(p, event);
    return fflush(p->out) == 0;
}

static void print_free(struct fg_tap_output *output)
{
    free(output);
}

struct fg_tap_output *fg_tap_print_new(FILE *out, bool colours, bool pretty)
{
    struct print *p = fg_alloc(sizeof *p);

    *p = (struct print){.output = {on_event, print_free}, .out = out, .colours = colours, .pretty = pretty};
    return &p->output;
}
