/* Parts of a request target that were percent-encoded (RFC 3986). */
#ifndef FG_ADMIN_QUERY_H
#define FG_ADMIN_QUERY_H

#include "base/bytes.h"

/* Decodes TEXT into OUT, which has room for OUT_LEN bytes; "+" stays what it is. *LEN is the length. False: it is too
 * long, or "%" is not followed by two hex digits. */
bool fg_query_decode(struct fg_str text, char *out, size_t out_len, size_t *len) __attribute__((warn_unused_result));

/* Finds KEY=VALUE among those joined with "&"; the first one counts. False: there is none. VALUE is still encoded. */
bool fg_query_find(struct fg_str query, const char *key, struct fg_str *value) __attribute__((warn_unused_result));

/* As a number; FALLBACK where it is absent. False: it is no number, or beyond MAX. */
bool fg_query_number(struct fg_str query, const char *key, uint64_t fallback, uint64_t max, uint64_t *out)
    __attribute__((warn_unused_result));

/* As text that ends with 0, decoded; "" where it is absent. False: it is too long, or malformed. */
bool fg_query_text(struct fg_str query, const char *key, char *out, size_t out_len) __attribute__((warn_unused_result));

#endif
