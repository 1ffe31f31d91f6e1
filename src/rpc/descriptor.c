/* The finished set: references, look-ups, and the memory that all of it lives in. */
#include <stdlib.h>

#include "base/mem.h"
#include "rpc/descriptor_int.h"
#include "rpc/http_rule.h"

#define BLOCK_BYTES (64u << 10)

struct fg_descriptors_block {
    struct fg_descriptors_block *next;
    uint64_t data[];
};

void *fg_descriptors_alloc(struct fg_descriptors *set, size_t bytes)
{
    size_t rounded = (bytes + 7) & ~(size_t)7;

    if ((size_t)(set->end - set->at) < rounded || !set->at) {
        size_t room = FG_MAX(rounded, BLOCK_BYTES);
        struct fg_descriptors_block *block = fg_alloc_zero(sizeof *block + room);
        block->next = set->blocks;
        set->blocks = block;
        set->at = (char *)block->data;
        set->end = set->at + room;
    }
    void *p = set->at;
    set->at += rounded;
    return p;
}

/* ---- symbols ---- */

static struct fg_symbol *slot_of(const struct fg_symbols *symbols, struct fg_str name)
{
    size_t i = fg_hash(name.p, name.len, 0) & (symbols->cap - 1);

    while (symbols->slots[i].name.p && !fg_str_eq(symbols->slots[i].name, name))
        i = (i + 1) & (symbols->cap - 1);
    return &symbols->slots[i];
}

const struct fg_symbol *fg_symbols_find(const struct fg_symbols *symbols, struct fg_str name)
{
    if (symbols->len == 0)
        return NULL;
    const struct fg_symbol *slot = slot_of(symbols, name);
    return slot->name.p ? slot : NULL;
}

static void grow(struct fg_symbols *symbols)
{
    struct fg_symbols bigger = {.cap = symbols->cap ? 2 * symbols->cap : 64, .len = symbols->len};

    bigger.slots = fg_alloc_zero(bigger.cap * sizeof *bigger.slots);
    for (size_t i = 0; i < symbols->cap; i++) {
        if (symbols->slots[i].name.p)
            *slot_of(&bigger, symbols->slots[i].name) = symbols->slots[i];
    }
    free(symbols->slots);
    *symbols = bigger;
}

void fg_symbols_add(struct fg_symbols *symbols, struct fg_str name, enum fg_symbol_kind kind, const void *what)
{
    if (2 * (symbols->len + 1) > symbols->cap)
        grow(symbols);
    *slot_of(symbols, name) = (struct fg_symbol){name, what, (uint8_t)kind};
    symbols->len++;
}

/* ---- look-ups ---- */

static const void *find(const struct fg_descriptors *set, struct fg_str name, enum fg_symbol_kind kind)
{
    const struct fg_symbol *symbol = fg_symbols_find(&set->symbols, name);
    return symbol && symbol->kind == kind ? symbol->what : NULL;
}

const struct fg_method *fg_descriptors_method(const struct fg_descriptors *descriptors, struct fg_str path)
{
    return find(descriptors, path, FG_SYMBOL_METHOD);
}

const struct fg_message *fg_descriptors_message(const struct fg_descriptors *descriptors, struct fg_str full_name)
{
    return find(descriptors, full_name, FG_SYMBOL_MESSAGE);
}

const struct fg_enum *fg_descriptors_enum(const struct fg_descriptors *descriptors, struct fg_str full_name)
{
    return find(descriptors, full_name, FG_SYMBOL_ENUM);
}

const struct fg_method *const *fg_descriptors_methods(const struct fg_descriptors *descriptors, size_t *len)
{
    *len = descriptors->methods_len;
    return descriptors->methods;
}

