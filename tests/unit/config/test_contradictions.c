/* Settings of policies that contradict each other or cannot work, and what is said about them. A file whose answer is
 * "" is good. */
#include "expect.h"

#define ROUTE(keys)                                                                                                    \
    "listeners: [{address: 'a:1'}]\nclusters: {a: {endpoints: ['b:2']}}\nroutes:\n- cluster: a\n  " keys "\n"
#define CLUSTER(keys) "listeners: [{address: 'a:1'}]\nclusters:\n  a:\n    endpoints: ['b:2']\n    " keys "\n"

struct row {
    const char *text, *errors;
};

static void run(const struct row *rows, size_t len)
{
    for (size_t i = 0; i < len; i++)
        expect_errors(rows[i].text, rows[i].errors);
}

#define RUN(...)                                                                                                       \
    do {                                                                                                               \
        const struct row rows[] = {__VA_ARGS__};                                                                       \
        run(rows, sizeof rows / sizeof rows[0]);                                                                       \
    } while (0)

static void times_that_another_one_never_lets_come(void **state)
{
    (void)state;
    RUN({ROUTE("timeout: 30s\n  max_stream_duration: 10s"),
         "f:5:12: routes[0].timeout: found 30s, expected at most max_stream_duration (10s): no call lasts longer, "
         "whatever its deadline\n"},
        {ROUTE("timeout: 10s\n  max_stream_duration: 10s"), ""},
        {ROUTE("stream_idle_timeout: 2m\n  max_stream_duration: 1m"),
         "f:5:24: routes[0].stream_idle_timeout: found 2m, expected at most max_stream_duration (1m): the call has "
         "ended by then\n"},
        {ROUTE("stream_idle_timeout: 2m\n  timeout: 1m"), "f:5:24: routes[0].stream_idle_timeout: found 2m, expected "
                                                          "at most timeout (1m): the call has ended by then\n"},
        {ROUTE("stream_idle_timeout: 2m\n  timeout: 1m\n  max_stream_duration: 3m"),
         "f:5:24: routes[0].stream_idle_timeout: found 2m, expected at most timeout (1m): the call has ended by "
         "then\n"},
        {ROUTE("stream_idle_timeout: 1m\n  max_stream_duration: 1m"), ""},
        {ROUTE("stream_idle_timeout: 2x\n  max_stream_duration: 1m"),
         "f:5:24: routes[0].stream_idle_timeout: found \"2x\", expected a duration from 0 to 24h, such as 250ms, 2s or "
         "5m\n"},
        {ROUTE("timeout: 1s\n  retry: {attempts: 2, attempt_timeout: 1s}"),
         "f:6:41: routes[0].retry.attempt_timeout: found 1s, expected less than timeout (1s): the call has ended by "
         "then\n"},
        {ROUTE("timeout: 1s\n  retry: {attempts: 2, attempt_timeout: 999ms}"), ""},
        {ROUTE("max_stream_duration: 1s\n  retry: {attempts: 2, attempt_timeout: 2s}"),
         "f:6:41: routes[0].retry.attempt_timeout: found 2s, expected less than max_stream_duration (1s): the call has "
         "ended by then\n"},
        {ROUTE("timeout: 1s\n  retry: {attempts: 2, idempotent: true, hedge_delay: 1s}"),
         "f:6:55: routes[0].retry.hedge_delay: found 1s, expected less than timeout (1s): the call has ended by "
         "then\n"});
}

