#include "rpc/descriptor_wire.h"

static bool fail(struct fg_wire *wire)
{
    wire->failed = true;
    wire->at = wire->end;
    return false;
}

static bool varint(struct fg_wire *wire, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && wire->at < wire->end; shift += 7) {
        uint8_t byte = *wire->at++;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return fail(wire);
}

/* Little-endian. */
static bool fixed(struct fg_wire *wire, unsigned len, uint64_t *value)
{
    if ((size_t)(wire->end - wire->at) < len)
        return fail(wire);
    *value = 0;
    for (unsigned i = 0; i < len; i++)
        *value |= (uint64_t)wire->at[i] << 8 * i;
    wire->at += len;
    return true;
}

static bool bytes(struct fg_wire *wire, struct fg_str *out)
{
    uint64_t len;

    if (!varint(wire, &len))
        return false;
    if (len > (size_t)(wire->end - wire->at))
        return fail(wire);
    *out = (struct fg_str){(const char *)wire->at, (size_t)len};
    wire->at += len;
    return true;
}

bool fg_wire_next(struct fg_wire *wire, struct fg_wire_field *field)
{
    uint64_t tag;

    if (wire->at == wire->end || !varint(wire, &tag))
        return false;
    if (tag >> 32 != 0 || tag >> 3 == 0)
        return fail(wire);
    field->number = (uint32_t)tag >> 3;
    field->type = tag & 7;
    field->value = 0;
    field->bytes = (struct fg_str){"", 0};
    switch (field->type) {
    case FG_WIRE_VARINT:
        return varint(wire, &field->value);
    case FG_WIRE_64:
        return fixed(wire, 8, &field->value);
    case FG_WIRE_BYTES:
        return bytes(wire, &field->bytes);
    case FG_WIRE_32:
        return fixed(wire, 4, &field->value);
    default:
        return fail(wire);
    }
}