const struct fg_field *fg_message_field_slow(const struct fg_message *message, uint32_t number)
{
    uint32_t low = message->dense_len, high = message->fields_len;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (message->fields[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < message->fields_len && message->fields[low].number == number ? &message->fields[low] : NULL;
}

const struct fg_field *fg_message_field_named(const struct fg_message *message, struct fg_str name)
{
    uint32_t i = fg_hash(name.p, name.len, 0) & message->by_name_mask, index;

    while ((index = message->by_name[i]) != 0) {
        const struct fg_field *field = &message->fields[index - 1];
        if (fg_str_eq(field->json_name, name) || fg_str_eq(field->name, name))
            return field;
        i = (i + 1) & message->by_name_mask;
    }
    return NULL;
}

const struct fg_enum_value *fg_enum_value(const struct fg_enum *enumeration, int32_t number)
{
    const struct fg_enum_value *values = enumeration->values;
    uint32_t low = 0, high = enumeration->values_len;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (values[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < enumeration->values_len && values[low].number == number ? &values[low] : NULL;
}

const struct fg_enum_value *fg_enum_value_named(const struct fg_enum *enumeration, struct fg_str name)
{
    uint32_t i = fg_hash(name.p, name.len, 0) & enumeration->by_name_mask, index;

    while ((index = enumeration->by_name[i]) != 0) {
        const struct fg_enum_value *value = &enumeration->values[index - 1];
        if (fg_str_eq(value->name, name))
            return value;
        i = (i + 1) & enumeration->by_name_mask;
    }
    return NULL;
}

/* ---- life ---- */

struct fg_descriptors *fg_descriptors_ref(struct fg_descriptors *descriptors)
{
    atomic_fetch_add_explicit(&descriptors->refs, 1, memory_order_relaxed);
    return descriptors;
}

void fg_descriptors_unref(struct fg_descriptors *descriptors)
{
    if (!descriptors || atomic_fetch_sub_explicit(&descriptors->refs, 1, memory_order_acq_rel) != 1)
        return;
    fg_http_router_free(descriptors->http);
    while (descriptors->blocks) {
        struct fg_descriptors_block *block = descriptors->blocks;
        descriptors->blocks = block->next;
        free(block);
    }
    free(descriptors->symbols.slots);
    free(descriptors->methods);
    free(descriptors->bytes);
    free(descriptors);
}

/* What can be said only when all messages are filled in: which fields are maps, which messages are well known. */
static void mark(struct fg_builder *builder)
{
    for (size_t i = 0; i < builder->types_len; i++) {
        struct fg_message *message = builder->types[i].message;
        if (!message)
            continue;
        message->map_entry = message->map_entry && fg_map_entry_valid(message);
    }
    for (size_t i = 0; i < builder->types_len; i++) {
        struct fg_message *message = builder->types[i].message;
        for (uint32_t j = 0; message && j < message->fields_len; j++) {
            struct fg_field *field = (struct fg_field *)&message->fields[j]; /* the set is still being built */
            field->map = field->repeated && field->type == FG_TYPE_MESSAGE && field->message->map_entry;
        }
    }
    for (size_t i = 0; i < builder->types_len; i++) {
        struct fg_message *message = builder->types[i].message;
        if (message)
            message->well_known = (uint8_t)fg_well_known_of(message);
    }
}

static int build(struct fg_builder *builder, struct fg_str bytes)
{
    if (fg_builder_declare(builder, bytes) < 0)
        return -1;
    for (size_t i = 0; i < builder->types_len; i++) {
        const struct fg_pending *pending = &builder->types[i];
        if (pending->enumeration && fg_builder_fill_enum(builder, pending) < 0)
            return -1;
    }
    for (size_t i = 0; i < builder->types_len; i++) {
        const struct fg_pending *pending = &builder->types[i];
        if (pending->message && fg_builder_fill_message(builder, pending) < 0)
            return -1;
    }
    mark(builder);
    for (size_t i = 0; i < builder->services_len; i++) {
        if (fg_builder_fill_service(builder, &builder->services[i]) < 0)
            return -1;
    }
    return 0;
}

int fg_descriptors_new(const void *set, size_t len, struct fg_descriptors **out, struct fg_descriptors_error *error)
{
    struct fg_builder builder = {.error = error};

    error->text[0] = '\0';
    if (len > FG_DESCRIPTORS_MAX_BYTES)
        return fg_builder_fail(&builder, FG_STR("descriptor set"), "%zu bytes are more than %u", len,
                               FG_DESCRIPTORS_MAX_BYTES);
    builder.set = fg_alloc_zero(sizeof *builder.set);
    atomic_init(&builder.set->refs, 1);
    builder.set->bytes = fg_alloc(len);
    if (len > 0)
        memcpy(builder.set->bytes, set, len);
    int rc = build(&builder, (struct fg_str){builder.set->bytes, len});
    free(builder.types);
    free(builder.services);
    if (rc == 0) {
        builder.set->http = fg_http_router_new(builder.set, &builder.set->http_problem);
        *out = builder.set;
    }
    if (rc != 0)
        fg_descriptors_unref(builder.set);
    return rc;
}

const struct fg_http_router *fg_descriptors_http(const struct fg_descriptors *descriptors)
{
    return descriptors->http;
}

const char *fg_descriptors_http_problem(const struct fg_descriptors *descriptors)
{
    return descriptors->http_problem.text;
}
