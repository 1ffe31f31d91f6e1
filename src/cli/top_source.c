#include "cli/top_source.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/time.h"
#include "io/loop.h"

#define TIMEOUT_MS 5000 /* for a gateway to say something */

struct fg_top_source {
    struct fg_ask ask;
    unsigned interval_ms;
    pthread_t thread;
    int fd;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    bool stopping, paused, hurry;
    char *overview, *target; /* what is wanted */
    char *act, *act_success;
    unsigned tag;
    bool has_news;
    struct fg_top_news news;
};

void fg_top_news_cleanup(struct fg_top_news *news)
{
    json_decref(news->overview);
    json_decref(news->list);
    *news = (struct fg_top_news){0};
}

/* ---- asking ---- */

static json_t *get(const struct fg_ask *ask, const char *target, char *problem)
{
    struct fg_ask quiet = *ask;
    unsigned status;

    quiet.problem = problem;
    quiet.problem_len = FG_TOP_PROBLEM_BYTES;
    quiet.timeout_ms = TIMEOUT_MS;
    json_t *root = fg_ask_json(&quiet, target, &status);
    if (!root && status == 404)
        snprintf(problem, FG_TOP_PROBLEM_BYTES, "the gateway has no %.*s: it is of an older version",
                 (int)strcspn(target, "?"), target);
    return root;
}

void fg_top_source_ask(const struct fg_ask *ask, const char *overview, const char *target, struct fg_top_news *news)
{
    news->overview = get(ask, overview, news->problem);
    if (news->overview && target)
        news->list = get(ask, target, news->problem);
}

static void act(const struct fg_ask *ask, const char *target, const char *success, char *done)
{
    struct fg_ask acting = *ask;
    struct fg_answer answer;

    acting.acts = true;
    acting.problem = done;
    acting.problem_len = FG_TOP_PROBLEM_BYTES;
    acting.timeout_ms = TIMEOUT_MS;
    if (fg_ask_get(&acting, target, &answer) != 0)
        return; /* `done` says why */
    char *text = fg_printable(answer.status == 200 ? success : answer.text ? answer.text : "it was refused");
    snprintf(done, FG_TOP_PROBLEM_BYTES, "%s", text);
    free(text);
    fg_answer_cleanup(&answer);
}

/* ---- the thread ---- */

/* Until it is time, or something is wanted. The lock is held. */
static void rest(struct fg_top_source *source, uint64_t until_ns)
{
    struct timespec until = {.tv_sec = (time_t)(until_ns / FG_S), .tv_nsec = (long)(until_ns % FG_S)};

    while (!source->stopping && !source->hurry && !source->act) {
        if (source->paused)
            pthread_cond_wait(&source->changed, &source->lock);
        else if (pthread_cond_timedwait(&source->changed, &source->lock, &until) == ETIMEDOUT)
            return;
    }
}

/* What is not yet taken is replaced, but for what was done. The lock is held. */
static void publish(struct fg_top_source *source, struct fg_top_news *news)
{
    if (source->has_news && !news->done[0])
        memcpy(news->done, source->news.done, sizeof news->done);
    fg_top_news_cleanup(&source->news);
    source->news = *news;
    source->has_news = true;
    eventfd_write(source->fd, 1);
}

static void *run(void *argument)
{
    struct fg_top_source *source = argument;

    pthread_mutex_lock(&source->lock);
    while (!source->stopping && !source->overview)
        pthread_cond_wait(&source->changed, &source->lock);
    while (!source->stopping) {
        struct fg_top_news news = {.tag = source->tag};
        char *overview = fg_strdup(source->overview), *target = source->target ? fg_strdup(source->target) : NULL;
        char *acts = source->act;
        char *success = source->act_success;
        uint64_t begun_ns = fg_clock_now_ns();
        source->act = source->act_success = NULL;
        source->hurry = false;
        pthread_mutex_unlock(&source->lock);
        if (acts)
            act(&source->ask, acts, success, news.done);
        fg_top_source_ask(&source->ask, overview, target, &news);
        free(overview);
        free(acts);
        free(success);
        free(target);
        pthread_mutex_lock(&source->lock);
        publish(source, &news);
        rest(source, begun_ns + source->interval_ms * FG_MS);
    }
    pthread_mutex_unlock(&source->lock);
    return NULL;
}

/* ---- life ---- */

static void cleanup(struct fg_top_source *source)
{
    pthread_mutex_destroy(&source->lock);
    pthread_cond_destroy(&source->changed);
    fg_top_news_cleanup(&source->news);
    if (source->fd >= 0)
        close(source->fd);
    free(source->target);
    free(source->act);
    free(source->act_success);
    free(source->overview);
    free(source);
}

struct fg_top_source *fg_top_source_start(const struct fg_ask *ask, unsigned interval_ms)
{
    struct fg_top_source *source = fg_alloc_zero(sizeof *source);
    pthread_condattr_t monotonic;

    source->ask = *ask;
    source->interval_ms = interval_ms;
    pthread_mutex_init(&source->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&source->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    source->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (source->fd >= 0 && pthread_create(&source->thread, NULL, run, source) == 0)
        return source;
    fprintf(stderr, "fusegate %s: no thread can be started: %s\n", ask->command, strerror(errno));
    cleanup(source);
    return NULL;
}

void fg_top_source_stop(struct fg_top_source *source)
{
    struct timespec until;

    pthread_mutex_lock(&source->lock);
    source->stopping = true;
    pthread_cond_signal(&source->changed);
    pthread_mutex_unlock(&source->lock);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 100 * (long)FG_MS;
    until.tv_sec += until.tv_nsec / (long)FG_S;
    until.tv_nsec %= (long)FG_S;
    if (pthread_timedjoin_np(source->thread, NULL, &until) == 0)
        cleanup(source);
}

int fg_top_source_fd(const struct fg_top_source *source)
{
    return source->fd;
}

bool fg_top_source_take(struct fg_top_source *source, struct fg_top_news *news)
{
    eventfd_t count;

    pthread_mutex_lock(&source->lock);
    (void)eventfd_read(source->fd, &count);
    bool has = source->has_news;
    if (has)
        *news = source->news;
    source->news = (struct fg_top_news){0};
    source->has_news = false;
    pthread_mutex_unlock(&source->lock);
    return has;
}

/* ---- what is wanted ---- */

static void replace(char **place, const char *text)
{
    free(*place);
    *place = text ? fg_strdup(text) : NULL;
}

void fg_top_source_want(struct fg_top_source *source, const char *overview, const char *target, unsigned tag)
{
    pthread_mutex_lock(&source->lock);
    replace(&source->overview, overview);
    replace(&source->target, target);
    source->tag = tag;
    source->hurry = true;
    pthread_cond_signal(&source->changed);
    pthread_mutex_unlock(&source->lock);
}

void fg_top_source_pause(struct fg_top_source *source, bool paused)
{
    pthread_mutex_lock(&source->lock);
    source->paused = paused;
    source->hurry |= !paused;
    pthread_cond_signal(&source->changed);
    pthread_mutex_unlock(&source->lock);
}

void fg_top_source_act(struct fg_top_source *source, const char *target, const char *success)
{
    pthread_mutex_lock(&source->lock);
    replace(&source->act, target);
    replace(&source->act_success, success);
    pthread_cond_signal(&source->changed);
    pthread_mutex_unlock(&source->lock);
}