static void a_code_means_one_thing(void **state)
{
    (void)state;
    RUN({ROUTE("outcomes: {failure: [UNAVAILABLE, INTERNAL], ignore: [INTERNAL, UNAVAILABLE, ABORTED]}"),
         "f:5:56: routes[0].outcomes.ignore: has INTERNAL, UNAVAILABLE, which \"failure\" (line 5) has already; a code "
         "can mean one thing only\n"},
        {ROUTE("outcomes: {overload: UNAVAILABLE, failure: [UNAVAILABLE], ignore: []}"),
         "f:5:46: routes[0].outcomes.failure: has UNAVAILABLE, which \"overload\" (line 5) has already; a code can "
         "mean one thing only\n"},
        {ROUTE("outcomes: {ignore: ABORTED, overload: [ABORTED], failure: ABORTED}"),
         "f:5:41: routes[0].outcomes.overload: has ABORTED, which \"ignore\" (line 5) has already; a code can mean one "
         "thing only\n"
         "f:5:61: routes[0].outcomes.failure: has ABORTED, which \"overload\" (line 5) has already; a code can mean "
         "one thing only\n"
         "f:5:61: routes[0].outcomes.failure: has ABORTED, which \"ignore\" (line 5) has already; a code can mean one "
         "thing only\n"},
        {ROUTE("outcomes: {ignore: UNAVAILABLE, overload: [UNKNOWN]}"), ""},
        {ROUTE("outcomes: {failure: [UNAVAILABLE, UNAVAILABLE]}"),
         "f:5:37: routes[0].outcomes.failure[1]: found \"UNAVAILABLE\", which stands in the list already\n"},
        {ROUTE("outcomes: {failure: [UNAVAILABLE, INTERNL], ignore: UNAVAILABLE}"),
         "f:5:37: routes[0].outcomes.failure[1]: found \"INTERNL\", expected a status code; did you mean "
         "\"INTERNAL\"?\n"});
}

static void success_is_in_no_set(void **state)
{
    (void)state;
    RUN({ROUTE("outcomes: {failure: [OK]}"), "f:5:24: routes[0].outcomes.failure[0]: found \"OK\", expected the code "
                                             "of a call that failed; OK is always a success\n"},
        {ROUTE("outcomes: {overload: [UNAVAILABLE, 0]}"),
         "f:5:38: routes[0].outcomes.overload[1]: found \"0\", expected the code of a call that failed; OK is always a "
         "success\n"},
        {ROUTE("outcomes: {ignore: OK}"), "f:5:22: routes[0].outcomes.ignore: found \"OK\", expected the code of a "
                                          "call that failed; OK is always a success\n"},
        {ROUTE("retry: {attempts: 2, on: [OK]}"), "f:5:29: routes[0].retry.on[0]: found \"OK\", expected the code of a "
                                                  "call that failed; OK is always a success\n"});
}

static void codes_have_names(void **state)
{
    (void)state;
    RUN({ROUTE("outcomes: {failure: UNAVAILBLE}"), "f:5:23: routes[0].outcomes.failure: found \"UNAVAILBLE\", expected "
                                                   "a status code; did you mean \"UNAVAILABLE\"?\n"},
        {ROUTE("outcomes: {failure: [unavailable, 14, 'deadline exceeded']}"),
         "f:5:24: routes[0].outcomes.failure[0]: found \"unavailable\", expected a status code; did you mean "
         "\"UNAVAILABLE\"?\n"
         "f:5:37: routes[0].outcomes.failure[1]: found \"14\", expected a status code; did you mean \"UNAVAILABLE\"?\n"
         "f:5:41: routes[0].outcomes.failure[2]: found \"deadline exceeded\", expected a status code; did you mean "
         "\"DEADLINE_EXCEEDED\"?\n"},
        {ROUTE("outcomes: {failure: [RESET]}"),
         "f:5:24: routes[0].outcomes.failure[0]: found \"RESET\", expected a status code, one of: CANCELLED, UNKNOWN, "
         "INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, RESOURCE_EXHAUSTED, "
         "FAILED_PRECONDITION, ABORTED, OUT_OF_RANGE, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS, "
         "UNAUTHENTICATED\n"},
        {ROUTE("outcomes: {failure: [~, {}]}"),
         "f:5:24: routes[0].outcomes.failure[0]: found nothing, expected a status code, such as UNAVAILABLE\n"
         "f:5:27: routes[0].outcomes.failure[1]: found a mapping, expected a status code, such as UNAVAILABLE\n"},
        {ROUTE("outcomes: {failure: ~}"), "f:5:23: routes[0].outcomes.failure: found nothing, expected a list of "
                                          "status codes, such as [UNAVAILABLE, INTERNAL]\n"},
        {ROUTE("outcomes: {ignore: {}}"), "f:5:22: routes[0].outcomes.ignore: found a mapping, expected a list of "
                                          "status codes, such as [UNAVAILABLE, INTERNAL]\n"},
        {ROUTE("retry: {attempts: 2, on: []}"), "f:5:28: routes[0].retry.on: found 0 entries, expected 1 to 16\n"});
}

