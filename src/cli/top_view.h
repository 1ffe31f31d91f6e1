/* The views of `fusegate top`: each makes a table of what the gateway said. */
#ifndef FG_CLI_TOP_VIEW_H
#define FG_CLI_TOP_VIEW_H

#include "cli/top_table.h"

enum fg_top_view_id {
    FG_TOP_OVERVIEW,
    FG_TOP_STREAMS,
    FG_TOP_BREAKERS,
    FG_TOP_ENDPOINTS,
    FG_TOP_WAITS,
    FG_TOP_EVENTS,
    FG_TOP_VIEWS
};

#define FG_TOP_ORDERS 6

struct fg_top_data {
    const json_t *overview;
    const json_t *list; /* what the view's target answered; NULL: nothing yet, or it has none */
    double age_ms;      /* of both */
    bool utf8;
};

struct fg_top_view {
    const char *name;
    const char *list; /* the path that is asked besides /overview; NULL: none */
    const struct fg_top_column *columns;
    size_t columns_len;
    const char *orders[FG_TOP_ORDERS]; /* that `s` goes through; NULL behind the last */
    void (*fill)(struct fg_top_table *table, const struct fg_top_data *data, unsigned order);
    const char *nothing; /* said where the table is empty */
};

extern const struct fg_top_view fg_top_views[FG_TOP_VIEWS];

/* "1.2k", of a rate or number. Returns OUT. */
#define FG_TOP_NUMBER_BYTES 16
const char *fg_top_number(double value, char out[FG_TOP_NUMBER_BYTES]);

/* What a cause of waiting means; "": not known. */
const char *fg_top_wait_meaning(const char *cause);

/* ---- top_lists.c: those that have a list of their own ---- */

void fg_top_fill_streams(struct fg_top_table *table, const struct fg_top_data *data, unsigned order);
void fg_top_fill_breakers(struct fg_top_table *table, const struct fg_top_data *data, unsigned order);
void fg_top_fill_events(struct fg_top_table *table, const struct fg_top_data *data, unsigned order);

/* ---- for the views ---- */

/* "v closed", "x open", "~ half_open": what it is can be seen without colour. */
void fg_top_cell_state(struct fg_top_table *table, const struct fg_top_data *data, const char *state);
enum fg_style fg_top_state_style(const char *state);
void fg_top_cell_ms(struct fg_top_table *table, const json_t *object, const char *key); /* "-" where there is none */
void fg_top_cell_name(struct fg_top_table *table, const json_t *object, const char *key, const char *otherwise);
/* A row whose id is made of the names at KEYS. */
struct fg_top_row *fg_top_add(struct fg_top_table *table, const json_t *object, const char *const *keys, size_t len);

#endif
