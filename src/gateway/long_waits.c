#include "gateway/long_waits.h"

#include <stdlib.h>

#define LOOKED_AT 256 /* calls, for those that hold what others wait for: they are among the oldest */

static void copy(char *to, size_t len, struct fg_str text)
{
    size_t n = FG_MIN(text.len, len - 1);

    if (n > 0)
        memcpy(to, text.p, n);
    to[n] = '\0';
}

static bool is_on(const struct fg_stream *stream, uint64_t connection, uint32_t id)
{
    return stream && stream->conn->number == connection && stream->ops->id(stream) == id;
}

/* The call whose stream ID is on that connection to a client, or to an endpoint (UPSTREAM); 0: it is not found. */
static uint64_t call_of(const struct fg_call_env *env, bool upstream, uint64_t connection, uint32_t id)
{
    int looked_at = 0;

    FG_LIST_EACH (node, &env->calls) {
        const struct fg_call *call = FG_LIST_ENTRY(node, struct fg_call, node);
        const struct fg_attempt *attempt = fg_call_answering(call);
        if (is_on(upstream ? (attempt ? attempt->up : NULL) : call->down, connection, id))
            return call->number;
        if (++looked_at == LOOKED_AT)
            break;
    }
    return 0;
}

void fg_long_wait_fill(struct fg_long_wait *record, const struct fg_call *call, const struct fg_call_wait *wait)
{
    const struct fg_attempt *attempt = fg_call_answering(call);

    record->call = call->number;
    record->wait = *wait;
    record->wait.next = NULL;
    copy(record->method, sizeof record->method, call->path);
    copy(record->cluster, sizeof record->cluster, call->cluster ? call->cluster->name : FG_STR(""));
    copy(record->endpoint, sizeof record->endpoint,
         attempt && attempt->endpoint ? attempt->endpoint->name : FG_STR(""));
    fg_address_format(call->peer, record->peer, sizeof record->peer);
    if (!wait->holders)
        return;
    record->holders = *wait->holders;
    record->wait.holders = &record->holders;
    for (uint32_t i = 0; i < record->holders.len; i++)
        record->holding_calls[i] =
            call_of(call->env, wait->attempt > 0, wait->connection, record->holders.top[i].stream);
}

void fg_long_waits_add(struct fg_long_waits *waits, const struct fg_call *call, const struct fg_call_wait *wait)
{
    if (!waits->ring)
        waits->ring = fg_alloc_zero(FG_LONG_WAITS_KEPT * sizeof *waits->ring);
    fg_long_wait_fill(&waits->ring[waits->count++ % FG_LONG_WAITS_KEPT], call, wait);
}

void fg_long_waits_cleanup(struct fg_long_waits *waits)
{
    free(waits->ring);
    *waits = (struct fg_long_waits){0};
}
