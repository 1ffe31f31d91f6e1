/* /live: what the dashboard shows, as server-sent events (HTML standard, section 9.2). Pictures of what is now, and
 * events as they come. A picture is made when the last one has been taken: who reads slowly gets fewer of them. */
#include <stdlib.h>
#include <unistd.h>

#include "admin/handlers_int.h"
#include "admin/query.h"
#include "gateway/overview.h"

#define OVERVIEW_EVERY_NS FG_S
#define STREAMS_EVERY_NS  FG_S
#define BREAKERS_EVERY_NS (2 * FG_S)
#define CLUSTERS_EVERY_NS (2 * FG_S)
#define BREAKERS_MAX      500 /* of those that are closed; the others are all shown */
#define OLD_EVENTS_MAX    100 /* those from before */
#define METHODS_MAX       50  /* the busiest */
#define HISTORY_MAX       300
#define HISTORY_NEWS      10 /* seconds; a slow reader misses pictures, but no second of these */
#define RETRY_MS          1000

struct live {
    uint64_t epoch; /* of the gateway: sequence numbers begin anew with each */
    uint64_t next_event;
    bool begun;
    bool streams; /* they are wanted */
    bool told;    /* the history was told */
    uint64_t overview_at_ns, breakers_at_ns, clusters_at_ns, streams_at_ns;
    struct fg_inspect_streams_query query;
};

/* ---- framing ---- */

/* Text in pieces: a line feed in it would end a field. */
struct frame {
    char *text;
    size_t len;
    FILE *in;
};

static bool frame_open(struct frame *frame)
{
    frame->in = open_memstream(&frame->text, &frame->len);
    return frame->in != NULL;
}

static void put_data(const char *text, size_t len, FILE *out)
{
    while (len > 0 && text[len - 1] == '\n')
        len--;
    fputs("data: ", out);
    for (size_t i = 0; i < len; i++)
        if (text[i] == '\n')
            fputs("\ndata: ", out);
        else if (text[i] != '\r')
            fputc(text[i], out);
    fputs("\n\n", out);
}

static void frame_close(struct frame *frame, const char *name, FILE *out)
{
    fclose(frame->in);
    fprintf(out, "event: %s\n", name);
    put_data(frame->text, frame->len, out);
    free(frame->text);
}

/* ---- events ---- */

/* A browser that comes back says how far it has got; to others the first ones are past. True: there were some. */
static bool put_events(struct fg_gateway *gateway, struct live *live, FILE *out)
{
    struct frame frame;
    size_t lines = 0;

    if (!frame_open(&frame))
        return false;
    fg_inspect_event_lines(gateway, &live->next_event, frame.in);
    fclose(frame.in);
    for (size_t i = 0; i < frame.len; i++)
        lines += frame.text[i] == '\n';
    for (char *at = frame.text, *end = at + frame.len, *lf; at < end; at = lf + 1, lines--) {
        lf = memchr(at, '\n', (size_t)(end - at));
        if (lines > OLD_EVENTS_MAX && !live->begun)
            continue;
        if (lines == 1)
            fprintf(out, "id: %llx-%llu\n", (unsigned long long)live->epoch, (unsigned long long)live->next_event);
        fputs(live->begun ? "event: event\n" : "event: past\n", out);
        put_data(at, (size_t)(lf - at), out);
    }
    free(frame.text);
    return frame.len > 0;
}

/* ---- pictures ---- */

static bool is_due(uint64_t *at_ns, uint64_t now_ns, uint64_t every_ns)
{
    if (now_ns < *at_ns)
        return false;
    *at_ns = now_ns + every_ns;
    return true;
}

