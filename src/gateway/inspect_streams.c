#include <stdlib.h>

#include "gateway/inspect_int.h"

static double ms(uint64_t ns)
{
    return (double)ns / (double)FG_MS;
}

struct seen {
    const struct fg_call *call;
    struct fg_wait wait;
    uint64_t age_ns;
};

static int longest_first(const void *a, const void *b)
{
    const struct seen *x = a, *y = b;
    return x->age_ns < y->age_ns ? 1 : x->age_ns > y->age_ns ? -1 : 0;
}

static void put_side(FILE *out, const char *name, const struct fg_stream *stream)
{
    fprintf(out, ", \"%s\": ", name);
    if (!stream) {
        fputs("null", out);
        return;
    }
    char peer[FG_ADDRESS_TEXT_BYTES];
    fg_address_format(&stream->conn->peer, peer, sizeof peer);
    fprintf(out, "{\"stream\": %u, ", stream->ops->id(stream));
    fg_inspect_put_field(out, "peer", fg_str_from(peer));
    fputc('}', out);
}

static void put_call(const struct fg_worker *worker, const struct seen *seen, FILE *out)
{
    const struct fg_call *call = seen->call;
    const struct fg_attempt *attempt = fg_call_answering(call);
    uint64_t now_ns = worker->loop.now_ns;

    fprintf(out, "{\"worker\": %u, ", worker->index);
    fg_inspect_put_field(out, "method", call->path);
    fputs(", ", out);
    fg_inspect_put_field(out, "cluster", call->cluster ? call->cluster->name : FG_STR(""));
    fputs(", ", out);
    fg_inspect_put_field(out, "endpoint", attempt && attempt->endpoint ? attempt->endpoint->name : FG_STR(""));
    fprintf(out, ", \"dialect\": \"%s\", \"phase\": \"%s\", \"attempt\": %u, \"age_ms\": %.3f", call->dialect->name,
            fg_phase_name(attempt ? attempt->outcome.phase : FG_PHASE_NEW), attempt ? attempt->number : 0,
            ms(now_ns - call->start_ns));
    if (call->deadline_ns != FG_NEVER)
        fprintf(out, ", \"deadline_in_ms\": %.3f", ms(call->deadline_ns > now_ns ? call->deadline_ns - now_ns : 0));
    fprintf(out, ", \"wait\": {\"cause\": \"%s\", \"age_ms\": %.3f}", fg_wait_name(seen->wait.cause), ms(seen->age_ns));
    fprintf(out, ", \"bytes_up\": %llu, \"bytes_down\": %llu, \"messages_up\": %llu, \"messages_down\": %llu",
            (unsigned long long)call->bytes_up, (unsigned long long)call->bytes_down,
            (unsigned long long)call->framing.messages, (unsigned long long)(attempt ? attempt->framing.messages : 0));
    put_side(out, "downstream", call->down);
    put_side(out, "upstream", attempt ? attempt->up : NULL);
    fputc('}', out);
}

static void fill_streams(struct fg_worker *worker, const void *context, FILE *out)
{
    unsigned limit;
    size_t len = 0, cap = 64;
    struct seen *seen = fg_alloc(cap * sizeof *seen);

    memcpy(&limit, context, sizeof limit);
    FG_LIST_EACH (node, &worker->env.calls) {
        const struct fg_call *call = FG_LIST_ENTRY(node, struct fg_call, node);
        struct fg_wait wait = fg_call_wait(call);
        if (len == cap) {
            cap *= 2;
            seen = fg_realloc(seen, cap * sizeof *seen);
        }
        seen[len++] = (struct seen){call, wait, wait.cause == FG_WAIT_NONE ? 0 : worker->loop.now_ns - wait.since_ns};
    }
    qsort(seen, len, sizeof *seen, longest_first);
    for (size_t i = 0; i < len && i < limit; i++) {
        if (i > 0)
            fputs(",\n", out);
        put_call(worker, &seen[i], out);
    }
    free(seen);
}

void fg_inspect_streams(struct fg_gateway *gateway, unsigned limit, FILE *out)
{
    fputs("{\"streams\": [\n", out);
    bool complete = fg_gateway_ask(gateway, fill_streams, &limit, sizeof limit, ",\n", out);
    fprintf(out, "\n], \"complete\": %s}\n", complete ? "true" : "false");
}
