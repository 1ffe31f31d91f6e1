/* Cuts a stream of JSON values (NDJSON, or one array of them) into its values, without looking into them. */
#ifndef FG_RPC_JSON_SPLIT_H
#define FG_RPC_JSON_SPLIT_H

#include "base/bytes.h"

struct fg_json_split {
    uint32_t depth; /* inside of the value */
    bool in_value, in_string, escaped, scalar;
    bool array;                      /* the values stand in one array */
    bool began, ended, wants, comma; /* something came; the array is over; a value has to follow; one has come */
};

enum fg_json_split_result { FG_JSON_SPLIT_MORE, FG_JSON_SPLIT_VALUE, FG_JSON_SPLIT_BAD };

/* Takes bytes from DATA: *AT goes over them. Those of *PIECE belong to the value that is being read; VALUE: with them
 * it is whole. MORE: everything was taken. */
enum fg_json_split_result fg_json_split_feed(struct fg_json_split *split, const char *data, size_t len, size_t *at,
                                             struct fg_str *piece);
/* The text has ended: 1: a last value is whole with that; 0: none was open; -1: it is cut. */
int fg_json_split_end(const struct fg_json_split *split);

#endif
