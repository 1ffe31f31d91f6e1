/* Counters of one worker. Only the worker writes; others read at any time with fg_stat_read. Gauges are kept as
 * opened/closed pairs, so that what is open is always opened - closed and at rest everything adds up to 0. */
#ifndef FG_BASE_STATS_H
#define FG_BASE_STATS_H

#include <stdint.h>

/* X(field, help) */
#define FG_STATS(X)                                                                                                    \
    X(downstream_connections_opened, "Connections accepted from clients")                                              \
    X(downstream_connections_closed, "Connections from clients that ended")                                            \
    X(downstream_connections_refused, "Connections from clients closed at once because max_connections was reached")   \
    X(downstream_streams_opened, "Streams opened by clients")                                                          \
    X(downstream_streams_closed, "Streams opened by clients that ended")                                               \
    X(downstream_read_bytes, "Bytes read from clients")                                                                \
    X(downstream_written_bytes, "Bytes written to clients")                                                            \
    X(upstream_connections_opened, "Connections begun to endpoints")                                                   \
    X(upstream_connections_closed, "Connections to endpoints that ended or failed")                                    \
    X(upstream_connections_failed, "Connections to endpoints that could not be made")                                  \
    X(upstream_streams_opened, "Streams opened to endpoints")                                                          \
    X(upstream_streams_closed, "Streams to endpoints that ended")                                                      \
    X(upstream_read_bytes, "Bytes read from endpoints")                                                                \
    X(upstream_written_bytes, "Bytes written to endpoints")                                                            \
    X(tls_handshakes_failed, "TLS handshakes that failed, both sides")                                                 \
    X(accept_errors, "Failures to accept a connection (descriptors used up)")                                          \
    X(calls_started, "Calls that clients began")                                                                       \
    X(calls_ended, "Calls whose outcome is known")                                                                     \
    X(attempts_started, "Attempts begun on endpoints")                                                                 \
    X(attempts_ended, "Attempts whose outcome is known")                                                               \
    X(calls_queued, "Calls that had to wait for a connection or stream slot")                                          \
    X(calls_dequeued, "Calls that waited and were sent or given up")                                                   \
    X(queue_overflows, "Calls refused because the pending queue was full")                                             \
    X(doomed, "Attempts not begun because the time that was left is less than such calls take")                        \
    X(calls_shed, "Calls that gave up their place in the pending queue to a higher priority")                          \
    X(breaker_refusals, "Calls refused because breakers are open")                                                     \
    X(overload_sheds, "Attempts not begun because the endpoints answer with overload")                                 \
    X(calls_killed, "Calls ended by /streams/kill")                                                                    \
    X(faults_injected, "Calls answered by fault, on purpose")                                                          \
    X(rate_limited, "Calls refused by rate_limit")                                                                     \
    X(rate_limit_overflows, "Calls limited together with others because too many keys were in use")                    \
    X(message_rate_limited, "Calls ended by message_limit")                                                            \
    X(messages_delayed, "Times that a client's messages had to wait for message_limit")                                \
    X(deadlines_exceeded, "Calls whose deadline ran out in the gateway's hands")                                       \
    X(streams_over_duration, "Calls ended by max_stream_duration")                                                     \
    X(streams_idle, "Calls ended by stream_idle_timeout")                                                              \
    X(cors_preflights, "Preflight requests of browsers that the gateway answered")                                     \
    X(malformed_timeouts, "Requests whose grpc-timeout could not be read")                                             \
    X(malformed_pushbacks, "Answers whose grpc-retry-pushback-ms could not be read")                                   \
    X(malformed_priorities, "Requests whose priority header was not 0, 1 or 2")                                        \
    X(wasted_work, "Attempts on which an endpoint was at work when nobody wanted the answer any more")                 \
    X(wasted_work_us, "How long those attempts had lasted")                                                            \
    X(retries, "Attempts made again by the retry policy")                                                              \
    X(transparent_retries, "Attempts made again because the endpoint had not begun the call")                          \
    X(hedges, "Further attempts made beside one in progress")                                                          \
    X(retries_suppressed, "Retries that throttle, budget or limits.retries did not allow")                             \
    X(descriptors_loaded, "Sets of descriptors that were loaded, or found not to have changed")                        \
    X(descriptors_failed, "Sets of descriptors that could not be loaded")                                              \
    X(taps_opened, "Sessions of /tap that began")                                                                      \
    X(taps_closed, "Sessions of /tap that ended")                                                                      \
    X(tap_events_missed, "Events of tapped calls dropped because whoever taps did not take them in time")              \
    X(access_log_dropped, "Access log lines dropped because the log could not take them")

struct fg_stats {
#define X(field, help) uint64_t field;
    FG_STATS(X)
#undef X
};

static inline void fg_stat_add(uint64_t *counter, uint64_t n)
{
    __atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED); /* single writer: no locked instruction */
}

static inline uint64_t fg_stat_read(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

#define FG_COUNT(stats, field) fg_stat_add(&(stats)->field, 1)

#endif
