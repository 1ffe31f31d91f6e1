#include "expect.h"

#include "config/nearest.h"
#include "config/value.h"

struct number_case {
    const char *text;
    int rc;
    uint64_t value;
};

typedef int number_parser(struct fg_str text, uint64_t *out);

static void run(number_parser *parse, const struct number_case *cases, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        uint64_t value = 12345;
        int rc = parse(fg_str_from(cases[i].text), &value);
        uint64_t expected = cases[i].rc == 0 ? cases[i].value : 12345;
        if (rc != cases[i].rc || value != expected)
            fail_msg("\"%s\": found %d %llu, expected %d %llu", cases[i].text, rc, (unsigned long long)value,
                     cases[i].rc, (unsigned long long)expected);
    }
}

#define RUN(parse, ...)                                                                                                \
    do {                                                                                                               \
        const struct number_case cases[] = {__VA_ARGS__};                                                              \
        run(parse, cases, FG_ARRAY_LEN(cases));                                                                        \
    } while (0)

static void durations_have_units(void **state)
{
    (void)state;
    RUN(fg_value_duration, {"0", 0, 0}, {"10us", 0, 10000}, {"250ms", 0, 250000000}, {"2s", 0, 2000000000},
        {"1m", 0, 60000000000}, {"1h", 0, 3600000000000}, {"0s", 0, 0}, {"1", -1, 0}, {"", -1, 0}, {"s", -1, 0},
        {"-1s", -1, 0}, {"+1s", -1, 0}, {"1 s", -1, 0}, {" 1s", -1, 0}, {"1s ", -1, 0}, {"1.5s", -1, 0}, {"1S", -1, 0},
        {"1sec", -1, 0}, {"1ns", -1, 0}, {"1d", -1, 0}, {"0x1s", -1, 0}, {"18446744073709551615h", 0, UINT64_MAX},
        {"99999999999999999999999s", 0, UINT64_MAX});
}

static void sizes_are_binary(void **state)
{
    (void)state;
    RUN(fg_value_size, {"100", 0, 100}, {"64KiB", 0, 65536}, {"1MiB", 0, 1048576}, {"2GiB", 0, 2147483648}, {"0", 0, 0},
        {"64KB", -1, 0}, {"64kib", -1, 0}, {"64K", -1, 0}, {"KiB", -1, 0}, {"-1", -1, 0}, {"1.5MiB", -1, 0},
        {"1e3", -1, 0}, {"99999999999999999999GiB", 0, UINT64_MAX});
}

static void ratios_are_percent_or_fraction(void **state)
{
    (void)state;
    RUN(fg_value_ratio, {"20%", 0, 200000}, {"0.2", 0, 200000}, {"1", 0, 1000000}, {"100%", 0, 1000000},
        {"0.5%", 0, 5000}, {"0", 0, 0}, {"150%", 0, 1500000}, {"20", 0, 20000000}, {"0.1234567", 0, 123456},
        {"%", -1, 0}, {".5", -1, 0}, {"1.", -1, 0}, {"1.%", -1, 0}, {"1,5", -1, 0}, {"nan", -1, 0}, {"inf", -1, 0},
        {"-0.1", -1, 0}, {"0x1", -1, 0}, {"1e-1", -1, 0}, {"20 %", -1, 0}, {"20%%", -1, 0}, {"", -1, 0},
        {"99999999999999999999999", 0, UINT64_MAX});
}

static void rates_integers_and_booleans_are_strict(void **state)
{
    (void)state;
    RUN(fg_value_rate, {"10/s", 0, 10}, {"10", -1, 0}, {"10/m", -1, 0}, {"/s", -1, 0}, {"10 /s", -1, 0});
    RUN(fg_value_integer, {"0", 0, 0}, {"007", 0, 7}, {"18446744073709551615", 0, UINT64_MAX},
        {"18446744073709551616", 0, UINT64_MAX}, {"-1", -1, 0}, {"1_000", -1, 0}, {"0x10", -1, 0}, {"", -1, 0});
    RUN(fg_value_bool, {"true", 0, 1}, {"false", 0, 0}, {"True", -1, 0}, {"yes", -1, 0}, {"1", -1, 0}, {"", -1, 0});
}

