#include "rpc/reflection.h"

#include <stdio.h>
#include <stdlib.h>

#include "rpc/descriptor_wire.h"

/* Fields of ServerReflectionRequest and ServerReflectionResponse. */
enum { ASK_FILE = 3, ASK_SYMBOL = 4, ASK_SERVICES = 7 };
enum { ANSWER_FILES = 4, ANSWER_SERVICES = 6, ANSWER_ERROR = 7 };

struct name_list {
    struct fg_str *items; /* copies */
    size_t len, cap;
    uint32_t *slots; /* open addressing: 0 empty, else index + 1; 2 * cap of them, cap a power of two */
    uint32_t seed;
};

struct fg_reflection {
    bool asked; /* for the services */
    bool listed;
    struct name_list services, files, wanted;
    size_t next_service, next_wanted;
    uint8_t *set; /* a FileDescriptorSet that grows */
    size_t set_len, set_cap;
    char request[FG_DESCRIPTORS_MAX_NAME + 16];
};

/* ---- names ---- */

/* Where NAME is, or would be. The service may send a name millions of times: looking for one must not take long. */
static uint32_t *slot_of(const struct name_list *list, struct fg_str name)
{
    size_t mask = 2 * list->cap - 1, at = fg_hash(name.p, name.len, list->seed) & mask;

    while (list->slots[at] && !fg_str_eq(list->items[list->slots[at] - 1], name))
        at = (at + 1) & mask;
    return &list->slots[at];
}

static bool has(const struct name_list *list, struct fg_str name)
{
    return list->cap > 0 && *slot_of(list, name) != 0;
}

static void grow(struct name_list *list)
{
    list->cap = list->cap ? 2 * list->cap : 16;
    list->items = fg_realloc(list->items, list->cap * sizeof *list->items);
    free(list->slots);
    list->slots = fg_alloc_zero(2 * list->cap * sizeof *list->slots);
    for (size_t i = 0; i < list->len; i++)
        *slot_of(list, list->items[i]) = (uint32_t)i + 1;
}

static bool add(struct name_list *list, struct fg_str name)
{
    if (has(list, name))
        return true;
    if (list->len == FG_REFLECTION_MAX_FILES || name.len > FG_DESCRIPTORS_MAX_NAME)
        return false;
    if (list->len == list->cap)
        grow(list);
    char *copy = fg_alloc(name.len + 1);
    memcpy(copy, name.p, name.len);
    copy[name.len] = '\0';
    list->items[list->len] = (struct fg_str){copy, name.len};
    *slot_of(list, list->items[list->len]) = (uint32_t)list->len + 1;
    list->len++;
    return true;
}

static void drop(struct name_list *list)
{
    for (size_t i = 0; i < list->len; i++)
        free((char *)(uintptr_t)list->items[i].p);
    free(list->items);
    free(list->slots);
}

struct fg_reflection *fg_reflection_new(uint32_t seed)
{
    struct fg_reflection *reflection = fg_alloc_zero(sizeof *reflection);

    reflection->services.seed = reflection->files.seed = reflection->wanted.seed = seed;
    return reflection;
}

void fg_reflection_free(struct fg_reflection *reflection)
{
    if (!reflection)
        return;
    drop(&reflection->services);
    drop(&reflection->files);
    drop(&reflection->wanted);
    free(reflection->set);
    free(reflection);
}

/* ---- requests ---- */

static size_t put_varint(uint8_t *out, uint64_t value)
{
    size_t len = 0;

    for (; value >= 0x80; value >>= 7)
        out[len++] = (uint8_t)(value | 0x80);
    out[len++] = (uint8_t)value;
    return len;
}

static void ask(struct fg_reflection *reflection, unsigned field, struct fg_str name, struct fg_str *request)
{
    uint8_t *out = (uint8_t *)reflection->request;
    size_t len = put_varint(out, field << 3 | FG_WIRE_BYTES);

    len += put_varint(out + len, name.len);
    memcpy(out + len, name.p, name.len);
    *request = (struct fg_str){reflection->request, len + name.len};
}

bool fg_reflection_next(struct fg_reflection *reflection, struct fg_str *request)
{
    if (!reflection->asked) {
        reflection->asked = true;
        ask(reflection, ASK_SERVICES, FG_STR(""), request);
        return true;
    }
    if (reflection->next_service < reflection->services.len) {
        ask(reflection, ASK_SYMBOL, reflection->services.items[reflection->next_service++], request);
        return true;
    }
    while (reflection->next_wanted < reflection->wanted.len) {
        struct fg_str name = reflection->wanted.items[reflection->next_wanted++];
        if (has(&reflection->files, name))
            continue;
        ask(reflection, ASK_FILE, name, request);
        return true;
    }
    return false;
}

