#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "cli/explain.h"

/* The sentences about the circuit that JSON (with ' for ") describes; to be freed. */
static char *explain(const char *json)
{
    char *text = NULL, *quoted = strdup(json);
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    json_error_t error;

    for (char *p = quoted; *p; p++)
        if (*p == '\'')
            *p = '"';
    json_t *circuit = json_loads(quoted, JSON_DECODE_ANY, &error);
    if (!circuit)
        fail_msg("%s: %s", error.text, json);
    fg_explain_circuit(circuit, out);
    fclose(out);
    json_decref(circuit);
    free(quoted);
    return text;
}

static void assert_says(const char *json, const char *expected)
{
    char *text = explain(json);
    if (!strstr(text, expected))
        fail_msg("\"%s\" is not in:\n%s", expected, text);
    free(text);
}

#define NAMES "'cluster': 'orders', 'endpoint': '10.0.0.1:50051', 'method': '/order.v1.OrderService/GetOrder', "
#define ROW(n, refused)                                                                                                \
    "{'priority': " n ", 'factor': 1000, 'consecutive_failures': 5, 'failure_ratio': 0.5, 'refused': " refused "}"
#define ROWS(a, b, c)                                                                                                  \
    "'minimum_calls': 20, 'window': {'ms': 10000, 'calls': 8, 'failures': 2}, 'thresholds': [" ROW("0", a) "," ROW(    \
        "1", b) "," ROW("2", c) "]"
#define FIVE "'cause': 'consecutive_failures', 'observed': 5, 'threshold': 5, 'factor': 1000, "

static void an_open_circuit_says_why_and_until_when(void **state)
{
    (void)state;
    assert_says("{" NAMES "'state': 'open', " FIVE
                "'since_ms': 3200, 'retry_in_ms': 1800, " ROWS("true", "true", "true") "}",
                "order.v1.OrderService/GetOrder on 10.0.0.1:50051 (cluster orders) is refused: 5 failures in a row "
                "(threshold 5 for priority 0) 3.2 s ago; next probe in 1.8 s.\n");
    assert_says("{" NAMES "'state': 'open', " FIVE ROWS("true", "true", "false") "}",
                "is refused for priority 0 and 1, while priority 2 goes on: 5");
    assert_says("{" NAMES "'state': 'open', " FIVE ROWS("true", "false", "false") "}",
                "is refused for priority 0, while priority 1 and 2 go on: 5");
    assert_says("{" NAMES "'state': 'open', 'severity': 700, " FIVE ROWS("false", "false", "false") "}",
                "is refused for classes of a factor up to 0.7, while priority 0, 1 and 2 go on: 5");
    assert_says("{" NAMES "'state': 'open', 'retrips': 3, 'pause_ms': 15000, " FIVE ROWS("true", "true", "true") "}",
                "; the next call is a probe (trip 3 without healthy time in between: pause 15 s).");
}

static void without_classes_there_is_one_threshold(void **state)
{
    char *text = explain("{" NAMES "'state': 'open', " FIVE "'window': {'ms': 10000}, 'minimum_calls': 20, "
                         "'thresholds': [" ROW("0", "true") "]}");
    (void)state;

    assert_non_null(strstr(text, "is refused: 5 failures in a row (threshold 5);"));
    assert_non_null(strstr(text, "\n  trips it\n  failures in a row "));
    assert_null(strstr(text, "riority"));
    free(text);
}

static void each_cause_has_its_words(void **state)
{
    (void)state;
    assert_says("{" NAMES "'state': 'open', 'cause': 'failure_ratio', 'observed': 0.75, 'threshold': 0.65, 'factor': "
                "1300, " ROWS("true", "true", "true") "}",
                "75 % of the calls failed (threshold 65 % for priority 1)");
    assert_says("{" NAMES
                "'state': 'open', 'cause': 'slow_ratio', 'observed': 0.9, 'threshold': 0.8, 'factor': 1600, " ROWS(
                    "true", "true", "true") "}",
                "90 % of the calls were slow (threshold 80 % for priority 2)");
    assert_says("{" NAMES
                "'state': 'open', 'cause': 'probe_failed', 'observed': 1, 'threshold': 3, 'factor': 1000, " ROWS(
                    "true", "true", "true") "}",
                "a probe failed after 1 of 3 had succeeded");
    assert_says("{" NAMES "'state': 'open', 'cause': 'consecutive_failures', 'observed': 9, 'threshold': 9, 'factor': "
                "1733, " ROWS("true", "true", "true") "}",
                "9 failures in a row (threshold 9 for a class of factor 1.733)");
    assert_says("{" NAMES "'state': 'open', 'cause': 'a_later_one\\u001b', " ROWS("true", "true", "true") "}",
                "is refused: a_later_one\\x1b");
}

