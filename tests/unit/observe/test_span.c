/* Spans in a ring: what a worker writes is what the reader gets, whole or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "observe/span.h"

struct seen {
    struct fg_span spans[40];
    char texts[40][3000];
    size_t len;
};

static struct fg_str keep(char **at, struct fg_str text)
{
    char *copy = *at;
    memcpy(copy, text.p, text.len);
    *at += text.len;
    return (struct fg_str){copy, text.len};
}

static void take(void *context, const struct fg_span *span)
{
    struct seen *seen = context;
    char *at = seen->texts[seen->len];
    struct fg_span *copy = &seen->spans[seen->len++];

    memcpy(copy, span, offsetof(struct fg_span, events) + span->events_len * sizeof span->events[0]);
    copy->method = keep(&at, span->method);
    copy->route = keep(&at, span->route);
    copy->peer = keep(&at, span->peer);
    copy->tracestate = keep(&at, span->tracestate);
}

static struct fg_span make(enum fg_span_kind kind, uint8_t id)
{
    struct fg_span span = {.kind = kind,
                           .trace_id = {1, 2, 3, [15] = 16},
                           .span_id = {id, [7] = 8},
                           .parent_id = {[7] = id},
                           .trace_flags = 1,
                           .start_ns = 1000,
                           .end_ns = 2000,
                           .code = FG_STATUS_UNAVAILABLE,
                           .source = FG_SOURCE_RST,
                           .method = FG_STR("/shop.Cart/Add"),
                           .route = FG_STR("/shop.*"),
                           .cluster = FG_STR("cart"),
                           .peer = FG_STR("1.2.3.4:567"),
                           .attempt = id,
                           .why = FG_SPAN_TRY_HEDGE};

    span.stall_ns[FG_WAIT_GATE] = 77;
    return span;
}

static void what_is_written_is_read_in_its_order(void **state)
{
    (void)state;
    struct fg_span spans[2] = {make(FG_SPAN_CALL, 1), make(FG_SPAN_ATTEMPT, 2)};
    static struct seen seen;
    struct fg_ring ring;

    seen.len = 0;
    spans[1].events_len = 1;
    spans[1].events[0] = (struct fg_span_event){.start_ns = 1100,
                                                .end_ns = 1900,
                                                .cause = FG_WAIT_STREAM_SLOT,
                                                .connection = 5,
                                                .holders = {{3, 4096}},
                                                .holders_len = 1,
                                                .holders_more = 2};
    fg_ring_init(&ring, 8192);
    assert_int_equal(fg_span_read(&ring, 10, take, &seen), 0);
    assert_true(fg_span_write(&ring, spans, 2));
    assert_int_equal(fg_span_read(&ring, 1, take, &seen), 1); /* no more than is asked for */
    assert_int_equal(fg_span_read(&ring, 10, take, &seen), 1);
    assert_int_equal(fg_span_read(&ring, 10, take, &seen), 0);

    assert_int_equal(seen.spans[0].kind, FG_SPAN_CALL);
    assert_int_equal(seen.spans[0].events_len, 0);
    assert_memory_equal(seen.spans[0].trace_id, spans[0].trace_id, 16);
    const struct fg_span *attempt = &seen.spans[1];
    assert_int_equal(attempt->kind, FG_SPAN_ATTEMPT);
    assert_memory_equal(attempt->span_id, spans[1].span_id, 8);
    assert_memory_equal(attempt->parent_id, spans[1].parent_id, 8);
    assert_int_equal(attempt->code, FG_STATUS_UNAVAILABLE);
    assert_int_equal(attempt->why, FG_SPAN_TRY_HEDGE);
    assert_int_equal(attempt->stall_ns[FG_WAIT_GATE], 77);
    assert_true(fg_str_eq(attempt->method, FG_STR("/shop.Cart/Add")));
    assert_true(fg_str_eq(attempt->route, FG_STR("/shop.*")));
    assert_true(fg_str_eq(attempt->peer, FG_STR("1.2.3.4:567")));
    assert_int_equal(attempt->tracestate.len, 0);
    assert_int_equal(attempt->events_len, 1);
    assert_int_equal(attempt->events[0].end_ns, 1900);
    assert_int_equal(attempt->events[0].holders[0].bytes, 4096);
    assert_int_equal(attempt->events[0].holders_more, 2);
    fg_ring_cleanup(&ring);
}

static void texts_of_clients_are_bounded(void **state)
{
    (void)state;
    static struct seen seen;
    struct fg_span span = make(FG_SPAN_CALL, 1);
    struct fg_ring ring;
    char *longest = fg_alloc_zero(70000);

    seen.len = 0;
    memset(longest, 'm', 70000);
    span.method = (struct fg_str){longest, 70000};
    fg_ring_init(&ring, 8192);
    assert_true(fg_span_write(&ring, &span, 1));
    assert_int_equal(fg_span_read(&ring, 10, take, &seen), 1);
    assert_int_equal(seen.spans[0].method.len, 1024);
    assert_true(fg_str_eq(seen.spans[0].route, FG_STR("/shop.*")));
    fg_ring_cleanup(&ring);
    free(longest);
}

/* What finds no room is refused as a whole; what was there before stays, and there is room again when it was read. */
static void a_full_ring_refuses_all_spans_of_a_call(void **state)
{
    (void)state;
    static struct seen seen;
    struct fg_span spans[3] = {make(FG_SPAN_CALL, 1), make(FG_SPAN_ATTEMPT, 2), make(FG_SPAN_ATTEMPT, 3)};
    struct fg_ring ring;
    size_t calls = 0, rounds = 0;

    fg_ring_init(&ring, 10000);
    for (; rounds < 50; rounds++) {
        calls = 0;
        seen.len = 0;
        while (fg_span_write(&ring, spans, 3))
            calls++;
        assert_in_range(calls, 2, 12);
        assert_int_equal(fg_span_read(&ring, 100, take, &seen), 3 * calls);
        for (size_t i = 0; i < seen.len; i++) {
            assert_int_equal(seen.spans[i].attempt, i % 3 + 1);
            assert_true(fg_str_eq(seen.spans[i].method, FG_STR("/shop.Cart/Add")));
        }
    }
    fg_ring_cleanup(&ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_in_its_order),
        cmocka_unit_test(texts_of_clients_are_bounded),
        cmocka_unit_test(a_full_ring_refuses_all_spans_of_a_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