/* ---- answers ---- */

/* The service that describes the others is not one of them. */
static bool is_reflection(struct fg_str service)
{
    return fg_str_starts_with(service, FG_STR("grpc.reflection."));
}

static bool keep_file(struct fg_reflection *reflection, struct fg_str file)
{
    uint8_t head[11];
    size_t head_len = put_varint(head, 1 << 3 | FG_WIRE_BYTES);

    head_len += put_varint(head + head_len, file.len);
    if (file.len > FG_DESCRIPTORS_MAX_BYTES || reflection->set_len + head_len + file.len > FG_DESCRIPTORS_MAX_BYTES)
        return false;
    if (reflection->set_len + head_len + file.len > reflection->set_cap) {
        reflection->set_cap = FG_MAX(2 * reflection->set_cap, reflection->set_len + head_len + file.len);
        reflection->set = fg_realloc(reflection->set, reflection->set_cap);
    }
    memcpy(reflection->set + reflection->set_len, head, head_len);
    memcpy(reflection->set + reflection->set_len + head_len, file.p, file.len);
    reflection->set_len += head_len + file.len;
    return true;
}

/* A FileDescriptorProto: its name (1) and what it imports (3). */
static const char *take_file(struct fg_reflection *reflection, struct fg_str file)
{
    struct fg_wire wire = fg_wire_of(file);
    struct fg_wire_field field;
    struct fg_str name = FG_STR("");

    while (fg_wire_next(&wire, &field)) {
        if (field.number == 1 && field.type == FG_WIRE_BYTES)
            name = field.bytes;
        else if (field.number == 3 && field.type == FG_WIRE_BYTES && !add(&reflection->wanted, field.bytes))
            return "there are too many files, or one has too long a name";
    }
    if (wire.failed || name.len == 0)
        return "a file descriptor is malformed";
    if (has(&reflection->files, name))
        return NULL;
    if (!add(&reflection->files, name))
        return "there are too many files, or one has too long a name";
    return keep_file(reflection, file) ? NULL : "the descriptors are over 32 MiB";
}

static const char *take_files(struct fg_reflection *reflection, struct fg_str answer)
{
    struct fg_wire wire = fg_wire_of(answer);
    struct fg_wire_field field;
    const char *error = NULL;

    while (!error && fg_wire_next(&wire, &field))
        if (field.number == 1 && field.type == FG_WIRE_BYTES)
            error = take_file(reflection, field.bytes);
    return wire.failed ? "an answer is malformed" : error;
}

static const char *take_services(struct fg_reflection *reflection, struct fg_str answer)
{
    struct fg_wire wire = fg_wire_of(answer);
    struct fg_wire_field service, field;

    while (fg_wire_next(&wire, &service)) {
        struct fg_wire inner = fg_wire_of(service.bytes);
        if (service.number != 1 || service.type != FG_WIRE_BYTES)
            continue;
        while (fg_wire_next(&inner, &field))
            if (field.number == 1 && field.type == FG_WIRE_BYTES && !is_reflection(field.bytes) &&
                !add(&reflection->services, field.bytes))
                return "there are too many services, or one has too long a name";
        if (inner.failed)
            return "an answer is malformed";
    }
    return wire.failed ? "an answer is malformed" : NULL;
}

int fg_reflection_take(struct fg_reflection *reflection, struct fg_str answer, const char **error)
{
    struct fg_wire wire = fg_wire_of(answer);
    struct fg_wire_field field;

    *error = NULL;
    while (!*error && fg_wire_next(&wire, &field)) {
        if (field.type != FG_WIRE_BYTES)
            continue;
        if (field.number == ANSWER_FILES) {
            *error = take_files(reflection, field.bytes);
        } else if (field.number == ANSWER_SERVICES) {
            *error = take_services(reflection, field.bytes);
            reflection->listed = true;
        }
        /* An error is about one name: a service without its file is left out, a file that is missed is told later. */
    }
    if (wire.failed)
        *error = "an answer is malformed";
    else if (!*error && !reflection->listed)
        *error = "the reflection service does not list the services";
    return *error ? -1 : 0;
}

struct fg_str fg_reflection_set(const struct fg_reflection *reflection)
{
    return reflection->set ? (struct fg_str){(const char *)reflection->set, reflection->set_len} : FG_STR("");
}

int fg_reflection_finish(const struct fg_reflection *reflection, struct fg_descriptors **out,
                         struct fg_descriptors_error *error)
{
    struct fg_str set = fg_reflection_set(reflection);

    if (set.len == 0) {
        snprintf(error->text, sizeof error->text, "the reflection service %s",
                 reflection->services.len > 0 ? "describes none of its services" : "knows of no service");
        return -1;
    }
    return fg_descriptors_new(set.p, set.len, out, error);
}
