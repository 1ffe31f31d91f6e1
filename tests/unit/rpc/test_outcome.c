#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rpc/outcome.h"

/* What the codes of an upstream's own answer mean, in the order of the codes. */
static const enum fg_class answered[FG_STATUS_LEN] = {
    [FG_STATUS_CANCELLED] = FG_CLASS_IGNORED,           [FG_STATUS_UNKNOWN] = FG_CLASS_FAILURE,
    [FG_STATUS_DEADLINE_EXCEEDED] = FG_CLASS_FAILURE,   [FG_STATUS_INTERNAL] = FG_CLASS_FAILURE,
    [FG_STATUS_UNAVAILABLE] = FG_CLASS_FAILURE,         [FG_STATUS_DATA_LOSS] = FG_CLASS_FAILURE,
    [FG_STATUS_RESOURCE_EXHAUSTED] = FG_CLASS_OVERLOAD, /* the rest: FG_CLASS_SUCCESS */
};

static enum fg_class classify(enum fg_status code, enum fg_source source, enum fg_phase phase)
{
    struct fg_outcome outcome = {.code = code, .source = source, .phase = phase};
    return fg_outcome_classify(&outcome, &fg_outcome_default_sets);
}

static void sets_are_the_routes_own(void **state)
{
    struct fg_outcome_sets sets = {.failure = 1u << FG_STATUS_NOT_FOUND,
                                   .overload = 1u << FG_STATUS_ABORTED,
                                   .ignore = 1u << FG_STATUS_UNAVAILABLE};
    static const struct {
        enum fg_status code;
        enum fg_class class;
    } rows[] = {{FG_STATUS_NOT_FOUND, FG_CLASS_FAILURE},
                {FG_STATUS_ABORTED, FG_CLASS_OVERLOAD},
                {FG_STATUS_UNAVAILABLE, FG_CLASS_IGNORED},
                {FG_STATUS_INTERNAL, FG_CLASS_SUCCESS},
                {FG_STATUS_OK, FG_CLASS_SUCCESS}};

    (void)state;
    for (size_t i = 0; i < FG_ARRAY_LEN(rows); i++) {
        struct fg_outcome outcome = {.code = rows[i].code, .source = FG_SOURCE_TRAILERS, .phase = FG_PHASE_DONE};
        assert_int_equal(fg_outcome_classify(&outcome, &sets), rows[i].class);
    }
}

static void a_failure_with_pushback_is_an_overload(void **state)
{
    struct fg_outcome outcome = {.code = FG_STATUS_UNAVAILABLE, .source = FG_SOURCE_TRAILERS, .pushback = true};

    (void)state;
    assert_int_equal(fg_outcome_classify(&outcome, &fg_outcome_default_sets), FG_CLASS_OVERLOAD);
    outcome.code = FG_STATUS_OK;
    assert_int_equal(fg_outcome_classify(&outcome, &fg_outcome_default_sets), FG_CLASS_SUCCESS);
}

static void an_answer_is_classified_by_its_code(void **state)
{
    static const enum fg_source sources[] = {FG_SOURCE_TRAILERS, FG_SOURCE_TRAILERS_ONLY, FG_SOURCE_MISSING_STATUS};

    (void)state;
    for (size_t s = 0; s < FG_ARRAY_LEN(sources); s++) {
        for (unsigned code = 0; code < FG_STATUS_LEN; code++)
            assert_int_equal(classify((enum fg_status)code, sources[s], FG_PHASE_DONE), answered[code]);
        assert_int_equal(classify((enum fg_status)77, sources[s], FG_PHASE_DONE), FG_CLASS_FAILURE);
    }
}

