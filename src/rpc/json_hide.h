/* Copies the JSON of a message without the values of some of its fields: "[redacted]" stands in their place. */
#ifndef FG_RPC_JSON_HIDE_H
#define FG_RPC_JSON_HIDE_H

#include <stdio.h>

#include "rpc/descriptor.h"

/* Paths such as "password", "card.number" and "*.token": names with dots between them, "*" is any one name. A path
 * names a field wherever it is: it is compared with the end of the way from the top of the message. Fields go by their
 * JSON name and by the one in the descriptors; keys of maps and of google.protobuf.Struct are names, too. */
struct fg_json_hide {
    const char *const *paths;
    size_t paths_len;
    const struct fg_descriptors *descriptors; /* for Any; NULL: its fields go by their JSON names */
};

/* JSON is what fg_proto_to_json wrote of a message of TYPE (NULL: not known). 0; -1: it is no such JSON, and what was
 * written is to be dropped. */
int fg_json_hide(const struct fg_json_hide *how, const struct fg_message *type, struct fg_str json, FILE *out)
    __attribute__((warn_unused_result));

/* Is the field at the end of PATH, names with dots between them from the top, one of those that are hidden? */
bool fg_json_hides_path(const struct fg_json_hide *how, struct fg_str path);

#endif
