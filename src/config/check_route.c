#include "config/check_int.h"

#include "base/time.h"
#include "config/value.h"
#include "rpc/status.h"

#define DAY (24 * 3600 * FG_S)

/* ---- times ---- */

/* What ends a call at the latest. VALUE 0: nothing does. */
static struct fg_check_number end_of(const struct fg_raw_route *route)
{
    const struct fg_table *routes = fg_check_under(fg_schema(), "routes");
    if (route->out.timeout_ns > 0)
        return (struct fg_check_number){route, routes, "timeout", route->out.timeout_ns, NULL};
    return (struct fg_check_number){route, routes, "max_stream_duration", route->out.max_stream_duration_ns, NULL};
}

static void check_times(struct fg_checker *c, const struct fg_raw_route *route)
{
    const struct fg_table *routes = fg_check_under(fg_schema(), "routes");
    struct fg_check_number end = end_of(route);
    struct fg_check_number idle = {route, routes, "stream_idle_timeout", route->out.stream_idle_timeout_ns, NULL};
    struct fg_check_number most = {route, routes, "max_stream_duration", route->out.max_stream_duration_ns, NULL};

    if (most.value > 0)
        fg_check_order(c, end, FG_CHECK_AT_MOST, most, "no call lasts longer, whatever its deadline");
    if (end.value > 0)
        fg_check_order(c, idle, FG_CHECK_AT_MOST, end, "the call has ended by then");
}

/* ---- outcomes ---- */

static void add_names(char *out, size_t out_len, uint32_t codes)
{
    size_t len = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < FG_STATUS_LEN && len < out_len; i++)
        if (codes >> i & 1)
            len += (size_t)snprintf(out + len, out_len - len, "%s%s", len > 0 ? ", " : "", fg_status_name(i));
}

static bool is_before(const struct fg_mark *a, const struct fg_mark *b)
{
    return a->line != b->line ? a->line < b->line : a->column < b->column;
}

/* Only what is written: a default gives way (config.c). */
static void check_outcomes(struct fg_checker *c, const struct fg_config_outcomes *outcomes)
{
    const struct {
        const char *name;
        uint32_t codes;
    } sets[] = {{"failure", outcomes->failure}, {"overload", outcomes->overload}, {"ignore", outcomes->ignore}};
    const struct fg_table *table = fg_check_under(fg_check_under(fg_schema(), "routes"), "outcomes");
    char names[300];

    for (size_t i = 0; i < FG_ARRAY_LEN(sets); i++) {
        for (size_t j = 0; j < FG_ARRAY_LEN(sets); j++) {
            const struct fg_mark *first = fg_check_good(c, outcomes, table, sets[i].name);
            const struct fg_mark *second = fg_check_good(c, outcomes, table, sets[j].name);
            if (!first || !second || !is_before(first, second) || !(sets[i].codes & sets[j].codes))
                continue;
            add_names(names, sizeof names, sets[i].codes & sets[j].codes);
            fg_check_complain(c, second, "has %s, which \"%s\" (line %d) has already; a code can mean one thing only",
                              names, sets[i].name, first->line);
        }
    }
}

/* ---- retries ---- */

static uint64_t default_of(const struct fg_table *table, const char *name)
{
    const struct fg_key *key = fg_schema_find(table, name);
    char why[FG_VALUE_WHY_BYTES];
    uint64_t number = 0;
    return fg_value_parse(key, fg_str_from(key->default_text), &number, why) == 0 ? number : 0;
}

/* With one attempt. */
static void check_no_retry(struct fg_checker *c, const struct fg_config_retry *retry, const struct fg_table *table)
{
    const struct fg_mark *useless = fg_check_good(c, retry, table, "on");
    if (!useless && retry->hedge_delay_ns > 0)
        useless = fg_check_good(c, retry, table, "hedge_delay");
    if (!useless && retry->attempt_timeout_ns > 0)
        useless = fg_check_good(c, retry, table, "attempt_timeout");
    if (!useless)
        useless = fg_check_good(c, retry, table, "backoff");
    if (useless)
        fg_check_complain(c, useless,
                          "is of no use with attempts 1%s: nothing is tried again; set attempts to 2 or more, or leave "
                          "this out",
                          fg_check_good(c, retry, table, "attempts") ? "" : ", the default");
}

