#include "cli/top_state.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/time.h"
#include "base/wait.h"

#define STREAMS_SHOWN 500
#define EVENTS_SHOWN  300

void fg_top_init(struct fg_top *top, const struct fg_ask *ask, bool utf8)
{
    *top = (struct fg_top){.ask = ask, .utf8 = utf8, .wait = -1};
}

void fg_top_cleanup(struct fg_top *top)
{
    for (int i = 0; i < FG_TOP_VIEWS; i++)
        free(top->places[i].chosen);
    fg_top_table_cleanup(&top->table);
    fg_top_news_cleanup(&top->news);
}

static void put_streams_query(const struct fg_top *top, const char *order, FILE *out)
{
    fprintf(out, "?limit=%d&sort=%s", STREAMS_SHOWN, order);
    if (top->filter[0]) {
        fputs("&method=*", out);
        fg_ask_encode(out, top->filter);
        fputc('*', out);
    }
    if (top->wait >= 0)
        fprintf(out, "&wait=%s", fg_wait_name((enum fg_wait_cause)top->wait));
}

const char *fg_top_overview(const struct fg_top *top)
{
    return top->view == FG_TOP_WAITS ? "/overview?history=60&methods=0&waits=1" : "/overview?history=60&methods=500";
}

char *fg_top_target(const struct fg_top *top)
{
    const struct fg_top_view *view = &fg_top_views[top->view];
    char *target = NULL;
    size_t len = 0;

    if (!view->list)
        return NULL;
    FILE *out = open_memstream(&target, &len);
    if (!out)
        return NULL;
    fputs(view->list, out);
    if (top->view == FG_TOP_STREAMS)
        put_streams_query(top, view->orders[top->places[top->view].order], out);
    double next = top->view == FG_TOP_EVENTS && top->has_list ? fg_answer_number(top->news.list, "next") : 0;
    if (next > EVENTS_SHOWN)
        fprintf(out, "?since=%.0f", next - EVENTS_SHOWN);
    fclose(out);
    return target;
}

/* Of the old, what the new ones lack stays. */
void fg_top_hear(struct fg_top *top, struct fg_top_news *news, uint64_t now_ns)
{
    bool fits = news->tag == (unsigned)top->view;

    if (news->done[0])
        memcpy(top->message, news->done, sizeof top->message);
    memcpy(top->news.problem, news->problem, sizeof news->problem);
    if (news->overview) {
        json_decref(top->news.overview);
        top->news.overview = json_incref(news->overview);
        top->news_ns = now_ns;
    }
    if (news->list && fits) {
        json_decref(top->news.list);
        top->news.list = json_incref(news->list);
        top->has_list = true;
    }
    fg_top_news_cleanup(news);
}

/* The row that was chosen, or where it was. */
static void find_chosen(struct fg_top *top)
{
    struct fg_top_place *place = &top->places[top->view];
    size_t at = place->chosen ? fg_top_table_find(&top->table, place->chosen) : place->at;

    place->at = at < top->table.len ? at : FG_MIN(place->at, top->table.len ? top->table.len - 1 : 0);
}

void fg_top_fill(struct fg_top *top, uint64_t now_ns)
{
    const struct fg_top_view *view = &fg_top_views[top->view];
    struct fg_top_data data = {
        .overview = top->news.overview,
        .list = top->has_list ? top->news.list : NULL,
        .age_ms = now_ns > top->news_ns ? (double)(now_ns - top->news_ns) / (double)FG_MS : 0,
        .utf8 = top->utf8,
    };

    fg_top_table_cleanup(&top->table);
    fg_top_table_init(&top->table, view->columns, view->columns_len);
    view->fill(&top->table, &data, top->places[top->view].order);
    if (top->filter[0] && top->view != FG_TOP_STREAMS)
        fg_top_table_filter(&top->table, top->filter);
    if (top->view != FG_TOP_STREAMS) /* those have been sorted among many more */
        fg_top_table_sort(&top->table);
    find_chosen(top);
}

const struct fg_top_row *fg_top_chosen(const struct fg_top *top)
{
    return top->table.len > 0 ? &top->table.rows[top->places[top->view].at] : NULL;
}
