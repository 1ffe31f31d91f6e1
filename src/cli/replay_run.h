/* Runs the outcomes of recorded calls through the breakers of another configuration, with the clock of the record.
 * Sans-io and deterministic. An attempt asks the circuits of its endpoint, as then, when it began; when it is refused,
 * it is not reported to them; else it is, as it ended. */
#ifndef FG_CLI_REPLAY_RUN_H
#define FG_CLI_REPLAY_RUN_H

#include "cli/replay_line.h"
#include "cli/replay_order.h"
#include "config/config.h"
#include "policy/breaker.h"

#define FG_REPLAY_NOTES_MAX 32

/* Something that could not be replayed; each only once. */
struct fg_replay_note {
    char *text;
    uint64_t attempts;
};

struct fg_replay_summary {
    uint64_t lines, calls, attempts;           /* those of clusters that are not in the configuration are no attempts */
    uint64_t broken, old, other;               /* lines */
    uint64_t omitted;                          /* attempts that were not in the log, or too many in a line */
    uint64_t late;                             /* attempts that began further back than the window */
    uint64_t unasked;                          /* attempts that had no endpoint, or were never made */
    uint64_t skipped;                          /* attempts, for the reasons in the notes */
    uint64_t clocks;                           /* times that the log goes on with another clock */
    uint64_t by_class[4], refused_by_class[4]; /* attempts, by enum fg_class as the new sets of codes have it */
    uint64_t elsewhere;                        /* of those refused: another endpoint would have taken the call */
    uint64_t shed;                             /* of those refused: because of overload */
    uint64_t let_through;                      /* attempts passed because of max_ejected */
    uint64_t refused_then;                     /* calls that breakers refused in reality */
    uint64_t trips, raises;
    uint64_t first_wall_ms, last_wall_ms;
    struct fg_replay_note notes[FG_REPLAY_NOTES_MAX];
    size_t notes_len;
};

struct fg_replay;

struct fg_replay_change {
    const struct fg_breaker_event *event;
    uint64_t wall_ms; /* since 1970; 0: the log does not say */
    bool refuses_all; /* calls of every class */
};

typedef void fg_replay_on_change(void *context, const struct fg_replay_change *change);

/* WINDOW_NS: how far the lines may be out of order; PENDING_MAX bounds the memory for that. CONFIG is borrowed. */
struct fg_replay *fg_replay_new(const struct fg_config *config, uint64_t window_ns, size_t pending_max,
                                fg_replay_on_change *on_change, void *context);
void fg_replay_free(struct fg_replay *replay);

void fg_replay_feed(struct fg_replay *replay, const char *line, size_t len);
const struct fg_replay_summary *fg_replay_end(struct fg_replay *replay); /* as long as REPLAY */

#endif