static void the_outcomes_that_tripped_it_are_listed(void **state)
{
    (void)state;
    assert_says("{" NAMES "'state': 'open', " FIVE
                "'outcomes': [{'code': 'UNAVAILABLE', 'source': 'upstream_rst', 'class': 'failure', 'slow': true, "
                "'duration_ms': 12, 'age_ms': 3400}], " ROWS("true", "true", "true") "}",
                "  UNAVAILABLE               upstream_rst  failure, slow     12 ms  3.4 s\n");
}

static void other_states_are_told_too(void **state)
{
    (void)state;
    assert_says("{" NAMES "'state': 'half_open', 'since_ms': 100, 'permits_out': 1, 'half_open_calls': 3, " FIVE ROWS(
                    "true", "true", "true") "}",
                "is being probed for 100 ms, after 5 failures in a row (threshold 5 for priority 0): 1 probes are out, "
                "3 successes close it");
    assert_says("{" NAMES "'state': 'closed', 'consecutive_failures': 1, " ROWS("false", "false", "false") "}",
                "passes: closed.\n  last 10 s: 8 calls, 2 failed (25 %); 1 failure in a row\n");
    assert_says("{" NAMES "'state': 'closed', 'since_ms': 65000, " FIVE ROWS("false", "false", "false") "}",
                "passes: closed for 1 min 5 s; it was open because of 5 failures in a row");
    assert_says("{" NAMES "'state': 'closed', 'enabled': false, " ROWS("false", "false", "false") "}",
                "passes: breaker.enabled is false.");
    assert_says("{" NAMES "'state': 'closed', 'shed_share': 0.25, 'shed': 7, " ROWS("false", "false", "false") "}",
                "overloaded: 25 % of the calls are kept away from it");
}

static void rollups_have_names(void **state)
{
    (void)state;
    assert_says(
        "{'cluster': 'c', 'endpoint': 'e:1', 'method': '', 'state': 'closed', " ROWS("false", "false", "false") "}",
        "All methods on e:1 (cluster c) pass: closed");
    assert_says(
        "{'cluster': 'c', 'endpoint': '', 'method': '/s/M', 'state': 'closed', " ROWS("false", "false", "false") "}",
        "s/M over all endpoints (cluster c): this circuit only counts.");
    assert_says(
        "{'cluster': 'c', 'endpoint': 'e:1', 'method': '*', 'state': 'open', " FIVE ROWS("true", "true", "true") "}",
        "The methods without a circuit of their own on e:1 (cluster c) are refused: ");
}

/* What a later or another gateway answers. */
static void missing_fields_do_no_harm(void **state)
{
    static const char *const odd[] = {"{}",
                                      "[]",
                                      "7",
                                      "{'state': 5, 'thresholds': {}, 'outcomes': 1, 'window': []}",
                                      "{'state': 'open', 'thresholds': [1, null], 'outcomes': [1, {}]}",
                                      "{'state': 'half_open'}"};
    (void)state;

    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        char *quoted = explain(odd[i]);
        assert_non_null(quoted);
        free(quoted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_open_circuit_says_why_and_until_when),
        cmocka_unit_test(without_classes_there_is_one_threshold),
        cmocka_unit_test(each_cause_has_its_words),
        cmocka_unit_test(the_outcomes_that_tripped_it_are_listed),
        cmocka_unit_test(other_states_are_told_too),
        cmocka_unit_test(rollups_have_names),
        cmocka_unit_test(missing_fields_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
