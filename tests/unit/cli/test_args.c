#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "cli/args.h"
#include "cli/cli.h"

struct parsed {
    const char *file, *limit;
    bool json;
    const char *names[2];
    size_t names_len;
    struct fg_arg_values values;
    int result;
};

/* The last argument is NULL. */
static struct parsed parse(const char **argv)
{
    struct parsed out = {.limit = "5"};
    const struct fg_arg known[] = {{"-c", &out.file, NULL},
                                   {"--config", &out.file, NULL},
                                   {"--limit", &out.limit, NULL},
                                   {"--json", NULL, &out.json},
                                   {"-H", NULL, NULL, &out.values}};
    struct fg_args args = {.command = "test",
                           .usage = "usage: test\n",
                           .known = known,
                           .known_len = FG_ARRAY_LEN(known),
                           .names = out.names,
                           .names_max = FG_ARRAY_LEN(out.names)};
    int argc = 0;

    while (argv[argc])
        argc++;
    out.result = fg_args_parse(&args, argc, (char **)argv);
    out.names_len = args.names_len;
    return out;
}

#define PARSE(...) parse((const char *[]){"test", __VA_ARGS__, NULL})

static void options_and_names_come_in_any_order(void **state)
{
    (void)state;
    struct parsed out = PARSE("log", "-c", "a.yaml", "--json", "-", "--limit=7");
    assert_int_equal(out.result, -1);
    assert_string_equal(out.file, "a.yaml");
    assert_string_equal(out.limit, "7");
    assert_true(out.json);
    assert_int_equal(out.names_len, 2);
    assert_string_equal(out.names[0], "log");
    assert_string_equal(out.names[1], "-");
    out = PARSE("--config", "x", "--", "--json", "-c");
    assert_int_equal(out.result, -1);
    assert_string_equal(out.file, "x");
    assert_false(out.json);
    assert_string_equal(out.names[0], "--json");
    assert_string_equal(out.names[1], "-c");
    out = PARSE("--limit=", "--config=a=b");
    assert_string_equal(out.limit, "");
    assert_string_equal(out.file, "a=b");
}

static void mistakes_end_the_command(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--colour").result, FG_EXIT_USAGE);
    assert_int_equal(PARSE("-x").result, FG_EXIT_USAGE);
    assert_int_equal(PARSE("--limit").result, FG_EXIT_USAGE);
    assert_int_equal(PARSE("--json=yes").result, FG_EXIT_USAGE);
    assert_int_equal(PARSE("a", "b", "c").result, FG_EXIT_USAGE);
    assert_int_equal(PARSE("--limi", "3").result, FG_EXIT_USAGE);
    assert_int_equal(PARSE("-c=x").result, FG_EXIT_USAGE);
}

static void help_is_no_mistake(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--help").result, FG_EXIT_OK);
    assert_int_equal(PARSE("a", "-h").result, FG_EXIT_OK);
}

static void numbers_are_whole_and_bounded(void **state)
{
    const struct fg_args args = {.command = "test", .usage = ""};
    unsigned long number;
    (void)state;

    assert_int_equal(fg_args_number(&args, "--limit", "0", 9, &number), 0);
    assert_int_equal(fg_args_number(&args, "--limit", "9", 9, &number), 0);
    assert_int_equal(number, 9);
    assert_int_equal(fg_args_number(&args, "--limit", "10", 9, &number), -1);
    assert_int_equal(fg_args_number(&args, "--limit", "", 9, &number), -1);
    assert_int_equal(fg_args_number(&args, "--limit", "-1", 9, &number), -1);
    assert_int_equal(fg_args_number(&args, "--limit", " 1", 9, &number), -1);
    assert_int_equal(fg_args_number(&args, "--limit", "1k", 9, &number), -1);
    assert_int_equal(fg_args_number(&args, "--limit", "99999999999999999999999", 9, &number), -1);
}

static void an_option_may_have_many_values(void **state)
{
    (void)state;
    struct parsed out = PARSE("-H", "a", "x", "-H", "b: c");
    assert_int_equal(out.result, -1);
    assert_int_equal(out.values.len, 2);
    assert_string_equal(out.values.items[0], "a");
    assert_string_equal(out.values.items[1], "b: c");
    free(out.values.items);
    out = PARSE("-H");
    assert_int_equal(out.result, FG_EXIT_USAGE);
    assert_int_equal(out.values.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_and_names_come_in_any_order),
        cmocka_unit_test(mistakes_end_the_command),
        cmocka_unit_test(help_is_no_mistake),
        cmocka_unit_test(numbers_are_whole_and_bounded),
        cmocka_unit_test(an_option_may_have_many_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
