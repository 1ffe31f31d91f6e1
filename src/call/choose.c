/* On which endpoint an attempt goes, and what the breakers say to it. */
#include "call/call.h"

struct choice {
    struct fg_call *call;
    uint64_t now_ns;
    bool fresh;                      /* only endpoints on which the call was not tried yet */
    const struct fg_endpoint *sheds; /* it has just shed the call: any other one is better */
};

static const struct fg_config_breaker *breaker_config(const struct fg_call *call)
{
    return &call->cluster->config->breaker;
}

static struct fg_breaker *method_breaker(const struct fg_call *call, const struct fg_endpoint *endpoint)
{
    return fg_breaker_get(call->env->breakers, call->cluster->name, endpoint->name, call->path);
}

static bool was_tried(const struct fg_call *call, const struct fg_endpoint *endpoint)
{
    for (const struct fg_attempt *attempt = call->attempt; attempt; attempt = attempt->previous)
        if (attempt->endpoint == endpoint)
            return true;
    return false;
}

bool fg_call_is_untried_left(const struct fg_call *call)
{
    for (size_t i = 0; i < call->cluster->endpoints_len; i++)
        if (!was_tried(call, &call->cluster->endpoints[i]))
            return true;
    return false;
}

static bool admits(void *context, struct fg_endpoint *endpoint)
{
    const struct choice *choice = context;
    const struct fg_config_breaker *config = breaker_config(choice->call);

    if (endpoint == choice->sheds || (choice->fresh && was_tried(choice->call, endpoint)))
        return false;
    return fg_breaker_admits(endpoint->breaker, config, choice->call->rank, choice->now_ns) &&
           fg_breaker_admits(method_breaker(choice->call, endpoint), config, choice->call->rank, choice->now_ns);
}

static bool admits_all(void *context, struct fg_endpoint *endpoint)
{
    const struct choice *choice = context;
    return !choice->fresh || !was_tried(choice->call, endpoint);
}

/* An attempt that follows another one goes elsewhere if it can. */
static struct fg_endpoint *pick(struct choice *choice, bool (*filter)(void *context, struct fg_endpoint *endpoint))
{
    struct fg_cluster *cluster = choice->call->cluster;
    struct fg_endpoint *endpoint = NULL;

    choice->fresh = choice->call->attempt && choice->call->attempt->number > 1;
    if (choice->fresh)
        endpoint = fg_cluster_pick(cluster, filter, choice);
    choice->fresh = false;
    return endpoint ? endpoint : fg_cluster_pick(cluster, filter, choice);
}

/* Takes the permits of both circuits, or none. */
static enum fg_breaker_verdict ask_breakers(struct fg_attempt *attempt, uint64_t now_ns)
{
    const struct fg_config_breaker *config = breaker_config(attempt->call);
    struct fg_breaker *rollup = attempt->endpoint->breaker;
    struct fg_breaker_rank rank = attempt->call->rank;

    attempt->breaker = method_breaker(attempt->call, attempt->endpoint);
    enum fg_breaker_verdict verdict = fg_breaker_ask(rollup, config, rank, now_ns, &attempt->rollup_ticket);
    if (verdict >= FG_BREAKER_REFUSE)
        return verdict;
    verdict = fg_breaker_ask(attempt->breaker, config, rank, now_ns, &attempt->ticket);
    if (verdict >= FG_BREAKER_REFUSE)
        fg_breaker_give_back(rollup, config, attempt->rollup_ticket, now_ns);
    return verdict;
}

/* Do breakers refuse more of the cluster than max_ejected allows (at least one endpoint)? Then the refused ones are
 * used as well: too many bad endpoints say more about the load, or the breaker, than about them (Envoy's panic
 * threshold). */
static bool too_many_refused(struct choice *choice)
{
    struct fg_cluster *cluster = choice->call->cluster;
    size_t allowed = (size_t)(cluster->config->breaker.max_ejected * (double)cluster->endpoints_len), refused = 0;

    for (size_t i = 0; i < cluster->endpoints_len; i++)
        refused += !admits(choice, &cluster->endpoints[i]);
    return refused > FG_MAX(allowed, (size_t)1);
}

/* The endpoint that would have been taken has refused the call: its circuits count that. */
static void count_refusal(struct fg_call *call, uint64_t now_ns)
{
    const struct fg_config_breaker *config = breaker_config(call);
    struct choice choice = {.call = call, .now_ns = now_ns};
    struct fg_endpoint *endpoint = pick(&choice, admits_all);
    struct fg_breaker *both[] = {endpoint->breaker, method_breaker(call, endpoint)};

    for (size_t i = 0; i < FG_ARRAY_LEN(both); i++) {
        struct fg_breaker_ticket ticket;
        if (fg_breaker_admits(both[i], config, call->rank, now_ns))
            continue;
        if (fg_breaker_ask(both[i], config, call->rank, now_ns, &ticket) <
            FG_BREAKER_REFUSE) /* it has changed its mind just now */
            fg_breaker_give_back(both[i], config, ticket, now_ns);
    }
    FG_COUNT(call->env->stats, breaker_refusals);
}

struct fg_endpoint *fg_attempt_choose(struct fg_attempt *attempt)
{
    struct fg_call *call = attempt->call;
    const struct fg_config_breaker *config = breaker_config(call);
    struct choice choice = {.call = call, .now_ns = call->env->loop->now_ns};

