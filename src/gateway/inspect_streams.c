/* The calls in progress. A worker looks at its calls a few at a time, between its turns, so that it stalls for nobody
 * however many there are; it keeps those that come first in the order that is asked for. */
#include <stdlib.h>

#include "base/log.h"
#include "gateway/inspect_int.h"

#define STEP_CALLS 512 /* looked at in one turn: some 50 us */
#define KEEP_COST  31  /* what writing one down takes: as much as looking at so many */
#define KEPT_MAX   FG_INSPECT_STREAMS_MAX

/* ---- one call, as JSON ---- */

static double ms(uint64_t ns)
{
    return (double)ns / (double)FG_MS;
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
    fprintf(out, "{\"connection\": %llu, \"stream\": %u, ", (unsigned long long)stream->conn->number,
            stream->ops->id(stream));
    fg_inspect_put_field(out, "peer", fg_str_from(peer));
    fputc('}', out);
}

static void put_wait(const struct fg_worker *worker, const struct fg_call *call, const struct fg_wait *wait, FILE *out)
{
    struct fg_wait_holders room;
    struct fg_call_wait full;

    fprintf(out, ", \"wait\": {\"cause\": \"%s\", \"age_ms\": %.3f", fg_wait_name(wait->cause),
            ms(wait->cause == FG_WAIT_NONE ? 0 : worker->loop.now_ns - wait->since_ns));
    if (fg_call_current_wait(call, &full, &room) && full.holders) {
        struct fg_long_wait record = {0};
        fg_long_wait_fill(&record, call, &full);
        fputs(", ", out);
        fg_inspect_put_holders(out, worker->index, &record);
    }
    fputc('}', out);
}

static void put_call(const struct fg_worker *worker, const struct fg_call *call, const struct fg_wait *wait, FILE *out)
{
    const struct fg_attempt *attempt = fg_call_answering(call);
    uint64_t now_ns = worker->loop.now_ns;

    fprintf(out, "{\"id\": \"%u-%llu\", \"worker\": %u, ", worker->index, (unsigned long long)call->number,
            worker->index);
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
    put_wait(worker, call, wait, out);
    fprintf(out, ", \"bytes_up\": %llu, \"bytes_down\": %llu, \"messages_up\": %llu, \"messages_down\": %llu",
            (unsigned long long)call->bytes_up, (unsigned long long)call->bytes_down,
            (unsigned long long)call->framing.messages, (unsigned long long)(attempt ? attempt->framing.messages : 0));
    put_side(out, "downstream", call->down);
    put_side(out, "upstream", attempt ? attempt->up : NULL);
    fputc('}', out);
}

/* ---- which ---- */

/* WANTED ends with "*": a prefix; begins with one, too: a part; empty: anything. */
static bool is_wanted(const char *wanted, struct fg_str text)
{
    size_t len = strlen(wanted);

    if (len == 0)
        return true;
    if (len > 1 && wanted[0] == '*' && wanted[len - 1] == '*')
        return memmem(text.p, text.len, wanted + 1, len - 2) != NULL;
    if (wanted[len - 1] == '*')
        return fg_str_starts_with(text, (struct fg_str){wanted, len - 1});
    return fg_str_eq(text, (struct fg_str){wanted, len});
}

static bool is_method_wanted(const char *wanted, struct fg_str path)
{
    bool bare = wanted[0] != '/' && wanted[0] != '*' && path.len > 0 && path.p[0] == '/';
    return is_wanted(wanted, bare ? (struct fg_str){path.p + 1, path.len - 1} : path);
}

static bool is_peer_wanted(const char *wanted, const struct fg_stream *down)
{
    char peer[FG_ADDRESS_TEXT_BYTES];

    if (wanted[0] == '\0')
        return true;
    if (!down)
        return false;
    fg_address_format(&down->conn->peer, peer, sizeof peer);
    return is_wanted(wanted, fg_str_from(peer));
}

static bool matches(const struct fg_inspect_streams_query *query, const struct fg_call *call,
                    const struct fg_wait *wait, uint64_t now_ns)
{
    const struct fg_attempt *attempt = fg_call_answering(call);
    uint64_t waited_ns = wait->cause == FG_WAIT_NONE ? 0 : now_ns - wait->since_ns;

    return now_ns - call->start_ns >= query->min_age_ns && waited_ns >= query->min_wait_ns &&
           (query->wait < 0 || (int)wait->cause == query->wait) &&
           (query->phase < 0 || (int)(attempt ? attempt->outcome.phase : FG_PHASE_NEW) == query->phase) &&
           is_wanted(query->cluster, call->cluster ? call->cluster->name : FG_STR("")) &&
           is_wanted(query->dialect, fg_str_from(call->dialect->name)) &&
           is_wanted(query->endpoint, attempt && attempt->endpoint ? attempt->endpoint->name : FG_STR("")) &&
           is_method_wanted(query->method, call->path) && is_peer_wanted(query->peer, call->down);
}

