/* google/rpc/error_details.proto (and the Duration that it needs) as a table from which a FileDescriptorSet is made. */
#include <stdlib.h>

#include "base/outq.h"
#include "cli/caller_types.h"
#include "rpc/proto_json_out.h"

struct part {
    const char *name;
    uint8_t type; /* enum fg_field_type */
    bool repeated;
    const char *message; /* the full name of the type of a message */
};

#define PARTS_MAX 4

static const struct known {
    const char *name;
    struct part parts[PARTS_MAX]; /* numbered from 1 */
} messages[] = {
    {"google.protobuf.Duration", {{"seconds", FG_TYPE_INT64}, {"nanos", FG_TYPE_INT32}}},
    {"google.rpc.RetryInfo", {{"retry_delay", FG_TYPE_MESSAGE, false, ".google.protobuf.Duration"}}},
    {"google.rpc.DebugInfo", {{"stack_entries", FG_TYPE_STRING, true}, {"detail", FG_TYPE_STRING}}},
    {"google.rpc.QuotaFailure.Violation", {{"subject", FG_TYPE_STRING}, {"description", FG_TYPE_STRING}}},
    {"google.rpc.QuotaFailure", {{"violations", FG_TYPE_MESSAGE, true, ".google.rpc.QuotaFailure.Violation"}}},
    {"google.rpc.ErrorInfo.MetadataEntry", {{"key", FG_TYPE_STRING}, {"value", FG_TYPE_STRING}}},
    {"google.rpc.ErrorInfo",
     {{"reason", FG_TYPE_STRING},
      {"domain", FG_TYPE_STRING},
      {"metadata", FG_TYPE_MESSAGE, true, ".google.rpc.ErrorInfo.MetadataEntry"}}},
    {"google.rpc.PreconditionFailure.Violation",
     {{"type", FG_TYPE_STRING}, {"subject", FG_TYPE_STRING}, {"description", FG_TYPE_STRING}}},
    {"google.rpc.PreconditionFailure",
     {{"violations", FG_TYPE_MESSAGE, true, ".google.rpc.PreconditionFailure.Violation"}}},
    {"google.rpc.BadRequest.FieldViolation", {{"field", FG_TYPE_STRING}, {"description", FG_TYPE_STRING}}},
    {"google.rpc.BadRequest", {{"field_violations", FG_TYPE_MESSAGE, true, ".google.rpc.BadRequest.FieldViolation"}}},
    {"google.rpc.RequestInfo", {{"request_id", FG_TYPE_STRING}, {"serving_data", FG_TYPE_STRING}}},
    {"google.rpc.ResourceInfo",
     {{"resource_type", FG_TYPE_STRING},
      {"resource_name", FG_TYPE_STRING},
      {"owner", FG_TYPE_STRING},
      {"description", FG_TYPE_STRING}}},
    {"google.rpc.Help.Link", {{"description", FG_TYPE_STRING}, {"url", FG_TYPE_STRING}}},
    {"google.rpc.Help", {{"links", FG_TYPE_MESSAGE, true, ".google.rpc.Help.Link"}}},
    {"google.rpc.LocalizedMessage", {{"locale", FG_TYPE_STRING}, {"message", FG_TYPE_STRING}}},
};

/* Numbers of descriptor.proto. */
enum { FILE_NAME = 1, FILE_PACKAGE = 2, FILE_MESSAGE = 4, FILE_SYNTAX = 12 };
enum { MESSAGE_NAME = 1, MESSAGE_FIELD = 2, MESSAGE_NESTED = 3, MESSAGE_OPTIONS = 7, OPTION_MAP_ENTRY = 7 };
enum { FIELD_NAME = 1, FIELD_NUMBER = 3, FIELD_LABEL = 4, FIELD_TYPE = 5, FIELD_TYPE_NAME = 6 };

static void put_text(struct fg_proto_out *out, uint32_t number, struct fg_str text)
{
    fg_proto_put_varint(out, number << 3 | FG_WIRE_BYTES);
    fg_proto_put_varint(out, text.len);
    fg_proto_put_bytes(out, text.p, text.len);
}

