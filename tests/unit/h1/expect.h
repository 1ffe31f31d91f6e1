/* What must have happened to an engine. */
#ifndef UNIT_H1_EXPECT_H
#define UNIT_H1_EXPECT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "engine.h"

#define FEED(e, literal) engine_feed((e), (literal), sizeof(literal) - 1)

/* Since the last time. */
static inline void expect_events(struct engine *e, const char *events)
{
    assert_string_equal(engine_events(e), events);
    text_clear(&e->events);
}

/* What is sent now. */
static inline void expect_out(struct engine *e, const char *bytes)
{
    engine_pull(e);
    assert_string_equal(e->out.p, bytes);
    text_clear(&e->out);
}

/* A fault that was counted once, and answered as a server does. */
static inline void expect_refused(struct engine *e, enum fg_h1_fault fault, const char *status_line)
{
    const char *reason = fg_h1_fault_info(fault)->reason;
    char answer[512];

    if (e->conn.fault != fault)
        fail_msg("ended for %s, not %s", fg_h1_fault_info(e->conn.fault)->name, fg_h1_fault_info(fault)->name);
    assert_int_equal(e->faults[fault], 1);
    snprintf(answer, sizeof answer,
             "HTTP/1.1 %s\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %zu\r\nconnection: "
             "close\r\n\r\n%s\n",
             status_line, strlen(reason) + 1, reason);
    expect_out(e, answer);
    assert_true(fg_h1_conn_is_done(&e->conn));
    assert_false(fg_h1_conn_wants_read(&e->conn));
}

/* It may make or take a further exchange. */
static inline void expect_stays(struct engine *e)
{
    assert_false(fg_h1_conn_is_done(&e->conn));
    assert_int_equal(fg_h1_conn_free_slots(&e->conn), 1);
}

static inline void expect_timer(struct engine *e, uint64_t ns)
{
    uint64_t next = fg_h1_conn_next_time_ns(&e->conn);
    assert_int_equal(next == FG_NEVER ? FG_NEVER : next - e->now_ns, ns);
}

static inline void pass(struct engine *e, uint64_t ns)
{
    e->now_ns += ns;
    fg_h1_conn_on_time(&e->conn);
}

/* Nothing may be left of its memory. */
static inline void finish(struct engine *e)
{
    fg_h1_conn_cleanup(&e->conn);
    assert_true(engine_is_clean(e));
    engine_free(e);
}

#endif
