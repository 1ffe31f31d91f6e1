#include "io/loop.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/crash.h"

enum { BATCH_LEN = 256 };

static uint64_t read_clock(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * FG_S + (uint64_t)t.tv_nsec;
}

uint64_t fg_clock_now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t fg_clock_wall_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

/* ---- watches ---- */

static uint32_t epoll_events_of(unsigned interest)
{
    return (interest & FG_READABLE ? EPOLLIN : 0u) | (interest & FG_WRITABLE ? EPOLLOUT : 0u);
}

/* An error wakes whatever the owner waits for, because the next read or write will tell it. */
static unsigned ready_of(uint32_t events, unsigned interest)
{
    unsigned ready = 0;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        ready |= FG_READABLE;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        ready |= FG_WRITABLE;
    ready &= interest;
    if (events & (EPOLLHUP | EPOLLERR))
        ready |= FG_HANGUP;
    return ready;
}

int fg_watch_add(struct fg_loop *loop, struct fg_watch *watch)
{
    struct epoll_event event = {.events = epoll_events_of(watch->interest), .data.ptr = watch};
    return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, watch->fd, &event) == 0 ? 0 : -errno;
}

void fg_watch_set_interest(struct fg_loop *loop, struct fg_watch *watch, unsigned interest)
{
    if (watch->interest == interest)
        return;
    watch->interest = interest;
    struct epoll_event event = {.events = epoll_events_of(interest), .data.ptr = watch};
    int rc = epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event);
    assert(rc == 0); /* changing an added descriptor takes no memory: it fails only for one that was never added */
    (void)rc;
}

void fg_watch_remove(struct fg_loop *loop, struct fg_watch *watch)
{
    struct epoll_event unused = {0};
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, &unused);
    /* By address, not by fd: the number may belong to another watch a moment later. */
    for (int i = loop->ready_at; i < loop->ready_len; i++) {
        if (loop->ready[i].data.ptr == watch)
            loop->ready[i].data.ptr = NULL;
    }
}

/* ---- mailbox ---- */

static void run_mail(struct fg_loop *loop)
{
    pthread_mutex_lock(&loop->mail_lock);
    struct fg_mail *mail = loop->mail_head;
    loop->mail_head = loop->mail_tail = NULL;
    pthread_mutex_unlock(&loop->mail_lock);
    while (mail) {
        struct fg_mail *next = mail->next; /* run() may free it */
        mail->run(mail);
        mail = next;
    }
}

static void on_mail(struct fg_watch *watch, unsigned ready)
{
    (void)ready;
    struct fg_loop *loop = FG_CONTAINER_OF(watch, struct fg_loop, mail_watch);
    /* Emptied before the box is: mail posted from here on signals again. */
    uint64_t count;
    ssize_t n = read(watch->fd, &count, sizeof(count));
    (void)n;
    run_mail(loop);
}

void fg_mailbox_post(struct fg_loop *loop, struct fg_mail *mail)
{
    mail->next = NULL;
    pthread_mutex_lock(&loop->mail_lock);
    bool was_empty = !loop->mail_head;
    if (was_empty)
        loop->mail_head = mail;
    else
        loop->mail_tail->next = mail;
    loop->mail_tail = mail;
    if (was_empty) {
        /* Under the lock, because the loop may be gone as soon as the mail has been run. A non-blocking eventfd takes
         * the 1 unless its counter is full, and then it is readable anyway. */
        uint64_t one = 1;
        ssize_t n = write(loop->mail_watch.fd, &one, sizeof(one));
        (void)n;
    }
    pthread_mutex_unlock(&loop->mail_lock);
}

/* ---- loop ---- */

