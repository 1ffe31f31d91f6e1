/* What the messages of tapped calls hold: collected, decoded, redacted. */
#include <stdlib.h>

#include "gateway/inspect_int.h"
#include "gateway/tap_int.h"
#include "rpc/gzip.h"
#include "rpc/message.h"
#include "rpc/proto_json.h"

#define PLAIN_MAX (256u << 10) /* of a message that came compressed */
#define JSON_MAX  (512u << 10)

static int to_file(void *context, const char *bytes, size_t len)
{
    return fwrite(bytes, 1, len, context) == len ? 0 : -1;
}

/* ---- as text ---- */

static bool is_text(const char *bytes, size_t len)
{
    struct fg_json_out none;
    struct fg_utf8 state = {0};
    char *ignored = NULL, buffer[256];
    size_t ignored_len = 0;

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if ((c < 0x20 && c != '\t' && c != '\r' && c != '\n') || c == 0x7f)
            return false;
    }
    FILE *out = open_memstream(&ignored, &ignored_len);
    if (!out)
        return false;
    fg_json_out_init(&none, buffer, sizeof buffer, to_file, out);
    bool good = fg_json_put_part(&none, &state, bytes, len) == 0 && state.need == 0;
    fclose(out);
    free(ignored);
    return good;
}

static void put_text(const char *bytes, size_t len, FILE *out)
{
    struct fg_json_out json;
    char buffer[4096];

    fputs(", \"text\": ", out);
    fg_json_out_init(&json, buffer, sizeof buffer, to_file, out);
    fg_json_put_text(&json, (struct fg_str){bytes, len});
    fg_json_flush(&json);
}

static void put_base64(const char *bytes, size_t len, FILE *out)
{
    struct fg_json_base64 state = {.len = 0};
    struct fg_json_out json;
    char buffer[4096];

    fputs(", \"base64\": \"", out);
    fg_json_out_init(&json, buffer, sizeof buffer, to_file, out);
    fg_json_put_base64(&json, &state, bytes, len);
    fg_json_end_base64(&json, &state);
    fg_json_flush(&json);
    fputc('"', out);
}

/* ---- as JSON ---- */

/* PARTS of a message, redacted. False: that cannot be done, and ERROR says why. */
static bool decode(const struct fg_tap_session *session, const struct fg_tap_seen *seen, const struct fg_message *type,
                   const struct fg_str *parts, size_t parts_len, FILE *out, struct fg_proto_json_error *error)
{
    struct fg_proto_to_json how = {.descriptors = seen->descriptors};
    struct fg_json_hide hide = session->hide;
    struct fg_json_out json;
    char buffer[4096], *text = NULL;
    size_t len = 0;
    FILE *plain = open_memstream(&text, &len);

    if (!plain)
        return false;
    fg_json_out_init(&json, buffer, sizeof buffer, to_file, plain);
    json.max = JSON_MAX;
    bool good = fg_proto_to_json(&how, type, parts, parts_len, &json, error) == 0;
    fclose(plain);
    hide.descriptors = seen->descriptors;
    if (good && hide.paths_len > 0)
        good = fg_json_hide(&hide, type, (struct fg_str){text, len}, out) == 0;
    else if (good)
        fwrite(text, 1, len, out);
    free(text);
    return good;
}

/* The same of a message that may be compressed. */
static bool decode_message(struct fg_tap_session *session, const struct fg_tap_seen *seen,
                           const struct fg_tap_message *message, bool gzip, const struct fg_message *type, FILE *out,
                           struct fg_proto_json_error *error)
{
    struct fg_str whole = {message->bytes, message->len};
    struct fg_outq packed, plain;
    size_t parts_len;

    if (!message->first.compressed)
        return decode(session, seen, type, &whole, 1, out, error);
    snprintf(error->message, sizeof error->message, "the message is compressed in a way that is not known");
    fg_outq_init(&packed, &session->mem);
    fg_outq_init(&plain, &session->mem);
    fg_outq_copy(&packed, whole.p, whole.len);
    bool good = gzip && fg_gzip_inflate(&packed, PLAIN_MAX, &plain) == FG_GZIP_OK;
    if (good) {
        struct fg_str *parts = fg_message_parts(&plain, &parts_len);
        good = decode(session, seen, type, parts, parts_len, out, error);
        free(parts);
    }
    fg_outq_cleanup(&packed);
    fg_outq_cleanup(&plain);
    return good;
}

