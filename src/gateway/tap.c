#include "gateway/tap.h"

#include <stdlib.h>

#include "base/log.h"
#include "gateway/inspect_int.h"
#include "gateway/tap_int.h"

#define READ_MAX     (512u << 10) /* bytes of records that are looked at in one turn */
#define SAY_EVERY_NS FG_S

/* ---- at the workers ---- */

struct tap_mail {
    struct fg_mail mail;
    struct fg_tap_session *session;
    unsigned worker;
};

static void unref(struct fg_tap_session *session)
{
    if (__atomic_sub_fetch(&session->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    free(session->sinks);
    free(session);
}

static void run_attach(struct fg_mail *mail)
{
    struct tap_mail *message = FG_CONTAINER_OF(mail, struct tap_mail, mail);
    struct fg_worker *worker = &message->session->gateway->workers[message->worker];

    fg_tap_attach(&worker->env, &worker->tap, &message->session->sinks[message->worker]);
    if (__atomic_add_fetch(&message->session->attached, 1, __ATOMIC_RELAXED) == message->session->sinks_len)
        FG_COUNT(&worker->stats, taps_opened); /* all workers have it */
    free(message);
}

static void run_detach(struct fg_mail *mail)
{
    struct tap_mail *message = FG_CONTAINER_OF(mail, struct tap_mail, mail);
    struct fg_tap_session *session = message->session;
    struct fg_worker *worker = &session->gateway->workers[message->worker];

    fg_tap_detach(&worker->env, &worker->tap, &session->sinks[message->worker]);
    fg_ring_cleanup(&session->sinks[message->worker].ring);
    if (__atomic_add_fetch(&session->detached, 1, __ATOMIC_RELAXED) == session->sinks_len)
        FG_COUNT(&worker->stats, taps_closed);
    free(message);
    unref(session);
}

static void tell_workers(struct fg_tap_session *session, void (*run)(struct fg_mail *mail))
{
    for (unsigned i = 0; i < session->sinks_len; i++) {
        struct tap_mail *message = fg_alloc(sizeof *message);
        *message = (struct tap_mail){.mail.run = run, .session = session, .worker = i};
        fg_mailbox_post(&session->gateway->workers[i].loop, &message->mail);
    }
}

/* ---- life ---- */

static struct fg_tap_session **find(struct fg_gateway *gateway, uint64_t id)
{
    for (size_t i = 0; i < FG_TAP_SESSIONS; i++)
        if (gateway->taps[i] && gateway->taps[i]->id == id)
            return &gateway->taps[i];
    return NULL;
}

static struct fg_tap_session *session_new(struct fg_gateway *gateway, const struct fg_tap_query *query)
{
    struct fg_tap_session *session = fg_alloc_zero(sizeof *session);
    const struct fg_config_tap *config = &gateway->config->tap;
    struct fg_tap_filter *filter = &session->query.filter;
    uint64_t now_ns = fg_clock_now_ns();

    session->gateway = gateway;
    session->query = *query;
    session->is_late = query->endpoint[0] || query->code >= 0 || query->failed;
    filter->interval_ns = FG_S / query->rate;
    filter->burst_ns = FG_S / 4;
    filter->max_bytes = (uint32_t)query->max_bytes;
    filter->count = session->is_late ? 0 : query->count;
    session->end_ns = query->seconds ? now_ns + query->seconds * FG_S : FG_NEVER;
    session->wall_offset_ns = fg_clock_wall_ns() - now_ns;
    session->said_ns = now_ns;
    const char **paths = fg_alloc(config->redact_fields_len * sizeof *paths + 1);
    for (size_t i = 0; i < config->redact_fields_len; i++)
        paths[i] = config->redact_fields[i].name;
    session->hide = (struct fg_json_hide){.paths = paths, .paths_len = config->redact_fields_len};
    fg_mem_init(&session->mem);
    for (size_t i = 0; i < FG_TAP_BUCKETS; i++)
        fg_list_init(&session->calls[i]);
    session->sinks_len = __atomic_load_n(&gateway->started, __ATOMIC_ACQUIRE);
    session->refs = session->sinks_len + 1;
    session->sinks = fg_alloc_zero(session->sinks_len * sizeof *session->sinks + 1);
    for (unsigned i = 0; i < session->sinks_len; i++) {
        session->sinks[i].filter = filter;
        fg_ring_init(&session->sinks[i].ring, FG_TAP_RING_BYTES);
    }
    return session;
}

uint64_t fg_tap_open(struct fg_gateway *gateway, const struct fg_tap_query *query, char *why, size_t why_len)
{
    size_t at = 0;

    while (at < FG_TAP_SESSIONS && gateway->taps[at])
        at++;
    if (at == FG_TAP_SESSIONS) {
        snprintf(why, why_len, "%d sessions tap calls already", FG_TAP_SESSIONS);
        return 0;
    }
    if (!__atomic_load_n(&gateway->ready, __ATOMIC_ACQUIRE)) {
        snprintf(why, why_len, "the gateway does not serve yet");
        return 0;
    }
    struct fg_tap_session *session = session_new(gateway, query);
    session->id = ++gateway->last_tap;
    gateway->taps[at] = session;
    tell_workers(session, run_attach);
    fg_log(FG_LOG_INFO, "admin: tap %llu began: up to %llu calls per second, %llu bytes of each message",
           (unsigned long long)session->id, (unsigned long long)query->rate, (unsigned long long)query->max_bytes);
    return session->id;
}

static void drop_calls(struct fg_tap_session *session)
{
    for (size_t i = 0; i < FG_TAP_BUCKETS; i++)
        while (!fg_list_empty(&session->calls[i]))
            fg_tap_seen_free(session, FG_LIST_FIRST(&session->calls[i], struct fg_tap_seen, node));
}

void fg_tap_close(struct fg_gateway *gateway, uint64_t id)
{
    struct fg_tap_session **place = find(gateway, id), *session;

    if (!place)
        return;
    session = *place;
    *place = NULL;
    fg_log(FG_LOG_INFO, "admin: tap %llu ended: %llu calls shown, %llu events missed", (unsigned long long)session->id,
           (unsigned long long)session->shown, (unsigned long long)session->missed_said);
    drop_calls(session);
    free((void *)(uintptr_t)session->hide.paths);
    fg_mem_cleanup(&session->mem);
    tell_workers(session, run_detach);
    unref(session);
}

/* ---- reading ---- */

/* What one worker has written, at most READ_MAX bytes of it; false: there is more. */
static bool read_sink(struct fg_tap_session *session, unsigned worker, size_t *budget, FILE *out)
{
    struct fg_ring *ring = &session->sinks[worker].ring;
    struct fg_tap_record record;
    char *body = NULL;
    size_t cap = 0;

    while (*budget > 0 && fg_ring_get(ring, &record, sizeof record)) {
        if (record.len > cap) {
            cap = FG_MAX(record.len, (size_t)4096);
            body = fg_realloc(body, cap);
        }
        if (record.len > 0 && !fg_ring_get(ring, body, record.len))
            abort(); /* records come whole */
        *budget -= FG_MIN(*budget, sizeof record + record.len);
        fg_tap_put_record(session, worker, &record, body, out);
    }
    free(body);
    return *budget > 0;
}

/* Not every time: a gateway with many calls skips some all the time. */
static void say_missed(struct fg_tap_session *session, bool over, uint64_t now_ns, FILE *out)
{
    uint64_t missed = session->missed, skipped = 0;

    for (unsigned i = 0; i < session->sinks_len; i++) {
        missed += fg_stat_read(&session->sinks[i].missed);
        skipped += fg_stat_read(&session->sinks[i].skipped);
    }
    if ((missed == session->missed_said && skipped == session->skipped_said) ||
        (!over && now_ns - session->said_ns < SAY_EVERY_NS))
        return;
    fg_tap_begin_line(session, "missed", NULL, now_ns, out);
    fprintf(out, ", \"events\": %llu, \"calls\": %llu}\n", (unsigned long long)(missed - session->missed_said),
            (unsigned long long)(skipped - session->skipped_said));
    session->missed_said = missed;
    session->skipped_said = skipped;
    session->said_ns = now_ns;
}

/* Why it is over; NULL: it is not. */
static const char *find_end(const struct fg_tap_session *session, bool drained, uint64_t now_ns)
{
    uint64_t count = session->query.count;

    if (count > 0 && drained && session->shown >= count)
        return "count";
    if (now_ns >= session->end_ns)
        return "seconds";
    return __atomic_load_n(&session->gateway->draining, __ATOMIC_ACQUIRE) ? "draining" : NULL;
}

bool fg_tap_read(struct fg_gateway *gateway, uint64_t id, FILE *out)
{
    struct fg_tap_session **place = find(gateway, id), *session;
    uint64_t now_ns = fg_clock_now_ns();
    size_t budget = READ_MAX;
    bool drained = true;

    if (!place)
        return false;
    session = *place;
    for (unsigned i = 0; i < session->sinks_len && drained; i++)
        drained = read_sink(session, (session->next_worker + i) % session->sinks_len, &budget, out);
    session->next_worker++;
    session->over = find_end(session, drained, now_ns);
    say_missed(session, session->over != NULL, now_ns, out);
    if (!session->over)
        return true;
    fg_tap_begin_line(session, "over", NULL, now_ns, out);
    fprintf(out, ", \"why\": \"%s\", \"calls\": %llu, \"missed\": %llu, \"skipped\": %llu}\n", session->over,
            (unsigned long long)session->shown, (unsigned long long)session->missed_said,
            (unsigned long long)session->skipped_said);
    return false;
}
