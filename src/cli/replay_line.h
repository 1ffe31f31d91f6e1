/* A line of an access log (observe/access_line.h), read back. */
#ifndef FG_CLI_REPLAY_LINE_H
#define FG_CLI_REPLAY_LINE_H

#include <jansson.h>

#include "rpc/outcome.h"

#define FG_REPLAY_ATTEMPTS_MAX 64

enum fg_replay_line_kind {
    FG_REPLAY_LINE_CALL,
    FG_REPLAY_LINE_BROKEN, /* no JSON object: cut off, or no log at all */
    FG_REPLAY_LINE_OLD,    /* a call, but without its attempts: of a version before they were logged */
    FG_REPLAY_LINE_OTHER,  /* a JSON object, but no call */
    FG_REPLAY_LINE_SO_FAR, /* of a call in progress (access_log.interval): its last line says it all */
};

struct fg_replay_line {
    enum fg_replay_line_kind kind;
    uint64_t wall_ms; /* since 1970; 0: unknown */
    uint64_t end_us;  /* of the clock that instants of the outcomes are of, too */
    unsigned priority, weight;
    struct fg_outcome call;
    struct fg_outcome attempts[FG_REPLAY_ATTEMPTS_MAX]; /* in order; instants are whole microseconds */
    size_t attempts_len;
    size_t attempts_omitted;
    json_t *root; /* has the texts */
};

/* Reads TEXT into *OUT, whatever it is; of what cannot be read the kind says so. Unknown fields are passed over, and
 * those that are missing or of the wrong type are as if they were 0. */
void fg_replay_line_read(struct fg_replay_line *out, const char *text, size_t len);
void fg_replay_line_cleanup(struct fg_replay_line *line);

#endif
