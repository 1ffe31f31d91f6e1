/* The picture of `fusegate top`: header, the view's table or what is shown in its place, and a line at the bottom. */
#include <stdlib.h>

#include "base/mem.h"
#include "base/wait.h"
#include "cli/top_state.h"

#define HISTORY_FROM_ROWS 16 /* fewer: the table needs them */

/* ---- help ---- */

static const char *const help[] = {
    "1 to 6          views",
    "up, down, ...   choose a row; PgUp, PgDn, Home, End, too",
    "Enter           everything about it; Enter or Esc goes back",
    "s               sort by something else",
    "/               show only what has a text in it (streams: in the method)",
    "w               streams: only those that wait for one cause; the next; ...",
    "Esc             show all again",
    "k               streams: end the chosen call, after a question",
    "space           pause, go on",
    "?, h            this",
    "q               quit",
    "",
    "Rates and percentiles are of the last ten seconds. \"failed\" is what services",
    "answered or did, \"refused\" are breakers, limits and queues of the gateway.",
    "View 5 says what the causes of waiting mean.",
};

static void draw_help(struct fg_picture *picture, unsigned row, unsigned end)
{
    for (size_t i = 0; i < FG_ARRAY_LEN(help) && row + i < end; i++)
        fg_picture_put(picture, row + (unsigned)i, 2, picture->cols, FG_STYLE_NORMAL, help[i]);
}

/* ---- details ---- */

struct lines {
    struct fg_picture *picture;
    unsigned row, end;
    size_t skip; /* lines before the first that is shown */
    size_t len;  /* so far */
};

static void put_line(struct lines *lines, const char *name, const char *value)
{
    if (lines->len++ < lines->skip || lines->row >= lines->end)
        return;
    fg_picture_put(lines->picture, lines->row, 2, 24, FG_STYLE_STRONG, name);
    fg_picture_put(lines->picture, lines->row, 27, lines->picture->cols, FG_STYLE_NORMAL, value);
    lines->row++;
}

static void put_value(struct lines *lines, const char *name, const json_t *object, const char *key, const json_t *value)
{
    char number[64];

    if (json_is_string(value)) {
        char *bytes = fg_answer_name(object, key), *text = fg_printable(bytes);
        put_line(lines, name, text);
        if (strcmp(key, "cause") == 0 && fg_top_wait_meaning(text)[0])
            put_line(lines, "", fg_top_wait_meaning(text));
        free(text);
        free(bytes);
    } else if (json_is_number(value)) {
        snprintf(number, sizeof number, "%.10g", json_number_value(value));
        put_line(lines, name, number);
    } else {
        put_line(lines, name, json_is_true(value) ? "true" : json_is_false(value) ? "false" : "-");
    }
}

/* Objects in it are shown as "wait.cause". */
static void put_object(struct lines *lines, const char *before, const json_t *object)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)object, key, value)
    {
        char name[128];
        snprintf(name, sizeof name, "%s%s%s", before, before[0] ? "." : "", key);
        if (json_is_object(value) && !before[0])
            put_object(lines, name, value);
        else
            put_value(lines, name, object, key, value);
    }
}

static void draw_detail(struct fg_top *top, struct fg_picture *picture, unsigned row, unsigned end)
{
    const struct fg_top_place *place = &top->places[top->view];
    size_t at = place->chosen ? fg_top_table_find(&top->table, place->chosen) : top->table.len;
    struct lines lines = {.picture = picture, .row = row, .end = end, .skip = top->detail_first};

    top->detail_below = 0;
    if (at == top->table.len) {
        fg_picture_put(picture, row, 2, picture->cols, FG_STYLE_WARN, "it is there no more");
        return;
    }
    put_object(&lines, "", top->table.rows[at].object);
    size_t room = end > row ? end - row : 0, last = lines.len > room ? lines.len - room : 0;
    top->detail_first = FG_MIN(top->detail_first, last);
    top->detail_below = last - top->detail_first;
}

/* ---- the table ---- */

/* The chosen row is always among those that are shown. */
static void scroll(struct fg_top *top)
{
    struct fg_top_place *place = &top->places[top->view];

    if (place->at < place->first)
        place->first = place->at;
    if (top->height > 0 && place->at >= place->first + top->height)
        place->first = place->at - top->height + 1;
    if (top->table.len <= top->height)
        place->first = 0;
}