static void retries_that_are_never_made(void **state)
{
    (void)state;
    RUN({ROUTE("retry: {attempts: 0}"),
         "f:5:21: routes[0].retry.attempts: found \"0\", expected a whole number from 1 to 5\n"},
        {ROUTE("retry: {attempts: 6}"),
         "f:5:21: routes[0].retry.attempts: found \"6\", expected a whole number from 1 to 5\n"},
        {ROUTE("retry: {on: [ABORTED], backoff: {}}"),
         "f:5:15: routes[0].retry.on: is of no use with attempts 1, the default: nothing is tried again; set attempts "
         "to 2 or more, or leave this out\n"},
        {ROUTE("retry: {attempts: 1, backoff: {initial: 1s}}"),
         "f:5:33: routes[0].retry.backoff: is of no use with attempts 1: nothing is tried again; set attempts to 2 or "
         "more, or leave this out\n"},
        {ROUTE("retry: {attempts: 1, hedge_delay: 1s}"),
         "f:5:37: routes[0].retry.hedge_delay: is of no use with attempts 1: nothing is tried again; set attempts to 2 "
         "or more, or leave this out\n"},
        {ROUTE("retry: {attempt_timeout: 1s}"),
         "f:5:28: routes[0].retry.attempt_timeout: is of no use with attempts 1, the default: nothing is tried again; "
         "set attempts to 2 or more, or leave this out\n"},
        {ROUTE("retry: {attempts: 1, hedge_delay: 0, idempotent: true, attempt_timeout: 0, buffer: 0}"), ""},
        {ROUTE("retry: {attempts: 9, backoff: {initial: 1s}}"),
         "f:5:21: routes[0].retry.attempts: found \"9\", expected a whole number from 1 to 5\n"},
        {ROUTE("retry: {attempts: 3, buffer: 0}"),
         "f:5:32: routes[0].retry.buffer: found 0 with attempts 3: no request can be sent again of which nothing is "
         "kept; leave it out, or set attempts to 1\n"},
        {ROUTE("timeout: 400ms\n  retry: {attempts: 2}"),
         "f:6:21: routes[0].retry.attempts: no call would be tried again: the first pause, backoff.initial (500ms, the "
         "default), is not shorter than timeout (400ms); set a shorter one\n"},
        {ROUTE("timeout: 401ms\n  retry: {attempts: 2}"), ""},
        {ROUTE("timeout: 2s\n  retry: {attempts: 2, backoff: {initial: 2s, jitter: 0%}}"),
         "f:6:43: routes[0].retry.backoff.initial: no call would be tried again: the first pause, backoff.initial "
         "(2s), is not shorter than timeout (2s); set a shorter one\n"},
        {ROUTE("timeout: 400ms\n  retry: {attempts: 2, idempotent: true, hedge_delay: 50ms}"), ""});
}

