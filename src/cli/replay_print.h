/* What replay found, for people or as JSON. */
#ifndef FG_CLI_REPLAY_PRINT_H
#define FG_CLI_REPLAY_PRINT_H

#include <stdio.h>

#include "cli/replay_run.h"
#include "cli/grid.h"

struct fg_replay_printer {
    FILE *out;
    bool json;
    const char *config; /* its file name */
    struct fg_grid grid;
    uint64_t changes;
};

void fg_replay_print_begin(struct fg_replay_printer *printer);
void fg_replay_print_change(void *printer, const struct fg_replay_change *change);
void fg_replay_print_end(struct fg_replay_printer *printer, const struct fg_replay_summary *summary);

#endif
