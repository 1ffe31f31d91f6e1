/* Any bytes as a descriptor set: a set whose tables hold together, or an error, nothing else. */
#include <stdlib.h>

#include "rpc/descriptor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void check_message(const struct fg_message *message)
{
    for (uint32_t i = 0; i < message->fields_len; i++) {
        const struct fg_field *field = &message->fields[i];
        const struct fg_field *named = fg_message_field_named(message, field->json_name);
        check(fg_message_field(message, field->number) == field);
        check(named != NULL && fg_message_field_named(message, field->name) != NULL);
        check((field->message != NULL) == (field->type == FG_TYPE_MESSAGE || field->type == FG_TYPE_GROUP));
        check((field->enumeration != NULL) == (field->type == FG_TYPE_ENUM));
        check(!field->map || field->message->fields_len == 2);
        check(field->oneof == FG_FIELD_NO_ONEOF || field->oneof < message->oneofs_len);
        check(!field->enumeration || fg_enum_value(field->enumeration, field->enumeration->first) != NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct fg_descriptors *set = NULL;
    struct fg_descriptors_error error;
    size_t methods_len;

    if (fg_descriptors_new(data, len, &set, &error) < 0) {
        check(!set && error.text[0] != '\0');
        return 0;
    }
    const struct fg_method *const *methods = fg_descriptors_methods(set, &methods_len);
    for (size_t i = 0; i < methods_len; i++) {
        check(fg_descriptors_method(set, methods[i]->path) == methods[i]);
        check_message(methods[i]->input);
        check_message(methods[i]->output);
    }
    fg_descriptors_unref(set);
    return 0;
}
