/* Which endpoint is picked: the exact sequence of the weighted round robin, the shares of the less busy of two. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "upstream/cluster.h"

#define MAX_ENDPOINTS 5
#define DRAWS         60000

struct fixture {
    struct fg_config_cluster config;
    struct fg_config_endpoint configs[MAX_ENDPOINTS];
    struct fg_endpoint endpoints[MAX_ENDPOINTS];
    struct fg_cluster cluster;
    bool refused[MAX_ENDPOINTS];
    unsigned picked[MAX_ENDPOINTS];
};

/* Endpoints of equal weight, all idle. */
static void set_up(struct fixture *f, enum fg_config_balance balance, size_t endpoints)
{
    memset(f, 0, sizeof *f);
    f->config.balance = balance;
    f->cluster = (struct fg_cluster){
        .config = &f->config, .endpoints = f->endpoints, .endpoints_len = endpoints, .random = 0x9e3779b97f4a7c15};
    for (size_t i = 0; i < endpoints; i++) {
        f->configs[i].weight = 1;
        f->endpoints[i].config = &f->configs[i];
    }
}

static bool admits(void *context, struct fg_endpoint *endpoint)
{
    struct fixture *f = context;
    return !f->refused[endpoint - f->endpoints];
}

/* The index of the next one; -1: none. */
static int pick(struct fixture *f)
{
    struct fg_endpoint *endpoint = fg_cluster_pick(&f->cluster, admits, f);
    return endpoint ? (int)(endpoint - f->endpoints) : -1;
}

/* The next picks as letters: a is the first endpoint, - is none. */
static void expect_picks(struct fixture *f, const char *letters)
{
    char got[64] = "";

    for (size_t i = 0; i < strlen(letters); i++) {
        int index = pick(f);
        got[i] = (char)(index < 0 ? '-' : 'a' + index);
    }
    assert_string_equal(got, letters);
}

static void draw(struct fixture *f)
{
    memset(f->picked, 0, sizeof f->picked);
    for (int i = 0; i < DRAWS; i++)
        f->picked[pick(f)]++;
}

/* The standard deviation of a share over 60000 draws is at most 0.002. */
static void expect_share(const struct fixture *f, int endpoint, double share)
{
    double got = (double)f->picked[endpoint] / DRAWS;
    if (got < share - 0.01 || got > share + 0.01)
        fail_msg("endpoint %d got %.4f of the picks, not %.4f", endpoint, got, share);
}

/* ---- round robin ---- */

static void equal_endpoints_take_turns(void **state)
{
    struct fixture f;
    (void)state;

    set_up(&f, FG_BALANCE_ROUND_ROBIN, 3);
    expect_picks(&f, "abcabcabc");
}

static void weights_are_kept_in_every_round_and_spread_over_it(void **state)
{
    struct fixture f;
    (void)state;

    set_up(&f, FG_BALANCE_ROUND_ROBIN, 3);
    f.configs[0].weight = 5;
    expect_picks(&f, "aabacaaaabacaaaabacaa");
    set_up(&f, FG_BALANCE_ROUND_ROBIN, 3);
    f.configs[1].weight = 2;
    f.configs[2].weight = 3;
    expect_picks(&f, "cbacbccbacbc");
}

static void a_refused_endpoint_is_left_out_and_the_others_keep_their_order(void **state)
{
    struct fixture f;
    (void)state;

    set_up(&f, FG_BALANCE_ROUND_ROBIN, 4);
    f.refused[1] = true;
    expect_picks(&f, "acdacd");
    set_up(&f, FG_BALANCE_ROUND_ROBIN, 3);
    f.configs[0].weight = 5;
    f.refused[0] = true;
    expect_picks(&f, "bcbcbc");
}

/* Turns that it missed are not made up for: a burst is the last thing that a recovering endpoint needs. */
static void an_endpoint_that_comes_back_gets_its_share_and_no_burst(void **state)
{
    struct fixture f;
    (void)state;

    set_up(&f, FG_BALANCE_ROUND_ROBIN, 3);
    f.refused[0] = true;
    expect_picks(&f, "bcbcbcbcbcbc");
    f.refused[0] = false;
    expect_picks(&f, "abcabc");
}

static void with_nobody_admitted_there_is_none_and_the_order_stays(void **state)
{
    struct fixture f;
    (void)state;

    set_up(&f, FG_BALANCE_ROUND_ROBIN, 3);
    expect_picks(&f, "ab");
    memset(f.refused, true, sizeof f.refused);
    expect_picks(&f, "----");
    memset(f.refused, false, sizeof f.refused);
    expect_picks(&f, "cabc");
}

static void round_robin_looks_at_no_load(void **state)
{
    struct fixture f;
    (void)state;

    set_up(&f, FG_BALANCE_ROUND_ROBIN, 2);
    f.endpoints[0].active = 1000;
    expect_picks(&f, "abab");
}

/* ---- least request ---- */

static void idle_endpoints_are_picked_alike(void **state)
{
    struct fixture f;
    (void)state;

    set_up(&f, FG_BALANCE_LEAST_REQUEST, 5);
    draw(&f);
    for (int i = 0; i < 5; i++)
        expect_share(&f, i, 0.2);
}

