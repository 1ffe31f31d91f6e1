#include <time.h>

#include "base/log.h"
#include "gateway/inspect_int.h"

/* ---- as JSON ---- */

struct page {
    const struct fg_gateway *gateway;
    FILE *out;
    const char *separator; /* between two events; none before the first */
    uint64_t wall_ns, now_ns;
    uint64_t next;
    uint64_t lost;
    bool any;
};

static void put_time(FILE *out, uint64_t wall_ns)
{
    time_t seconds = (time_t)(wall_ns / FG_S);
    struct tm utc;
    char text[32];

    gmtime_r(&seconds, &utc);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    fprintf(out, "\"time\": \"%s.%03uZ\", ", text, (unsigned)(wall_ns / FG_MS % 1000));
}

/* Does it keep every call out, whatever its class? */
static bool refuses_all(const struct fg_gateway *gateway, const struct fg_breaker_event *event)
{
    const struct fg_config_cluster *cluster = fg_inspect_cluster(gateway, event->cluster);
    bool classes = cluster && fg_inspect_has_classes(gateway, cluster);

    return event->to == FG_BREAKER_OPEN && event->severity >= (classes ? fg_breaker_factor(2, 2, 1) : 1000);
}

static void put_event(void *context, const struct fg_breaker_event *event)
{
    struct page *page = context;
    uint64_t age_ns = page->now_ns > event->at_ns ? page->now_ns - event->at_ns : 0;

    page->lost += event->seq - page->next;
    page->next = event->seq + 1;
    if (page->any)
        fputs(page->separator, page->out);
    page->any = true;
    fprintf(page->out, "{\"seq\": %llu, ", (unsigned long long)event->seq);
    put_time(page->out, page->wall_ns - FG_MIN(age_ns, page->wall_ns));
    fg_inspect_put_field(page->out, "cluster", event->cluster);
    fputs(", ", page->out);
    fg_inspect_put_field(page->out, "endpoint", event->endpoint);
    fputs(", ", page->out);
    fg_inspect_put_field(page->out, "method", event->method);
    fprintf(page->out, ", \"from\": \"%s\", \"to\": \"%s\", \"cause\": \"%s\", ", fg_breaker_state_name(event->from),
            fg_breaker_state_name(event->to), event->cause);
    fg_inspect_put_number(page->out, "observed", event->observed);
    fputs(", ", page->out);
    fg_inspect_put_number(page->out, "threshold", event->threshold);
    fprintf(page->out, ", \"factor\": %u, \"severity\": %u, ", event->factor, event->severity);
    fg_inspect_put_bool(page->out, "refuses_all", refuses_all(page->gateway, event));
    fputc('}', page->out);
}

static struct page page_of(const struct fg_gateway *gateway, uint64_t since, const char *separator, FILE *out)
{
    return (struct page){.gateway = gateway,
                         .out = out,
                         .separator = separator,
                         .wall_ns = fg_clock_wall_ns(),
                         .now_ns = fg_clock_now_ns(),
                         .next = since};
}

void fg_inspect_events(struct fg_gateway *gateway, uint64_t since, FILE *out)
{
    struct page page = page_of(gateway, since, ",\n ", out);

    fputs("{\"events\": [\n ", out);
    uint64_t next = fg_breaker_events_read(gateway->breakers, since, put_event, &page);
    fprintf(out, "\n], \"next\": %llu, \"lost\": %llu}\n", (unsigned long long)next, (unsigned long long)page.lost);
}

void fg_inspect_event_lines(struct fg_gateway *gateway, uint64_t *since, FILE *out)
{
    struct page page = page_of(gateway, *since, "\n", out);

    *since = fg_breaker_events_read(gateway->breakers, *since, put_event, &page);
    if (page.any)
        fputc('\n', out);
}

/* ---- in the error log ---- */

#define SAID_BURST    20
#define SAID_PER_S    5
#define SAID_NAME_MAX 200 /* bytes of a method; clients choose it */

struct saying {
    const struct fg_gateway *gateway;
    struct fg_inspect_said *said;
    uint64_t now_ns;
};

/* Clients choose methods: a line feed or an escape sequence must not reach the log. */
static void make_printable(struct fg_str text, char *out)
{
    size_t len = FG_MIN(text.len, (size_t)SAID_NAME_MAX);

    for (size_t i = 0; i < len; i++)
        out[i] = text.p[i] >= 0x20 && text.p[i] < 0x7f ? text.p[i] : '?';
    out[len] = '\0';
}

static void refill(struct fg_inspect_said *said, uint64_t now_ns)
{
    uint64_t tokens = (now_ns - said->filled_ns) / (FG_S / SAID_PER_S);

    if (tokens == 0)
        return;
    said->filled_ns = tokens >= SAID_BURST ? now_ns : said->filled_ns + tokens * (FG_S / SAID_PER_S);
    said->tokens = (uint32_t)FG_MIN(said->tokens + tokens, (uint64_t)SAID_BURST);
}

/* Whom it keeps out. */
static void explain_open(const struct fg_gateway *gateway, const struct fg_breaker_event *event, char *out,
                         size_t out_len)
{
    if (refuses_all(gateway, event))
        snprintf(out, out_len, ": %s %.4g, threshold %.4g; all calls are refused", event->cause, event->observed,
                 event->threshold);
    else
        snprintf(out, out_len, ": %s %.4g, threshold %.4g; calls of a factor up to %.3g are refused", event->cause,
                 event->observed, event->threshold, event->severity / 1000.0);
}

static void say(void *context, const struct fg_breaker_event *event)
{
    const struct saying *saying = context;
    struct fg_inspect_said *said = saying->said;
    char method[SAID_NAME_MAX + 1], endpoint[SAID_NAME_MAX + 1], cluster[SAID_NAME_MAX + 1], why[160] = "";
    uint64_t age_ns = saying->now_ns > event->at_ns ? saying->now_ns - event->at_ns : 0;

    said->kept_back += event->seq - said->next_seq;
    said->next_seq = event->seq + 1;
    if (said->tokens == 0) {
        said->kept_back++;
        return;
    }
    said->tokens--;
    make_printable(event->method, method);
    make_printable(event->endpoint, endpoint);
    make_printable(event->cluster, cluster);
    if (event->to == FG_BREAKER_OPEN)
        explain_open(saying->gateway, event, why, sizeof why);
    fg_log(FG_LOG_INFO, "breaker of cluster %s, endpoint %s, %s%s: %s -> %s %llu ms ago%s", cluster, endpoint,
           event->method.len ? "method " : "all methods", method, fg_breaker_state_name(event->from),
           fg_breaker_state_name(event->to), (unsigned long long)(age_ns / FG_MS), why);
}

void fg_inspect_say_events(struct fg_gateway *gateway, struct fg_inspect_said *said, uint64_t now_ns)
{
    struct saying saying = {gateway, said, now_ns};

    refill(said, now_ns);
    if (said->kept_back > 0 && said->tokens > SAID_BURST / 2) {
        fg_log(FG_LOG_INFO, "%llu more changes of breakers were not said here; /events has the latest",
               (unsigned long long)said->kept_back);
        said->kept_back = 0;
        said->tokens--;
    }
    said->next_seq = fg_breaker_events_read(gateway->breakers, said->next_seq, say, &saying);
}
