/* Asking a running gateway through its admin address: a small blocking HTTP/1.1 client. */
#ifndef FG_CLI_ASK_H
#define FG_CLI_ASK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "cli/grid.h"

/* How every command that asks is told whom. Where an option is absent, the environment counts, then the default. */
struct fg_ask {
    const char *command; /* for messages */
    const char *address; /* --admin, FUSEGATE_ADMIN, 127.0.0.1:9901; "unix:/path" is one, too */
    const char *token;   /* --token, FUSEGATE_TOKEN; NULL: none */
    bool json;           /* --json: the gateway's own answer is printed */
    bool acts;           /* something is to be changed: POST */
    int timeout_ms;      /* for the gateway to say something; 0: as long as it may have reason to be silent */
    char *problem;       /* what went wrong is put here instead of being said; NULL: it is said */
    size_t problem_len;
    bool shows; /* what not everybody may see: the gateway itself says why it refuses that */
};

/* Members of a list of struct fg_arg. */
#define FG_ASK_ARGS(ask)                                                                                               \
    {"--admin", &(ask).address, NULL}, {"--token", &(ask).token, NULL},                                                \
    {                                                                                                                  \
        "--json", NULL, &(ask).json                                                                                    \
    }

#define FG_ASK_USAGE                                                                                                   \
    "  --admin ADDRESS   of the gateway: HOST:PORT or unix:/PATH (or FUSEGATE_ADMIN; else 127.0.0.1:9901)\n"           \
    "  --token TOKEN     its admin.token (better: FUSEGATE_TOKEN, which other users cannot see)\n"                     \
    "  --json            the gateway's answer as it is\n"

void fg_ask_defaults(struct fg_ask *ask); /* after the options were taken */

/* What came back. */
struct fg_answer {
    unsigned status;
    char *text; /* ends with 0; NULL: none */
    size_t len;
};

void fg_answer_cleanup(struct fg_answer *answer);

/* Asks for TARGET ("/streams?limit=3"). 0, or -1: none came back, and that has been said. Statuses 401 and 403 count as
 * none. */
int fg_ask_get(const struct fg_ask *ask, const char *target, struct fg_answer *answer)
    __attribute__((warn_unused_result));

/* The same, as JSON. NULL: that has been said, or with *STATUS 404 is for the caller to say. */
json_t *fg_ask_json(const struct fg_ask *ask, const char *target, unsigned *status);

/* Asks for TARGET, whose answer has no end, and hands over its lines (without their ends) until ON_LINE says no or the
 * gateway ends. 0, or -1: it could not, and that has been said. */
int fg_ask_follow(const struct fg_ask *ask, const char *target, bool (*on_line)(void *context, const char *line),
                  void *context) __attribute__((warn_unused_result));

/* Writes the answer to TARGET as it is to standard output; an exit code. */
int fg_ask_print(const struct fg_ask *ask, const char *target);

/* Appends TEXT, percent-encoded, to the target in OUT. */
void fg_ask_encode(FILE *out, const char *text);

/* ---- reading answers: what is absent is "" or 0 ---- */

const char *fg_answer_text(const json_t *object, const char *key);
double fg_answer_number(const json_t *object, const char *key);

/* A name that peers may have chosen: the gateway shows its bytes as Latin-1, this gives the bytes. To be freed. */
char *fg_answer_name(const json_t *object, const char *key);
void fg_grid_name(struct fg_grid *grid, const json_t *object, const char *key);

#endif