static void of_two_the_less_busy_is_always_picked(void **state)
{
    struct fixture f;
    (void)state;

    set_up(&f, FG_BALANCE_LEAST_REQUEST, 2);
    f.endpoints[0].active = 1;
    expect_picks(&f, "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
    f.endpoints[1].active = 2;
    expect_picks(&f, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
}

/* Of three pairs the least busy is in two and wins both; the busiest wins none. */
static void two_random_choices_never_pick_the_busiest(void **state)
{
    struct fixture f;
    (void)state;

    set_up(&f, FG_BALANCE_LEAST_REQUEST, 3);
    f.endpoints[0].active = 7;
    f.endpoints[1].active = 3;
    f.endpoints[2].active = 5;
    draw(&f);
    expect_share(&f, 1, 2.0 / 3);
    expect_share(&f, 2, 1.0 / 3);
    assert_int_equal(f.picked[0], 0);
}

/* The call to come is counted: 2 of 1 against 3 of 2. */
static void load_is_calls_per_weight(void **state)
{
    struct fixture f;
    (void)state;

    set_up(&f, FG_BALANCE_LEAST_REQUEST, 2);
    f.configs[1].weight = 2;
    f.endpoints[0].active = 1;
    f.endpoints[1].active = 2;
    expect_picks(&f, "bbbbbbbb");
    f.endpoints[0].active = 0;
    expect_picks(&f, "aaaaaaaa");
    f.endpoints[1].active = 1; /* both 1 */
    draw(&f);
    expect_share(&f, 0, 0.5);
}

static void calls_that_stay_end_up_spread_by_weight(void **state)
{
    struct fixture f;
    (void)state;

    set_up(&f, FG_BALANCE_LEAST_REQUEST, 2);
    f.configs[1].weight = 3;
    for (int i = 0; i < 400; i++)
        f.endpoints[pick(&f)].active++;
    assert_int_equal(f.endpoints[0].active, 100);
    assert_int_equal(f.endpoints[1].active, 300);
}

static void the_load_of_a_refused_endpoint_is_spread_over_all_others(void **state)
{
    struct fixture f;
    (void)state;

    set_up(&f, FG_BALANCE_LEAST_REQUEST, 5);
    f.refused[2] = true;
    draw(&f);
    for (int i = 0; i < 5; i++)
        expect_share(&f, i, i == 2 ? 0 : 0.25);
}

/* A pair of refused ones is one of ten: then it is the next one in the circle from a random place. */
static void the_load_of_two_refused_endpoints_does_not_fall_on_a_neighbour(void **state)
{
    struct fixture f;
    (void)state;

    set_up(&f, FG_BALANCE_LEAST_REQUEST, 5);
    f.refused[0] = f.refused[1] = true;
    draw(&f);
    expect_share(&f, 0, 0);
    expect_share(&f, 1, 0);
    expect_share(&f, 2, 0.36);
    expect_share(&f, 3, 0.32);
    expect_share(&f, 4, 0.32);
}

static void the_only_one_admitted_is_found_and_none_is_none(void **state)
{
    struct fixture f;
    (void)state;

    set_up(&f, FG_BALANCE_LEAST_REQUEST, 5);
    memset(f.refused, true, sizeof f.refused);
    f.refused[3] = false;
    f.endpoints[3].active = 1000;
    expect_picks(&f, "dddddddddddddddddddddddddddddddd");
    f.refused[3] = true;
    expect_picks(&f, "--------------------------------");
}

/* Workers have their own seeds, or they would send their calls to the same endpoint at the same time. */
static void a_seed_gives_its_own_sequence(void **state)
{
    char sequences[3][65] = {{0}};
    (void)state;

    for (int run = 0; run < 3; run++) {
        struct fixture f;
        set_up(&f, FG_BALANCE_LEAST_REQUEST, 5);
        f.cluster.random = run == 2 ? 12345 : 99;
        for (int i = 0; i < 64; i++)
            sequences[run][i] = (char)('a' + pick(&f));
    }
    assert_string_equal(sequences[0], sequences[1]);
    assert_string_not_equal(sequences[0], sequences[2]);
}

static void a_single_endpoint_is_asked_too(void **state)
{
    static const enum fg_config_balance both[] = {FG_BALANCE_ROUND_ROBIN, FG_BALANCE_LEAST_REQUEST};
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(both); i++) {
        struct fixture f;
        set_up(&f, both[i], 1);
        expect_picks(&f, "aaa");
        f.refused[0] = true;
        expect_picks(&f, "--");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_endpoints_take_turns),
        cmocka_unit_test(weights_are_kept_in_every_round_and_spread_over_it),
        cmocka_unit_test(a_refused_endpoint_is_left_out_and_the_others_keep_their_order),
        cmocka_unit_test(an_endpoint_that_comes_back_gets_its_share_and_no_burst),
        cmocka_unit_test(with_nobody_admitted_there_is_none_and_the_order_stays),
        cmocka_unit_test(round_robin_looks_at_no_load),
        cmocka_unit_test(idle_endpoints_are_picked_alike),
        cmocka_unit_test(of_two_the_less_busy_is_always_picked),
        cmocka_unit_test(two_random_choices_never_pick_the_busiest),
        cmocka_unit_test(load_is_calls_per_weight),
        cmocka_unit_test(calls_that_stay_end_up_spread_by_weight),
        cmocka_unit_test(the_load_of_a_refused_endpoint_is_spread_over_all_others),
        cmocka_unit_test(the_load_of_two_refused_endpoints_does_not_fall_on_a_neighbour),
        cmocka_unit_test(the_only_one_admitted_is_found_and_none_is_none),
        cmocka_unit_test(a_seed_gives_its_own_sequence),
        cmocka_unit_test(a_single_endpoint_is_asked_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
