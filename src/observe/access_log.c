#include "observe/access_log.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/ring.h"
#include "base/time.h"
#include "io/socket.h"
#include "observe/access_text.h"
#include "observe/log_writer.h"

#define RING_BYTES     (1u << 20)
#define WRITE_EVERY_MS 50
#define URGENT_BYTES   (RING_BYTES / 4) /* in a ring: then at once */
#define LAST_TRIES     20               /* that often at the end */

/* Of one worker. */
struct ring {
    struct fg_ring lines;
    struct fg_stats *stats;
    struct fg_access_second second;
    uint64_t dropped;
};

struct fg_access_log {
    struct fg_config_access_log config;
    char *path;
    struct fg_log_format format; /* without parts: JSON */
    struct fg_log_writer writer;
    bool reopen, stop;
    bool urgent; /* a ring fills; atomic */
    struct ring *rings;
    unsigned rings_len;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
};

/* ---- the workers ---- */

static void put(struct fg_access_log *log, const struct fg_access_record *record)
{
    struct ring *ring = &log->rings[record->worker];
    char text[FG_ACCESS_LINE_BYTES];
    size_t len = log->format.len > 0 ? fg_access_text(text, &log->format, record, &ring->second)
                                     : fg_access_line(text, record, &ring->second);

    if (fg_ring_put(&ring->lines, text, len)) {
        if (fg_ring_used(&ring->lines) > URGENT_BYTES && !__atomic_exchange_n(&log->urgent, true, __ATOMIC_RELAXED))
            pthread_cond_signal(&log->wake); /* without the lock: the thread looks again soon, should it miss it */
        return;
    }
    fg_stat_add(&ring->dropped, 1);
    if (ring->stats)
        FG_COUNT(ring->stats, access_log_dropped);
}

static bool is_kept(const struct fg_access_log *log, const struct fg_call *call)
{
    const struct fg_outcome *outcome = &call->outcome;
    bool failed = outcome->class == FG_CLASS_FAILURE || outcome->class == FG_CLASS_OVERLOAD ||
                  fg_source_is_local(outcome->source);

    bool was_reported = log->config.interval_ns && call->report_ns > call->start_ns + log->config.interval_ns;

    if (failed || was_reported) /* what has a beginning has an end */
        return true;
    if (log->config.keep == FG_LOG_KEEP_FAILURES)
        return false;
    return log->config.share >= 1 || (double)(fg_call_random(call->env) >> 11) * 0x1p-53 < log->config.share;
}

void fg_access_log_write(struct fg_access_log *log, unsigned worker, const struct fg_call *call, uint64_t wall_ns)
{
    char peer[FG_ADDRESS_TEXT_BYTES];

    if (!is_kept(log, call))
        return;
    fg_address_format(call->peer, peer, sizeof peer);
    put(log, &(struct fg_access_record){.call = call,
                                        .outcome = &call->outcome,
                                        .peer = peer,
                                        .wall_ns = wall_ns,
                                        .worker = worker,
                                        .kind = log->config.interval_ns ? FG_ACCESS_LAST : FG_ACCESS_WHOLE});
}

void fg_access_log_report(struct fg_access_log *log, unsigned worker, const struct fg_call *call,
                          const struct fg_outcome *outcome, struct fg_wait wait, uint64_t wall_ns)
{
    char peer[FG_ADDRESS_TEXT_BYTES];

    fg_address_format(call->peer, peer, sizeof peer);
    put(log, &(struct fg_access_record){.call = call,
                                        .outcome = outcome,
                                        .peer = peer,
                                        .wall_ns = wall_ns,
                                        .wait = wait,
                                        .worker = worker,
                                        .kind = FG_ACCESS_SO_FAR});
}

/* ---- the thread ---- */

static uint64_t dropped(const struct fg_access_log *log)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < log->rings_len; i++)
        sum += fg_stat_read(&log->rings[i].dropped);
    return sum;
}

static bool drain(struct fg_access_log *log)
{
    for (unsigned i = 0; i < log->rings_len; i++)
        if (!fg_log_writer_drain(&log->writer, &log->rings[i].lines, dropped(log)))
            return false;
    return true;
}

static void wait_until(struct fg_access_log *log)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += WRITE_EVERY_MS * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    if (!log->stop && !log->reopen && !__atomic_load_n(&log->urgent, __ATOMIC_RELAXED))
        pthread_cond_timedwait(&log->wake, &log->lock, &until);
}

