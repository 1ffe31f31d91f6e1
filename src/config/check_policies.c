/* Settings of the policies that contradict each other. */
#include "base/bytes.h"
#include "base/time.h"
#include "config/check_int.h"
#include "config/value.h"

/* ---- routes ---- */

static const struct fg_table *routes(void)
{
    return fg_check_under(fg_schema(), "routes");
}

static const struct fg_mark *mark_of(const struct fg_checker *c, const struct fg_raw_route *route, const char *table,
                                     const char *key)
{
    return fg_check_good(c, route, table ? fg_check_under(routes(), table) : routes(), key);
}

static const char *first_code(const struct fg_key *key, uint32_t set)
{
    for (const struct fg_key_word *word = key->words; word->text; word++)
        if (set & word->number)
            return word->text;
    return "";
}

static void check_outcomes(struct fg_checker *c, const struct fg_raw_route *route)
{
    static const char *const names[] = {"failure", "overload", "ignore"};
    const struct fg_config_outcomes *outcomes = &route->out.outcomes;
    const uint32_t sets[] = {outcomes->failure, outcomes->overload, outcomes->ignore};
    const struct fg_table *table = fg_check_under(routes(), "outcomes");

    for (size_t i = 0; i < FG_ARRAY_LEN(names); i++) {
        const struct fg_mark *mark = mark_of(c, route, "outcomes", names[i]);
        if (!mark)
            continue;
        if (sets[i] & 1)
            fg_check_complain(c, mark, "found OK, which is a success");
        for (size_t j = 0; j < i; j++)
            if (mark_of(c, route, "outcomes", names[j]) && (sets[i] & sets[j]))
                fg_check_complain(c, mark, "%s stands in \"%s\" already; a code means one thing",
                                  first_code(fg_schema_find(table, names[i]), sets[i] & sets[j]), names[j]);
    }
}

static void check_backoff(struct fg_checker *c, const struct fg_raw_route *route)
{
    const struct fg_table *table = fg_check_under(fg_check_under(routes(), "retry"), "backoff");
    const struct fg_config_backoff *backoff = &route->out.retry.backoff;
    const struct fg_mark *initial = fg_check_good(c, route, table, "initial");
    const struct fg_mark *most = fg_check_good(c, route, table, "max");

    if ((initial || most) && backoff->initial_ns > backoff->max_ns)
        fg_check_complain(c, most ? most : initial,
                          "the first pause is longer than the longest one: initial is %llu ms, "
                          "max is %llu ms",
                          (unsigned long long)(backoff->initial_ns / FG_MS),
                          (unsigned long long)(backoff->max_ns / FG_MS));
}

static void check_retry(struct fg_checker *c, const struct fg_raw_route *route)
{
    const struct fg_config_retry *retry = &route->out.retry;
    const struct fg_mark *attempts = mark_of(c, route, "retry", "attempts"), *on = mark_of(c, route, "retry", "on");
    const struct fg_mark *hedge = mark_of(c, route, "retry", "hedge_delay");
    const struct fg_mark *timeout = mark_of(c, route, "retry", "attempt_timeout");
    const struct fg_mark *buffer = mark_of(c, route, "retry", "buffer");
    const struct fg_mark *backoff = mark_of(c, route, "retry", "backoff");

    if (on && retry->on & 1)
        fg_check_complain(c, on, "found OK: a call that has succeeded is not tried again");
    if (on && retry->on == 0)
        fg_check_complain(c, on, "found no code, expected at least one; to turn retries off, leave `attempts` at 1");
    if (hedge && retry->hedge_delay_ns > 0 && !retry->idempotent)
        fg_check_complain(c, hedge, "a hedge does the work of a call twice: needs \"idempotent: true\" beside it");
    if (timeout && route->out.timeout_ns > 0 && retry->attempt_timeout_ns >= route->out.timeout_ns)
        fg_check_complain(c, timeout, "an attempt may take as long as the whole call (timeout), so that none follows");
    if (buffer && retry->attempts > 1 && retry->buffer == 0)
        fg_check_complain(c, buffer, "found 0: without its request a call cannot be tried again");
    const uint64_t usual = 64 << 10;
    if (buffer && !retry->idempotent && retry->buffer > usual)
        fg_check_complain(c, buffer,
                          "more than 64KiB of each request would be kept for calls that may not be repeated once an "
                          "endpoint has them; needs \"idempotent: true\" beside it");
    if (retry->attempts > 1)
        check_backoff(c, route);
    const char *alone[] = {"hedge_delay", "attempt_timeout"};
    for (size_t i = 0; i < FG_ARRAY_LEN(alone) && retry->attempts == 1; i++) {
        const struct fg_mark *mark = i == 0 ? hedge : timeout;
        if (mark && (i == 0 ? retry->hedge_delay_ns : retry->attempt_timeout_ns) > 0)
            fg_check_complain(c, mark, "there is only one attempt: needs \"attempts\" of 2 or more beside it");
    }
    if (backoff && retry->attempts == 1 && !attempts)
        fg_check_complain(c, backoff, "there is only one attempt: needs \"attempts\" of 2 or more beside it");
}

