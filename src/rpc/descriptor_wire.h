/* Reads protobuf that lies in one piece. A fault is remembered, ends the reading and is never more than that. */
#ifndef FG_RPC_DESCRIPTOR_WIRE_H
#define FG_RPC_DESCRIPTOR_WIRE_H

#include "rpc/descriptor.h"

struct fg_wire {
    const uint8_t *at, *end;
    bool failed;
};

/* The field that fg_wire_next has read. */
struct fg_wire_field {
    uint32_t number;
    uint8_t type;        /* enum fg_wire_type */
    uint64_t value;      /* of a number */
    struct fg_str bytes; /* of FG_WIRE_BYTES; borrowed */
};

static inline struct fg_wire fg_wire_of(struct fg_str bytes)
{
    return (struct fg_wire){(const uint8_t *)bytes.p, (const uint8_t *)bytes.p + bytes.len, false};
}

/* false: the end, or a fault. Groups are a fault: descriptors have none. */
bool fg_wire_next(struct fg_wire *wire, struct fg_wire_field *field);

#endif
