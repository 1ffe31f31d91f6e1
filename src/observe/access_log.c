#include "observe/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/ring.h"
#include "base/time.h"
#include "observe/access_line.h"

#define RING_BYTES     (1u << 20)
#define WRITE_EVERY_MS 50

/* Of one worker. */
struct ring {
    struct fg_ring lines;
    struct fg_stats *stats;
    struct fg_access_second second;
};

struct fg_access_log {
    char *path;
    int fd;
    bool broken; /* the last write failed: said once */
    bool reopen, stop;
    struct ring *rings;
    unsigned rings_len;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
};

void fg_access_log_write(struct fg_access_log *log, unsigned worker, const struct fg_call *call, const char *peer,
                         uint64_t wall_ns)
{
    struct ring *ring = &log->rings[worker];
    char text[FG_ACCESS_LINE_BYTES];
    size_t len = fg_access_line(text, call, peer, wall_ns, &ring->second);

    if (!fg_ring_put(&ring->lines, text, len) && ring->stats)
        FG_COUNT(ring->stats, access_log_dropped);
}

/* ---- the thread ---- */

static int open_file(const char *path)
{
    if (strcmp(path, "-") == 0)
        return dup(STDOUT_FILENO);
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
}

static void reopen(struct fg_access_log *log)
{
    int fd = open_file(log->path);

    if (fd < 0) {
        fg_log(FG_LOG_ERROR, "access log %s cannot be opened again: %s; going on with the old file", log->path,
               strerror(errno));
        return;
    }
    close(log->fd);
    log->fd = fd;
}

static void say_state(struct fg_access_log *log, bool broken, int error)
{
    if (broken == log->broken)
        return;
    log->broken = broken;
    if (broken)
        fg_log(FG_LOG_ERROR, "access log %s cannot be written: %s; lines are dropped until it can", log->path,
               strerror(error));
    else
        fg_log(FG_LOG_INFO, "access log %s can be written again", log->path);
}

/* A line that a full disk cut in half is finished when there is room again: nothing is taken out of the ring before it
 * was written. */
static void drain(struct fg_access_log *log, struct ring *ring)
{
    const char *at;
    size_t len, done = 0;

    while (done < RING_BYTES && (len = fg_ring_peek(&ring->lines, &at)) > 0) { /* then it is another ring's turn */
        ssize_t n = write(log->fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            say_state(log, true, errno);
            return;
        }
        say_state(log, false, 0);
        fg_ring_take(&ring->lines, (size_t)n);
        done += (size_t)n;
    }
}

static void *run(void *argument)
{
    struct fg_access_log *log = argument;
    bool stop = false;

    while (!stop) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += WRITE_EVERY_MS * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_mutex_lock(&log->lock);
        if (!log->stop && !log->reopen)
            pthread_cond_timedwait(&log->wake, &log->lock, &until);
        stop = log->stop;
        bool again = log->reopen;
        log->reopen = false;
        pthread_mutex_unlock(&log->lock);
        for (unsigned i = 0; i < log->rings_len; i++)
            drain(log, &log->rings[i]);
        if (again)
            reopen(log);
    }
    return NULL;
}

/* ---- life ---- */

static void destroy(struct fg_access_log *log)
{
    for (unsigned i = 0; i < log->rings_len; i++)
        fg_ring_cleanup(&log->rings[i].lines);
    free(log->rings);
    free(log->path);
    if (log->fd >= 0)
        close(log->fd);
    pthread_mutex_destroy(&log->lock);
    pthread_cond_destroy(&log->wake);
    free(log);
}

struct fg_access_log *fg_access_log_new(const char *path, unsigned workers, char *error, size_t error_len)
{
    struct fg_access_log *log = fg_alloc_zero(sizeof *log);

    pthread_mutex_init(&log->lock, NULL);
    pthread_cond_init(&log->wake, NULL);
    log->path = fg_strdup(path);
    log->rings = fg_alloc_zero(workers * sizeof *log->rings);
    log->rings_len = workers;
    for (unsigned i = 0; i < workers; i++)
        fg_ring_init(&log->rings[i].lines, RING_BYTES);
    log->fd = open_file(path);
    int result = log->fd < 0 ? errno : pthread_create(&log->thread, NULL, run, log);
    if (result == 0)
        return log;
    snprintf(error, error_len, "access log %s cannot be opened: %s", path, strerror(result));
    destroy(log);
    return NULL;
}

void fg_access_log_set_stats(struct fg_access_log *log, unsigned worker, struct fg_stats *stats)
{
    log->rings[worker].stats = stats;
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
