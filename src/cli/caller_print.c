#include "cli/caller_print.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/caller_types.h"
#include "cli/cli.h"
#include "cli/grid.h"
#include "rpc/error_details.h"
#include "rpc/grpc.h"
#include "rpc/proto_json.h"

static void print_str(FILE *out, struct fg_str text)
{
    char *copy = fg_alloc(text.len + 1);

    memcpy(copy, text.p, text.len);
    copy[text.len] = '\0';
    fg_print_text(out, copy);
    free(copy);
}

void fg_caller_print_fields(const struct fg_caller_options *options, const char *mark, const struct fg_headers *headers)
{
    if (!options->verbose)
        return;
    for (uint32_t i = 0; i < headers->len; i++) {
        fprintf(stderr, "%s ", mark);
        print_str(stderr, headers->items[i].name);
        fputs(": ", stderr);
        print_str(stderr, headers->items[i].value);
        fputc('\n', stderr);
    }
}

/* ---- messages ---- */

static int keep(void *context, const char *bytes, size_t len)
{
    fg_outq_copy(context, bytes, len);
    return 0;
}

bool fg_caller_to_json(struct fg_caller_call *call, const struct fg_descriptors *types, const struct fg_message *type,
                       const struct fg_outq *message, struct fg_outq *out)
{
    struct fg_proto_to_json how = {.descriptors = types, .emit_defaults = call->link->options->emit_defaults};
    struct fg_proto_json_error error;
    struct fg_json_out json;
    char buffer[4096];
    size_t parts_len;

    struct fg_str *parts = fg_message_parts(message, &parts_len);
    fg_json_out_init(&json, buffer, sizeof buffer, keep, out);
    int rc = fg_proto_to_json(&how, type, parts, parts_len, &json, &error);
    free(parts);
    if (rc == 0)
        return true;
    fg_caller_call_broke(call, "an answer is no %.*s: %s%s%s", (int)type->full_name.len, type->full_name.p, error.path,
                         error.path[0] ? ": " : "", error.message);
    return false;
}

/* JSON is written anew with indentation, byte by byte: strings are the only thing to look into. */
struct pretty {
    struct fg_outq *out;
    unsigned depth;
    bool in_string, escaped, opened; /* OPENED: a bracket was, and nothing has come since */
};

static void put_line(struct pretty *state)
{
    fg_outq_copy(state->out, "\n", 1);
    for (unsigned i = 0; i < state->depth; i++)
        fg_outq_copy(state->out, "  ", 2);
}

static void put_outside(struct pretty *state, char c)
{
    bool opens = c == '{' || c == '[', closes = c == '}' || c == ']';

    if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
        return;
    state->depth -= closes && state->depth > 0;
    if (state->opened != closes)
        put_line(state);
    fg_outq_copy(state->out, &c, 1);
    state->opened = opens;
    state->depth += opens;
    state->in_string = c == '"';
    if (c == ',')
        put_line(state);
    else if (c == ':')
        fg_outq_copy(state->out, " ", 1);
}

static void put_char(struct pretty *state, char c)
{
    if (!state->in_string) {
        put_outside(state, c);
        return;
    }
    fg_outq_copy(state->out, &c, 1);
    if (state->escaped)
        state->escaped = false;
    else if (c == '\\')
        state->escaped = true;
    else
        state->in_string = c != '"';
}

void fg_caller_indent(const struct fg_outq *json, struct fg_outq *out)
{
    struct pretty state = {.out = out};

    for (const struct fg_seg *seg = json->head; seg; seg = seg->next)
        for (size_t i = 0; i < seg->len; i++)
            put_char(&state, (char)seg->data[i]);
}

/* A pipe whose reader has stopped must not keep Ctrl-C or the deadline away: no more is written than it takes at once.
 */
static bool write_some(struct fg_caller_link *link, const uint8_t *data, size_t len)
{
    while (len > 0) {
        if (!fg_caller_link_wait_output(link))
            return false;
        ssize_t n = write(STDOUT_FILENO, data, FG_MIN(len, (size_t)PIPE_BUF));
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n < 0 && errno == EPIPE) /* as with `| head`: that is how it was meant */
            return false;
        if (n < 0) {
            fg_caller_say("standard output: %s", strerror(errno));
            return false;
        }
        data += n;
        len -= (size_t)n;
    }
    return true;
}