/* {"open": {...}, "half_open": {...}, "all": {...}}: each as /breakers has it. */
static void put_breakers(struct fg_gateway *gateway, FILE *out)
{
    static const enum fg_breaker_state states[] = {FG_BREAKER_OPEN, FG_BREAKER_HALF_OPEN};
    struct fg_inspect_filter filter = {0};
    struct frame frame;

    if (!frame_open(&frame))
        return;
    fputc('{', frame.in);
    for (size_t i = 0; i < FG_ARRAY_LEN(states); i++) {
        filter.state = (int)states[i];
        fprintf(frame.in, "\"%s\": ", fg_breaker_state_name(states[i]));
        fg_inspect_breakers(gateway, &filter, BREAKERS_MAX, frame.in);
        fputs(", ", frame.in);
    }
    filter.state = -1;
    fputs("\"all\": ", frame.in);
    fg_inspect_breakers(gateway, &filter, BREAKERS_MAX, frame.in);
    fputc('}', frame.in);
    frame_close(&frame, "breakers", out);
}

static void put_clusters(struct fg_gateway *gateway, FILE *out)
{
    struct frame frame;

    if (!frame_open(&frame))
        return;
    fg_inspect_clusters(gateway, false, frame.in); /* the picture of breakers has their methods */
    frame_close(&frame, "clusters", out);
}

static void put_overview(struct fg_gateway *gateway, struct live *live, FILE *out)
{
    struct frame frame;

    if (!frame_open(&frame))
        return;
    const struct fg_overview_query query = {live->told ? HISTORY_NEWS : HISTORY_MAX, METHODS_MAX, .waits_now = true};
    fg_overview_print(gateway, &query, frame.in);
    frame_close(&frame, "overview", out);
    live->told = true;
}

static void put_streams(struct fg_gateway *gateway, const struct live *live, FILE *out)
{
    struct frame frame;

    if (!frame_open(&frame))
        return;
    fg_inspect_streams(gateway, &live->query, frame.in);
    frame_close(&frame, "streams", out);
}

static bool go_on(void *context, void *state, FILE *out)
{
    struct fg_gateway *gateway = context;
    struct live *live = state;
    uint64_t now_ns = fg_clock_now_ns();

    if (put_events(gateway, live, out))
        live->breakers_at_ns = now_ns;
    live->begun = true;
    if (is_due(&live->overview_at_ns, now_ns, OVERVIEW_EVERY_NS))
        put_overview(gateway, live, out);
    if (is_due(&live->breakers_at_ns, now_ns, BREAKERS_EVERY_NS))
        put_breakers(gateway, out);
    if (is_due(&live->clusters_at_ns, now_ns, CLUSTERS_EVERY_NS))
        put_clusters(gateway, out);
    if (live->streams && is_due(&live->streams_at_ns, now_ns, STREAMS_EVERY_NS))
        put_streams(gateway, live, out);
    return true;
}

/* ---- the request ---- */

/* "EPOCH-SEQ"; of another epoch it says nothing. */
static void read_last_id(const struct fg_headers *headers, struct live *live)
{
    const struct fg_header *field = fg_headers_find(headers, FG_STR("last-event-id"));
    char text[48], *rest;

    if (!field || field->value.len >= sizeof text)
        return;
    memcpy(text, field->value.p, field->value.len);
    text[field->value.len] = '\0';
    if (strtoull(text, &rest, 16) == live->epoch && rest[0] == '-') {
        live->next_event = strtoull(rest + 1, NULL, 10);
        live->begun = true;
    }
}

void fg_admin_live(void *context, const struct fg_admin_request *request, struct fg_admin_response *response,
                   FILE *body)
{
    const struct fg_gateway *gateway = context;
    struct live *live = fg_alloc_zero(sizeof *live);
    uint64_t streams;

    live->epoch = gateway->started_ns ^ (uint64_t)getpid();
    live->query = (struct fg_inspect_streams_query){.wait = -1, .phase = -1};
    const char *problem = fg_query_number(request->query, "streams", 0, 1, &streams)
                              ? fg_admin_read_streams_query(request->query, &live->query)
                              : "streams is 0 or 1";
    if (problem) {
        free(live);
        fg_admin_say(response, body, 400, problem);
        return;
    }
    live->streams = streams;
    read_last_id(request->headers, live);
    response->content_type = "text/event-stream";
    response->follow = go_on;
    response->state = live;
    fprintf(body, "retry: %d\n\n", RETRY_MS);
    go_on(context, live, body);
}