    if (!config->enabled || (config->max_ejected < 1.0 && too_many_refused(&choice)))
        return pick(&choice, admits_all);
    /* Another worker may take the last permit between the look and the asking: look again, a few times at most. */
    for (int tries = 0; tries < 4; tries++) {
        attempt->endpoint = pick(&choice, admits);
        if (!attempt->endpoint)
            break;
        enum fg_breaker_verdict verdict = ask_breakers(attempt, choice.now_ns);
        if (verdict < FG_BREAKER_REFUSE)
            return attempt->endpoint;
        if (verdict == FG_BREAKER_SHED)
            choice.sheds = attempt->endpoint;
    }
    attempt->breaker = NULL;
    attempt->was_shed = choice.sheds != NULL;
    return NULL;
}

/* Why no endpoint takes the call: the circuit that lets a probe through first speaks for all. */
static struct fg_reply breaker_reply(struct fg_call *call)
{
    const struct fg_config_breaker *config = breaker_config(call);
    struct fg_arena *arena = call->down->arena;
    uint64_t now_ns = call->env->loop->now_ns;
    struct fg_breaker_info best = {.retry_in_ns = UINT64_MAX};
    struct fg_endpoint *guilty = &call->cluster->endpoints[0];

    for (size_t i = 0; i < call->cluster->endpoints_len; i++) {
        struct fg_endpoint *endpoint = &call->cluster->endpoints[i];
        struct fg_breaker *both[] = {endpoint->breaker, method_breaker(call, endpoint)};
        for (size_t b = 0; b < FG_ARRAY_LEN(both); b++) {
            struct fg_breaker_info info;
            fg_breaker_describe(both[b], config, now_ns, &info);
            if (info.state == FG_BREAKER_CLOSED || call->rank.factor > info.severity ||
                info.retry_in_ns >= best.retry_in_ns)
                continue;
            best = info;
            guilty = endpoint;
        }
    }
    if (best.retry_in_ns == UINT64_MAX) /* it closed in this moment */
        best = (struct fg_breaker_info){.cause = "", .retry_in_ns = 0};
    struct fg_reply reply = fg_reply_make(
        FG_REASON_BREAKER_OPEN,
        fg_arena_printf(
            arena, "every endpoint of cluster %s is refused by its breaker; %.*s: %s %g of %g, next probe in %llu ms",
            call->cluster->config->name, (int)guilty->name.len, guilty->name.p, best.cause, best.observed,
            best.threshold, (unsigned long long)(best.retry_in_ns / FG_MS)));
    fg_reply_add(&reply, "endpoint", guilty->name);
    fg_reply_add(&reply, "cause", fg_str_from(best.cause));
    fg_reply_add(&reply, "observed", fg_arena_printf(arena, "%g", best.observed));
    fg_reply_add(&reply, "threshold", fg_arena_printf(arena, "%g", best.threshold));
    reply.retry_after_ns = FG_MAX(best.retry_in_ns, FG_MS);
    return reply;
}

/* The endpoints say themselves that they have too much to do: those that they would refuse are not sent. */
static struct fg_reply overload_reply(struct fg_call *call)
{
    const struct fg_config_breaker *config = breaker_config(call);
    struct fg_arena *arena = call->down->arena;
    struct fg_breaker_info info, worst = {0};

    for (size_t i = 0; i < call->cluster->endpoints_len; i++) {
        struct fg_breaker *both[] = {call->cluster->endpoints[i].breaker,
                                     method_breaker(call, &call->cluster->endpoints[i])};
        for (size_t b = 0; b < FG_ARRAY_LEN(both); b++) {
            fg_breaker_describe(both[b], config, call->env->loop->now_ns, &info);
            if (info.shed_share > worst.shed_share)
                worst = info;
        }
    }
    double share = worst.overload_calls ? (double)worst.overloads / worst.overload_calls : 0;
    struct fg_reply reply =
        fg_reply_make(FG_REASON_OVERLOADED,
                      fg_arena_printf(arena, "the endpoints of cluster %s answer with overload: %.0f%% of calls",
                                      call->cluster->config->name, share * 100));
    fg_reply_add(&reply, "observed", fg_arena_printf(arena, "%g", share));
    fg_reply_add(&reply, "threshold", fg_arena_printf(arena, "%g", config->overload_share));
    reply.retry_after_ns = FG_S;
    return reply;
}

struct fg_reply fg_attempt_refusal(struct fg_attempt *attempt)
{
    struct fg_call *call = attempt->call;

    if (attempt->was_shed) {
        FG_COUNT(call->env->stats, overload_sheds);
        return overload_reply(call);
    }
    struct fg_reply reply = breaker_reply(call);
    count_refusal(call, call->env->loop->now_ns);
    return reply;
}

void fg_attempt_report(struct fg_attempt *attempt, uint64_t now_ns)
{
    struct fg_call *call = attempt->call;
    const struct fg_config_breaker *config = breaker_config(call);

    if (!attempt->breaker)
        return;
    struct fg_breaker_result result = fg_breaker_result_of(config, &attempt->outcome);
    fg_breaker_report(attempt->breaker, config, attempt->ticket, &result, now_ns);
    fg_breaker_report(attempt->endpoint->breaker, config, attempt->rollup_ticket, &result, now_ns);
    /* The method over all endpoints: refuses nothing, explains much. */
    fg_breaker_report(fg_breaker_get(call->env->breakers, call->cluster->name, FG_STR(""), call->path), config,
                      (struct fg_breaker_ticket){.factor = attempt->ticket.factor, .units = attempt->ticket.units},
                      &result, now_ns);
}