static void draw_table(struct fg_top *top, struct fg_picture *picture, unsigned row, unsigned end)
{
    const struct fg_top_view *view = &fg_top_views[top->view];
    const struct fg_top_place *place = &top->places[top->view];

    top->height = end > row + 1 ? end - row - 1 : 0;
    scroll(top);
    fg_top_table_draw(&top->table, picture, row, end - row, place->first, top->plain ? SIZE_MAX : place->at);
    if (top->table.len == 0)
        fg_picture_put(picture, row + 1, 2, picture->cols, FG_STYLE_DIM,
                       view->list && !top->has_list ? "asking the gateway ..." : view->nothing);
}

/* ---- the line at the bottom ---- */

static void draw_question(const struct fg_top *top, struct fg_picture *picture, unsigned row)
{
    size_t at = fg_top_table_find(&top->table, top->kill_id);
    const char *method = at < top->table.len ? top->table.rows[at].cells[1] : "";

    fg_picture_putf(picture, row, 0, FG_STYLE_WARN, "end call %s? y: yes, any other key: no  %s", top->kill_id, method);
}

static void draw_state(const struct fg_top *top, struct fg_picture *picture, unsigned row)
{
    const struct fg_top_place *place = &top->places[top->view];
    unsigned col = 0;

    if (top->paused)
        col = 2 + fg_picture_put(picture, row, col, picture->cols, FG_STYLE_WARN, "PAUSED: space goes on");
    if (top->filter[0])
        col = 2 + fg_picture_putf(picture, row, col, FG_STYLE_STRONG, "filter: %s", top->filter);
    if (top->view == FG_TOP_STREAMS && top->wait >= 0)
        col = 2 + fg_picture_putf(picture, row, col, FG_STYLE_STRONG, "waiting for: %s",
                                  fg_wait_name((enum fg_wait_cause)top->wait));
    col = 2 + fg_picture_putf(picture, row, col, FG_STYLE_DIM, "by %s", fg_top_views[top->view].orders[place->order]);
    if (top->table.len > 0)
        col = 2 + fg_picture_putf(picture, row, col, FG_STYLE_DIM, "%zu of %zu", place->at + 1, top->table.len);
    if (top->view == FG_TOP_STREAMS && top->has_list)
        fg_picture_putf(picture, row, col, FG_STYLE_DIM, "%.0f match, %.0f in progress",
                        fg_answer_number(top->news.list, "matched"), fg_answer_number(top->news.list, "total"));
}

static void draw_bottom(const struct fg_top *top, struct fg_picture *picture, unsigned row)
{
    if (top->mode == FG_TOP_TYPING)
        fg_picture_putf(picture, row, 0, FG_STYLE_STRONG, "filter (Enter: take it, Esc: leave): %s_", top->typed);
    else if (top->mode == FG_TOP_ASKING)
        draw_question(top, picture, row);
    else if (top->message[0])
        fg_picture_put(picture, row, 0, picture->cols, FG_STYLE_STRONG, top->message);
    else if (top->mode == FG_TOP_DETAIL && top->detail_below > 0)
        fg_picture_putf(picture, row, 0, FG_STYLE_DIM, "%zu more lines: down", top->detail_below);
    else if (!top->plain)
        draw_state(top, picture, row);
}

/* ---- all of it ---- */

/* What is no longer so. */
static void dim(struct fg_picture *picture, unsigned from, unsigned end)
{
    for (unsigned row = from; row < end; row++)
        fg_picture_style_row(picture, row, FG_STYLE_DIM);
}

void fg_top_draw(struct fg_top *top, struct fg_picture *picture, uint64_t now_ns)
{
    unsigned row = FG_TOP_HEADER_ROWS, end = picture->rows > row ? picture->rows - 1 : row;

    fg_top_fill(top, now_ns);
    fg_top_draw_header(top, picture, now_ns);
    if (top->mode == FG_TOP_HELP) {
        draw_help(picture, row + 1, end);
    } else if (top->mode == FG_TOP_DETAIL) {
        draw_detail(top, picture, row, end);
    } else {
        if (top->view == FG_TOP_OVERVIEW && picture->rows >= HISTORY_FROM_ROWS)
            row = fg_top_draw_history(top, picture, row);
        draw_table(top, picture, row, end);
    }
    if (top->news.problem[0])
        dim(picture, 1, end);
    draw_bottom(top, picture, end);
}
