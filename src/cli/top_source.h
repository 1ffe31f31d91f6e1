/* Where the numbers of `fusegate top` come from: a thread that asks the gateway again and again, so that one that is
 * slow or hangs never holds up the keys. */
#ifndef FG_CLI_TOP_SOURCE_H
#define FG_CLI_TOP_SOURCE_H

#include "cli/ask.h"

#define FG_TOP_PROBLEM_BYTES 256

/* What came back; to be cleaned up. */
struct fg_top_news {
    json_t *overview;                   /* of /overview; NULL: see `problem` */
    json_t *list;                       /* what was asked for besides; NULL: nothing was, or see `problem` */
    unsigned tag;                       /* that `list` was asked with */
    char problem[FG_TOP_PROBLEM_BYTES]; /* why there is nothing; "": all is well */
    char done[FG_TOP_PROBLEM_BYTES];    /* what became of fg_top_source_act; "": it was not asked, or is not done */
};

void fg_top_news_cleanup(struct fg_top_news *news);

struct fg_top_source;

/* Asks every INTERVAL_MS for what is wanted, and for nothing before something is. ASK is copied, its texts are
 * borrowed. NULL: there is no thread to be had, and that has been said. */
struct fg_top_source *fg_top_source_start(const struct fg_ask *ask, unsigned interval_ms);
/* Does not wait for a question that is under way: if there is one, the source lives on until the process ends. */
void fg_top_source_stop(struct fg_top_source *source);

int fg_top_source_fd(const struct fg_top_source *source);                        /* readable: there are news */
bool fg_top_source_take(struct fg_top_source *source, struct fg_top_news *news); /* false: there are none */

/* From now on OVERVIEW is asked for, and TARGET, too, at once and then every interval; TARGET NULL: nothing more. */
void fg_top_source_want(struct fg_top_source *source, const char *overview, const char *target, unsigned tag);
void fg_top_source_pause(struct fg_top_source *source, bool paused);
/* Posts to TARGET, once; the news will say what came of it. */
void fg_top_source_act(struct fg_top_source *source, const char *target, const char *success);

/* Asks once, here and now. Problems are put into the news. */
void fg_top_source_ask(const struct fg_ask *ask, const char *overview, const char *target, struct fg_top_news *news);

#endif