/* Since when goes before how long: the order stays the same from one page to the next. */
static uint64_t rank(const struct fg_inspect_streams_query *query, const struct fg_call *call,
                     const struct fg_wait *wait)
{
    const struct fg_attempt *attempt = fg_call_answering(call);

    switch (query->sort) {
    case FG_INSPECT_BY_WAIT:
        return wait->cause == FG_WAIT_NONE ? 0 : UINT64_MAX - wait->since_ns;
    case FG_INSPECT_BY_AGE:
        return UINT64_MAX - call->start_ns;
    case FG_INSPECT_BY_BYTES:
        return call->bytes_up + call->bytes_down;
    case FG_INSPECT_BY_MESSAGES:
        return call->framing.messages + (attempt ? attempt->framing.messages : 0);
    }
    return 0;
}

/* ---- a worker's part ---- */

struct kept {
    uint64_t rank, number;
    char *text;
    size_t len;
};

/* Does A come later in the answer than B? Among equals the calls that began first come first. */
static bool is_later(const struct kept *a, const struct kept *b)
{
    return a->rank < b->rank || (a->rank == b->rank && a->number > b->number);
}

/* Of one question, over several turns. */
struct scan {
    uint64_t left; /* calls to look at; those that begin meanwhile are not waited for */
    uint64_t total, matched;
    size_t cap, len;
    struct kept *heap; /* the last one first */
};

static void sift_down(struct scan *scan, size_t at)
{
    for (;;) {
        size_t child = 2 * at + 1, last = at;
        if (child < scan->len && is_later(&scan->heap[child], &scan->heap[last]))
            last = child;
        if (child + 1 < scan->len && is_later(&scan->heap[child + 1], &scan->heap[last]))
            last = child + 1;
        if (last == at)
            return;
        struct kept moved = scan->heap[at];
        scan->heap[at] = scan->heap[last];
        scan->heap[last] = moved;
        at = last;
    }
}

static void sift_up(struct scan *scan, size_t at)
{
    for (size_t parent; at > 0 && is_later(&scan->heap[at], &scan->heap[parent = (at - 1) / 2]); at = parent) {
        struct kept moved = scan->heap[at];
        scan->heap[at] = scan->heap[parent];
        scan->heap[parent] = moved;
    }
}

/* The call may end before the question does: what is kept of it is text. What that cost, in calls looked at. */
static int keep(struct fg_worker *worker, struct scan *scan, const struct fg_call *call, const struct fg_wait *wait,
                uint64_t rank_)
{
    struct kept entry = {.rank = rank_, .number = call->number};

    if (scan->cap == 0 || (scan->len == scan->cap && !is_later(&scan->heap[0], &entry)))
        return 0;
    FILE *out = open_memstream(&entry.text, &entry.len);
    if (!out)
        return 0;
    put_call(worker, call, wait, out);
    fclose(out);
    if (scan->len < scan->cap) {
        scan->heap[scan->len] = entry;
        sift_up(scan, scan->len++);
        return KEEP_COST;
    }
    free(scan->heap[0].text);
    scan->heap[0] = entry;
    sift_down(scan, 0);
    return KEEP_COST;
}

static struct scan *scan_new(struct fg_worker *worker, const struct fg_inspect_streams_query *query)
{
    struct scan *scan = fg_alloc_zero(sizeof *scan);

    scan->left = scan->total = worker->stats.calls_started - worker->stats.calls_ended;
    scan->cap = (size_t)FG_MIN(query->limit + query->offset, (uint64_t)KEPT_MAX);
    scan->cap = (size_t)FG_MIN((uint64_t)scan->cap, scan->left);
    scan->heap = fg_alloc((scan->cap + 1) * sizeof *scan->heap);
    worker->env.scan = worker->env.calls.next;
    return scan;
}

static void finish(struct fg_worker *worker, struct scan *scan, FILE *out)
{
    fprintf(out, "%llu %llu\n", (unsigned long long)scan->total, (unsigned long long)scan->matched);
    for (size_t i = 0; i < scan->len; i++) {
        fprintf(out, "%llu %llu ", (unsigned long long)scan->heap[i].rank, (unsigned long long)scan->heap[i].number);
        fwrite(scan->heap[i].text, 1, scan->heap[i].len, out);
        fputc('\n', out);
        free(scan->heap[i].text);
    }
    free(scan->heap);
    free(scan);
    worker->env.scan = NULL;
}

static bool scan_some(struct fg_worker *worker, const void *context, void **state, FILE *out)
{
    const struct fg_inspect_streams_query *query = context;
    struct scan *scan = *state;

    if (!scan && worker->env.scan) /* a question that nobody waits for any more is still at it */
        return false;
    if (!scan)
        *state = scan = scan_new(worker, query);
    for (int i = 0; i < STEP_CALLS && scan->left > 0 && worker->env.scan != &worker->env.calls; i++) {
        const struct fg_call *call = FG_LIST_ENTRY(worker->env.scan, struct fg_call, node);
        struct fg_wait wait = fg_call_wait(call);
        worker->env.scan = worker->env.scan->next;
        scan->left--;
        if (!matches(query, call, &wait, worker->loop.now_ns))
            continue;
        scan->matched++;
        i += keep(worker, scan, call, &wait, rank(query, call, &wait));
    }
    if (scan->left > 0 && worker->env.scan != &worker->env.calls)
        return false;
    finish(worker, scan, out);
    return true;
}

