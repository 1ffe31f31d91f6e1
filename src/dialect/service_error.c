/* What services that speak REST say of an error. */
#include <jansson.h>
#include <stdlib.h>

#include "dialect/service_rest.h"

/* A code by its name, or a number of 1 to 16 in a field that has codes: HTTP statuses are larger. */
static bool read_code(const json_t *value, enum fg_status *code)
{
    if (json_is_integer(value) && json_integer_value(value) > 0 && json_integer_value(value) < FG_STATUS_LEN) {
        *code = (enum fg_status)json_integer_value(value);
        return true;
    }
    for (int i = 1; json_is_string(value) && i < FG_STATUS_LEN; i++)
        if (strcmp(fg_status_name((enum fg_status)i), json_string_value(value)) == 0) {
            *code = (enum fg_status)i;
            return true;
        }
    return false;
}

/* It is percent-encoded into a field of at most three times its size, and some clients take no more than 8 KiB of
 * metadata: they would see RESOURCE_EXHAUSTED instead of the error. */
#define MESSAGE_MAX 1000

static struct fg_str text_in(const json_t *object, const char *name, struct fg_arena *arena)
{
    const json_t *value = json_object_get(object, name);
    struct fg_str text = json_is_string(value) ? fg_str_from(json_string_value(value)) : FG_STR("");
    size_t len = FG_MIN(text.len, (size_t)MESSAGE_MAX);

    if (text.len == len)
        return fg_arena_copy(arena, text);
    while (len > 0 && ((unsigned char)text.p[len] & 0xc0) == 0x80) /* not in the middle of a character */
        len--;
    return fg_arena_printf(arena, "%.*s...", (int)len, text.p);
}

/* What services say of an error in JSON: google.rpc.Status, plain or in "error", as Google's APIs and grpc-gateway have
 * it; this gateway's own form; problem details (RFC 9457). */
static void read_json(const json_t *root, struct fg_arena *arena, enum fg_status *code, struct fg_str *message)
{
    const json_t *error = json_object_get(root, "error");
    const json_t *object = json_is_object(error) ? error : root;
    static const char *const texts[] = {"message", "error", "detail", "title"};

    if (!read_code(json_object_get(object, "status"), code))
        (void)read_code(json_object_get(object, "code"), code);
    for (size_t i = 0; i < FG_ARRAY_LEN(texts) && message->len == 0; i++)
        *message = text_in(object, texts[i], arena);
}

void fg_service_read_error(const struct fg_outq *body, unsigned http_status, struct fg_arena *arena,
                           enum fg_status *code, struct fg_str *message)
{
    char *text = fg_alloc(body->bytes + 1);
    json_t *root;

    *message = FG_STR("");
    fg_outq_read(body, text, body->bytes);
    root = json_loadb(text, body->bytes, JSON_REJECT_DUPLICATES, NULL);
    free(text);
    if (json_is_object(root))
        read_json(root, arena, code, message);
    json_decref(root);
    if (message->len == 0)
        *message = fg_arena_printf(arena, "the endpoint answered with HTTP status %u", http_status);
}