static void what_is_not_idempotent_is_not_repeated(void **state)
{
    (void)state;
    RUN({ROUTE("retry: {attempts: 2, on: [INTERNAL]}"), ""},
        {ROUTE("retry: {attempts: 2, hedge_delay: 50ms}"),
         "f:5:37: routes[0].retry.hedge_delay: found 50ms without idempotent: true: several endpoints would process "
         "the same call; set it if they may, or leave hedge_delay out\n"},
        {ROUTE("retry: {attempts: 2, hedge_delay: 50ms, idempotent: false}"),
         "f:5:37: routes[0].retry.hedge_delay: found 50ms without idempotent: true: several endpoints would process "
         "the same call; set it if they may, or leave hedge_delay out\n"},
        {ROUTE("retry: {attempts: 2, hedge_delay: 50ms, idempotent: yes}"),
         "f:5:55: routes[0].retry.idempotent: found \"yes\", expected true or false; did you mean \"true\"?\n"},
        {ROUTE("retry: {attempts: 2, hedge_delay: 50ms, idempotent: true}"), ""},
        {ROUTE("retry: {attempts: 3, buffer: 1MiB}"),
         "f:5:32: routes[0].retry.buffer: found 1MiB without idempotent: true, expected at most 64KiB: then only calls "
         "are tried again that no endpoint has begun, and these have hardly sent more; the messages of long streams "
         "would be kept for nothing\n"},
        {ROUTE("retry: {buffer: 65537}"),
         "f:5:19: routes[0].retry.buffer: found 65537 without idempotent: true, expected at most 64KiB: then only "
         "calls are tried again that no endpoint has begun, and these have hardly sent more; the messages of long "
         "streams would be kept for nothing\n"},
        {ROUTE("retry: {attempts: 3, buffer: 64KiB}"), ""},
        {ROUTE("retry: {attempts: 3, buffer: 16MiB, idempotent: true}"), ""});
}

static void pauses_grow(void **state)
{
    (void)state;
    RUN({ROUTE("retry: {attempts: 3, backoff: {initial: 2s, max: 1s}}"),
         "f:5:43: routes[0].retry.backoff.initial: found 2s, expected at most max (1s): no pause is longer than "
         "that\n"},
        {ROUTE("retry: {attempts: 3, backoff: {initial: 1s, max: 1s}}"), ""},
        {ROUTE("retry: {attempts: 3, backoff: {max: 100ms}}"),
         "f:5:39: routes[0].retry.backoff.max: found 100ms, expected at least initial (500ms, the default): no pause "
         "is longer than that; set initial as well if this is meant\n"},
        {ROUTE("retry: {attempts: 3, backoff: {initial: 20s}}"),
         "f:5:43: routes[0].retry.backoff.initial: found 20s, expected at most max (10s, the default): no pause is "
         "longer than that; set max as well if this is meant\n"},
        {ROUTE("retry: {attempts: 3, backoff: {initial: 0}}"),
         "f:5:43: routes[0].retry.backoff.initial: found \"0\", expected a duration from 1ms to 1h, such as 250ms, 2s "
         "or 5m\n"},
        {ROUTE("retry: {attempts: 3, backoff: {multiplier: 0.5}}"),
         "f:5:46: routes[0].retry.backoff.multiplier: found \"0.5\", expected a factor from 1 to 10, such as 2 or "
         "1.5\n"},
        {ROUTE("retry: {attempts: 3, backoff: {multiplier: 2x, jitter: 120%}}"),
         "f:5:46: routes[0].retry.backoff.multiplier: found \"2x\", expected a factor from 1 to 10, such as 2 or 1.5; "
         "did you mean \"2\"?\n"
         "f:5:58: routes[0].retry.backoff.jitter: found \"120%\", expected a ratio from 0% to 100%, such as 20% or "
         "0.2\n"});
}

