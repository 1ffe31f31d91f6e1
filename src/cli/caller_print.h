/* What `fusegate call` prints: answers on standard output, everything else on standard error. */
#ifndef FG_CLI_CALLER_PRINT_H
#define FG_CLI_CALLER_PRINT_H

#include "base/header.h"
#include "base/outq.h"
#include "cli/caller_call.h"
#include "rpc/descriptor.h"

/* With --verbose: the fields, each behind MARK. */
void fg_caller_print_fields(const struct fg_caller_options *options, const char *mark,
                            const struct fg_headers *headers);

/* MESSAGE of TYPE as JSON in OUT. False: it is none; then the call is broken. */
bool fg_caller_to_json(struct fg_caller_call *call, const struct fg_descriptors *types, const struct fg_message *type,
                       const struct fg_outq *message, struct fg_outq *out);

/* Print JSON as it is or over several lines, with a new line; and bytes; at once. False: standard output takes no more
 * (that has been said, but of a closed pipe), or LINK has ended while it took none. */
bool fg_caller_print_json(struct fg_caller_link *link, const struct fg_outq *json);
bool fg_caller_print_raw(struct fg_caller_link *link, const struct fg_outq *bytes);

/* Appends JSON, over several lines, to OUT. */
void fg_caller_indent(const struct fg_outq *json, struct fg_outq *out);

/* Says how the call has ended if that is not OK. The exit code. TYPES may be NULL. */
int fg_caller_print_end(struct fg_caller_call *call, const struct fg_descriptors *types);
void fg_caller_print_times(const struct fg_caller_call *call);

#endif