static void a_broken_transport_is_never_a_success(void **state)
{
    static const enum fg_source sources[] = {FG_SOURCE_RST, FG_SOURCE_GOAWAY, FG_SOURCE_CONNECTION, FG_SOURCE_PROTOCOL};

    (void)state;
    for (size_t s = 0; s < FG_ARRAY_LEN(sources); s++) {
        for (unsigned code = 0; code < FG_STATUS_LEN; code++) {
            enum fg_class expected = answered[code] == FG_CLASS_SUCCESS ? FG_CLASS_IGNORED : answered[code];
            assert_int_equal(classify((enum fg_status)code, sources[s], FG_PHASE_SENT), expected);
        }
    }
}

static void what_the_gateway_or_the_client_did_is_ignored(void **state)
{
    static const enum fg_source sources[] = {
        FG_SOURCE_BREAKER,     FG_SOURCE_LIMIT,         FG_SOURCE_QUEUE,       FG_SOURCE_IDLE,
        FG_SOURCE_NO_ENDPOINT, FG_SOURCE_NO_ROUTE,      FG_SOURCE_BAD_REQUEST, FG_SOURCE_AUTH,
        FG_SOURCE_DRAIN,       FG_SOURCE_CLIENT_CANCEL, FG_SOURCE_CLIENT_GONE,
    };

    (void)state;
    for (size_t s = 0; s < FG_ARRAY_LEN(sources); s++) {
        for (unsigned code = 0; code < FG_STATUS_LEN; code++)
            assert_int_equal(classify((enum fg_status)code, sources[s], FG_PHASE_SENT), FG_CLASS_IGNORED);
    }
}

static void a_deadline_counts_from_sent_on(void **state)
{
    (void)state;
    for (unsigned phase = 0; phase < FG_PHASE_LEN; phase++) {
        enum fg_class expected = phase < FG_PHASE_SENT ? FG_CLASS_IGNORED : FG_CLASS_FAILURE;
        assert_int_equal(classify(FG_STATUS_DEADLINE_EXCEEDED, FG_SOURCE_DEADLINE, (enum fg_phase)phase), expected);
    }
}

static void a_failed_connect_is_a_failure(void **state)
{
    (void)state;
    assert_int_equal(classify(FG_STATUS_UNAVAILABLE, FG_SOURCE_CONNECT, FG_PHASE_QUEUED), FG_CLASS_FAILURE);
}

static void names_are_told_apart(void **state)
{
    (void)state;
    for (unsigned i = 0; i < FG_SOURCE_LEN; i++) {
        bool local = strncmp(fg_source_name((enum fg_source)i), "local_", 6) == 0;
        assert_int_equal(fg_source_is_local((enum fg_source)i), local);
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(fg_source_name((enum fg_source)i), fg_source_name((enum fg_source)j));
    }
    assert_string_equal(fg_phase_name(FG_PHASE_NEW), "new");
    assert_string_equal(fg_phase_name(FG_PHASE_DONE), "done");
    assert_string_equal(fg_class_name(FG_CLASS_SUCCESS), "success");
    assert_string_equal(fg_class_name(FG_CLASS_FAILURE), "failure");
    assert_string_equal(fg_class_name(FG_CLASS_OVERLOAD), "overload");
    assert_string_equal(fg_class_name(FG_CLASS_IGNORED), "ignored");
    assert_string_equal(fg_retry_safety_name(FG_SAFE_NEVER_SENT), "never_sent");
    assert_string_equal(fg_retry_safety_name(FG_SAFE_REFUSED), "refused");
    assert_string_equal(fg_retry_safety_name(FG_SAFE_UNKNOWN), "unknown");
    assert_string_equal(fg_retry_safety_name(FG_SAFE_PROCESSED), "processed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_classified_by_its_code),
        cmocka_unit_test(sets_are_the_routes_own),
        cmocka_unit_test(a_failure_with_pushback_is_an_overload),
        cmocka_unit_test(a_broken_transport_is_never_a_success),
        cmocka_unit_test(what_the_gateway_or_the_client_did_is_ignored),
        cmocka_unit_test(a_deadline_counts_from_sent_on),
        cmocka_unit_test(a_failed_connect_is_a_failure),
        cmocka_unit_test(names_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