static void headers_come_from_the_caller(void **state)
{
    (void)state;
    RUN({ROUTE("priority_header: te"), "f:5:20: routes[0].priority_header: found \"te\", expected a header of the "
                                       "call; this one is about the connection and ends with it\n"},
        {ROUTE("priority_header: ':authority'"), "f:5:20: routes[0].priority_header: found \":authority\", expected a "
                                                 "header name; what begins with \":\" belongs to the protocol\n"},
        {ROUTE("priority_header: x priority"),
         "f:5:20: routes[0].priority_header: found \"x priority\", expected a header name\n"},
        {ROUTE("tenant: {header: ':path'}"), "f:5:20: routes[0].tenant.header: found \":path\", expected a header "
                                             "name; what begins with \":\" belongs to the protocol\n"},
        {ROUTE("tenant: {header: Connection}"),
         "f:5:20: routes[0].tenant.header: found \"Connection\", expected a header of the call; this one is about the "
         "connection and ends with it\n"},
        {ROUTE("rate_limit: {rate: 10/s, key: 'header:'}"),
         "f:5:33: routes[0].rate_limit.key: found \"header:\", expected a header name of 1 to 128 letters\n"},
        {ROUTE("rate_limit: {rate: 10/s, key: 'header:a b'}"),
         "f:5:33: routes[0].rate_limit.key: found \"header:a b\", expected a header name\n"},
        {ROUTE("rate_limit: {rate: 10/s, key: 'header::path'}"),
         "f:5:33: routes[0].rate_limit.key: found \"header::path\", expected a header name; what begins with \":\" "
         "belongs to the protocol\n"},
        {ROUTE("rate_limit: {rate: 10/s, key: header:upgrade}"),
         "f:5:33: routes[0].rate_limit.key: found \"header:upgrade\", expected a header of the call; this one is about "
         "the connection and ends with it\n"});
}

static void tenants_are_named_by_a_header(void **state)
{
    (void)state;
    RUN({ROUTE("tenant: {weights: {gold: 3}}"),
         "f:5:11: routes[0].tenant.header: is missing, expected a header name\n"},
        {ROUTE("tenant: {}"), "f:5:11: routes[0].tenant.header: is missing, expected a header name\n"},
        {ROUTE("tenant: {header: x, weights: {gold: 0, bronze: [1], gold: 2}}"),
         "f:5:39: routes[0].tenant.weights.gold: found \"0\", expected a whole number from 1 to 100\n"
         "f:5:50: routes[0].tenant.weights.bronze: found a list, expected a whole number from 1 to 100\n"
         "f:5:55: routes[0].tenant.weights.gold: stands twice\n"},
        {ROUTE("tenant: {header: x, weights: {' silver': 1, '': 1}}"),
         "f:5:33: routes[0].tenant.weights. silver: found \" silver\", expected a tenant: 1 to 256 letters as they "
         "stand in the header, without a space at the ends\n"
         "f:5:47: routes[0].tenant.weights.: found \"\", expected a tenant: 1 to 256 letters as they stand in the "
         "header, without a space at the ends\n"},
        {ROUTE("rate_limit: {rate: 10/s, key: tenant}"),
         "f:5:33: routes[0].rate_limit.key: found \"tenant\", but the route does not say whose calls they are; set "
         "tenant.header, or leave key out: then the route has one limit\n"},
        {ROUTE("rate_limit: {rate: 10/s, key: tenant}\n  tenant: {header: x}"), ""});
}

