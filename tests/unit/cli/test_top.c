#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <locale.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/time.h"
#include "cli/top_state.h"

static const char overview[] =
    "{\"version\": \"1\", \"state\": \"ready\", \"uptime_s\": 5, \"workers\": 2, \"config\": {\"generation\": 3},"
    " \"now\": {\"calls_per_s\": 1234.5, \"failures_per_s\": 12, \"p50_ms\": null, \"in_progress\": 7},"
    " \"history\": [{\"took_s\": 1, \"calls\": 4}, {\"took_s\": 2, \"calls\": 4}],"
    " \"methods\": [{\"cluster\": \"c\", \"method\": \"/a.B/Low\", \"calls_per_s\": 1, \"failures_per_s\": 0.5},"
    "               {\"cluster\": \"c\", \"method\": \"/a.B/High\", \"calls_per_s\": 9, \"failures_per_s\": 0},"
    "               {\"cluster\": \"c\", \"method\": \"/\\u00e2\\u0080\\u00ae\", \"calls_per_s\": 2}],"
    " \"breakers\": {\"open\": 1, \"half_open\": 0}}";

struct world {
    struct fg_ask ask;
    struct fg_top top;
    struct fg_picture picture;
    char *text;
};

static void look(struct world *world, unsigned rows, unsigned cols)
{
    size_t len = 0;

    free(world->text);
    fg_picture_cleanup(&world->picture);
    fg_picture_init(&world->picture, rows, cols, world->top.utf8);
    fg_top_draw(&world->top, &world->picture, 11 * FG_S);
    FILE *out = open_memstream(&world->text, &len);
    fg_picture_print(&world->picture, out);
    fclose(out);
}

static void hear(struct world *world, const char *seen, const char *list, const char *problem)
{
    struct fg_top_news news = {.tag = (unsigned)world->top.view};

    news.overview = seen ? json_loads(seen, 0, NULL) : NULL;
    news.list = list ? json_loads(list, 0, NULL) : NULL;
    assert_true(!seen || news.overview);
    assert_true(!list || news.list);
    snprintf(news.problem, sizeof news.problem, "%s", problem);
    fg_top_hear(&world->top, &news, 10 * FG_S);
}

static struct world *world_new(bool utf8)
{
    struct world *world = calloc(1, sizeof *world);

    world->ask = (struct fg_ask){.command = "top", .address = "here:1"};
    fg_top_init(&world->top, &world->ask, utf8);
    hear(world, overview, NULL, "");
    look(world, 24, 80);
    return world;
}

static void world_free(struct world *world)
{
    fg_picture_cleanup(&world->picture);
    fg_top_cleanup(&world->top);
    free(world->text);
    free(world);
}

static void shows(const struct world *world, const char *text)
{
    if (!strstr(world->text, text))
        fail_msg("no \"%s\" in:\n%s", text, world->text);
}

static void shows_not(const struct world *world, const char *text)
{
    if (strstr(world->text, text))
        fail_msg("\"%s\" in:\n%s", text, world->text);
}

static void press(struct world *world, const char *keys)
{
    for (; *keys; keys++)
        (void)fg_top_press(&world->top, (uint32_t)*keys);
    look(world, 24, 80);
}

static void busiest_methods_come_first(void **state)
{
    struct world *world = world_new(true);
    (void)state;

    shows(world, "fusegate 1  here:1  ready  up 5 s  workers 2  config #3");
    shows(world, "calls 1.2k/s  failed 12/s 1.0 %");
    shows(world, "p50 -");
    shows(world, "\xe2\x96\x88\xe2\x96\x84"); /* 4 a second, 2 a second */
    shows(world, "| max 4");
    assert_true(strstr(world->text, "> /a.B/High") < strstr(world->text, "  /\\xe2\\x80\\xae"));
    assert_true(strstr(world->text, "  /\\xe2\\x80\\xae") < strstr(world->text, "  /a.B/Low"));
    press(world, "s");
    shows(world, "sorted by failures/s");
    shows(world, "> /a.B/Low");
    world_free(world);
}

static void what_was_chosen_stays_chosen(void **state)
{
    struct world *world = world_new(true);
    (void)state;

    (void)fg_top_press(&world->top, FG_KEY_END);
    look(world, 24, 80);
    shows(world, "> /a.B/Low");
    press(world, "s");
    shows(world, "> /a.B/Low");
    press(world, "/");
    press(world, "hig");
    (void)fg_top_press(&world->top, FG_KEY_ENTER);
    look(world, 24, 80);
    shows(world, "> /a.B/High");
    shows_not(world, "Low");
    (void)fg_top_press(&world->top, FG_KEY_ESCAPE);
    look(world, 24, 80);
    shows(world, "/a.B/Low");
    world_free(world);
}

static void answers_of_another_view_are_not_shown(void **state)
{
    struct world *world = world_new(true);
    (void)state;

    assert_null(fg_top_target(&world->top));
    assert_int_equal(fg_top_press(&world->top, '3'), FG_TOP_ASK_ANEW);
    look(world, 24, 80);
    shows(world, "asking the gateway");
    struct fg_top_news late = {.tag = FG_TOP_STREAMS, .list = json_loads("{\"breakers\": [{}]}", 0, NULL)};
    fg_top_hear(&world->top, &late, FG_S);
    look(world, 24, 80);
    shows(world, "asking the gateway");
    hear(world, overview, "{\"breakers\": []}", "");
    look(world, 24, 80);
    shows(world, "no such circuits");
    world_free(world);
}