static void check_buffer(struct fg_checker *c, const struct fg_config_retry *retry, const struct fg_table *table)
{
    const struct fg_mark *mark = fg_check_good(c, retry, table, "buffer");
    uint64_t usual = default_of(table, "buffer");
    char found[32], most[32];

    if (!mark)
        return;
    fg_value_format(FG_KEY_SIZE, retry->buffer, found, sizeof found);
    fg_value_format(FG_KEY_SIZE, usual, most, sizeof most);
    if (retry->buffer == 0 && retry->attempts > 1)
        fg_check_complain(c, mark,
                          "found 0 with attempts %u: no request can be sent again of which nothing is kept; leave it "
                          "out, or set attempts to 1",
                          retry->attempts);
    if (retry->buffer > usual && !retry->idempotent && fg_check_is_sound(c, retry, table, "idempotent"))
        fg_check_complain(
            c, mark,
            "found %s without idempotent: true, expected at most %s: then only calls are tried again that "
            "no endpoint has begun, and these have hardly sent more; the messages of long streams would "
            "be kept for nothing",
            found, most);
}

static void check_hedging(struct fg_checker *c, const struct fg_config_retry *retry, const struct fg_table *table)
{
    const struct fg_mark *mark = fg_check_good(c, retry, table, "hedge_delay");
    char found[32];

    if (!mark || retry->hedge_delay_ns == 0 || retry->idempotent || !fg_check_is_sound(c, retry, table, "idempotent"))
        return;
    fg_value_format(FG_KEY_DURATION, retry->hedge_delay_ns, found, sizeof found);
    fg_check_complain(
        c, mark,
        "found %s without idempotent: true: several endpoints would process the same call; set it if they "
        "may, or leave hedge_delay out",
        found);
}

/* Is there time for a retry? The caller's deadline may be earlier still. */
static void check_pauses(struct fg_checker *c, const struct fg_raw_route *route, const struct fg_table *table)
{
    const struct fg_config_retry *retry = &route->out.retry;
    const struct fg_config_backoff *backoff = &retry->backoff;
    const struct fg_table *backoffs = fg_check_under(table, "backoff");
    struct fg_check_number first = {backoff, backoffs, "initial", backoff->initial_ns, NULL};
    struct fg_check_number last = {backoff, backoffs, "max", backoff->max_ns, NULL};
    struct fg_check_number end = end_of(route);
    double shortest_ns = (double)backoff->initial_ns * (1 - backoff->jitter);
    char initial[32], time[32];

    bool ordered = fg_check_order(c, first, FG_CHECK_AT_MOST, last, "no pause is longer than that");
    if (!ordered || end.value == 0 || retry->hedge_delay_ns > 0 || shortest_ns < (double)end.value ||
        !fg_check_is_sound(c, backoff, backoffs, "initial") || !fg_check_is_sound(c, backoff, backoffs, "jitter") ||
        !fg_check_is_sound(c, retry, table, "hedge_delay"))
        return;
    const struct fg_mark *mark = fg_check_good(c, backoff, backoffs, "initial");
    bool by_default = !mark;
    if (by_default)
        mark = fg_check_good(c, retry, table, "attempts");
    fg_value_format(FG_KEY_DURATION, backoff->initial_ns, initial, sizeof initial);
    fg_value_format(FG_KEY_DURATION, end.value, time, sizeof time);
    if (mark)
        fg_check_complain(
            c, mark,
            "no call would be tried again: the first pause, backoff.initial (%s%s), is not shorter than %s (%s); "
            "set a shorter one",
            initial, by_default ? ", the default" : "", end.key, time);
}

static void check_retry(struct fg_checker *c, const struct fg_raw_route *route)
{
    const struct fg_config_retry *retry = &route->out.retry;
    const struct fg_table *table = fg_check_under(fg_check_under(fg_schema(), "routes"), "retry");
    struct fg_check_number end = end_of(route);
    struct fg_check_number each = {retry, table, "attempt_timeout", retry->attempt_timeout_ns, NULL};
    struct fg_check_number hedge = {retry, table, "hedge_delay", retry->hedge_delay_ns, NULL};

    if (end.value > 0)
        fg_check_order(c, each, FG_CHECK_BELOW, end, "the call has ended by then");
    if (!fg_check_is_sound(c, retry, table, "attempts"))
        return;
    check_buffer(c, retry, table);
    if (retry->attempts == 1) {
        check_no_retry(c, retry, table);
        return;
    }
    if (end.value > 0)
        fg_check_order(c, hedge, FG_CHECK_BELOW, end, "the call has ended by then");
    check_hedging(c, retry, table);
    check_pauses(c, route, table);
}

