/* The checks of a file's meaning, from inside: what check.c and check_policies.c share. */
#ifndef FG_CONFIG_CHECK_INT_H
#define FG_CONFIG_CHECK_INT_H

#include "config/check.h"

struct fg_checker {
    const struct fg_raw_config *raw;
    const struct fg_marks *marks;
    struct fg_config_errors *errors;
    struct fg_arena *arena; /* ends with the check */
};

__attribute__((format(printf, 3, 4))) void fg_check_complain(struct fg_checker *c, const struct fg_mark *mark,
                                                             const char *format, ...);

/* The table of KEY, which TABLE has. */
const struct fg_table *fg_check_under(const struct fg_table *table, const char *key);

/* The mark of a value that stands in the file and is sound; NULL: it does not, or is not. */
const struct fg_mark *fg_check_good(const struct fg_checker *c, const void *base, const struct fg_table *table,
                                    const char *key);

/* ---- check_policies.c ---- */

void fg_check_route_policies(struct fg_checker *c, const struct fg_raw_route *route);
void fg_check_cluster_policies(struct fg_checker *c, const struct fg_config_cluster *cluster);

#endif