bool fg_caller_print_raw(struct fg_caller_link *link, const struct fg_outq *bytes)
{
    for (const struct fg_seg *seg = bytes->head; seg; seg = seg->next)
        if (!write_some(link, seg->data, seg->len))
            return false;
    return true;
}

bool fg_caller_print_json(struct fg_caller_link *link, const struct fg_outq *json)
{
    struct fg_outq pretty;

    fg_outq_init(&pretty, &link->loop.mem);
    if (link->options->pretty)
        fg_caller_indent(json, &pretty);
    bool printed =
        fg_caller_print_raw(link, link->options->pretty ? &pretty : json) && write_some(link, (const uint8_t *)"\n", 1);
    fg_outq_cleanup(&pretty);
    return printed;
}

/* ---- the end ---- */

static struct fg_str type_name(struct fg_str url)
{
    const char *slash = url.len > 0 ? memrchr(url.p, '/', url.len) : NULL;
    return slash ? (struct fg_str){slash + 1, url.len - (size_t)(slash + 1 - url.p)} : url;
}

static void print_detail(struct fg_caller_call *call, const struct fg_descriptors *types,
                         const struct fg_caller_detail *detail)
{
    struct fg_str name = type_name(detail->type);
    const struct fg_message *type = types ? fg_descriptors_message(types, name) : NULL;
    struct fg_proto_to_json how = {.descriptors = types};
    struct fg_proto_json_error error;
    struct fg_json_out json;
    struct fg_outq text;
    char buffer[1024];

    fg_outq_init(&text, &call->link->loop.mem);
    fg_json_out_init(&json, buffer, sizeof buffer, keep, &text);
    if (!type && !detail->json.p)
        type = fg_descriptors_message(fg_error_details(), name);
    if (!detail->json.p && (!type || fg_proto_to_json(&how, type, &detail->value, 1, &json, &error) != 0)) {
        struct fg_str base64 = fg_base64_encode(&call->arena, detail->value.p, detail->value.len);
        fg_outq_cleanup(&text);
        fg_outq_copy(&text, base64.p, base64.len);
    }
    fputs("  ", stderr);
    print_str(stderr, name);
    fputs(name.len > 0 ? ": " : "", stderr);
    if (detail->json.p)
        fg_outq_copy(&text, detail->json.p, detail->json.len);
    size_t len = text.bytes;
    char *bytes = fg_arena_alloc(&call->arena, len + 1);
    fg_outq_read(&text, bytes, len);
    print_str(stderr, (struct fg_str){bytes, len});
    fputc('\n', stderr);
    fg_outq_cleanup(&text);
}

int fg_caller_print_end(struct fg_caller_call *call, const struct fg_descriptors *types)
{
    if (call->result == FG_CALLER_STATUS && call->code == FG_STATUS_OK)
        return FG_EXIT_OK;
    if (call->result == FG_CALLER_BROKEN)
        fg_caller_say("%.*s: %.*s", (int)call->link->options->url.authority.len, call->link->options->url.authority.p,
                      (int)call->message.len, call->message.p);
    else
        fg_caller_say("%s (%d)%s%.*s", fg_status_name(call->code), call->code, call->message.len > 0 ? ": " : "",
                      (int)call->message.len, call->message.p);
    if (call->origin.len > 0) {
        fputs("  x-fusegate-origin: ", stderr);
        print_str(stderr, call->origin);
        fputc('\n', stderr);
    }
    for (size_t i = 0; i < call->details_len; i++)
        print_detail(call, types, &call->details[i]);
    return call->result == FG_CALLER_STATUS ? FG_EXIT_STATUS + (int)call->code : FG_EXIT_FAILED;
}

void fg_caller_print_times(const struct fg_caller_call *call)
{
    uint64_t now_ns = fg_clock_now_ns();

    if (!call->link->options->verbose)
        return;
    fprintf(stderr, "* %" PRIu64 " answer%s; ", call->messages, call->messages == 1 ? "" : "s");
    if (call->first_ns)
        fprintf(stderr, "first byte after %.1f ms, ", (double)(call->first_ns - call->began_ns) / FG_MS);
    fprintf(stderr, "end after %.1f ms\n", (double)(now_ns - call->began_ns) / FG_MS);
}
