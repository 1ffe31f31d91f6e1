/* Scalar values of the configuration file: text to number and back, and what to tell the user when it is none.
 *
 * Nothing here depends on the locale. The single parsers return 0, or -1 and leave *OUT alone. A number too large for
 * its type reads as the largest one, so that the caller's range check answers. */
#ifndef FG_CONFIG_VALUE_H
#define FG_CONFIG_VALUE_H

#include "base/bytes.h"
#include "config/schema.h"

int fg_value_integer(struct fg_str text, uint64_t *out) __attribute__((warn_unused_result));
int fg_value_duration(struct fg_str text, uint64_t *out_ns) __attribute__((warn_unused_result)); /* 250ms, 2s, 0 */
int fg_value_size(struct fg_str text, uint64_t *out_bytes) __attribute__((warn_unused_result));  /* 64KiB, 100 */
int fg_value_rate(struct fg_str text, uint64_t *out_per_s) __attribute__((warn_unused_result));  /* 10/s */
/* 10/s, 600/m, 1000/h: the time between two events, rounded up so that the rate is never exceeded. 0/s is the longest
 * there is; more than one in a ns is 0. */
int fg_value_interval(struct fg_str text, uint64_t *out_ns) __attribute__((warn_unused_result));
int fg_value_bool(struct fg_str text, uint64_t *out) __attribute__((warn_unused_result)); /* true, false */

/* "20%" and "0.2" are the same, and so are "150%" and "1.5" of a factor. Not limited to 1; at most six decimals count.
 * In 1 / FG_RATIO_UNIT. */
int fg_value_ratio(struct fg_str text, uint64_t *out_millionths) __attribute__((warn_unused_result));

/* host:port or [v6]:port, both parts checked. HOST borrows from TEXT and has no brackets. NULL, or a sentence that says
 * what is wrong. */
struct fg_value_address {
    struct fg_str host;
    uint16_t port;
};

const char *fg_value_address(struct fg_str text, struct fg_value_address *out) __attribute__((warn_unused_result));

/* Is HOST (without brackets) an address of this machine alone? */
bool fg_value_is_loopback(struct fg_str host);

#define FG_VALUE_WHY_BYTES 512

/* Checks TEXT against KEY, which must be of a scalar type, with its range and its words. 0 and the number to store (a
 * ratio or factor in millionths; texts have none), or -1 and the rest of the sentence `found "x", ...` in WHY. */
int fg_value_parse(const struct fg_key *key, struct fg_str text, uint64_t *out, char why[FG_VALUE_WHY_BYTES])
    __attribute__((warn_unused_result));

/* The name of one status code: *OUT_SET has its bit. -1 and WHY as above. */
int fg_value_code(struct fg_str text, uint64_t *out_set, char why[FG_VALUE_WHY_BYTES])
    __attribute__((warn_unused_result));

/* NAME of "header:NAME"; {NULL} if TEXT is something else. */
struct fg_str fg_value_header_of(struct fg_str text);

/* What KEY takes, as in "expected ..." and in the reference page. */
void fg_value_expected(const struct fg_key *key, char out[FG_VALUE_WHY_BYTES]);

/* A number as a user would write it: "64KiB", "2s", "50%", "1.5", "10/s". */
void fg_value_format(enum fg_key_type type, uint64_t number, char *out, size_t out_len);

#endif
