/* What the checks share. A check looks at values that stand in the file and are sound; defaults are sound together. */
#ifndef FG_CONFIG_CHECK_INT_H
#define FG_CONFIG_CHECK_INT_H

#include "config/check.h"

struct fg_checker {
    const struct fg_raw_config *raw;
    const struct fg_marks *marks;
    struct fg_config_errors *errors;
    struct fg_arena *arena; /* ends with the check */
};

void fg_check_complain(struct fg_checker *c, const struct fg_mark *mark, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

const struct fg_table *fg_check_under(const struct fg_table *table, const char *key);

/* The mark of a value that stands in the file and is sound. */
const struct fg_mark *fg_check_good(const struct fg_checker *c, const void *base, const struct fg_table *table,
                                    const char *key);

/* Does the file have no value for it that is reported already? */
bool fg_check_is_sound(const struct fg_checker *c, const void *base, const struct fg_table *table, const char *key);

/* A number, with where it would stand in the file. */
struct fg_check_number {
    const void *base;
    const struct fg_table *table;
    const char *key;
    uint64_t value;
    const char *shown; /* how the other one calls it; NULL: by its key */
};

/* LOW may not be more than HIGH (FG_CHECK_BELOW: nor equal). It is said at LOW if the file has it, else at HIGH. WHY
 * ends the sentence "found 20s, expected at most max (10s): ". False: it does not hold, and has been said. */
enum fg_check_relation { FG_CHECK_AT_MOST, FG_CHECK_BELOW };
bool fg_check_order(struct fg_checker *c, struct fg_check_number low, enum fg_check_relation relation,
                    struct fg_check_number high, const char *why);

/* check_match.c: routes lead to clusters and can be reached. */
void fg_check_matches(struct fg_checker *c);

/* check_log.c: the format is one. */
void fg_check_log(struct fg_checker *c);

/* check_route.c and check_cluster.c: policies that contradict each other. */
void fg_check_route(struct fg_checker *c, const struct fg_raw_route *route);
void fg_check_cluster(struct fg_checker *c, const struct fg_config_cluster *cluster);

#endif
