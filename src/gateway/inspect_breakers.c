#include <stdlib.h>

#include "gateway/inspect_int.h"

void fg_inspect_put_breaker(struct fg_breaker *breaker, const struct fg_config_breaker *config, FILE *out)
{
    struct fg_breaker_info info;
    uint64_t now_ns = fg_clock_now_ns();

    fg_breaker_describe(breaker, config, now_ns, &info);
    fprintf(out, "\"state\": \"%s\", \"cause\": \"%s\", ", fg_breaker_state_name(info.state), info.cause);
    fg_inspect_put_number(out, "observed", info.observed);
    fputs(", ", out);
    fg_inspect_put_number(out, "threshold", info.threshold);
    fprintf(out, ", \"factor\": %u, \"severity\": %u, ", info.factor, info.severity);
    if (info.since_ns) { /* of a circuit that never changed there is none */
        fg_inspect_put_ms(out, "since_ms", now_ns > info.since_ns ? now_ns - info.since_ns : 0);
        fputs(", ", out);
    }
    fg_inspect_put_ms(out, "retry_in_ms", info.retry_in_ns);
    fputs(", ", out);
    fg_inspect_put_number(out, "calls", info.calls);
    fputs(", ", out);
    fg_inspect_put_number(out, "failures", info.failures);
    fputs(", ", out);
    fg_inspect_put_number(out, "shed_share", info.shed_share);
    fprintf(out,
            ", \"consecutive_failures\": %u, \"permits_out\": %u, \"trips\": %llu, \"refused\": %llu, \"shed\": %llu",
            info.consecutive_failures, info.permits_out, (unsigned long long)info.trips,
            (unsigned long long)info.refused, (unsigned long long)info.shed);
}

/* ---- which ---- */

struct circuit {
    struct fg_str cluster, endpoint, method;
    struct fg_breaker *breaker;
};

struct found {
    const struct fg_inspect_filter *filter;
    const struct fg_gateway *gateway;
    struct circuit *items;
    size_t len, cap;
};

static bool is_method(struct fg_str method, struct fg_str wanted)
{
    if (fg_str_eq(method, wanted))
        return true;
    return wanted.len > 0 && wanted.p[0] != '/' && method.len == wanted.len + 1 && method.p[0] == '/' &&
           memcmp(method.p + 1, wanted.p, wanted.len) == 0;
}

static bool is_wanted(const struct fg_inspect_filter *filter, const struct circuit *circuit,
                      const struct fg_config_breaker *config)
{
    struct fg_breaker_info info;

    if ((filter->cluster && !fg_str_eq(circuit->cluster, *filter->cluster)) ||
        (filter->endpoint && !fg_str_eq(circuit->endpoint, *filter->endpoint)) ||
        (filter->method && !is_method(circuit->method, *filter->method)))
        return false;
    if (filter->state < 0)
        return true;
    fg_breaker_describe(circuit->breaker, config, fg_clock_now_ns(), &info);
    return (int)info.state == filter->state;
}

static void collect(void *context, struct fg_str cluster, struct fg_str endpoint, struct fg_str method,
                    struct fg_breaker *breaker)
{
    struct found *found = context;
    const struct fg_config_cluster *config = fg_inspect_cluster(found->gateway, cluster);
    struct circuit circuit = {cluster, endpoint, method, breaker};

    if (!config || !is_wanted(found->filter, &circuit, &config->breaker))
        return;
    if (found->len == found->cap) {
        found->cap = found->cap ? 2 * found->cap : 64;
        found->items = fg_realloc(found->items, found->cap * sizeof *found->items);
    }
    found->items[found->len++] = circuit;
}

static int compare(struct fg_str a, struct fg_str b)
{
    int order = memcmp(a.p, b.p, FG_MIN(a.len, b.len));
    return order != 0 ? order : a.len < b.len ? -1 : a.len > b.len;
}

static int by_name(const void *a, const void *b)
{
    const struct circuit *x = a, *y = b;
    int order = compare(x->cluster, y->cluster);

    if (order == 0)
        order = compare(x->endpoint, y->endpoint);
    return order != 0 ? order : compare(x->method, y->method);
}

static struct found find(struct fg_gateway *gateway, const struct fg_inspect_filter *filter)
{
    struct found found = {.filter = filter, .gateway = gateway};

    fg_breaker_each(gateway->breakers, collect, &found);
    if (found.len > 0)
        qsort(found.items, found.len, sizeof *found.items, by_name);
    return found;
}

/* ---- the list ---- */

static void put_names(const struct circuit *circuit, FILE *out)
{
    fg_inspect_put_field(out, "cluster", circuit->cluster);
    fputs(", ", out);
    fg_inspect_put_field(out, "endpoint", circuit->endpoint);
    fputs(", ", out);
    fg_inspect_put_field(out, "method", circuit->method);
    fputs(", ", out);
}

