/* The event loop of one thread: epoll for file descriptors, a timer wheel, a mailbox, and work to do at the end of each
 * turn. Everything here belongs to the thread that runs the loop, except fg_mailbox_post. */
#ifndef FG_IO_LOOP_H
#define FG_IO_LOOP_H

#include <pthread.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/time.h"
#include "io/timer.h"

uint64_t fg_clock_now_ns(void);  /* CLOCK_MONOTONIC */
uint64_t fg_clock_wall_ns(void); /* CLOCK_REALTIME, since 1970 */

/* FG_HANGUP: both directions are over, or the socket has an error. It is reported whatever the interest and until the
 * watch is removed, so an owner that does not read or write at that moment must close. */
enum { FG_READABLE = 1, FG_WRITABLE = 2, FG_HANGUP = 4 };

/* A file descriptor being watched; embedded in its owner. Level-triggered. */
struct fg_watch {
    int fd;
    unsigned interest; /* FG_READABLE | FG_WRITABLE */
    /* READY holds what is of interest, plus FG_HANGUP. May remove any watch, its own too, and free what held it. */
    void (*on_ready)(struct fg_watch *watch, unsigned ready);
};

/* Work for the end of the turn, after all events and timers; embedded in its owner. */
struct fg_turn_task {
    struct fg_list node;
    void (*on_turn_end)(struct fg_turn_task *task);
};

struct fg_loop {
    int epoll_fd;
    bool stopping;
    uint64_t now_ns; /* read once per turn; good enough for everything but measuring the turn itself */
    struct fg_mem mem;
    struct fg_timers timers;
    struct fg_list turn_tasks;
    struct fg_watch mail_watch;
    pthread_mutex_t mail_lock;
    struct fg_mail *mail_head, *mail_tail;
    struct epoll_event *ready; /* of the batch being dispatched, so that a removed watch is skipped */
    int ready_len, ready_at;
    uint64_t turns;
};

/* Negative errno when the kernel refuses the descriptors; the loop then needs no cleanup. */
int fg_loop_init(struct fg_loop *loop) __attribute__((warn_unused_result));

/* Runs the mail that is still queued, so call it before what that mail uses is gone; nobody may post any more.
 * Cancelling timers and removing watches afterwards is allowed, arming and adding is not. */
void fg_loop_cleanup(struct fg_loop *loop);
void fg_loop_run(struct fg_loop *loop);                  /* until fg_loop_stop */
void fg_loop_turn(struct fg_loop *loop, int timeout_ms); /* one turn; -1: until something happens */
void fg_loop_stop(struct fg_loop *loop);                 /* from its own thread, at the end of this turn */

/* Negative errno: the kernel refuses (ENOSPC, ENOMEM, EPERM for a plain file). */
int fg_watch_add(struct fg_loop *loop, struct fg_watch *watch) __attribute__((warn_unused_result));

/* No system call if nothing changes. The watch must have been added. */
void fg_watch_set_interest(struct fg_loop *loop, struct fg_watch *watch, unsigned interest);

/* Before the fd is closed. Events of this turn that wait for the watch are dropped, so it may be freed at once. */
void fg_watch_remove(struct fg_loop *loop, struct fg_watch *watch);

/* Queues the task for this turn's end, once; harmless if it is queued already. Tasks queued while tasks run are run in
 * the same turn. The node must have been initialised with fg_list_init; fg_list_remove takes the task back. */
void fg_loop_at_turn_end(struct fg_loop *loop, struct fg_turn_task *task);

/* A message to a loop: run(mail) is called on the loop's thread. The poster allocates, run() frees or keeps it. */
struct fg_mail {
    struct fg_mail *next;
    void (*run)(struct fg_mail *mail);
};

/* From any thread; mail of one poster is run in the order of posting. */
void fg_mailbox_post(struct fg_loop *loop, struct fg_mail *mail);

#endif
