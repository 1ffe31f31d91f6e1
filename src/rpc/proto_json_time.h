/* Timestamps (RFC 3339) and durations as JSON has them. */
#ifndef FG_RPC_PROTO_JSON_TIME_H
#define FG_RPC_PROTO_JSON_TIME_H

#include "base/bytes.h"

#define FG_TIME_TEXT 48 /* bytes that are enough for what is printed */

/* "2024-01-31T12:00:00.500Z": years 1 to 9999, nanos 0..999999999; no zero-terminator. 0: out of range. */
size_t fg_timestamp_print(int64_t seconds, int32_t nanos, char *text);
/* "-1.500s": up to 315576000000 s, both of one sign. 0: out of range. */
size_t fg_duration_print(int64_t seconds, int32_t nanos, char *text);

/* -1: not of that form, or out of range. A timestamp may have an offset and a lower case t or z. */
int fg_timestamp_parse(struct fg_str text, int64_t *seconds, int32_t *nanos);
int fg_duration_parse(struct fg_str text, int64_t *seconds, int32_t *nanos);

#endif