static void targets_say_what_is_wanted(void **state)
{
    struct world *world = world_new(true);
    (void)state;

    press(world, "2ww/a B&");
    assert_int_equal(fg_top_press(&world->top, FG_KEY_ENTER), FG_TOP_ASK_ANEW);
    char *target = fg_top_target(&world->top);
    assert_string_equal(target, "/streams?limit=500&sort=wait&method=*a%20B%26*&wait=peer_data");
    free(target);
    press(world, "6");
    hear(world, overview, "{\"events\": [], \"next\": 1000}", "");
    target = fg_top_target(&world->top);
    assert_string_equal(target, "/events?since=700");
    free(target);
    world_free(world);
}

static void a_lost_gateway_is_said(void **state)
{
    struct world *world = world_new(true);
    (void)state;

    hear(world, NULL, NULL, "nobody is there");
    look(world, 24, 80);
    shows(world, "! no answer for 1 s, trying on: nobody is there");
    shows(world, "/a.B/High");
    assert_int_equal(world->picture.cells[8 * 80 + 4].style, FG_STYLE_DIM);
    hear(world, overview, NULL, "");
    look(world, 24, 80);
    shows(world, "ready");
    world_free(world);
}

static void countdowns_go_on(void **state)
{
    struct world *world = world_new(false);
    (void)state;

    press(world, "3");
    hear(world, overview,
         "{\"breakers\": [{\"cluster\": \"c\", \"endpoint\": \"e\", \"method\": \"m\", \"state\": \"open\", \"cause\": "
         "\"failure_ratio\", \"observed\": 0.62, \"retry_in_ms\": 5000, \"refused\": 12}]}",
         "");
    look(world, 24, 80);
    shows(world, "x open  e         m       62 % failed       4 s       12");
    world_free(world);
}

static void any_size_will_do(void **state)
{
    struct world *world = world_new(true);
    (void)state;

    for (unsigned rows = 1; rows < 30; rows++)
        for (unsigned cols = 1; cols < 130; cols += 3)
            for (char key = '1'; key <= '6'; key++) {
                (void)fg_top_press(&world->top, (uint32_t)key);
                look(world, rows, cols);
                (void)fg_top_press(&world->top, '?');
                look(world, rows, cols);
            }
    world_free(world);
}

static void wide_characters_take_two_columns(void **state)
{
    struct fg_picture picture;
    (void)state;

    fg_picture_init(&picture, 1, 5, true);
    assert_int_equal(fg_picture_width(&picture, "a\xe6\x97\xa5z"), 4);
    assert_int_equal(fg_picture_put(&picture, 0, 0, 2, FG_STYLE_NORMAL, "a\xe6\x97\xa5z"), 1);
    fg_picture_put_end(&picture, 0, 0, 3, FG_STYLE_NORMAL, "ab\xe6\x97\xa5");
    assert_string_equal(picture.cells[0].text, "\xe2\x80\xa6");
    assert_string_equal(picture.cells[1].text, "\xe6\x97\xa5");
    assert_string_equal(picture.cells[2].text, "");
    fg_picture_put(&picture, 0, 4, 5, FG_STYLE_NORMAL, "\xe6\x97\xa5");
    assert_string_equal(picture.cells[4].text, " ");
    fg_picture_cleanup(&picture);
    fg_picture_init(&picture, 1, 5, false);
    fg_picture_put(&picture, 0, 0, 5, FG_STYLE_NORMAL, "a\xe6\x97\xa5z");
    assert_string_equal(picture.cells[1].text, "?");
    assert_string_equal(picture.cells[2].text, "z");
    fg_picture_cleanup(&picture);
}

static void a_call_is_ended_only_by_yes(void **state)
{
    struct world *world = world_new(true);
    const char *list = "{\"streams\": [{\"id\": \"0-7\", \"method\": \"/a.B/C\"}], \"total\": 1, \"matched\": 1}";
    (void)state;

    press(world, "2");
    hear(world, overview, list, "");
    press(world, "k");
    shows(world, "needs admin.token");
    world->ask.token = "t";
    press(world, "k");
    shows(world, "end call 0-7? y: yes, any other key: no  /a.B/C");
    assert_int_equal(fg_top_press(&world->top, FG_KEY_ENTER), FG_TOP_NOTHING);
    assert_int_equal(fg_top_press(&world->top, 'y'), FG_TOP_NOTHING);
    press(world, "k");
    assert_int_equal(fg_top_press(&world->top, 'y'), FG_TOP_KILL);
    assert_string_equal(world->top.kill_id, "0-7");
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(busiest_methods_come_first),
        cmocka_unit_test(what_was_chosen_stays_chosen),
        cmocka_unit_test(answers_of_another_view_are_not_shown),
        cmocka_unit_test(targets_say_what_is_wanted),
        cmocka_unit_test(a_lost_gateway_is_said),
        cmocka_unit_test(countdowns_go_on),
        cmocka_unit_test(any_size_will_do),
        cmocka_unit_test(wide_characters_take_two_columns),
        cmocka_unit_test(a_call_is_ended_only_by_yes),
    };
    if (!setlocale(LC_CTYPE, "C.UTF-8")) /* what is wide is known of it */
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
