/* What must hold between the values of a file, once each of them is sound. Insiders of the folder only. */
#ifndef FG_CONFIG_CHECK_H
#define FG_CONFIG_CHECK_H

#include "config/marks.h"

/* MARKS are sorted. Values that the reader refused are left out of the checks, so that one mistake is reported once. */
void fg_check(const struct fg_raw_config *raw, const struct fg_marks *marks, struct fg_config_errors *errors);

/* What ROUTE matches, in the form of the snapshot. *PATH is in ARENA or borrowed from ROUTE. */
enum fg_config_path_match fg_check_path_of(const struct fg_raw_route *route, struct fg_arena *arena, const char **path);

#endif
