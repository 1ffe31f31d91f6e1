/* Decimals as JSON has them, exactly. */
#ifndef FG_RPC_PROTO_JSON_NUMBER_H
#define FG_RPC_PROTO_JSON_NUMBER_H

#include "base/bytes.h"

enum fg_decimal { FG_DECIMAL_OK, FG_DECIMAL_FRACTION, FG_DECIMAL_RANGE };

/* TEXT is a JSON number (fg_json_is_number): "12", "1.20e2", "-0". Its magnitude; FRACTION: it is no integer; RANGE: it
 * has more than 64 bits. */
enum fg_decimal fg_decimal_to_u64(struct fg_str text, bool *negative, uint64_t *magnitude);

/* DIGITS / 10^PLACES; DIGITS at most 2^53, PLACES at most 22. */
double fg_decimal_small(uint64_t digits, unsigned places);

/* The nearest double; RANGE: infinite. */
enum fg_decimal fg_decimal_to_double(struct fg_str text, double *value);

#endif
