/* Any bytes as a configuration file: a snapshot or at least one error, nothing else. */
#include <stdlib.h>

#include "config/config.h"

#define DAY_NS (24ull * 3600 * 1000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What config.h promises to those who apply the policies. */
static bool is_sound_route(const struct fg_config_route *r, size_t clusters_len)
{
    const struct fg_config_outcomes *o = &r->outcomes;
    const struct fg_config_retry *retry = &r->retry;

    if ((o->failure & o->overload) || (o->failure & o->ignore) || (o->overload & o->ignore) ||
        ((o->failure | o->overload | o->ignore | retry->on) & ~0x1fffeu))
        return false;
    if (retry->attempts < 1 || retry->attempts > 5 || !retry->on || retry->backoff.initial_ns > retry->backoff.max_ns ||
        !(retry->backoff.multiplier >= 1) || (retry->hedge_delay_ns > 0 && (retry->attempts < 2 || !retry->idempotent)))
        return false;
    if (r->rate_limit.burst * r->rate_limit.interval_ns > DAY_NS ||
        r->message_limit.burst * r->message_limit.interval_ns > DAY_NS ||
        (r->rate_limit.key == FG_LIMIT_KEY_HEADER) != (r->rate_limit.header != NULL) ||
        (r->rate_limit.key == FG_LIMIT_KEY_TENANT && !r->tenant.header))
        return false;
    return r->cluster < clusters_len && r->priority <= 2 && r->weight >= 1 && r->weight <= 100;
}

static bool is_sound_cluster(const struct fg_config_cluster *c)
{
    const struct fg_config_adaptive *a = &c->limits.adaptive;

    for (int i = 0; i < 3; i++)
        if (!(c->mean_weight[i] >= 1 && c->mean_weight[i] <= 100))
            return false;
    if (a->enabled && (a->minimum < 1 || a->minimum > a->initial || a->initial > a->maximum || !(a->tolerance >= 1)))
        return false;
    return c->breaker.open_for_ns > 0 && c->breaker.open_for_ns <= c->breaker.max_open_for_ns;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct fg_config *config = NULL;
    struct fg_config_errors errors;
    int rc = fg_config_parse("fuzz.yaml", (const char *)data, len, &config, &errors);

    if ((rc == 0) != (config != NULL) || (rc == 0) != (errors.len == 0))
        abort();
    if (rc == 0 &&
        (config->workers == 0 || config->listeners_len == 0 || config->routes_len == 0 || config->clusters_len == 0))
        abort();
    for (size_t i = 0; rc == 0 && i < config->routes_len; i++)
        if (!is_sound_route(&config->routes[i], config->clusters_len))
            abort();
    for (size_t i = 0; rc == 0 && i < config->clusters_len; i++)
        if (!is_sound_cluster(&config->clusters[i]))
            abort();
    fg_config_errors_cleanup(&errors);
    fg_config_unref(config);
    return 0;
}