static void intervals_never_exceed_the_rate(void **state)
{
    (void)state;
    RUN(fg_value_interval, {"10/s", 0, 100000000}, {"600/m", 0, 100000000}, {"1000/h", 0, 3600000000},
        {"3/s", 0, 333333334}, {"7/m", 0, 8571428572}, {"1/h", 0, 3600000000000}, {"1000000/s", 0, 1000},
        {"1000001/s", 0, 1000}, {"1000000000/s", 0, 1}, {"1000000001/s", 0, 0}, {"18446744073709551615/s", 0, 0},
        {"99999999999999999999/h", 0, 0}, {"0/s", 0, UINT64_MAX}, {"10", -1, 0}, {"/s", -1, 0}, {"10/", -1, 0},
        {"10/d", -1, 0}, {"10/S", -1, 0}, {"-1/s", -1, 0}, {"1.5/s", -1, 0}, {"10 /s", -1, 0}, {"10/s ", -1, 0},
        {"", -1, 0});
    for (uint64_t n = 1; n <= 1000000; n += n < 2000 ? 1 : n / 7) {
        char text[32];
        uint64_t interval;
        snprintf(text, sizeof text, "%llu/s", (unsigned long long)n);
        assert_int_equal(fg_value_interval(fg_str_from(text), &interval), 0);
        assert_true(interval * n >= 1000000000 && (interval - 1) * n < 1000000000);
    }
}

static void codes_are_sets(void **state)
{
    (void)state;
    const struct fg_key key = {.type = FG_KEY_CODES};
    char why[FG_VALUE_WHY_BYTES];
    uint64_t set = 0;
    assert_int_equal(fg_value_code(FG_STR("CANCELLED"), &set, why), 0);
    assert_int_equal(set, 1 << 1);
    assert_int_equal(fg_value_code(FG_STR("UNAUTHENTICATED"), &set, why), 0);
    assert_int_equal(set, 1 << 16);
    assert_int_equal(fg_value_parse(&key, FG_STR("[CANCELLED, ABORTED]"), &set, why), 0);
    assert_int_equal(set, 1 << 1 | 1 << 10);
    assert_int_equal(fg_value_parse(&key, FG_STR("[]"), &set, why), 0);
    assert_int_equal(set, 0);
    static const char *const bad[] = {
        "", "OK", "0", "1", "cancelled", "CANCELLED ", "CANCELED", "17", "UNKNOWN,ABORTED"};
    for (size_t i = 0; i < FG_ARRAY_LEN(bad); i++)
        if (fg_value_code(fg_str_from(bad[i]), &set, why) == 0 || strncmp(why, "expected ", 9) != 0)
            fail_msg("\"%s\" is no code: %s", bad[i], why);
}

static void headers_of_a_limit_have_a_prefix(void **state)
{
    (void)state;
    assert_true(fg_str_eq(fg_value_header_of(FG_STR("header:x-key")), FG_STR("x-key")));
    assert_true(fg_str_eq(fg_value_header_of(FG_STR("header:header:")), FG_STR("header:")));
    assert_non_null(fg_value_header_of(FG_STR("header:")).p);
    assert_null(fg_value_header_of(FG_STR("header")).p);
    assert_null(fg_value_header_of(FG_STR("Header:x")).p);
    assert_null(fg_value_header_of(FG_STR("")).p);
}

static void addresses_have_host_and_port(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host;
        uint16_t port;
    } good[] = {{"127.0.0.1:8080", "127.0.0.1", 8080},
                {"[::1]:80", "::1", 80},
                {"orders:1", "orders", 1},
                {"my_svc.ns-1.local:65535", "my_svc.ns-1.local", 65535},
                {"[::ffff:1.2.3.4]:0", "::ffff:1.2.3.4", 0}};
    for (size_t i = 0; i < FG_ARRAY_LEN(good); i++) {
        struct fg_value_address address;
        assert_null(fg_value_address(fg_str_from(good[i].text), &address));
        assert_true(fg_str_eq(address.host, fg_str_from(good[i].host)));
        assert_int_equal(address.port, good[i].port);
    }
    static const char *const bad[] = {"",           ":",       ":80",          "a",        "a:",
                                      "a:65536",    "a:-1",    "a:b",          "::1:80",   "[::1]",
                                      "[::1]80",    "[::1]:",  "[]:80",        "[::g]:80", "[1.2.3.4]:80",
                                      "*:80",       "a b:80",  "300.0.0.1:80", "1.2.3:80", "a..b:80",
                                      ".a:80",      "[::1:80", "http://a:80",  "a/b:80",   "a:99999999999999999999",
                                      "[::1]:80:80"};
    for (size_t i = 0; i < FG_ARRAY_LEN(bad); i++) {
        struct fg_value_address address = {.port = 77};
        const char *why = fg_value_address(fg_str_from(bad[i]), &address);
        if (!why || address.port != 77)
            fail_msg("\"%s\" is no address", bad[i]);
    }
}