int fg_loop_init(struct fg_loop *loop)
{
    *loop = (struct fg_loop){.epoll_fd = -1};
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0)
        return -errno;
    loop->mail_watch = (struct fg_watch){eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), FG_READABLE, on_mail};
    int rc = loop->mail_watch.fd < 0 ? -errno : fg_watch_add(loop, &loop->mail_watch);
    if (rc < 0) {
        if (loop->mail_watch.fd >= 0)
            close(loop->mail_watch.fd);
        close(loop->epoll_fd);
        return rc;
    }
    pthread_mutex_init(&loop->mail_lock, NULL);
    fg_list_init(&loop->turn_tasks);
    fg_mem_init(&loop->mem);
    loop->now_ns = fg_clock_now_ns();
    fg_timers_init(&loop->timers, loop->now_ns);
    return 0;
}

void fg_loop_cleanup(struct fg_loop *loop)
{
    while (loop->mail_head) /* mail that posts itself again comes to its end, too */
        run_mail(loop);
    close(loop->mail_watch.fd);
    close(loop->epoll_fd);
    loop->mail_watch.fd = loop->epoll_fd = -1;
    pthread_mutex_destroy(&loop->mail_lock);
    fg_mem_cleanup(&loop->mem);
}

void fg_loop_stop(struct fg_loop *loop)
{
    loop->stopping = true;
}

void fg_loop_at_turn_end(struct fg_loop *loop, struct fg_turn_task *task)
{
    if (fg_list_empty(&task->node))
        fg_list_append(&loop->turn_tasks, &task->node);
}

/* How long to sleep: rounded up, or the last fraction of a millisecond would be spent turning without sleep. */
static int timeout_of(const struct fg_loop *loop, int timeout_ms)
{
    if (!fg_list_empty(&loop->turn_tasks))
        return 0;
    uint64_t next_ns = fg_timers_next_ns(&loop->timers);
    if (next_ns == FG_NEVER || timeout_ms == 0)
        return timeout_ms;
    uint64_t now_ns = fg_clock_now_ns(); /* not loop->now_ns: the turn before this one took its time */
    if (next_ns <= now_ns)
        return 0;
    uint64_t timer_ms = (next_ns - now_ns + FG_MS - 1) / FG_MS;
    int bounded = timer_ms > INT_MAX ? INT_MAX : (int)timer_ms;
    return timeout_ms < 0 ? bounded : FG_MIN(timeout_ms, bounded);
}

static void dispatch(struct fg_loop *loop, struct epoll_event *events, int len)
{
    loop->ready = events;
    loop->ready_len = len;
    for (loop->ready_at = 0; loop->ready_at < loop->ready_len;) {
        const struct epoll_event *event = &events[loop->ready_at++];
        struct fg_watch *watch = event->data.ptr; /* NULL: removed by an earlier event of this batch */
        unsigned ready = watch ? ready_of(event->events, watch->interest) : 0;
        if (ready)
            watch->on_ready(watch, ready);
    }
    loop->ready = NULL;
    loop->ready_len = loop->ready_at = 0;
}

void fg_loop_turn(struct fg_loop *loop, int timeout_ms)
{
    struct epoll_event events[BATCH_LEN];
    fg_crash_here.waits = true;
    int len = epoll_wait(loop->epoll_fd, events, BATCH_LEN, timeout_of(loop, timeout_ms));
    fg_crash_here.waits = false;
    assert(len >= 0 || errno == EINTR); /* a signal: a turn without events, the caller turns again */
    loop->now_ns = fg_clock_now_ns();
    loop->turns++;
    dispatch(loop, events, len);
    fg_timers_run(&loop->timers, loop->now_ns);
    while (!fg_list_empty(&loop->turn_tasks)) {
        struct fg_turn_task *task = FG_LIST_FIRST(&loop->turn_tasks, struct fg_turn_task, node);
        fg_list_remove(&task->node);
        task->on_turn_end(task);
    }
}

void fg_loop_run(struct fg_loop *loop)
{
    loop->stopping = false;
    while (!loop->stopping)
        fg_loop_turn(loop, -1);
}
