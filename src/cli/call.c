/* fusegate call: one call of a method in any dialect that the gateway understands, with JSON in and out. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/caller_dialect.h"
#include "cli/caller_input.h"
#include "cli/caller_print.h"
#include "cli/caller_types.h"
#include "cli/cli.h"

#define UNSENT_MAX (1u << 20) /* bytes of the request that wait to be sent before input is left alone */

/* Everything of one run. */
struct run {
    struct fg_caller_options options;
    struct fg_caller_link link;
    struct fg_caller_input input;
    struct fg_caller_call call;
    struct fg_descriptors *types;   /* NULL: messages are JSON on the wire */
    const struct fg_method *method; /* NULL: not known */
    bool begun, input_ended, output_failed;
};

static void on_message(struct fg_caller_call *call, struct fg_outq *message)
{
    struct run *run = call->user;
    struct fg_outq json;

    if (run->output_failed)
        return;
    fg_outq_init(&json, &run->link.loop.mem);
    if (call->raw)
        run->output_failed |= !fg_caller_print_raw(&run->link, message);
    else if (call->json)
        run->output_failed |= !fg_caller_print_json(&run->link, message);
    else if (fg_caller_to_json(call, run->types, run->method->output, message, &json))
        run->output_failed |= !fg_caller_print_json(&run->link, &json);
    fg_outq_cleanup(&json);
}

/* ---- the request ---- */

/* The next message, as it goes out. False: that has been said. */
static bool encode(struct run *run, struct fg_outq *json, struct fg_outq *out)
{
    struct fg_outq checked;

    if (run->method && !run->call.json)
        return fg_caller_input_convert(&run->input, run->types, run->method->input, json, out);
    if (run->options.dialect->is_rest || !run->method) {
        if (json->bytes == 0 && !run->options.dialect->is_rest)
            fg_outq_copy(json, "{}", 2);
        fg_outq_move(json, json->bytes, out);
        return true;
    }
    /* JSON on the wire of a type that is known: what is wrong is said here, and not by the server. */
    fg_outq_init(&checked, &run->link.loop.mem);
    if (json->bytes == 0)
        fg_outq_copy(json, "{}", 2);
    for (const struct fg_seg *seg = json->head; seg; seg = seg->next)
        fg_outq_copy(out, seg->data, seg->len);
    bool valid = fg_caller_input_convert(&run->input, run->types, run->method->input, json, &checked);
    fg_outq_cleanup(&checked);
    return valid;
}

/* MESSAGE begins the call, or goes on with it; NULL: the end of the input. */
static void pass_on(struct run *run, struct fg_outq *message)
{
    bool one = !run->call.client_streams;

    if (!run->begun)
        fg_caller_call_begin(&run->call, message, !message || one);
    else if (!one)
        fg_caller_call_send(&run->call, message);
    run->begun = true;
}

/* Sends what the input has. False: it is no good. */
static bool pump(struct run *run)
{
    enum fg_caller_read result = FG_CALLER_READ_MESSAGE;
    struct fg_outq json, message;
    bool valid = true;

    fg_outq_init(&json, &run->link.loop.mem);
    fg_outq_init(&message, &run->link.loop.mem);
    while (valid && result == FG_CALLER_READ_MESSAGE && run->call.unsent < UNSENT_MAX && !run->input_ended) {
        result = fg_caller_input_next(&run->input, &json);
        if (result == FG_CALLER_READ_END) {
            run->input_ended = true;
            pass_on(run, NULL);
        } else if (result == FG_CALLER_READ_MESSAGE) {
            valid = encode(run, &json, &message);
            if (valid)
                pass_on(run, &message);
        }
        fg_outq_cleanup(&json);
        fg_outq_cleanup(&message);
    }
    fg_caller_input_pause(&run->input, run->call.unsent >= UNSENT_MAX);
    return valid && result != FG_CALLER_READ_BAD;
}

/* ---- the call ---- */