static void put_number(struct fg_proto_out *out, uint32_t number, uint64_t value)
{
    fg_proto_put_varint(out, number << 3 | FG_WIRE_VARINT);
    fg_proto_put_varint(out, value);
}

static struct fg_str last_name(const char *name)
{
    return fg_str_from(strrchr(name, '.') + 1);
}

/* Is INNER declared inside of OUTER? */
static bool is_nested_in(const char *inner, const char *outer)
{
    size_t len = strlen(outer);
    return strncmp(inner, outer, len) == 0 && inner[len] == '.';
}

static bool put_part(struct fg_proto_out *out, const struct part *part, unsigned number)
{
    if (!fg_proto_begin(out, MESSAGE_FIELD))
        return false;
    put_text(out, FIELD_NAME, fg_str_from(part->name));
    put_number(out, FIELD_NUMBER, number);
    put_number(out, FIELD_LABEL, part->repeated ? 3 : 1);
    put_number(out, FIELD_TYPE, part->type);
    if (part->message)
        put_text(out, FIELD_TYPE_NAME, fg_str_from(part->message));
    fg_proto_end(out, true);
    return true;
}

static bool put_message(struct fg_proto_out *out, const struct known *message, uint32_t number)
{
    bool valid = fg_proto_begin(out, number);
    struct fg_str name = last_name(message->name);
    bool is_entry = name.len > 5 && memcmp(name.p + name.len - 5, "Entry", 5) == 0;

    put_text(out, MESSAGE_NAME, name);
    for (unsigned i = 0; i < PARTS_MAX && message->parts[i].name && valid; i++)
        valid = put_part(out, &message->parts[i], i + 1);
    for (size_t i = 0; number == FILE_MESSAGE && i < FG_ARRAY_LEN(messages) && valid; i++)
        if (is_nested_in(messages[i].name, message->name))
            valid = put_message(out, &messages[i], MESSAGE_NESTED);
    if (valid && is_entry && fg_proto_begin(out, MESSAGE_OPTIONS)) {
        put_number(out, OPTION_MAP_ENTRY, 1);
        fg_proto_end(out, true);
    }
    if (valid)
        fg_proto_end(out, true);
    return valid;
}

static bool put_file(struct fg_proto_out *out, const char *name, const char *package)
{
    bool valid = fg_proto_begin(out, 1);
    size_t len = strlen(package);

    put_text(out, FILE_NAME, fg_str_from(name));
    put_text(out, FILE_PACKAGE, fg_str_from(package));
    for (size_t i = 0; i < FG_ARRAY_LEN(messages) && valid; i++)
        if (is_nested_in(messages[i].name, package) && !strchr(messages[i].name + len + 1, '.'))
            valid = put_message(out, &messages[i], FILE_MESSAGE);
    put_text(out, FILE_SYNTAX, FG_STR("proto3"));
    if (valid)
        fg_proto_end(out, true);
    return valid;
}

static struct fg_descriptors *make(void)
{
    struct fg_descriptors *made = NULL;
    struct fg_descriptors_error error;
    struct fg_proto_out out;
    struct fg_outq bytes;
    struct fg_mem mem;

    fg_mem_init(&mem);
    fg_outq_init(&bytes, &mem);
    fg_proto_out_init(&out, &mem, FG_PROTO_OUT_MAX_BYTES);
    bool valid = put_file(&out, "google/protobuf/duration.proto", "google.protobuf") &&
                 put_file(&out, "google/rpc/error_details.proto", "google.rpc");
    fg_proto_out_move(&out, &bytes);
    size_t len = bytes.bytes;
    char *set = fg_alloc(len + 1);
    fg_outq_read(&bytes, set, len);
    if (!valid || fg_descriptors_new(set, len, &made, &error) != 0)
        made = NULL; /* a test sees to it that it is not */
    free(set);
    fg_proto_out_cleanup(&out);
    fg_outq_cleanup(&bytes);
    fg_mem_cleanup(&mem);
    return made;
}

const struct fg_message *fg_caller_known_detail(struct fg_descriptors **cache, struct fg_str type)
{
    if (!*cache)
        *cache = make();
    return *cache ? fg_descriptors_message(*cache, type) : NULL;
}