/* Writes `, "json": ...`, or `, "error": ...` and false. */
static bool put_json(struct fg_tap_session *session, const struct fg_tap_seen *seen,
                     const struct fg_tap_message *message, bool down, FILE *out)
{
    const struct fg_message *type = !seen->method ? NULL : down ? seen->method->output : seen->method->input;
    struct fg_proto_json_error error = {.message = "the JSON cannot be redacted"};
    char *text = NULL;
    size_t len = 0;

    if (!type || message->torn || message->len < message->first.len)
        return false;
    FILE *json = open_memstream(&text, &len);
    if (!json)
        return false;
    bool good = decode_message(session, seen, message, down ? seen->gzip_down : seen->gzip_up, type, json, &error);
    fclose(json);
    if (good) {
        fputs(", \"json\": ", out);
        fwrite(text, 1, len, out);
    } else {
        fputs(", ", out);
        fg_inspect_put_field(out, "error", fg_str_from(error.message));
    }
    free(text);
    return good;
}

/* ---- lines ---- */

static void put_content(struct fg_tap_session *session, const struct fg_tap_seen *seen,
                        const struct fg_tap_message *message, bool opaque, bool down, FILE *out)
{
    bool shown = !opaque && put_json(session, seen, message, down, out);

    if (session->hide.paths_len > 0) { /* what it says is not known: it is not shown */
        fputs(shown ? "" : ", \"hidden\": true", out);
        return;
    }
    if (opaque && !shown && is_text(message->bytes, message->len)) {
        put_text(message->bytes, message->len, out);
        shown = true;
    }
    if (!shown || session->query.bytes)
        put_base64(message->bytes, message->len, out);
}

static void put_message(struct fg_tap_session *session, const struct fg_tap_seen *seen,
                        const struct fg_tap_message *message, bool opaque, bool down, FILE *out)
{
    fg_tap_begin_line(session, opaque ? "data" : "message", seen, message->at_ns, out);
    fprintf(out, ", \"direction\": \"%s\", \"number\": %llu, \"bytes\": %u", down ? "response" : "request",
            (unsigned long long)message->first.number, message->first.len);
    if (message->first.compressed)
        fputs(", \"compressed\": true", out);
    if (message->torn || message->len < message->first.len)
        fprintf(out, ", \"cut\": %u", message->len);
    put_content(session, seen, message, opaque, down, out);
    fputs("}\n", out);
}

static void forget(struct fg_tap_message *message)
{
    free(message->bytes);
    *message = (struct fg_tap_message){0};
}

void fg_tap_flush_message(struct fg_tap_session *session, struct fg_tap_seen *seen, bool down, FILE *out)
{
    struct fg_tap_message *message = down ? &seen->down : &seen->up;

    if (message->bytes)
        put_message(session, seen, message, false, down, out);
    forget(message);
}

void fg_tap_take_piece(struct fg_tap_session *session, struct fg_tap_seen *seen, const struct fg_tap_record *record,
                       const struct fg_tap_piece *piece, const char *bytes, FILE *out)
{
    struct fg_tap_message *message = record->down ? &seen->down : &seen->up;
    uint32_t wanted = FG_MIN(piece->len, session->query.filter.max_bytes);

    if (record->kind == FG_TAP_BYTES) {
        struct fg_tap_message whole = {
            .bytes = (char *)(uintptr_t)bytes, .first = *piece, .len = piece->copied, .at_ns = record->at_ns};
        put_message(session, seen, &whole, true, record->down, out);
        return;
    }
    if (message->bytes && message->first.number != piece->number)
        fg_tap_flush_message(session, seen, record->down, out);
    if (!message->bytes) {
        *message = (struct fg_tap_message){.first = *piece, .at_ns = record->at_ns, .torn = piece->at > 0};
        message->bytes = fg_alloc(wanted + 1);
    }
    message->torn |= piece->at != message->len;
    if (piece->copied <= wanted - message->len) {
        memcpy(message->bytes + message->len, bytes, piece->copied);
        message->len += piece->copied;
    }
    if (message->torn || message->len == wanted) {
        put_message(session, seen, message, false, record->down, out);
        forget(message);
    }
}