/* The workers have ended. Who does not read its pipe must not keep the gateway from ending. */
static void finish(struct fg_access_log *log)
{
    struct timespec pause = {.tv_nsec = WRITE_EVERY_MS * 1000000L};
    uint64_t left = 0;

    for (int i = 0; !drain(log); i++) {
        if (i < LAST_TRIES) {
            nanosleep(&pause, NULL);
            continue;
        }
        left = fg_log_writer_left(&log->writer);
        for (unsigned r = 0; r < log->rings_len; r++) {
            const char *at;
            for (size_t len; (len = fg_ring_peek(&log->rings[r].lines, &at)) > 0;
                 fg_ring_take(&log->rings[r].lines, len))
                for (size_t b = 0; b < len; b++)
                    left += at[b] == '\n';
        }
        break;
    }
    if (left > 0)
        fg_log(FG_LOG_ERROR, "access log %s: the last %llu lines could not be written", log->path,
               (unsigned long long)left);
}

static void *run(void *argument)
{
    struct fg_access_log *log = argument;
    bool stop = false;

    fg_crash_thread_begin("access log");
    while (!stop) {
        pthread_mutex_lock(&log->lock);
        wait_until(log);
        stop = log->stop;
        bool again = log->reopen;
        log->reopen = false;
        pthread_mutex_unlock(&log->lock);
        __atomic_store_n(&log->urgent, false, __ATOMIC_RELAXED);
        (void)drain(log);
        if (again)
            fg_log_writer_reopen(&log->writer);
        else
            fg_log_writer_look(&log->writer);
    }
    finish(log);
    fg_crash_thread_end();
    return NULL;
}

/* ---- life ---- */

static void destroy(struct fg_access_log *log)
{
    for (unsigned i = 0; i < log->rings_len; i++)
        fg_ring_cleanup(&log->rings[i].lines);
    free(log->rings);
    free(log->path);
    fg_log_format_cleanup(&log->format);
    fg_log_writer_close(&log->writer);
    pthread_mutex_destroy(&log->lock);
    pthread_cond_destroy(&log->wake);
    free(log);
}

static int begin(struct fg_access_log *log, char *error, size_t error_len)
{
    char why[FG_LOG_WHY_BYTES];

    if (fg_log_format_compile(&log->format, log->config.format, why) != 0) {
        snprintf(error, error_len, "access_log.format: %s", why);
        return -1;
    }
    if (fg_log_writer_open(&log->writer, log->path, error, error_len) != 0)
        return -1;
    int result = pthread_create(&log->thread, NULL, run, log);
    if (result != 0)
        snprintf(error, error_len, "access log %s: no thread can be made: %s", log->path, strerror(result));
    return result == 0 ? 0 : -1;
}

struct fg_access_log *fg_access_log_new(const struct fg_config_access_log *config, unsigned workers, char *error,
                                        size_t error_len)
{
    struct fg_access_log *log = fg_alloc_zero(sizeof *log);

    pthread_mutex_init(&log->lock, NULL);
    pthread_cond_init(&log->wake, NULL);
    log->config = *config;
    log->path = fg_strdup(config->path);
    log->writer.out.fd = -1;
    log->rings = fg_alloc_zero(workers * sizeof *log->rings);
    log->rings_len = workers;
    for (unsigned i = 0; i < workers; i++)
        fg_ring_init(&log->rings[i].lines, RING_BYTES);
    if (begin(log, error, error_len) == 0)
        return log;
    destroy(log);
    return NULL;
}

void fg_access_log_set_stats(struct fg_access_log *log, unsigned worker, struct fg_stats *stats)
{
    log->rings[worker].stats = stats;
}

const struct fg_log_format *fg_access_log_notes(const struct fg_access_log *log)
{
    return log->format.notes > 0 ? &log->format : NULL;
}

static void wake(struct fg_access_log *log, bool *flag)
{
    pthread_mutex_lock(&log->lock);
    *flag = true;
    pthread_cond_signal(&log->wake);
    pthread_mutex_unlock(&log->lock);
}

void fg_access_log_reopen(struct fg_access_log *log)
{
    wake(log, &log->reopen);
}

void fg_access_log_free(struct fg_access_log *log)
{
    wake(log, &log->stop);
    pthread_join(log->thread, NULL);
    destroy(log);
}
