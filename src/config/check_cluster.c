#include "config/check_int.h"
#include "rpc/descriptor.h"

static void check_breaker(struct fg_checker *c, const struct fg_config_breaker *breaker)
{
    const struct fg_table *table = fg_check_under(fg_check_under(fg_schema(), "clusters"), "breaker");
    const struct fg_mark *slow = fg_check_good(c, breaker, table, "slow_ratio");
    struct fg_check_number first = {breaker, table, "open_for", breaker->open_for_ns, NULL};
    struct fg_check_number last = {breaker, table, "max_open_for", breaker->max_open_for_ns, NULL};

    if (last.value > 0)
        fg_check_order(c, first, FG_CHECK_AT_MOST, last, "no pause is longer than that");
    if (slow && breaker->slow_call_ns == 0 && breaker->slow_first_message_ns == 0 &&
        fg_check_is_sound(c, breaker, table, "slow_call") && fg_check_is_sound(c, breaker, table, "slow_first_message"))
        fg_check_complain(c, slow,
                          "has no effect without slow_call or slow_first_message, which say what is slow; set one of "
                          "them, or leave this out");
}

static void check_limits(struct fg_checker *c, const struct fg_config_limits *limits)
{
    const struct fg_table *table = fg_check_under(fg_check_under(fg_schema(), "clusters"), "limits");
    const struct fg_table *adaptives = fg_check_under(table, "adaptive");
    const struct fg_config_adaptive *adaptive = &limits->adaptive;
    struct fg_check_number minimum = {adaptive, adaptives, "minimum", adaptive->minimum, "adaptive.minimum"};
    struct fg_check_number initial = {adaptive, adaptives, "initial", adaptive->initial, NULL};
    struct fg_check_number maximum = {adaptive, adaptives, "maximum", adaptive->maximum, NULL};
    struct fg_check_number streams = {limits, table, "streams", limits->streams, "limits.streams"};

    fg_check_order(c, minimum, FG_CHECK_AT_MOST, initial, "the limit begins at initial");
    fg_check_order(c, initial, FG_CHECK_AT_MOST, maximum, "the limit begins at initial");
    if (adaptive->enabled && streams.value > 0)
        fg_check_order(c, minimum, FG_CHECK_AT_MOST, streams, "the adaptive limit could not reach its minimum");
}

static void check_protocol(struct fg_checker *c, const struct fg_config_cluster *cluster)
{
    const struct fg_table *table = fg_check_under(fg_schema(), "clusters");
    const struct fg_mark *protocol = fg_check_good(c, cluster, table, "protocol");

    if (!protocol || !fg_check_is_sound(c, cluster, table, "service") || !fg_check_is_sound(c, cluster, table, "tls"))
        return;
    if (cluster->service == FG_SERVICE_GRPC && cluster->protocol != FG_PROTOCOL_H2)
        fg_check_complain(c, protocol, "gRPC needs HTTP/2: leave protocol out, or set service to http or rest");
    else if (cluster->protocol == FG_PROTOCOL_AUTO && !cluster->tls.enabled)
        fg_check_complain(c, protocol,
                          "found auto, but without tls nothing tells what the endpoints speak; expected h1 or "
                          "h2");
}

static void check_service(struct fg_checker *c, const struct fg_config_cluster *cluster)
{
    const struct fg_table *table = fg_check_under(fg_schema(), "clusters");
    const struct fg_mark *service = fg_check_good(c, cluster, table, "service");
    const struct fg_mark *statuses = fg_check_good(c, cluster, table, "http_statuses");

    if (statuses && cluster->service == FG_SERVICE_GRPC && fg_check_is_sound(c, cluster, table, "service"))
        fg_check_complain(c, statuses, "has no effect: the service is grpc, whose answers have a status of their own");
    if (service && cluster->service == FG_SERVICE_REST && fg_check_is_sound(c, cluster, table, "descriptors") &&
        (!cluster->descriptors || strcmp(cluster->descriptors, "reflection") == 0))
        fg_check_complain(c, service,
                          "found rest, which needs descriptors: the file of protoc --include_imports "
                          "--descriptor_set_out that has the services' google.api.http rules");
}

static void check_descriptors(struct fg_checker *c, const struct fg_config_cluster *cluster)
{
    const struct fg_mark *mark = fg_check_good(c, cluster, fg_check_under(fg_schema(), "clusters"), "descriptors");
    struct fg_descriptors_error error;
    struct fg_descriptors *set;

    if (!mark || !cluster->descriptors || strcmp(cluster->descriptors, "reflection") == 0)
        return;
    if (fg_descriptors_load(cluster->descriptors, &set, &error) == 0)
        fg_descriptors_unref(set);
    else
        fg_check_complain(c, mark,
                          "%s is no file of descriptors: %s; make one with protoc --include_imports "
                          "--descriptor_set_out",
                          cluster->descriptors, error.text);
}

void fg_check_cluster(struct fg_checker *c, const struct fg_config_cluster *cluster)
{
    check_protocol(c, cluster);
    check_service(c, cluster);
    check_descriptors(c, cluster);
    check_breaker(c, &cluster->breaker);
    check_limits(c, &cluster->limits);
}
