#include "faults.h"

#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *name;
    uint32_t value, most;
    const char *text;
} kinds[] = {
#define X(kind, name, value, most, text) {name, value, most, text},
    FAULTS(X)
#undef X
};

const char *fault_name(enum fault_kind kind)
{
    return kinds[kind].name;
}

const char *fault_text(enum fault_kind kind)
{
    return kinds[kind].text;
}

int fault_make(const char *name, uint32_t value, struct fault *out)
{
    for (int kind = 0; kind < FAULT_LEN; kind++) {
        if (strcmp(kinds[kind].name, name) != 0)
            continue;
        if (value > kinds[kind].most)
            return -1;
        *out = (struct fault){(enum fault_kind)kind, value ? value : kinds[kind].value};
        return 0;
    }
    return -1;
}

int fault_parse(const char *text, struct fault *out)
{
    char name[32];
    const char *equals = strchr(text, '=');
    size_t len = equals ? (size_t)(equals - text) : strlen(text);
    unsigned long value = 0;

    if (len >= sizeof name)
        return -1;
    memcpy(name, text, len);
    name[len] = '\0';
    if (equals) {
        char *end;
        if (equals[1] < '0' || equals[1] > '9')
            return -1;
        value = strtoul(equals + 1, &end, 10);
        if (*end != '\0' || value > UINT32_MAX)
            return -1;
    }
    return fault_make(name, (uint32_t)value, out);
}

/* ---- the answers that no server should give: they go past the layer of grpc_service.h, to the stream itself ---- */

static void answer_http_status(struct grpc_call *call, uint32_t status)
{
    struct fg_headers response;
    struct fg_arena *arena = call->stream->arena;

    fg_headers_init(&response);
    fg_headers_add_token(&response, arena, FG_TOKEN_STATUS, fg_arena_printf(arena, "%u", FG_MAX(status, 200u)));
    fg_headers_add_token(&response, arena, FG_TOKEN_CONTENT_TYPE, FG_STR("text/plain"));
    fg_stream_send_headers(call->stream, &response, false);
    call->headers_sent = true;
    grpc_end_without_status(call);
}

static void drop_connection(struct grpc_call *call)
{
    static const uint8_t half_message[] = {0, 0, 0, 0, 100, 'h', 'a', 'l', 'f'};

    grpc_send_headers(call);
    fg_stream_send_data(call->stream, (struct fg_buf){NULL, half_message, sizeof half_message}, false);
    fg_conn_close(call->stream->conn, "fault: drop");
}

bool fault_apply(struct fault fault, struct grpc_call *call)
{
    switch (fault.kind) {
    case FAULT_TRAILER_ERROR:
        grpc_send_headers(call);
        grpc_finish(call, (enum fg_status)fault.value, "the kitchen is on fire");
        return true;
    case FAULT_TRAILERS_ONLY:
        grpc_finish(call, (enum fg_status)fault.value, "the kitchen is closed");
        return true;
    case FAULT_NO_TRAILERS:
        grpc_end_without_status(call);
        return true;
    case FAULT_HTTP_STATUS:
        answer_http_status(call, fault.value);
        return true;
    case FAULT_RESET:
        grpc_reset(call, fault.value);
        return true;
    case FAULT_DROP:
        drop_connection(call);
        return true;
    case FAULT_GOAWAY:
        fg_h2_conn_drain(&call->stream->conn->h2);
        return false;
    case FAULT_HANG:
        grpc_ignore_deadline(call);
        return true;
    case FAULT_SLOW:
        grpc_after(call, fault.value, grpc_proceed);
        return true;
    case FAULT_SLOW_STREAM:
        if (call->entry->method->response_stream)
            grpc_set_pace(call, fault.value);
        return false;
    case FAULT_NONE:
    case FAULT_LEN:
        break;
    }
    return false;
}
