/* What calls wait for now. Workers look at their calls a few at a time, as for /streams. */
#include <stdlib.h>

#include "gateway/overview_int.h"

#define STEP_CALLS 1024 /* looked at in one turn: some 50 us */

/* Of one question, over several turns. */
struct scan {
    uint64_t left; /* those that begin meanwhile are not waited for */
    uint32_t counts[FG_WAIT_LEN];
};

static struct scan *scan_new(struct fg_worker *worker)
{
    struct scan *scan = fg_alloc_zero(sizeof *scan);

    scan->left = worker->stats.calls_started - worker->stats.calls_ended;
    worker->env.scan = worker->env.calls.next;
    return scan;
}

static bool count_some(struct fg_worker *worker, const void *context, void **state, FILE *out)
{
    struct fg_call_env *env = &worker->env;
    struct scan *scan = *state;
    (void)context;

    if (!scan && env->scan) /* one question after the other */
        return false;
    if (!scan)
        *state = scan = scan_new(worker);
    for (int i = 0; i < STEP_CALLS && scan->left > 0 && env->scan != &env->calls; i++, scan->left--) {
        struct fg_wait wait = fg_call_wait(FG_LIST_ENTRY(env->scan, struct fg_call, node));
        env->scan = env->scan->next;
        scan->counts[wait.cause]++;
    }
    if (scan->left > 0 && env->scan != &env->calls)
        return false;
    env->scan = NULL;
    fwrite(scan->counts, sizeof scan->counts, 1, out);
    free(scan);
    return true;
}

bool fg_overview_ask_waits(struct fg_gateway *gateway, uint32_t counts[FG_WAIT_LEN])
{
    uint32_t part[FG_WAIT_LEN];
    char *text = NULL;
    size_t bytes = 0;
    FILE *parts = open_memstream(&text, &bytes);

    memset(counts, 0, sizeof part);
    if (!parts)
        return false;
    bool complete = fg_gateway_ask(gateway, count_some, NULL, 0, "", parts);
    fclose(parts);
    for (size_t at = 0; at + sizeof part <= bytes; at += sizeof part) {
        memcpy(part, text + at, sizeof part);
        for (int i = 0; i < FG_WAIT_LEN; i++)
            counts[i] += part[i];
    }
    free(text);
    return complete;
}
