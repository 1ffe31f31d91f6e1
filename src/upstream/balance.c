/* Choosing an endpoint: smooth weighted round robin, or the less busy of two random ones (P2C). */
#include "upstream/cluster.h"

static uint64_t next_random(struct fg_cluster *cluster)
{
    uint64_t x = cluster->random; /* xorshift64* */

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    cluster->random = x;
    return x * 0x2545F4914F6CDD1Dull;
}

static size_t random_below(struct fg_cluster *cluster, size_t n)
{
    return (size_t)((next_random(cluster) >> 32) * n >> 32);
}

/* Is A less busy than B? Load is active calls per weight, the call to come included. */
static bool less_busy(const struct fg_endpoint *a, const struct fg_endpoint *b)
{
    return (uint64_t)(a->active + 1) * b->config->weight < (uint64_t)(b->active + 1) * a->config->weight;
}

typedef bool admits_fn(void *context, struct fg_endpoint *endpoint);

/* The first admitted one in a circle from a random start: no neighbour of a refused endpoint gets all of its load. */
static struct fg_endpoint *scan(struct fg_cluster *cluster, admits_fn *admits, void *context)
{
    size_t start = random_below(cluster, cluster->endpoints_len);

    for (size_t i = 0; i < cluster->endpoints_len; i++) {
        struct fg_endpoint *endpoint = &cluster->endpoints[(start + i) % cluster->endpoints_len];
        if (admits(context, endpoint))
            return endpoint;
    }
    return NULL;
}

static struct fg_endpoint *least_request(struct fg_cluster *cluster, admits_fn *admits, void *context)
{
    size_t i = random_below(cluster, cluster->endpoints_len);
    size_t j = random_below(cluster, cluster->endpoints_len - 1);
    struct fg_endpoint *a = &cluster->endpoints[i], *b = &cluster->endpoints[j < i ? j : j + 1];
    struct fg_endpoint *first = less_busy(b, a) ? b : a, *second = first == a ? b : a;

    if (admits(context, first))
        return first;
    if (admits(context, second))
        return second;
    return scan(cluster, admits, context);
}

static struct fg_endpoint *round_robin(struct fg_cluster *cluster, admits_fn *admits, void *context)
{
    struct fg_endpoint *best = NULL;
    int32_t total = 0;

    for (size_t i = 0; i < cluster->endpoints_len; i++) {
        struct fg_endpoint *endpoint = &cluster->endpoints[i];
        if (!admits(context, endpoint))
            continue;
        endpoint->current_weight += (int32_t)endpoint->config->weight;
        total += (int32_t)endpoint->config->weight;
        if (!best || endpoint->current_weight > best->current_weight)
            best = endpoint;
    }
    if (best)
        best->current_weight -= total;
    return best;
}

struct fg_endpoint *fg_cluster_pick(struct fg_cluster *cluster, admits_fn *admits, void *context)
{
    if (cluster->endpoints_len == 1)
        return admits(context, &cluster->endpoints[0]) ? &cluster->endpoints[0] : NULL;
    if (cluster->config->balance == FG_BALANCE_ROUND_ROBIN)
        return round_robin(cluster, admits, context);
    return least_request(cluster, admits, context);
}
