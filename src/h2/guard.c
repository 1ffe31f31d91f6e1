/* Abuse limits (doc/threat-model.md). Rates are exact GCRA buckets: `tat` is the instant at which the bucket would be
 * full again; an event moves it by 1/rate, and is one too many when tat is more than burst/rate ahead of now. */
#include "h2/h2_int.h"

static bool admit(uint64_t *tat_ns, uint64_t now_ns, uint32_t events, uint32_t rate_per_s, uint32_t burst)
{
    uint64_t interval_ns = rate_per_s ? FG_S / rate_per_s : FG_S;
    uint64_t tat = FG_MAX(*tat_ns, now_ns) + interval_ns * events;

    if (tat - now_ns > interval_ns * FG_MAX(burst, 1u))
        return false;
    *tat_ns = tat;
    return true;
}

/* Rapid reset (CVE-2023-44487) opens streams and resets them at once, so that the work goes on while the limit on
 * concurrent streams never fills; MadeYouReset (CVE-2025-8671) makes the server send the resets. Both directions count.
 */
enum fg_h2_fault fg_h2_guard_reset(struct fg_h2_conn *conn)
{
    const struct fg_h2_options *o = conn->options;

    conn->resets_seen++;
    if (!admit(&conn->resets_tat_ns, fg_h2_now(conn), 1, o->reset_rate, o->reset_burst))
        return FG_H2_FAULT_RESET_FLOOD;
    if (conn->streams_seen >= o->reset_ratio_minimum && conn->resets_seen > o->reset_ratio * conn->streams_seen)
        return FG_H2_FAULT_RESET_RATIO;
    return FG_H2_FAULT_NONE;
}

/* Answers to PING and SETTINGS pile up in our memory when the peer does not read them (CVE-2019-9512, -9515). */
static enum fg_h2_fault count_answer(struct fg_h2_conn *conn)
{
    return ++conn->control_queued > conn->options->queued_control_frames ? FG_H2_FAULT_CONTROL_FLOOD : FG_H2_FAULT_NONE;
}

/* A burst of ten seconds' worth: keepalive and bandwidth probes of real clients come in small groups. */
#define PING_BURST_S 10

/* gRPC clients measure the bandwidth with a PING for what they receive, once a round trip: a PING that follows HEADERS
 * or DATA of ours is free, as in gRPC's servers (gRFC A8). */
enum fg_h2_fault fg_h2_guard_ping(struct fg_h2_conn *conn)
{
    uint32_t rate = conn->options->ping_rate;
    bool follows = conn->sent_since_ping;

    conn->sent_since_ping = false;
    if (!follows && !admit(&conn->pings_tat_ns, fg_h2_now(conn), 1, rate, rate * PING_BURST_S))
        return FG_H2_FAULT_PING_FLOOD;
    return count_answer(conn);
}

enum fg_h2_fault fg_h2_guard_settings(struct fg_h2_conn *conn)
{
    uint32_t rate = conn->options->settings_rate;
    if (!admit(&conn->settings_tat_ns, fg_h2_now(conn), 1, rate, rate * PING_BURST_S))
        return FG_H2_FAULT_SETTINGS_FLOOD;
    return count_answer(conn);
}

enum fg_h2_fault fg_h2_guard_error(struct fg_h2_conn *conn, unsigned weight)
{
    if (weight == 0)
        return FG_H2_FAULT_NONE;
    if (!admit(&conn->errors_tat_ns, fg_h2_now(conn), weight, conn->options->error_rate, conn->options->error_burst))
        return FG_H2_FAULT_ANOMALY_FLOOD;
    return FG_H2_FAULT_NONE;
}

/* A well-behaved client opens at most the limit at once, and as many again when a turn's answers reach it. Before it
 * has seen our limit it goes by the RFC's advice of 100 (RFC 9113 section 6.5.2). */
#define ASSUMED_LIMIT 100u

enum fg_h2_fault fg_h2_guard_stream(struct fg_h2_conn *conn)
{
    uint32_t limit = conn->options->max_concurrent_streams;

    if (!conn->settings_acked)
        limit = FG_MAX(limit, ASSUMED_LIMIT);
    conn->streams_seen++;
    return ++conn->streams_this_turn > 2 * limit ? FG_H2_FAULT_STREAM_FLOOD : FG_H2_FAULT_NONE;
}
