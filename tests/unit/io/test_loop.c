#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "io/loop.h"

static void begin(struct fg_loop *loop)
{
    assert_int_equal(fg_loop_init(loop), 0);
}

/* ---- watches ---- */

struct sensor {
    struct fg_watch watch;
    struct fg_loop *loop;
    struct pair *pair;
    unsigned calls, ready;
};

static struct sensor *sensor_new(struct fg_loop *loop, unsigned value, void (*on_ready)(struct fg_watch *, unsigned))
{
    struct sensor *s = calloc(1, sizeof(*s));
    s->loop = loop;
    s->watch = (struct fg_watch){eventfd(value, EFD_NONBLOCK), FG_READABLE, on_ready};
    assert_int_equal(fg_watch_add(loop, &s->watch), 0);
    return s;
}

static void sensor_free(struct sensor *s)
{
    fg_watch_remove(s->loop, &s->watch);
    close(s->watch.fd);
    free(s);
}

static void note(struct fg_watch *watch, unsigned ready)
{
    struct sensor *s = FG_CONTAINER_OF(watch, struct sensor, watch);
    s->calls++;
    s->ready = ready;
}

struct pair {
    struct sensor *members[2]; /* NULL: ended by the other one */
    struct sensor *heir;       /* has the descriptor number of the one that ended */
    unsigned calls;
};

static void end_the_other(struct fg_watch *watch, unsigned ready)
{
    (void)ready;
    struct sensor *s = FG_CONTAINER_OF(watch, struct sensor, watch);
    struct pair *pair = s->pair;
    unsigned other = pair->members[0] == s ? 1 : 0;
    pair->calls++;
    int fd = pair->members[other]->watch.fd;
    sensor_free(pair->members[other]);
    pair->members[other] = NULL;
    pair->heir = sensor_new(s->loop, 0, note);
    assert_int_equal(pair->heir->watch.fd, fd);
    fg_watch_set_interest(s->loop, watch, 0);
}

static void a_watch_removed_in_its_batch_is_not_called(void **state)
{
    (void)state;
    struct fg_loop loop;
    begin(&loop);
    struct pair pair = {0};
    for (unsigned i = 0; i < 2; i++) {
        pair.members[i] = sensor_new(&loop, 1, end_the_other);
        pair.members[i]->pair = &pair;
    }
    fg_loop_turn(&loop, 1000);
    assert_int_equal(pair.calls, 1);
    assert_int_equal(pair.heir->calls, 0); /* the number of the descriptor was the same, the event was not its own */
    for (unsigned i = 0; i < 2; i++) {
        if (pair.members[i])
            sensor_free(pair.members[i]);
    }
    sensor_free(pair.heir);
    fg_loop_cleanup(&loop);
}

static void end_itself(struct fg_watch *watch, unsigned ready)
{
    (void)ready;
    struct sensor *s = FG_CONTAINER_OF(watch, struct sensor, watch);
    s->pair->calls++;
    sensor_free(s);
}

static void more_watches_than_a_batch_are_all_called(void **state)
{
    (void)state;
    struct fg_loop loop;
    begin(&loop);
    struct pair counter = {0};
    for (unsigned i = 0; i < 600; i++)
        sensor_new(&loop, 1, end_itself)->pair = &counter;
    for (unsigned turn = 0; turn < 3; turn++) /* batches of 256 */
        fg_loop_turn(&loop, 0);
    assert_int_equal(counter.calls, 600);
    fg_loop_cleanup(&loop);
}