/* ---- ending one ---- */

struct target {
    unsigned worker;
    uint64_t number;
};

#define KILL_STEP_CALLS 4096 /* their numbers alone are looked at */

static void kill_call(struct fg_worker *worker, struct fg_call *call, FILE *out)
{
    char peer[FG_ADDRESS_TEXT_BYTES];
    struct fg_wait wait = fg_call_wait(call);

    put_call(worker, call, &wait, out);
    fg_address_format(call->peer, peer, sizeof peer);
    fg_log(FG_LOG_WARN, "admin: ended call %u-%llu, %.*s of %s, which had lasted for %.1f s and waited for %s",
           worker->index, (unsigned long long)call->number, (int)FG_MIN(call->path.len, (size_t)200), call->path.p,
           peer, ms(worker->loop.now_ns - call->start_ns) / 1000, fg_wait_name(wait.cause));
    fg_call_kill(call);
}

/* Calls stand in the order of their numbers. */
static bool kill_step(struct fg_worker *worker, const void *context, void **state, FILE *out)
{
    struct fg_call_env *env = &worker->env;
    struct target target;
    struct fg_call *call = NULL;

    memcpy(&target, context, sizeof target);
    if (target.worker != worker->index)
        return true;
    if (!*state && env->scan)
        return false;
    if (!*state)
        env->scan = env->calls.next;
    *state = env; /* begun */
    for (int i = 0; i < KILL_STEP_CALLS && env->scan != &env->calls; i++, env->scan = env->scan->next) {
        call = FG_LIST_ENTRY(env->scan, struct fg_call, node);
        if (call->number >= target.number)
            break;
    }
    bool over = env->scan == &env->calls || call->number >= target.number;
    bool found = over && env->scan != &env->calls && call->number == target.number;
    if (!over)
        return false;
    env->scan = NULL;
    if (found)
        kill_call(worker, call, out);
    return true;
}

bool fg_inspect_kill(struct fg_gateway *gateway, unsigned worker, uint64_t number, FILE *out)
{
    struct target target = {worker, number};
    long before = ftell(out);

    (void)fg_gateway_ask(gateway, kill_step, &target, sizeof target, "", out);
    fflush(out);
    return ftell(out) > before;
}

/* ---- all of it ---- */

static int in_order(const void *a, const void *b)
{
    const struct kept *x = a, *y = b;
    return is_later(x, y) ? 1 : is_later(y, x) ? -1 : x->text < y->text ? -1 : x->text > y->text;
}

/* Lines of all workers, in their order: "TOTAL MATCHED" of each, and "RANK NUMBER {...}" of calls. */
static struct kept *read_lines(char *text, size_t bytes, size_t *len, uint64_t *total, uint64_t *matched)
{
    struct kept *lines = NULL;
    size_t cap = 0;

    *len = 0;
    for (char *at = text, *end = text + bytes, *lf; at < end; at = lf + 1) {
        struct kept line = {0};
        lf = memchr(at, '\n', (size_t)(end - at));
        line.rank = strtoull(at, &at, 10);
        line.number = strtoull(at, &at, 10);
        if (at == lf) {
            *total += line.rank;
            *matched += line.number;
            continue;
        }
        line.text = at + 1;
        line.len = (size_t)(lf - line.text);
        if (*len == cap) {
            cap = cap ? 2 * cap : 64;
            lines = fg_realloc(lines, cap * sizeof *lines);
        }
        lines[(*len)++] = line;
    }
    return lines;
}

void fg_inspect_streams(struct fg_gateway *gateway, const struct fg_inspect_streams_query *query, FILE *out)
{
    uint64_t total = 0, matched = 0;
    char *text = NULL;
    size_t bytes = 0, len = 0;
    struct kept *lines = NULL;
    bool complete = false;
    FILE *parts = open_memstream(&text, &bytes);

    if (parts) {
        complete = fg_gateway_ask(gateway, scan_some, query, sizeof *query, "", parts);
        fclose(parts);
        lines = read_lines(text, bytes, &len, &total, &matched);
    }
    if (len > 0)
        qsort(lines, len, sizeof *lines, in_order);
    fputs("{\"streams\": [\n", out);
    for (size_t i = (size_t)query->offset; i < len && i < query->offset + query->limit; i++) {
        fputs(i > query->offset ? ",\n" : "", out);
        fwrite(lines[i].text, 1, lines[i].len, out);
    }
    fprintf(out, "\n], \"total\": %llu, \"matched\": %llu, \"complete\": %s}\n", (unsigned long long)total,
            (unsigned long long)matched, complete ? "true" : "false");
    free(lines);
    free(text);
}
