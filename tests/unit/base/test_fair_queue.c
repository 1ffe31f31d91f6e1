#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/fair_queue.h"
#include "base/mem.h"

struct call {
    struct fg_fair_item item;
    unsigned tenant, number;
};

/* Hashes of tenants that do not meet in a bucket; the same arithmetic as in fair_queue.c, turned round. */
static uint32_t hash_of_bucket(unsigned bucket)
{
    uint32_t hash = 0;
    while (hash * 0x9E3779B1u >> 26 != bucket)
        hash++;
    return hash;
}

static struct call *call_of(struct fg_fair_item *item)
{
    return item ? FG_CONTAINER_OF(item, struct call, item) : NULL;
}

static void push(struct fg_fair_queue *queue, struct call *call, unsigned priority, unsigned weight)
{
    fg_fair_queue_push(queue, &call->item, priority, weight, hash_of_bucket(call->tenant));
}

static void an_empty_queue_has_nothing(void **state)
{
    struct fg_fair_queue queue = {0};
    struct fg_fair_item item = {0};

    (void)state;
    assert_null(fg_fair_queue_peek(&queue));
    assert_null(fg_fair_queue_pop(&queue));
    assert_null(fg_fair_queue_shed_candidate(&queue, 2));
    assert_null(fg_fair_queue_shed_from(&queue, 7));
    assert_int_equal(fg_fair_queue_len(&queue), 0);
    fg_fair_queue_remove(&queue, &item); /* harmless */
    assert_false(fg_fair_item_waits(&item));
}

static void higher_priorities_go_first(void **state)
{
    static const unsigned priorities[] = {0, 2, 1, 2, 0, 9}, order[] = {1, 3, 5, 2, 0, 4};
    struct fg_fair_queue queue = {0};
    struct call calls[6] = {0};

    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        calls[i].number = i;
        push(&queue, &calls[i], priorities[i], 1);
    }
    assert_int_equal(fg_fair_queue_len_of(&queue, 2), 3);
    assert_int_equal(fg_fair_queue_len_of(&queue, 3), 0);
    for (unsigned i = 0; i < 6; i++) {
        assert_ptr_equal(fg_fair_queue_peek(&queue), &calls[order[i]].item);
        assert_int_equal(call_of(fg_fair_queue_pop(&queue))->number, order[i]);
    }
}

static void equals_are_served_in_order_of_arrival(void **state)
{
    struct fg_fair_queue queue = {0};
    struct call calls[FG_FAIR_TENANT_BUCKETS] = {0};

    (void)state;
    for (unsigned i = 0; i < FG_FAIR_TENANT_BUCKETS; i++) {
        calls[i].tenant = FG_FAIR_TENANT_BUCKETS - 1 - i;
        push(&queue, &calls[i], 1, 1);
    }
    for (unsigned i = 0; i < FG_FAIR_TENANT_BUCKETS; i++)
        assert_ptr_equal(fg_fair_queue_pop(&queue), &calls[i].item);
}

/* At every moment, not only in the end. */
static void tenants_that_wait_share_by_weight(void **state)
{
    enum { TENANTS = 4, EACH = 1200 };
    static const unsigned weights[TENANTS] = {1, 2, 5, 100};
    static struct call calls[TENANTS][EACH];
    static struct fg_fair_queue queue;
    unsigned served[TENANTS] = {0}, weight_sum = 0;

    (void)state;
    for (unsigned t = 0; t < TENANTS; t++) {
        weight_sum += weights[t];
        for (unsigned i = 0; i < EACH; i++) {
            calls[t][i] = (struct call){.tenant = t * 7, .number = i};
            push(&queue, &calls[t][i], 1, weights[t]);
        }
    }
    for (unsigned n = 1; n < EACH; n++) {
        struct call *call = call_of(fg_fair_queue_pop(&queue));
        unsigned t = call->tenant / 7;
        assert_int_equal(call->number, served[t]++);
        for (t = 0; t < TENANTS; t++) {
            double due = (double)n * weights[t] / weight_sum;
            if (served[t] > due + 1.1 || served[t] + TENANTS < due)
                fail_msg("after %u: tenant %u was served %u times, its share is %.2f", n, t, served[t], due);
        }
    }
}

/* One tenant has a thousand calls waiting; another asks for the next only when it has had the last. */
static void one_call_at_a_time_gets_its_share_and_no_more(void **state)
{
    enum { MANY = 1000 };
    static struct call many[MANY];
    static struct fg_fair_queue queue;
    struct call one = {.tenant = 9};
    unsigned ones = 0;

    (void)state;
    for (unsigned i = 0; i < MANY; i++) {
        many[i].tenant = 3;
        push(&queue, &many[i], 0, 3);
    }
    push(&queue, &one, 0, 1);
    for (unsigned i = 0; i < MANY; i++) {
        if (call_of(fg_fair_queue_pop(&queue)) == &one) {
            ones++;
            push(&queue, &one, 0, 1);
        }
    }
    assert_in_range(ones, MANY / 4 - 1, MANY / 4 + 1);
    fg_fair_queue_remove(&queue, &one.item);
    assert_int_equal(fg_fair_queue_len(&queue), MANY / 4);
}

