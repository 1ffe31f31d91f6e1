/* JSON for the admin address; insiders of the inspect files only. Peers choose method names, so every byte of a text is
 * suspect. */
#ifndef FG_GATEWAY_INSPECT_INT_H
#define FG_GATEWAY_INSPECT_INT_H

#include "gateway/inspect.h"
#include "gateway/long_waits.h"

void fg_inspect_put_string(FILE *out, struct fg_str s);
void fg_inspect_put_field(FILE *out, const char *name, struct fg_str value); /* "name": "value" */
void fg_inspect_put_number(FILE *out, const char *name, double value);       /* what is not finite is shown as 0 */
void fg_inspect_put_ms(FILE *out, const char *name, uint64_t value_ns);      /* with three decimals */
void fg_inspect_put_bool(FILE *out, const char *name, bool value);

/* "holders": [...] and what belongs to it; RECORD has some. */
void fg_inspect_put_holders(FILE *out, unsigned worker, const struct fg_long_wait *record);

/* The settings of a cluster's breaker; NULL: the configuration has no such cluster any more. */
const struct fg_config_cluster *fg_inspect_cluster(const struct fg_gateway *gateway, struct fg_str name);

/* Do calls to the cluster differ in their class? Set before the workers began, and never changed. */
bool fg_inspect_has_classes(const struct fg_gateway *gateway, const struct fg_config_cluster *cluster);

/* The fields of a circuit that lists show, without braces. */
void fg_inspect_put_breaker(struct fg_breaker *breaker, const struct fg_config_breaker *config, FILE *out);

#endif
