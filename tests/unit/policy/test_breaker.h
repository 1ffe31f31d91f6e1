/* One circuit, its configuration and a clock. */
#ifndef UNIT_POLICY_TEST_BREAKER_H
#define UNIT_POLICY_TEST_BREAKER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/time.h"
#include "policy/breaker.h"

#define START (1000 * FG_S)

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

struct fixture {
    struct fg_breaker_registry *registry;
    struct fg_breaker *breaker;
    struct fg_config_breaker config;
    struct fg_breaker_rank rank; /* of the calls to come */
    uint64_t now_ns;
};

static const struct fg_breaker_ticket no_ticket;

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    f->registry = fg_breaker_registry_new(16);
    f->breaker = fg_breaker_get(f->registry, FG_STR("c"), FG_STR("h:1"), FG_STR("/s/m"));
    f->config = (struct fg_config_breaker){.enabled = true,
                                           .window_ns = 10 * FG_S,
                                           .failure_ratio = 0.5,
                                           .minimum_calls = 20,
                                           .consecutive_failures = 5,
                                           .open_for_ns = 5 * FG_S,
                                           .half_open_calls = 3};
    f->now_ns = START;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    fg_breaker_registry_free(f->registry);
    free(f);
    return 0;
}

static inline struct fg_breaker_info describe(struct fixture *f)
{
    struct fg_breaker_info info;
    fg_breaker_describe(f->breaker, &f->config, f->now_ns, &info);
    return info;
}

static inline enum fg_breaker_verdict ask(struct fixture *f, struct fg_breaker_ticket *ticket)
{
    bool admits = fg_breaker_admits(f->breaker, &f->config, f->rank, f->now_ns);
    enum fg_breaker_verdict verdict = fg_breaker_ask(f->breaker, &f->config, f->rank, f->now_ns, ticket);
    assert_int_equal(admits, verdict != FG_BREAKER_REFUSE);
    return verdict;
}

static inline void report_result(struct fixture *f, struct fg_breaker_result result, struct fg_breaker_ticket ticket)
{
    fg_breaker_report(f->breaker, &f->config, ticket, &result, f->now_ns);
}

static inline void report(struct fixture *f, enum fg_class class, struct fg_breaker_ticket ticket)
{
    report_result(f, (struct fg_breaker_result){.class = class}, ticket);
}

static inline void report_slow(struct fixture *f, enum fg_class class, struct fg_breaker_ticket ticket)
{
    report_result(f, (struct fg_breaker_result){.class = class, .slow = true}, ticket);
}

static inline void expect_refusal(struct fixture *f)
{
    struct fg_breaker_ticket ticket = {.value = 1, .permit = true};
    assert_int_equal(ask(f, &ticket), FG_BREAKER_REFUSE);
    assert_int_equal(ticket.value, 0);
    assert_false(ticket.permit);
}

static inline struct fg_breaker_ticket expect_permit(struct fixture *f)
{
    struct fg_breaker_ticket ticket;
    assert_int_equal(ask(f, &ticket), FG_BREAKER_PERMIT);
    assert_int_not_equal(ticket.value, 0);
    assert_true(ticket.permit);
    return ticket;
}

static inline struct fg_breaker_ticket expect_pass(struct fixture *f)
{
    struct fg_breaker_ticket ticket;
    assert_int_equal(ask(f, &ticket), FG_BREAKER_PASS);
    assert_false(ticket.permit);
    return ticket;
}

/* Calls that pass. */
static inline void calls(struct fixture *f, enum fg_class class, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        report(f, class, expect_pass(f));
}

static inline void trip(struct fixture *f)
{
    uint32_t before = (uint32_t)describe(f).trips;
    calls(f, FG_CLASS_FAILURE, f->config.consecutive_failures);
    assert_int_equal(describe(f).trips, before + 1);
    assert_int_equal(describe(f).state, FG_BREAKER_OPEN);
}

/* To half-open, with the first permit out. */
static inline struct fg_breaker_ticket trip_and_probe(struct fixture *f)
{
    trip(f);
    f->now_ns += f->config.open_for_ns;
    return expect_permit(f);
}

#endif