static void a_pause_saves_nothing_up(void **state)
{
    enum { MANY = 400 };
    static struct call a[MANY], b[MANY];
    static struct fg_fair_queue queue;
    unsigned served_b = 0;

    (void)state;
    for (unsigned i = 0; i < MANY; i++) {
        a[i].tenant = 1;
        b[i].tenant = 2;
        push(&queue, &a[i], 1, 1);
    }
    for (unsigned i = 0; i < MANY / 2; i++)
        assert_int_equal(call_of(fg_fair_queue_pop(&queue))->tenant, 1);
    for (unsigned i = 0; i < MANY; i++)
        push(&queue, &b[i], 1, 1);
    for (unsigned i = 0; i < 100; i++)
        served_b += call_of(fg_fair_queue_pop(&queue))->tenant == 2;
    assert_in_range(served_b, 50, 51);
    while (fg_fair_queue_pop(&queue)) {
    }
    /* When nobody waited, what was served before does not count. */
    push(&queue, &a[0], 1, 1);
    push(&queue, &b[0], 1, 1);
    assert_ptr_equal(fg_fair_queue_pop(&queue), &a[0].item);
    fg_fair_queue_remove(&queue, &b[0].item);
}

static void tenants_that_meet_share_one_turn(void **state)
{
    struct fg_fair_queue queue = {0};
    struct call a[4] = {0}, b[4] = {0};
    uint32_t other = hash_of_bucket(0) + 1;

    (void)state;
    while (other * 0x9E3779B1u >> 26 != 0)
        other++;
    for (unsigned i = 0; i < 4; i++) {
        fg_fair_queue_push(&queue, &a[i].item, 0, 1, hash_of_bucket(0));
        fg_fair_queue_push(&queue, &b[i].item, 0, 1, other);
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_ptr_equal(fg_fair_queue_pop(&queue), &a[i].item);
        assert_ptr_equal(fg_fair_queue_pop(&queue), &b[i].item);
    }
}

static void the_newest_of_whoever_has_most_for_its_weight_is_given_up(void **state)
{
    struct fg_fair_queue queue = {0};
    struct call light[3] = {0}, heavy[20] = {0}, high = {.tenant = 5};

    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        heavy[i].tenant = 1;
        push(&queue, &heavy[i], 1, 10); /* 2 for its weight */
    }
    for (unsigned i = 0; i < 3; i++) {
        light[i].tenant = 2;
        push(&queue, &light[i], 1, 1); /* 3 for its weight */
    }
    push(&queue, &high, 2, 1);
    assert_null(fg_fair_queue_shed_candidate(&queue, 0));
    assert_null(fg_fair_queue_shed_candidate(&queue, 1)); /* strictly lower */
    assert_ptr_equal(fg_fair_queue_shed_candidate(&queue, 2), &light[2].item);
    fg_fair_queue_remove(&queue, &light[2].item);
    fg_fair_queue_remove(&queue, &light[1].item);
    assert_ptr_equal(fg_fair_queue_shed_candidate(&queue, 2), &heavy[19].item);
    assert_ptr_equal(fg_fair_queue_shed_candidate(&queue, 3), &heavy[19].item);
    assert_ptr_equal(fg_fair_queue_shed_from(&queue, 2), &high.item);
    assert_null(fg_fair_queue_shed_from(&queue, 0));
}

/* Any order of pushing, popping and removing: nobody is lost, and whoever is served could not have been later. */
static void nobody_is_lost_among_many(void **state)
{
    enum { CALLS = 100000, STEPS = 400000 };
    static struct fg_fair_queue queue;
    struct call *calls = fg_alloc_zero(CALLS * sizeof *calls);
    uint64_t random = 88172645463325252ull;
    size_t waiting[3] = {0};

    (void)state;
    for (unsigned step = 0; step < STEPS; step++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        struct call *call = &calls[(random >> 20) % CALLS];
        if (step % 8 == 7) {
            struct fg_fair_item *item = fg_fair_queue_pop(&queue);
            assert_non_null(item);
            for (unsigned higher = item->priority + 1u; higher < 3; higher++)
                assert_int_equal(waiting[higher], 0);
            waiting[item->priority]--;
        } else if (fg_fair_item_waits(&call->item) && random % 4 == 0) {
            waiting[call->item.priority]--;
            fg_fair_queue_remove(&queue, &call->item);
        } else if (!fg_fair_item_waits(&call->item)) {
            unsigned priority = (unsigned)(random >> 10) % 3;
            fg_fair_queue_push(&queue, &call->item, priority, (unsigned)(random >> 12) % 120, (uint32_t)(random >> 32));
            waiting[priority]++;
        }
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(fg_fair_queue_len_of(&queue, i), waiting[i]);
    }
    assert_true(fg_fair_queue_len(&queue) > CALLS / 2);
    for (size_t left = fg_fair_queue_len(&queue); left > 0; left--)
        assert_non_null(fg_fair_queue_pop(&queue));
    assert_null(fg_fair_queue_peek(&queue));
    for (unsigned i = 0; i < CALLS; i++)
        assert_false(fg_fair_item_waits(&calls[i].item));
    for (unsigned i = 0; i < FG_FAIR_TENANT_BUCKETS; i++)
        for (unsigned priority = 0; priority < 3; priority++)
            assert_int_equal(queue.classes[priority].buckets[i].backlog, 0);
    free(calls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_queue_has_nothing),
        cmocka_unit_test(higher_priorities_go_first),
        cmocka_unit_test(equals_are_served_in_order_of_arrival),
        cmocka_unit_test(tenants_that_wait_share_by_weight),
        cmocka_unit_test(one_call_at_a_time_gets_its_share_and_no_more),
        cmocka_unit_test(a_pause_saves_nothing_up),
        cmocka_unit_test(tenants_that_meet_share_one_turn),
        cmocka_unit_test(the_newest_of_whoever_has_most_for_its_weight_is_given_up),
        cmocka_unit_test(nobody_is_lost_among_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