/* ---- limits ---- */

/* LIMIT is what TABLE fills, of routes[].rate_limit or message_limit. */
static void check_burst(struct fg_checker *c, const void *limit, const struct fg_table *table, uint64_t interval_ns,
                        uint32_t burst)
{
    const struct fg_mark *mark = fg_check_good(c, limit, table, "burst");
    char rate[32];

    if (!mark || !fg_check_good(c, limit, table, "rate") || burst <= DAY / interval_ns)
        return;
    fg_value_format(FG_KEY_INTERVAL, interval_ns, rate, sizeof rate);
    fg_check_complain(c, mark,
                      "found %u, expected at most %llu at a rate of %s: more takes longer than a day to come back",
                      burst, (unsigned long long)(DAY / interval_ns), rate);
}

static void check_limits(struct fg_checker *c, const struct fg_raw_route *route)
{
    const struct fg_table *routes = fg_check_under(fg_schema(), "routes");
    const struct fg_table *rate_limits = fg_check_under(routes, "rate_limit");
    const struct fg_config_rate_limit *calls = &route->out.rate_limit;
    const struct fg_config_message_limit *messages = &route->out.message_limit;
    const struct fg_mark *key = fg_check_good(c, calls, rate_limits, "key");

    check_burst(c, calls, rate_limits, calls->interval_ns, calls->burst);
    check_burst(c, messages, fg_check_under(routes, "message_limit"), messages->interval_ns, messages->burst);
    if (key && calls->key == FG_LIMIT_KEY_TENANT && !fg_marks_find(c->marks, route, routes, "tenant"))
        fg_check_complain(
            c, key,
            "found \"tenant\", but the route does not say whose calls they are; set tenant.header, or leave key out: "
            "then the route has one limit");
}

static void check_unify(struct fg_checker *c, const struct fg_raw_route *route)
{
    const struct fg_mark *mark = fg_check_good(c, route, fg_check_under(fg_schema(), "routes"), "unify");

    if (mark && route->out.unify > 0 && route->out.unify < 400)
        fg_check_complain(c, mark, "found %u, expected an HTTP status from 400 to 599, or 0", route->out.unify);
}

/* ---- browsers ---- */

/* "scheme://host:port", as a browser writes it: nothing follows. */
static bool is_origin(struct fg_str text)
{
    const char *host = text.len > 3 ? memmem(text.p, text.len, "://", 3) : NULL;

    if (!host || host == text.p || host + 3 == text.p + text.len)
        return false;
    for (const char *at = host + 3; at < text.p + text.len; at++)
        if (*at <= ' ' || *at >= 0x7f || strchr("/?#@*,", *at) || (*at >= 'A' && *at <= 'Z'))
            return false;
    return true;
}

static void check_cors(struct fg_checker *c, const struct fg_config_cors *cors)
{
    const struct fg_table *table = fg_check_under(fg_check_under(fg_schema(), "routes"), "cors");
    const struct fg_table *origins = fg_check_under(table, "origins");
    const struct fg_mark *credentials = fg_check_good(c, cors, table, "credentials");

    for (size_t i = 0; i < cors->origins_len; i++) {
        const struct fg_mark *mark = fg_check_good(c, &cors->origins[i], origins, "origin");
        bool any = mark && strcmp(cors->origins[i].origin, "*") == 0;
        if (any && cors->credentials && credentials)
            fg_check_complain(
                c, credentials,
                "found true, but origins has \"*\": any page could act for whoever is logged in; name the "
                "origins, or leave credentials out");
        else if (any && cors->origins_len > 1)
            fg_check_complain(c, mark, "found \"*\" beside other origins: it allows all; leave the others out");
        else if (mark && !any && !is_origin(fg_str_from(cors->origins[i].origin)))
            fg_check_complain(c, mark,
                              "found \"%s\", expected scheme://host or scheme://host:port in lower case, without a "
                              "path, or \"*\"",
                              cors->origins[i].origin);
    }
}

void fg_check_route(struct fg_checker *c, const struct fg_raw_route *route)
{
    check_times(c, route);
    check_outcomes(c, &route->out.outcomes);
    check_retry(c, route);
    check_limits(c, route);
    check_unify(c, route);
    check_cors(c, &route->out.cors);
}