static void only_what_is_of_interest_is_reported_and_a_hangup_always(void **state)
{
    (void)state;
    struct fg_loop loop;
    begin(&loop);
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    struct sensor s = {.loop = &loop, .watch = {fds[0], 0, note}};
    assert_int_equal(fg_watch_add(&loop, &s.watch), 0);
    fg_loop_turn(&loop, 0);
    assert_int_equal(s.calls, 0);
    fg_watch_set_interest(&loop, &s.watch, FG_READABLE | FG_WRITABLE);
    fg_loop_turn(&loop, 0);
    assert_int_equal(s.ready, FG_WRITABLE);
    assert_int_equal(write(fds[1], "x", 1), 1);
    fg_loop_turn(&loop, 0);
    assert_int_equal(s.ready, FG_READABLE | FG_WRITABLE);
    fg_watch_set_interest(&loop, &s.watch, FG_READABLE);
    fg_loop_turn(&loop, 0);
    assert_int_equal(s.ready, FG_READABLE);
    fg_watch_set_interest(&loop, &s.watch, 0);
    close(fds[1]);
    fg_loop_turn(&loop, 0);
    assert_int_equal(s.ready, FG_HANGUP);
    assert_int_equal(s.calls, 4);
    fg_watch_remove(&loop, &s.watch);
    close(fds[0]);
    assert_true(fg_watch_add(&loop, &s.watch) < 0); /* a closed descriptor */
    fg_loop_cleanup(&loop);
}

/* ---- timers and the end of a turn ---- */

struct story {
    struct fg_loop *loop;
    struct fg_timer timer;
    struct fg_turn_task tasks[2];
    uint64_t timer_ns;
    char text[16];
    unsigned len;
};

static void tell(struct story *story, char what)
{
    assert_in_range(story->len, 0, sizeof(story->text) - 2);
    story->text[story->len++] = what;
}

static void on_timer(struct fg_timer *timer, uint64_t now_ns)
{
    struct story *story = FG_CONTAINER_OF(timer, struct story, timer);
    story->timer_ns = now_ns;
    tell(story, 't');
}

static void first_task(struct fg_turn_task *task)
{
    struct story *story = FG_CONTAINER_OF(task, struct story, tasks[0]);
    tell(story, '1');
    fg_loop_at_turn_end(story->loop, &story->tasks[1]);
    fg_loop_at_turn_end(story->loop, &story->tasks[1]);
}

static void second_task(struct fg_turn_task *task)
{
    tell(FG_CONTAINER_OF(task, struct story, tasks[1]), '2');
}

struct told_mail {
    struct fg_mail mail;
    struct story *story;
};

static void on_told_mail(struct fg_mail *mail)
{
    struct story *story = FG_CONTAINER_OF(mail, struct told_mail, mail)->story;
    tell(story, 'm');
    fg_loop_at_turn_end(story->loop, &story->tasks[0]);
    fg_loop_at_turn_end(story->loop, &story->tasks[0]);
    fg_timer_arm(&story->loop->timers, &story->timer, story->loop->now_ns);
}

static void story_begin(struct story *story, struct fg_loop *loop)
{
    *story = (struct story){.loop = loop, .tasks = {{.on_turn_end = first_task}, {.on_turn_end = second_task}}};
    fg_list_init(&story->tasks[0].node);
    fg_list_init(&story->tasks[1].node);
    fg_timer_init(&story->timer, on_timer);
}

static void a_turn_is_events_then_timers_then_tasks(void **state)
{
    (void)state;
    struct fg_loop loop;
    begin(&loop);
    struct story story;
    story_begin(&story, &loop);
    struct told_mail mail = {{.run = on_told_mail}, &story};
    fg_mailbox_post(&loop, &mail.mail);
    fg_loop_turn(&loop, 1000);
    if (story.len == 3) { /* the timer's millisecond was not over yet */
        assert_string_equal(story.text, "m12");
        fg_loop_turn(&loop, 1000);
        assert_string_equal(story.text, "m12t");
    } else {
        assert_string_equal(story.text, "mt12");
    }
    fg_loop_cleanup(&loop);
}

static void a_task_queued_between_turns_does_not_wait(void **state)
{
    (void)state;
    struct fg_loop loop;
    begin(&loop);
    struct story story;
    story_begin(&story, &loop);
    fg_loop_at_turn_end(&loop, &story.tasks[1]);
    fg_loop_turn(&loop, -1);
    assert_string_equal(story.text, "2");
    fg_loop_cleanup(&loop);
}

