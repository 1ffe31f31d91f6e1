/* The messages of a request: a text of the command line, a file or standard input, as it comes. */
#ifndef FG_CLI_CALLER_INPUT_H
#define FG_CLI_CALLER_INPUT_H

#include "base/outq.h"
#include "io/loop.h"
#include "rpc/descriptor.h"
#include "rpc/json_split.h"
#include "rpc/proto_json.h"

enum fg_caller_read {
    FG_CALLER_READ_NOTHING, /* for now */
    FG_CALLER_READ_MESSAGE,
    FG_CALLER_READ_END,
    FG_CALLER_READ_BAD, /* that has been said */
};

struct fg_caller_input {
    struct fg_loop *loop;
    struct fg_watch watch; /* of what makes one wait: a pipe, a terminal */
    const char *name;      /* for messages */
    bool watched, paused, ready, ended, many, failed;
    struct fg_outq text;  /* read, and not looked at yet */
    struct fg_outq value; /* the value that is being read */
    struct fg_json_split split;
    size_t values;                /* that were handed out */
    int line, column;             /* of what is next in `text`, from 1 */
    int value_line, value_column; /* where the value begins */
};

/* DATA is as in fg_caller_options. MANY: a sequence of messages; else all of the input is one, and none is an empty
 * object. -1: go on; else the exit code, and all has been said. */
int fg_caller_input_init(struct fg_caller_input *input, struct fg_loop *loop, const char *data, bool many);
void fg_caller_input_cleanup(struct fg_caller_input *input);

/* Reads what there is, without waiting. The next message is moved to OUT as JSON. */
enum fg_caller_read fg_caller_input_next(struct fg_caller_input *input, struct fg_outq *out);

/* Is there something that could be read at once, so that waiting for the loop would be wrong? */
bool fg_caller_input_is_ready(const struct fg_caller_input *input);
/* Paused input wakes nobody. */
void fg_caller_input_pause(struct fg_caller_input *input, bool paused);

/* Turns a message that came from INPUT into protobuf of TYPE. False: it is none, and that has been said. */
bool fg_caller_input_convert(struct fg_caller_input *input, const struct fg_descriptors *types,
                             const struct fg_message *type, struct fg_outq *json, struct fg_outq *out);

#endif