static void check_times(struct fg_checker *c, const struct fg_raw_route *route)
{
    const struct fg_config_route *out = &route->out;
    const struct fg_mark *idle = mark_of(c, route, NULL, "stream_idle_timeout");
    const struct fg_mark *duration = mark_of(c, route, NULL, "max_stream_duration");

    if (!duration || out->max_stream_duration_ns == 0)
        return;
    if (out->timeout_ns > out->max_stream_duration_ns)
        fg_check_complain(c, duration, "is shorter than timeout, which could never run out");
    if (idle && out->stream_idle_timeout_ns >= out->max_stream_duration_ns)
        fg_check_complain(c, idle, "is not shorter than max_stream_duration, so that it could never run out");
}

static bool is_usable(const char *name)
{
    static const char *const of_the_connection[] = {"connection", "te",      "transfer-encoding", "keep-alive",
                                                    "upgrade",    "trailer", "proxy-connection"};

    for (size_t i = 0; i < FG_ARRAY_LEN(of_the_connection); i++)
        if (strcmp(name, of_the_connection[i]) == 0)
            return false;
    return true;
}

void fg_check_route_policies(struct fg_checker *c, const struct fg_raw_route *route)
{
    const struct fg_mark *priority = mark_of(c, route, NULL, "priority_header");
    const struct fg_mark *key = mark_of(c, route, "rate_limit", "key");

    check_outcomes(c, route);
    check_retry(c, route);
    check_times(c, route);
    if (priority && !is_usable(route->out.priority_header))
        fg_check_complain(c, priority, "found \"%s\", which belongs to the connection and says nothing about a call",
                          route->out.priority_header);
    if (key && strcmp(route->limit_key, "tenant") == 0 && !mark_of(c, route, NULL, "tenant"))
        fg_check_complain(c, key, "found tenant, but the route does not say who they are: needs \"tenant\"");
}

/* ---- clusters ---- */

static void check_breaker(struct fg_checker *c, const struct fg_config_cluster *cluster)
{
    const struct fg_table *table = fg_check_under(fg_check_under(fg_schema(), "clusters"), "breaker");
    const struct fg_config_breaker *breaker = &cluster->breaker;
    const struct fg_mark *slow = fg_check_good(c, breaker, table, "slow_ratio");
    const struct fg_mark *open_for = fg_check_good(c, breaker, table, "open_for");
    const struct fg_mark *most = fg_check_good(c, breaker, table, "max_open_for");

    if (slow && breaker->slow_call_ns == 0 && breaker->slow_first_message_ns == 0)
        fg_check_complain(c, slow,
                          "does not say what is slow: needs \"slow_call\" or \"slow_first_message\" beside it");
    if ((open_for || most) && breaker->open_for_ns > breaker->max_open_for_ns)
        fg_check_complain(c, most ? most : open_for, "open_for (%llu ms) is longer than max_open_for (%llu ms)",
                          (unsigned long long)(breaker->open_for_ns / FG_MS),
                          (unsigned long long)(breaker->max_open_for_ns / FG_MS));
}

static void check_limits(struct fg_checker *c, const struct fg_config_cluster *cluster)
{
    const struct fg_table *table = fg_check_under(fg_check_under(fg_schema(), "clusters"), "limits");
    const struct fg_config_limits *limits = &cluster->limits;
    const struct fg_config_adaptive *adaptive = &limits->adaptive;
    const struct fg_mark *section = fg_check_good(c, limits, table, "adaptive");
    const struct fg_mark *streams = fg_check_good(c, limits, table, "streams");

    if (!section || !adaptive->enabled)
        return;
    if (adaptive->minimum > adaptive->initial || adaptive->initial > adaptive->maximum)
        fg_check_complain(c, section, "expected minimum <= initial <= maximum, found %u, %u, %u", adaptive->minimum,
                          adaptive->initial, adaptive->maximum);
    if (streams && limits->streams > 0 && limits->streams < adaptive->minimum)
        fg_check_complain(c, streams, "is %u and so below adaptive.minimum, which is %u", limits->streams,
                          adaptive->minimum);
}

void fg_check_cluster_policies(struct fg_checker *c, const struct fg_config_cluster *cluster)
{
    check_breaker(c, cluster);
    check_limits(c, cluster);
}