static void the_loop_sleeps_until_a_timer_and_not_less(void **state)
{
    (void)state;
    struct fg_loop loop;
    begin(&loop);
    struct story story;
    story_begin(&story, &loop);
    uint64_t at_ns = fg_clock_now_ns() + 150 * FG_MS; /* more than 64 ticks: it moves down a level on the way */
    fg_timer_arm(&loop.timers, &story.timer, at_ns);
    while (story.len == 0)
        fg_loop_turn(&loop, -1);
    assert_true(story.timer_ns >= at_ns);
    assert_in_range(loop.turns, 1, 4); /* no busy loop */
    fg_loop_cleanup(&loop);
}

static void on_alarm(int signal_number)
{
    (void)signal_number;
}

static void a_signal_ends_a_turn_in_peace(void **state)
{
    (void)state;
    struct fg_loop loop;
    begin(&loop);
    struct sigaction action = {.sa_handler = on_alarm}, before;
    assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
    struct itimerval in = {.it_value = {.tv_usec = 5000}};
    assert_int_equal(setitimer(ITIMER_REAL, &in, NULL), 0);
    uint64_t began_ns = fg_clock_now_ns();
    fg_loop_turn(&loop, 30000);
    assert_true(loop.now_ns - began_ns < 20 * FG_S);
    assert_int_equal(loop.turns, 1);
    sigaction(SIGALRM, &before, NULL);
    fg_loop_cleanup(&loop);
}

/* ---- mailbox ---- */

enum { POSTERS = 4, LETTERS = 20000 };

struct letter {
    struct fg_mail mail;
    struct office *office;
    unsigned poster, number;
};

struct office {
    struct fg_loop loop;
    unsigned next[POSTERS], received;
};

static void on_letter(struct fg_mail *mail)
{
    struct letter *letter = FG_CONTAINER_OF(mail, struct letter, mail);
    struct office *office = letter->office;
    assert_int_equal(letter->number, office->next[letter->poster]); /* in the order of posting */
    office->next[letter->poster]++;
    if (++office->received == POSTERS * LETTERS)
        fg_loop_stop(&office->loop);
    free(letter);
}

struct poster {
    struct office *office;
    unsigned id;
};

static void *post_all(void *arg)
{
    const struct poster *poster = arg;
    for (unsigned i = 0; i < LETTERS; i++) {
        struct letter *letter = malloc(sizeof(*letter));
        *letter = (struct letter){{.run = on_letter}, poster->office, poster->id, i};
        fg_mailbox_post(&poster->office->loop, &letter->mail);
    }
    return NULL;
}

static void mail_of_many_threads_arrives_complete_and_in_order(void **state)
{
    (void)state;
    struct office *office = calloc(1, sizeof(*office));
    begin(&office->loop);
    struct poster posters[POSTERS];
    pthread_t threads[POSTERS];
    for (unsigned i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){office, i};
        assert_int_equal(pthread_create(&threads[i], NULL, post_all, &posters[i]), 0);
    }
    fg_loop_run(&office->loop);
    for (unsigned i = 0; i < POSTERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(office->received, POSTERS * LETTERS);
    fg_loop_turn(&office->loop, 0); /* nothing is left behind */
    fg_loop_cleanup(&office->loop);
    free(office);
}

static void mail_that_waits_is_run_at_the_end(void **state)
{
    (void)state;
    struct office *office = calloc(1, sizeof(*office));
    begin(&office->loop);
    struct letter *letter = malloc(sizeof(*letter));
    *letter = (struct letter){{.run = on_letter}, office, 0, 0};
    fg_mailbox_post(&office->loop, &letter->mail);
    assert_int_equal(office->received, 0);
    fg_loop_cleanup(&office->loop);
    assert_int_equal(office->received, 1);
    free(office);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_watch_removed_in_its_batch_is_not_called),
        cmocka_unit_test(more_watches_than_a_batch_are_all_called),
        cmocka_unit_test(only_what_is_of_interest_is_reported_and_a_hangup_always),
        cmocka_unit_test(a_turn_is_events_then_timers_then_tasks),
        cmocka_unit_test(a_task_queued_between_turns_does_not_wait),
        cmocka_unit_test(the_loop_sleeps_until_a_timer_and_not_less),
        cmocka_unit_test(a_signal_ends_a_turn_in_peace),
        cmocka_unit_test(mail_of_many_threads_arrives_complete_and_in_order),
        cmocka_unit_test(mail_that_waits_is_run_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
