/* What `fusegate top` knows and what the person at the keys has chosen. Pure: keys and news go in, pictures come out.
 */
#ifndef FG_CLI_TOP_STATE_H
#define FG_CLI_TOP_STATE_H

#include "cli/top_source.h"
#include "cli/top_view.h"

#define FG_TOP_TYPED_BYTES 128

enum fg_top_mode {
    FG_TOP_LIST,
    FG_TOP_DETAIL, /* of the chosen row */
    FG_TOP_HELP,
    FG_TOP_TYPING, /* a filter */
    FG_TOP_ASKING, /* whether to end a call */
};

/* Where a view was left. */
struct fg_top_place {
    char *chosen; /* id of the row; NULL: nobody has moved, the first one is */
    size_t at;    /* its number, for when it is gone */
    size_t first; /* row on top of the screen */
    unsigned order;
};

struct fg_top {
    const struct fg_ask *ask;
    bool utf8;
    enum fg_top_view_id view;
    enum fg_top_mode mode;
    struct fg_top_place places[FG_TOP_VIEWS];
    char filter[FG_TOP_TYPED_BYTES], typed[FG_TOP_TYPED_BYTES];
    int wait; /* enum fg_wait_cause of the streams shown; -1: any */
    char kill_id[64];
    char message[FG_TOP_PROBLEM_BYTES];
    bool paused, quit;
    bool plain;                        /* nobody is at the keys */
    size_t detail_first, detail_below; /* line on top; lines behind the last that is shown */
    unsigned height;                   /* rows of the table that were last drawn */
    /* What was said last. */
    struct fg_top_news news;
    bool has_list;    /* it is of this view */
    uint64_t news_ns; /* when there was something; 0: never */
    struct fg_top_table table;
};

/* ASK is borrowed. */
void fg_top_init(struct fg_top *top, const struct fg_ask *ask, bool utf8);
void fg_top_cleanup(struct fg_top *top);

/* What is to be asked for: /overview, and the view's list (NULL: none; to be freed). */
const char *fg_top_overview(const struct fg_top *top);
char *fg_top_target(const struct fg_top *top);

/* Takes the news over. */
void fg_top_hear(struct fg_top *top, struct fg_top_news *news, uint64_t now_ns);

/* Makes the table of the view anew. */
void fg_top_fill(struct fg_top *top, uint64_t now_ns);

/* The chosen row; NULL: there are none. */
const struct fg_top_row *fg_top_chosen(const struct fg_top *top);

/* ---- top_keys.c ---- */

/* Keys beyond characters. */
enum fg_top_key {
    FG_KEY_UP = 0x110000, /* behind all of Unicode */
    FG_KEY_DOWN,
    FG_KEY_PAGE_UP,
    FG_KEY_PAGE_DOWN,
    FG_KEY_HOME,
    FG_KEY_END,
    FG_KEY_ENTER,
    FG_KEY_ESCAPE,
    FG_KEY_BACKSPACE,
};

/* What is to be done after a key. */
enum fg_top_effect {
    FG_TOP_NOTHING,
    FG_TOP_ASK_ANEW, /* fg_top_target is another one */
    FG_TOP_PAUSE,    /* or go on, see `paused` */
    FG_TOP_KILL,     /* the call `kill_id` */
};

enum fg_top_effect fg_top_press(struct fg_top *top, uint32_t key);

/* ---- top_draw.c ---- */

void fg_top_draw(struct fg_top *top, struct fg_picture *picture, uint64_t now_ns);

/* ---- top_header.c ---- */

#define FG_TOP_HEADER_ROWS 4

/* Name and state of the gateway, traffic, and the views. */
void fg_top_draw_header(const struct fg_top *top, struct fg_picture *picture, uint64_t now_ns);
/* The last minute as little bars; the row behind them. */
unsigned fg_top_draw_history(const struct fg_top *top, struct fg_picture *picture, unsigned row);

#endif