void fg_inspect_breakers(struct fg_gateway *gateway, const struct fg_inspect_filter *filter, unsigned limit, FILE *out)
{
    struct found found = find(gateway, filter);
    size_t shown = FG_MIN(found.len, (size_t)limit);

    fputs("{\"breakers\": [", out);
    for (size_t i = 0; i < shown; i++) {
        const struct circuit *circuit = &found.items[i];
        fputs(i > 0 ? ",\n {" : "\n {", out);
        put_names(circuit, out);
        fg_inspect_put_breaker(circuit->breaker, &fg_inspect_cluster(gateway, circuit->cluster)->breaker, out);
        fputc('}', out);
    }
    fprintf(out, "\n], \"left_out\": %zu}\n", found.len - shown);
    free(found.items);
}

/* ---- one ---- */

static void put_windows(const struct fg_breaker_info *info, const struct fg_config_breaker *config, FILE *out)
{
    fputs(",\n \"window\": {", out);
    fg_inspect_put_ms(out, "ms", config->window_ns);
    fputs(", ", out);
    fg_inspect_put_number(out, "calls", info->calls);
    fputs(", ", out);
    fg_inspect_put_number(out, "failures", info->failures);
    fputs(", ", out);
    fg_inspect_put_number(out, "slow_calls", info->slow_calls);
    fputs(", ", out);
    fg_inspect_put_number(out, "slow", info->slow);
    fprintf(out, ", \"overload_calls\": %u, \"overloads\": %u}", info->overload_calls, info->overloads);
}

/* What a call of FACTOR needs to trip it, and whether it would be let through. */
static void put_threshold(const struct fg_breaker_info *info, const struct fg_config_breaker *config, uint32_t factor,
                          FILE *out)
{
    fprintf(out, "\"factor\": %u, \"consecutive_failures\": %u, ", factor,
            fg_breaker_threshold_count(info->base_consecutive_failures, factor));
    fg_inspect_put_number(out, "failure_ratio", fg_breaker_threshold_share(info->base_failure_ratio, factor));
    fputs(", ", out);
    if (config->slow_call_ns || config->slow_first_message_ns) {
        fg_inspect_put_number(out, "slow_ratio", fg_breaker_threshold_share(info->base_slow_ratio, factor));
        fputs(", ", out);
    }
    fg_inspect_put_bool(out, "refused", info->state != FG_BREAKER_CLOSED && factor <= info->severity);
    fputc('}', out);
}

/* Of average calls of each priority; of all calls where the cluster makes no difference. */
static void put_thresholds(const struct fg_breaker_info *info, const struct fg_config_breaker *config, bool classes,
                           FILE *out)
{
    fputs(",\n \"thresholds\": [", out);
    for (unsigned priority = 0; priority <= 2 && classes; priority++) {
        fprintf(out, "%s{\"priority\": %u, ", priority ? ",\n  " : "\n  ", priority);
        put_threshold(info, config, fg_breaker_factor(priority, 1, 1), out);
    }
    if (!classes) {
        fputc('{', out);
        put_threshold(info, config, 1000, out);
    }
    fprintf(out, "], \"minimum_calls\": %u, ", config->minimum_calls);
    fg_inspect_put_number(out, "overload_share", info->base_overload_share);
}

static void put_outcomes(const struct fg_breaker_info *info, FILE *out)
{
    fputs(",\n \"outcomes\": [", out);
    for (size_t i = 0; i < info->outcomes_len; i++) {
        const struct fg_breaker_outcome *outcome = &info->outcomes[i];
        fprintf(out,
                "%s{\"code\": \"%s\", \"source\": \"%s\", \"class\": \"%s\", \"slow\": %s, \"duration_ms\": %u, "
                "\"age_ms\": %llu}",
                i > 0 ? ",\n  " : "\n  ", fg_status_name(outcome->code), fg_source_name(outcome->source),
                fg_class_name(outcome->class), outcome->slow ? "true" : "false", outcome->duration_ms,
                (unsigned long long)(outcome->age_ns / FG_MS));
    }
    fputc(']', out);
}

bool fg_inspect_breaker(struct fg_gateway *gateway, const struct fg_inspect_filter *filter, FILE *out)
{
    struct found found = find(gateway, filter);
    struct fg_breaker_info info;

    if (found.len > 0) {
        const struct circuit *circuit = &found.items[0];
        const struct fg_config_cluster *cluster = fg_inspect_cluster(gateway, circuit->cluster);
        const struct fg_config_breaker *config = &cluster->breaker;
        fg_breaker_describe(circuit->breaker, config, fg_clock_now_ns(), &info);
        fputc('{', out);
        put_names(circuit, out);
        fg_inspect_put_bool(out, "enabled", config->enabled);
        fputs(",\n ", out);
        fg_inspect_put_breaker(circuit->breaker, config, out);
        fputs(",\n ", out);
        fg_inspect_put_ms(out, "pause_ms", info.pause_ns);
        fprintf(out, ", \"retrips\": %u, \"half_open_calls\": %u", info.retrips, config->half_open_calls);
        put_windows(&info, config, out);
        put_thresholds(&info, config, fg_inspect_has_classes(gateway, cluster), out);
        put_outcomes(&info, out);
        fputs("}\n", out);
    }
    free(found.items);
    return found.len > 0;
}