/* Says how it has ended. The exit code. */
static int finish(struct run *run)
{
    struct fg_caller_call *call = &run->call;

    if (run->output_failed) /* also when the server has said everything: it could not be passed on */
        return run->link.end == FG_CALLER_GOES_ON ? FG_EXIT_FAILED : fg_caller_link_complain(&run->link);
    if (call->result == FG_CALLER_OPEN && run->link.end == FG_CALLER_TIMED_OUT)
        fg_caller_call_end(call, FG_STATUS_DEADLINE_EXCEEDED, fg_str_from(run->link.why));
    if (call->result == FG_CALLER_OPEN) {
        int code = fg_caller_link_complain(&run->link);
        fg_caller_call_cleanup(call);
        fg_loop_turn(&run->link.loop, 0); /* the server hears of it */
        return code;
    }
    fg_caller_print_times(call);
    bool is_ok = call->result == FG_CALLER_STATUS && call->code == FG_STATUS_OK;
    if (is_ok && run->method && !run->method->server_streaming && call->messages != 1) {
        fg_caller_say("%.*s: OK, but with %" PRIu64 " answers where there should be one",
                      (int)run->options.url.authority.len, run->options.url.authority.p, call->messages);
        return FG_EXIT_FAILED;
    }
    return fg_caller_print_end(call, run->types);
}

/* Waits for the end. The exit code. */
static int go_on(struct run *run)
{
    struct fg_caller_call *call = &run->call;
    bool goes_on = true;

    if (call->client_streams) { /* the server may have something to say before the first message is typed */
        fg_caller_call_begin(call, NULL, false);
        run->begun = true;
    }
    while (call->result == FG_CALLER_OPEN && goes_on && !run->output_failed) {
        if (!pump(run))
            return FG_EXIT_USAGE;
        bool may_read = !run->input_ended && call->unsent < UNSENT_MAX && fg_caller_input_is_ready(&run->input);
        goes_on = fg_caller_link_turn(&run->link, may_read ? 0 : -1);
    }
    return finish(run);
}

/* Without types nothing is known of a method: it is unary, unless the input is said to be a sequence. */
static void set_kind(struct run *run)
{
    struct fg_caller_call *call = &run->call;
    char buffer[FG_CALLER_NAME_BYTES];
    struct fg_str name, value;

    call->json = run->options.json || run->options.dialect->is_rest;
    if (run->method) {
        call->client_streams = run->method->client_streaming;
        call->server_streams = run->method->server_streaming;
    }
    for (size_t i = 0; run->options.dialect->is_rest && i < run->options.fields.len; i++)
        if (fg_caller_field_parse(run->options.fields.items[i], buffer, &name, &value) &&
            fg_str_eq(name, FG_STR("content-type")))
            call->client_streams = fg_str_starts_with(value, FG_STR("application/x-ndjson"));
}

static int make_call(struct run *run)
{
    const struct fg_caller_options *options = &run->options;
    int result = -1;

    if (!options->dialect->is_rest && (!options->json || options->descriptors))
        result = fg_caller_types_load(&run->link, &run->types);
    if (result < 0 && run->types) {
        run->method = fg_caller_types_method(run->types, options->url.path);
        result = run->method ? -1 : FG_EXIT_USAGE;
    }
    if (result >= 0)
        return result;
    fg_caller_call_init(&run->call, &run->link, options->dialect);
    run->call.path = options->url.path;
    run->call.on_message = on_message;
    run->call.user = run;
    set_kind(run);
    const char *data = options->data;
    if (!data && run->call.client_streams)
        data = "";
    result = fg_caller_input_init(&run->input, &run->link.loop, data, run->call.client_streams);
    if (result < 0)
        result = fg_caller_link_open(&run->link, options->http1) ? go_on(run) : fg_caller_link_complain(&run->link);
    fg_caller_call_cleanup(&run->call);
    fg_caller_input_cleanup(&run->input);
    return result;
}

static int tell(struct run *run)
{
    int result = fg_caller_types_load(&run->link, &run->types);

    if (result >= 0)
        return result;
    return run->options.list ? fg_caller_list(run->types) : fg_caller_describe(run->types, run->options.describe);
}

int fg_cli_call(int argc, char **argv)
{
    struct run *run = fg_alloc_zero(sizeof *run);

    signal(SIGPIPE, SIG_IGN);
    int result = fg_caller_options_parse(&run->options, argc, argv);
    if (result < 0) {
        result = fg_caller_link_init(&run->link, &run->options);
        if (result < 0)
            result = run->options.list || run->options.describe ? tell(run) : make_call(run);
        fg_caller_link_cleanup(&run->link);
    }
    fg_descriptors_unref(run->types);
    fg_caller_options_cleanup(&run->options);
    free(run);
    return result;
}