static void rates_and_bursts(void **state)
{
    (void)state;
    RUN({ROUTE("rate_limit: {}"), "f:5:15: routes[0].rate_limit.rate: is missing, expected a rate from 1/h to "
                                  "1000000000/s, such as 10/s, 600/m or 1000/h\n"},
        {ROUTE("rate_limit: {rate: 10}"), "f:5:22: routes[0].rate_limit.rate: found \"10\", expected a rate from 1/h "
                                          "to 1000000000/s, such as 10/s, 600/m or 1000/h; did you mean \"10/s\"?\n"},
        {ROUTE("rate_limit: {rate: 10/min}"),
         "f:5:22: routes[0].rate_limit.rate: found \"10/min\", expected a rate from 1/h to 1000000000/s, such as 10/s, "
         "600/m or 1000/h; did you mean \"10/m\"?\n"},
        {ROUTE("rate_limit: {rate: 0/s}"), "f:5:22: routes[0].rate_limit.rate: found \"0/s\", expected a rate from 1/h "
                                           "to 1000000000/s, such as 10/s, 600/m or 1000/h\n"},
        {ROUTE("rate_limit: {rate: 10/d}"), "f:5:22: routes[0].rate_limit.rate: found \"10/d\", expected a rate from "
                                            "1/h to 1000000000/s, such as 10/s, 600/m or 1000/h\n"},
        {ROUTE("rate_limit: {rate: 1000000001/s}"),
         "f:5:22: routes[0].rate_limit.rate: found \"1000000001/s\", expected a rate from 1/h to 1000000000/s, such as "
         "10/s, 600/m or 1000/h\n"},
        {ROUTE("rate_limit: {rate: 10/s, burst: 1000001}"),
         "f:5:35: routes[0].rate_limit.burst: found \"1000001\", expected a whole number from 0 to 1000000\n"},
        {ROUTE("rate_limit: {rate: 10/h, burst: 241}"),
         "f:5:35: routes[0].rate_limit.burst: found 241, expected at most 240 at a rate of 10/h: more takes longer "
         "than a day to come back\n"},
        {ROUTE("rate_limit: {rate: 10/h, burst: 240}"), ""},
        {ROUTE("rate_limit: {rate: 10/s, key: tenants}"),
         "f:5:33: routes[0].rate_limit.key: found \"tenants\", expected none, peer, method, tenant or header:NAME; did "
         "you mean \"tenant\"?\n"},
        {ROUTE("rate_limit: {rate: 10/s, key: x-tenant}"),
         "f:5:33: routes[0].rate_limit.key: found \"x-tenant\", expected none, peer, method, tenant or header:NAME; "
         "did you mean \"header:x-tenant\"?\n"},
        {ROUTE("message_limit: {burst: 1}"), "f:5:18: routes[0].message_limit.rate: is missing, expected a rate from "
                                             "1/h to 1000000000/s, such as 10/s, 600/m or 1000/h\n"},
        {ROUTE("message_limit: {rate: 1/m, burst: 1441}"),
         "f:5:37: routes[0].message_limit.burst: found 1441, expected at most 1440 at a rate of 1/m: more takes longer "
         "than a day to come back\n"},
        {ROUTE("message_limit: {rate: 1/m, action: drop}"),
         "f:5:38: routes[0].message_limit.action: found \"drop\", expected delay or reject\n"});
}

