/* A client of the server reflection protocol (grpc/doc/server-reflection.md; v1 and v1alpha have the same messages),
 * sans-io: it says which message to send, takes the answer, and ends with a set of descriptors. */
#ifndef FG_RPC_REFLECTION_H
#define FG_RPC_REFLECTION_H

#include "base/mem.h"
#include "rpc/descriptor.h"

#define FG_REFLECTION_MAX_FILES 16384 /* and services, and names that are asked for */

struct fg_reflection;

/* SEED of hashes of what the service chooses. */
struct fg_reflection *fg_reflection_new(uint32_t seed);
void fg_reflection_free(struct fg_reflection *reflection); /* NULL is allowed */

/* The next message to send, borrowed until the next call. False: everything is known. */
bool fg_reflection_next(struct fg_reflection *reflection, struct fg_str *request);

/* The answer to it. 0, or -1 and *ERROR, static: the service does not keep to the protocol, or goes beyond a limit. */
int fg_reflection_take(struct fg_reflection *reflection, struct fg_str answer, const char **error)
    __attribute__((warn_unused_result));

/* The FileDescriptorSet so far, borrowed until the next call. */
struct fg_str fg_reflection_set(const struct fg_reflection *reflection);

/* Compiles what was found. 0 and *OUT with one reference, or -1 and ERROR: also where nothing was found, so that a
 * service that has lost its descriptors is no news of them. */
int fg_reflection_finish(const struct fg_reflection *reflection, struct fg_descriptors **out,
                         struct fg_descriptors_error *error) __attribute__((warn_unused_result));

#endif
