#include "cli/caller_types.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/caller_dialect.h"
#include "cli/caller_print.h"
#include "cli/cli.h"
#include "config/nearest.h"
#include "rpc/reflection.h"

/* ---- reflection ---- */

struct exchange {
    struct fg_caller_call call;
    struct fg_reflection *reflection;
    bool done;
};

/* The next question; without one everything is known. */
static void ask(struct exchange *exchange)
{
    struct fg_str request;
    struct fg_outq message;

    exchange->done = !fg_reflection_next(exchange->reflection, &request);
    if (exchange->done)
        return;
    fg_outq_init(&message, &exchange->call.link->loop.mem);
    fg_outq_copy(&message, request.p, request.len);
    fg_caller_call_send(&exchange->call, &message);
    fg_outq_cleanup(&message);
}

static void on_message(struct fg_caller_call *call, struct fg_outq *message)
{
    struct exchange *exchange = FG_CONTAINER_OF(call, struct exchange, call);
    char *bytes = fg_alloc(message->bytes + 1);
    const char *error;

    fg_outq_read(message, bytes, message->bytes);
    if (fg_reflection_take(exchange->reflection, (struct fg_str){bytes, message->bytes}, &error) != 0)
        fg_caller_call_broke(call, "%s", error);
    else
        ask(exchange);
    free(bytes);
}

static int complain(struct fg_caller_call *call)
{
    int result = fg_caller_print_end(call, NULL);

    fg_caller_say("the types are not known without the server's reflection, which gave this answer");
    fg_caller_say("--descriptors FILE (of protoc --include_imports --descriptor_set_out) is another way");
    return result;
}

/* UNIMPLEMENTED in *AGAIN: another version may be known. */
static int reflect(struct fg_caller_link *link, const char *path, bool *again, struct fg_descriptors **out)
{
    struct exchange exchange = {.reflection = fg_reflection_new((uint32_t)link->began_ns)};
    struct fg_caller_call *call = &exchange.call;
    struct fg_descriptors_error error;
    bool goes_on = true;
    int result = FG_EXIT_FAILED;

    fg_caller_call_init(call, link, &fg_caller_grpc);
    call->path = fg_str_from(path);
    call->client_streams = call->server_streams = call->quiet = true;
    call->on_message = on_message;
    if (link->options->verbose)
        fprintf(stderr, "* asks %s\n", path);
    fg_caller_call_begin(call, NULL, false);
    ask(&exchange);
    while (!exchange.done && call->result == FG_CALLER_OPEN && goes_on)
        goes_on = fg_caller_link_turn(link, -1);
    bool unknown = call->result == FG_CALLER_STATUS && call->code == FG_STATUS_UNIMPLEMENTED;
    if (exchange.done && fg_reflection_finish(exchange.reflection, out, &error) == 0)
        result = -1;
    else if (exchange.done)
        fg_caller_say("the descriptors that the server's reflection gives are no good: %s", error.text);
    else if (call->result == FG_CALLER_OPEN)
        result = fg_caller_link_complain(link);
    else if (!unknown || !*again)
        result = complain(call);
    *again = *again && unknown;
    fg_caller_call_cleanup(call);
    fg_reflection_free(exchange.reflection);
    return result;
}

int fg_caller_types_load(struct fg_caller_link *link, struct fg_descriptors **out)
{
    const char *file = link->options->descriptors;
    struct fg_descriptors_error error;
    bool again = true;

    if (file && fg_descriptors_load(file, out, &error) == 0)
        return -1;
    if (file) {
        fg_caller_say("%s: %s", file, error.text);
        return FG_EXIT_USAGE;
    }
    if (!fg_caller_link_open(link, false))
        return fg_caller_link_complain(link);
    int result = reflect(link, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", &again, out);
    if (!again)
        return result;
    if (!fg_caller_link_open(link, false))
        return fg_caller_link_complain(link);
    again = false;
    return reflect(link, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &again, out);
}

/* ---- names ---- */

static struct fg_str last_of(struct fg_str path, char separator)
{
    const char *at = path.len > 0 ? memrchr(path.p, separator, path.len) : NULL;
    return at ? (struct fg_str){at + 1, path.len - (size_t)(at + 1 - path.p)} : path;
}

/* NAME and the candidates without what they begin with: only names of up to 64 bytes are compared. */
static const struct fg_method *find_nearest(const struct fg_descriptors *types, struct fg_str path)
{
    size_t len;
    const struct fg_method *const *methods = fg_descriptors_methods(types, &len), *best = NULL;
    struct fg_str service = {path.p, path.len - last_of(path, '/').len};
    struct fg_nearest nearest;
    char candidate[FG_DESCRIPTORS_MAX_NAME + 1];

    for (int pass = 0; pass < 2 && !best; pass++) {
        fg_nearest_init(&nearest, last_of(path, pass == 0 ? '/' : '.'));
        for (size_t i = 0; i < len; i++) {
            struct fg_str name = last_of(methods[i]->path, pass == 0 ? '/' : '.');
            unsigned before = nearest.distance;
            if (pass == 0 && !fg_str_starts_with(methods[i]->path, service))
                continue; /* the service is right, the method is not; else the other way round */
            snprintf(candidate, sizeof candidate, "%.*s", (int)name.len, name.p);
            fg_nearest_offer(&nearest, candidate);
            if (nearest.distance < before)
                best = methods[i];
        }
    }
    return best;
}

const struct fg_method *fg_caller_types_method(const struct fg_descriptors *types, struct fg_str path)
{
    struct fg_str name = last_of(path, '/'), before = {path.p, path.len - FG_MIN(path.len, name.len + 1)};
    struct fg_str service = last_of(before, '/');
    size_t len;

    if (service.len == 0 || name.len == 0) {
        fg_caller_say("the URL ends with /package.Service/Method: \"%.*s\" does not (--list URL names what there is)",
                      (int)path.len, path.p);
        return NULL;
    }
    struct fg_str wanted = {service.p - 1, path.len - (size_t)(service.p - 1 - path.p)};
    const struct fg_method *method = fg_descriptors_method(types, wanted);
    if (method)
        return method;
    (void)fg_descriptors_methods(types, &len);
    const struct fg_method *nearest = find_nearest(types, wanted);
    if (nearest)
        fg_caller_say("there is no method %.*s; did you mean %.*s?", (int)wanted.len - 1, wanted.p + 1,
                      (int)nearest->path.len - 1, nearest->path.p + 1);
    else
        fg_caller_say("there is no method %.*s among %zu (--list URL names them)", (int)wanted.len - 1, wanted.p + 1,
                      len);
    return NULL;
}