static void loopback_is_recognised(void **state)
{
    (void)state;
    assert_true(fg_value_is_loopback(FG_STR("127.0.0.1")));
    assert_true(fg_value_is_loopback(FG_STR("127.255.0.1")));
    assert_true(fg_value_is_loopback(FG_STR("::1")));
    assert_true(fg_value_is_loopback(FG_STR("0:0:0:0:0:0:0:1")));
    assert_true(fg_value_is_loopback(FG_STR("localhost")));
    assert_false(fg_value_is_loopback(FG_STR("127.0.0.1.example.com")));
    assert_false(fg_value_is_loopback(FG_STR("0.0.0.0")));
    assert_false(fg_value_is_loopback(FG_STR("::")));
    assert_false(fg_value_is_loopback(FG_STR("10.0.0.1")));
}

static void numbers_are_written_as_users_write_them(void **state)
{
    (void)state;
    static const struct {
        enum fg_key_type type;
        uint64_t number;
        const char *text;
    } cases[] = {{FG_KEY_DURATION, 0, "0"},
                 {FG_KEY_DURATION, 90000000000, "90s"},
                 {FG_KEY_DURATION, 3600000000000, "1h"},
                 {FG_KEY_DURATION, 1500000, "1500us"},
                 {FG_KEY_SIZE, 65536, "64KiB"},
                 {FG_KEY_SIZE, 65535, "65535"},
                 {FG_KEY_SIZE, 1 << 30, "1GiB"},
                 {FG_KEY_RATIO, 500000, "50%"},
                 {FG_KEY_RATIO, 1000000, "100%"},
                 {FG_KEY_RATIO, 5000, "0.5%"},
                 {FG_KEY_RATIO, 1500000, "150%"},
                 {FG_KEY_FACTOR, 1500000, "1.5"},
                 {FG_KEY_FACTOR, 2000000, "2"},
                 {FG_KEY_FACTOR, 10000000, "10"},
                 {FG_KEY_FACTOR, 1000001, "1.000001"},
                 {FG_KEY_RATE, 10, "10/s"},
                 {FG_KEY_INTERVAL, 1, "1000000000/s"},
                 {FG_KEY_INTERVAL, 1000, "1000000/s"},
                 {FG_KEY_INTERVAL, 333333334, "3/s"},
                 {FG_KEY_INTERVAL, 8571428572, "7/m"},
                 {FG_KEY_INTERVAL, 3600000000, "1000/h"},
                 {FG_KEY_INTERVAL, 3600000000000, "1/h"},
                 {FG_KEY_INTERVAL, 60000000000, "1/m"},
                 {FG_KEY_INTEGER, 100, "100"}};
    for (size_t i = 0; i < FG_ARRAY_LEN(cases); i++) {
        char text[32];
        fg_value_format(cases[i].type, cases[i].number, text, sizeof text);
        assert_string_equal(text, cases[i].text);
    }
}

static const char *nearest(const char *word, const char *const *names)
{
    struct fg_nearest n;
    fg_nearest_init(&n, fg_str_from(word));
    for (; *names; names++)
        fg_nearest_offer(&n, *names);
    return n.best;
}

static void typing_mistakes_find_the_name(void **state)
{
    (void)state;
    static const char *const names[] = {"listeners", "max_connections", "certificate", "certificates", "key", "tls",
                                        NULL};
    assert_string_equal(nearest("listner", names), "listeners");
    assert_string_equal(nearest("lisetners", names), "listeners");
    assert_string_equal(nearest("maxConnections", names), "max_connections");
    assert_string_equal(nearest("max-connections", names), "max_connections");
    assert_string_equal(nearest("certificates", names), "certificates");
    assert_string_equal(nearest("cert", names), "certificate");
    assert_string_equal(nearest("TLS", names), "tls");
    assert_null(nearest("frobnicate", names));
    assert_null(nearest("", names));
    char longer[200] = {0};
    memset(longer, 'a', sizeof longer - 1);
    assert_null(nearest(longer, names));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_have_units),
        cmocka_unit_test(sizes_are_binary),
        cmocka_unit_test(ratios_are_percent_or_fraction),
        cmocka_unit_test(rates_integers_and_booleans_are_strict),
        cmocka_unit_test(intervals_never_exceed_the_rate),
        cmocka_unit_test(codes_are_sets),
        cmocka_unit_test(headers_of_a_limit_have_a_prefix),
        cmocka_unit_test(addresses_have_host_and_port),
        cmocka_unit_test(loopback_is_recognised),
        cmocka_unit_test(numbers_are_written_as_users_write_them),
        cmocka_unit_test(typing_mistakes_find_the_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
