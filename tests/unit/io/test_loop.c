#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
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
    struct sensor *other, *heir;
    unsigned calls, ready;
};

static struct sensor *sensor_new(struct fg_loop *loop, unsigned count, void (*on_ready)(struct fg_watch *, unsigned))
{
    struct sensor *s = calloc(1, sizeof(*s));
    s->loop = loop;
    s->watch = (struct fg_watch){eventfd(count, EFD_NONBLOCK), FG_READABLE, on_ready};
    assert_int_equal(fg_watch_add(loop, &s->watch), 0);
    return s;
}

static void sensor_free(struct sensor *s)
{
    fg_watch_remove(s->loop, &s->watch);
    close(s->watch.fd);
    free(s);
}

static void count(struct fg_watch *watch, unsigned ready)
{
    struct sensor *s = FG_CONTAINER_OF(watch, struct sensor, watch);
    s->calls++;
    s->ready = ready;
}

/* Ends the other one, whose event waits in the same batch, and gives its descriptor's number to a new watch. */
static void replace_other(struct fg_watch *watch, unsigned ready)
{
    (void)ready;
    struct sensor *s = FG_CONTAINER_OF(watch, struct sensor, watch);
    s->calls++;
    int fd = s->other->watch.fd;
    sensor_free(s->other);
    s->heir = sensor_new(s->loop, 0, count);
    assert_int_equal(s->heir->watch.fd, fd);
    s->other = NULL;
    fg_watch_set_interest(s->loop, watch, 0);
}

static void a_watch_removed_by_an_earlier_event_is_not_called(void **state)
{
    (void)state;
    struct fg_loop loop;
    begin(&loop);
    struct sensor *a = sensor_new(&loop, 1, replace_other), *b = sensor_new(&loop, 1, replace_other);
    a->other = b;
    b->other = a;
    fg_loop_turn(&loop, 1000);
    /* Which of the two came first is the kernel's choice; the other one is freed, and with it its pointer to this. */
    struct sensor *survivor = FG_CONTAINER_OF(loop.mail_watch.on_ready ? &a->watch : &b->watch, struct sensor, watch);
    (void)survivor;
    fg_loop_cleanup(&loop);
}
