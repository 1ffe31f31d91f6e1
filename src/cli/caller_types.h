/* The types that `fusegate call` knows: of a file of descriptors, or of the server's reflection service. */
#ifndef FG_CLI_CALLER_TYPES_H
#define FG_CLI_CALLER_TYPES_H

#include "cli/caller_link.h"
#include "rpc/descriptor.h"

/* One reference in *OUT. -1: go on; else the exit code, and all has been said. */
int fg_caller_types_load(struct fg_caller_link *link, struct fg_descriptors **out);

/* The method that the end of PATH names ("/prefix/pkg.Service/Method"); NULL: there is none, and that has been said,
 * with the name that is nearest. */
const struct fg_method *fg_caller_types_method(const struct fg_descriptors *types, struct fg_str path);

/* --list and --describe NAME; the exit code. */
int fg_caller_list(const struct fg_descriptors *types);
int fg_caller_describe(const struct fg_descriptors *types, const char *name);

#endif