static void breakers_that_do_not_add_up(void **state)
{
    (void)state;
    RUN({CLUSTER("protocol: h1"),
         "f:5:15: clusters.a.protocol: gRPC needs HTTP/2: leave protocol out, or set service to http or rest\n"},
        {CLUSTER("protocol: auto\n    service: http"),
         "f:5:15: clusters.a.protocol: found auto, but without tls nothing tells what the endpoints speak; expected h1 "
         "or h2\n"},
        {CLUSTER("protocol: h1\n    service: http"), ""},
        {CLUSTER("service: rest"),
         "f:5:14: clusters.a.service: found rest, which needs descriptors: the file of protoc "
         "--include_imports --descriptor_set_out that has the services' google.api.http rules\n"},
        {CLUSTER("http_statuses: {404: OK}"), "f:5:20: clusters.a.http_statuses: has no effect: the service is grpc, "
                                              "whose answers have a status of their own\n"},
        {CLUSTER("service: http\n    http_statuses: {4x: OK, 600: OK, 404: MAYBE}"),
         "f:6:21: clusters.a.http_statuses.4x: found \"4x\", expected an HTTP status from 200 to 599, or a class of "
         "them "
         "such as 4xx\n"
         "f:6:29: clusters.a.http_statuses.600: found \"600\", expected an HTTP status from 200 to 599, or a class of "
         "them such as 4xx\n"
         "f:6:43: clusters.a.http_statuses.404: found \"MAYBE\", expected OK, CANCELLED, UNKNOWN, INVALID_ARGUMENT, "
         "DEADLINE_EXCEEDED, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, RESOURCE_EXHAUSTED, FAILED_PRECONDITION, "
         "ABORTED, OUT_OF_RANGE, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS or UNAUTHENTICATED\n"},
        {CLUSTER("service: http\n    http_statuses: {404: OK, 4xx: ABORTED}"), ""},
        {CLUSTER("breaker: {open_for: 10s, max_open_for: 5s}"),
         "f:5:25: clusters.a.breaker.open_for: found 10s, expected at most max_open_for (5s): no pause is longer than "
         "that\n"},
        {CLUSTER("breaker: {open_for: 10m}"),
         "f:5:25: clusters.a.breaker.open_for: found 10m, expected at most max_open_for (5m, the default): no pause is "
         "longer than that; set max_open_for as well if this is meant\n"},
        {CLUSTER("breaker: {max_open_for: 1s}"),
         "f:5:29: clusters.a.breaker.max_open_for: found 1s, expected at least open_for (5s, the default): no pause is "
         "longer than that; set open_for as well if this is meant\n"},
        {CLUSTER("breaker: {open_for: 10m, max_open_for: 0}"), ""},
        {CLUSTER("breaker: {max_open_for: 2h}"), "f:5:29: clusters.a.breaker.max_open_for: found \"2h\", expected a "
                                                 "duration from 0 to 1h, such as 250ms, 2s or 5m\n"},
        {CLUSTER("breaker: {open_for: 2h, max_open_for: 1s}"),
         "f:5:25: clusters.a.breaker.open_for: found \"2h\", expected a duration from 1ms to 1h, such as 250ms, 2s or "
         "5m\n"},
        {CLUSTER("breaker: {slow_ratio: 50%}"),
         "f:5:27: clusters.a.breaker.slow_ratio: has no effect without slow_call or slow_first_message, which say what "
         "is slow; set one of them, or leave this out\n"},
        {CLUSTER("breaker: {slow_ratio: 50%, slow_call: 0}"),
         "f:5:27: clusters.a.breaker.slow_ratio: has no effect without slow_call or slow_first_message, which say what "
         "is slow; set one of them, or leave this out\n"},
        {CLUSTER("breaker: {slow_ratio: 50%, slow_first_message: 1s}"), ""}, {CLUSTER("breaker: {slow_call: 1s}"), ""},
        {CLUSTER("breaker: {window: 0}"), "f:5:23: clusters.a.breaker.window: found \"0\", expected a duration from "
                                          "100ms to 1h, such as 250ms, 2s or 5m\n"},
        {CLUSTER("breaker: {slow_ratio: 120%, overload_share: 0%}"),
         "f:5:27: clusters.a.breaker.slow_ratio: found \"120%\", expected a ratio from 1% to 100%, such as 20% or 0.2\n"
         "f:5:49: clusters.a.breaker.overload_share: found \"0%\", expected a ratio from 1% to 100%, such as 20% or "
         "0.2\n"});
}

