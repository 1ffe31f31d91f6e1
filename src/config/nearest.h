/* The known name that a mistyped word most likely means. */
#ifndef FG_CONFIG_NEAREST_H
#define FG_CONFIG_NEAREST_H

#include "base/bytes.h"

struct fg_nearest {
    struct fg_str word; /* borrowed */
    const char *best;   /* borrowed from the caller's candidates; NULL while nothing is near */
    unsigned distance;
};

void fg_nearest_init(struct fg_nearest *nearest, struct fg_str word);
void fg_nearest_offer(struct fg_nearest *nearest, const char *candidate);

#endif
