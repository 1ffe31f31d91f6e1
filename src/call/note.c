/* Fields of an answer that the access log names: they are copied while the answer passes, for they are gone when the
 * call's line is written. */
#include "call/call.h"
#include "config/log_format.h"

static void keep(struct fg_call *call, const struct fg_log_part *part, struct fg_str value)
{
    struct fg_arena *arena = call->down->arena;

    if (!call->notes) {
        call->notes = fg_arena_alloc(arena, FG_LOG_NOTES_MAX * sizeof *call->notes);
        memset(call->notes, 0, FG_LOG_NOTES_MAX * sizeof *call->notes);
    }
    call->notes[part->note] = fg_arena_copy(arena, value);
}

void fg_call_note(struct fg_call *call, const struct fg_headers *fields, bool are_trailers)
{
    const struct fg_log_format *format = call->env->notes;

    for (size_t i = 0; i < format->len; i++) {
        const struct fg_log_part *part = &format->parts[i];
        if (part->field != (are_trailers ? FG_LOG_TRAILER : FG_LOG_RESPONSE))
            continue;
        const struct fg_header *field = fg_headers_find(fields, part->text);
        if (field)
            keep(call, part, field->value);
    }
}

void fg_call_note_reply(struct fg_call *call, const struct fg_reply *reply)
{
    const struct fg_log_format *format = call->env->notes;

    for (size_t i = 0; i < format->len; i++) {
        const struct fg_log_part *part = &format->parts[i];
        if (part->field == FG_LOG_TRAILER && fg_str_eq(part->text, FG_STR("grpc-message")))
            keep(call, part, reply->message);
        else if (part->field == FG_LOG_TRAILER && fg_str_eq(part->text, FG_STR("grpc-status")))
            keep(call, part, fg_status_number(reply->code));
    }
}
