#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "cli/grid.h"

static char *text_of(void (*write)(FILE *out))
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    write(out);
    fclose(out);
    return text;
}

static const char *const headings[] = {"NAME", ">N", "LAST"};

static void two_rows(FILE *out)
{
    struct fg_grid grid;

    fg_grid_begin(&grid, out, headings, 3);
    fg_grid_cell(&grid, "a longer name");
    fg_grid_cellf(&grid, "%d", 7);
    fg_grid_cell(&grid, "x");
    fg_grid_cell(&grid, "\xe9\xa4\x90");
    fg_grid_cell(&grid, "12345");
    fg_grid_cell(&grid, "y");
    fg_grid_end(&grid);
}

static void columns_are_aligned(void **state)
{
    char *text = text_of(two_rows);
    (void)state;

    assert_string_equal(text, "NAME               N  LAST\n"
                              "a longer name      7  x\n"
                              "\xe9\xa4\x90              12345  y\n");
    free(text);
}

static void no_row(FILE *out)
{
    struct fg_grid grid;

    fg_grid_begin(&grid, out, headings, 3);
    fg_grid_end(&grid);
}

static void half_a_row(FILE *out)
{
    struct fg_grid grid;

    fg_grid_begin(&grid, out, headings, 3);
    fg_grid_cell(&grid, "a");
    fg_grid_end(&grid);
}

static void a_grid_without_rows_is_nothing(void **state)
{
    char *text = text_of(no_row);
    (void)state;

    assert_string_equal(text, "");
    free(text);
    text = text_of(half_a_row);
    assert_string_equal(text, "NAME  N  LAST\na\n");
    free(text);
}

static void many_rows(FILE *out)
{
    struct fg_grid grid;

    fg_grid_begin(&grid, out, headings, 3);
    for (int i = 0; i < 3 * FG_GRID_ROWS; i++) {
        fg_grid_cellf(&grid, "%d", i);
        fg_grid_cell(&grid, "1");
        fg_grid_cell(&grid, "x");
    }
    fg_grid_end(&grid);
}

static void rows_are_held_only_for_a_while(void **state)
{
    char *text = text_of(many_rows);
    size_t lines = 0;
    (void)state;

    for (const char *p = text; *p; p++)
        lines += *p == '\n';
    assert_int_equal(lines, 3 * FG_GRID_ROWS + 1);
    free(text);
}

static void assert_printable(const char *text, const char *expected)
{
    char *printable = fg_printable(text);
    assert_string_equal(printable, expected);
    free(printable);
}

/* Peers choose methods; a terminal must not obey them. */
static void nothing_steers_the_terminal(void **state)
{
    (void)state;
    assert_printable("/s/M", "/s/M");
    assert_printable("\x1b[2J\n\r\t\x7f", "\\x1b[2J\\x0a\\x0d\\x09\\x7f");
    assert_printable("\xe9\xa4\x90\xc3\xa4\xf0\x9f\x98\x80", "\xe9\xa4\x90\xc3\xa4\xf0\x9f\x98\x80");
    assert_printable("\xc2\x9b", "\\xc2\\x9b");                   /* CSI of Latin-1 */
    assert_printable("\xe2\x80\xae", "\\xe2\\x80\\xae");          /* from right to left */
    assert_printable("\xe2\x80\xa8", "\\xe2\\x80\\xa8");          /* line separator */
    assert_printable("\xff\xc3", "\\xff\\xc3");                   /* no UTF-8 */
    assert_printable("\xe0\x80\x80", "\\xe0\\x80\\x80");          /* overlong */
    assert_printable("\xed\xa0\x80", "\\xed\\xa0\\x80");          /* half a pair */
    assert_printable("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"); /* beyond Unicode */
}

static void assert_duration(double ms, const char *expected)
{
    char text[FG_DURATION_BYTES];
    assert_string_equal(fg_duration_text(ms, text), expected);
}

static void durations_have_the_unit_that_fits(void **state)
{
    (void)state;
    assert_duration(0, "0 us");
    assert_duration(0.25, "250 us");
    assert_duration(1, "1 ms");
    assert_duration(1.26, "1.3 ms");
    assert_duration(42.4, "42 ms");
    assert_duration(999.4, "999 ms");
    assert_duration(1800, "1.8 s");
    assert_duration(10000, "10 s");
    assert_duration(59900, "59.9 s");
    assert_duration(60000, "1 min 0 s");
    assert_duration(250000, "4 min 10 s");
    assert_duration(7500000, "2 h 5 min");
    assert_duration(-1, "0 us");
    assert_duration(1e300, "0 min 0 s");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_aligned),
        cmocka_unit_test(a_grid_without_rows_is_nothing),
        cmocka_unit_test(rows_are_held_only_for_a_while),
        cmocka_unit_test(nothing_steers_the_terminal),
        cmocka_unit_test(durations_have_the_unit_that_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