static void limits_that_do_not_add_up(void **state)
{
    (void)state;
    RUN({CLUSTER("limits: {long_streams: 5, long_after: 0}"),
         "f:5:43: clusters.a.limits.long_after: found \"0\", expected a duration from 1ms to 24h, such as 250ms, 2s or "
         "5m\n"},
        {CLUSTER("limits: {adaptive: {minimum: 30}}"),
         "f:5:34: clusters.a.limits.adaptive.minimum: found 30, expected at most initial (20, the default): the limit "
         "begins at initial; set initial as well if this is meant\n"},
        {CLUSTER("limits: {adaptive: {initial: 30, minimum: 40, maximum: 20}}"),
         "f:5:34: clusters.a.limits.adaptive.initial: found 30, expected at most maximum (20): the limit begins at "
         "initial\n"
         "f:5:47: clusters.a.limits.adaptive.minimum: found 40, expected at most initial (30): the limit begins at "
         "initial\n"},
        {CLUSTER("limits: {adaptive: {maximum: 10}}"),
         "f:5:34: clusters.a.limits.adaptive.maximum: found 10, expected at least initial (20, the default): the limit "
         "begins at initial; set initial as well if this is meant\n"},
        {CLUSTER("limits: {adaptive: {initial: 20000}}"),
         "f:5:34: clusters.a.limits.adaptive.initial: found 20000, expected at most maximum (10000, the default): the "
         "limit begins at initial; set maximum as well if this is meant\n"},
        {CLUSTER("limits: {adaptive: {tolerance: 90%}}"),
         "f:5:36: clusters.a.limits.adaptive.tolerance: found \"90%\", expected a factor from 1 to 10, such as 2 or "
         "1.5\n"},
        {CLUSTER("limits: {adaptive: {tolerance: 1}}"), ""},
        {CLUSTER("limits: {adaptive: {window: 0, samples: 0}}"),
         "f:5:33: clusters.a.limits.adaptive.window: found \"0\", expected a duration from 10ms to 1m, such as 250ms, "
         "2s or 5m\n"
         "f:5:45: clusters.a.limits.adaptive.samples: found \"0\", expected a whole number from 1 to 100000\n"},
        {CLUSTER("limits: {adaptive: true}"),
         "f:5:24: clusters.a.limits.adaptive: found \"true\", expected a mapping\n"},
        {CLUSTER("limits: {streams: 4, adaptive: {}}"),
         "f:5:23: clusters.a.limits.streams: found 4, expected at least adaptive.minimum (5, the default): the "
         "adaptive limit could not reach its minimum; set adaptive.minimum as well if this is meant\n"},
        {CLUSTER("limits: {streams: 4, adaptive: {enabled: false}}"), ""},
        {CLUSTER("limits: {streams: 8, adaptive: {minimum: 10, initial: 10}}"),
         "f:5:46: clusters.a.limits.adaptive.minimum: found 10, expected at most limits.streams (8): the adaptive "
         "limit could not reach its minimum\n"},
        {CLUSTER("limits: {streams: 5, adaptive: {}}"), ""});
}

static void shares_of_retries(void **state)
{
    (void)state;
    RUN({CLUSTER("retry_throttle: {token_ratio: 10%}"),
         "f:5:22: clusters.a.retry_throttle.token_ratio: needs \"max_tokens\" beside it\n"},
        {CLUSTER("retry_throttle: {max_tokens: 1001}"),
         "f:5:34: clusters.a.retry_throttle.max_tokens: found \"1001\", expected a whole number from 0 to 1000\n"},
        {CLUSTER("retry_throttle: {max_tokens: 10, token_ratio: 0%}"),
         "f:5:51: clusters.a.retry_throttle.token_ratio: found \"0%\", expected a ratio from 0.1% to 100%, such as 20% "
         "or 0.2\n"},
        {CLUSTER("retry_budget: {share: 101%}"), "f:5:27: clusters.a.retry_budget.share: found \"101%\", expected a "
                                                 "ratio from 0% to 100%, such as 20% or 0.2\n"},
        {CLUSTER("retry_budgt: {share: 10%}"),
         "f:5:5: clusters.a.retry_budgt: unknown key; did you mean \"retry_budget\"?\n"});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_that_another_one_never_lets_come),
        cmocka_unit_test(a_code_means_one_thing),
        cmocka_unit_test(success_is_in_no_set),
        cmocka_unit_test(codes_have_names),
        cmocka_unit_test(retries_that_are_never_made),
        cmocka_unit_test(what_is_not_idempotent_is_not_repeated),
        cmocka_unit_test(pauses_grow),
        cmocka_unit_test(headers_come_from_the_caller),
        cmocka_unit_test(tenants_are_named_by_a_header),
        cmocka_unit_test(rates_and_bursts),
        cmocka_unit_test(breakers_that_do_not_add_up),
        cmocka_unit_test(limits_that_do_not_add_up),
        cmocka_unit_test(shares_of_retries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
