/* What is written when the process gets a fatal signal: which, where, in which thread, what that thread had in hand,
 * and the last log messages. Then the signal does what it does without us: the core is dumped, the exit status tells
 * it.
 *
 * Everything in the handler is async-signal-safe: no memory is taken, no lock, no stdio. What crashes itself is left
 * out; after ten seconds the process ends whatever hangs. */
#ifndef FG_BASE_CRASH_H
#define FG_BASE_CRASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/* Describes what a thread had in hand with the functions below. Only memory that is still its own may be gone wrong. */
typedef void fg_crash_describe(const void *subject);

struct fg_crash_options {
    const char *version; /* static */
    const char *path;    /* a folder, which gets a file per report, or a file, which they are appended to; NULL: none */
};

/* Before other threads begin. SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGABRT are handled, unless something else (a
 * sanitizer) does already. 0, or -1 with a sentence in ERROR. */
int fg_crash_init(const struct fg_crash_options *options, char *error, size_t error_len)
    __attribute__((warn_unused_result));
void fg_crash_cleanup(void);

/* In each thread at its beginning: its name (at most 15 letters, as the system shows it) and a stack for the handler,
 * so that the end of its own can be told. fg_crash_thread_end gives that back. */
void fg_crash_thread_begin(const char *name);
void fg_crash_thread_end(void);

/* Of the thread itself; set wherever its work changes, for as good as nothing. */
struct fg_crash_here {
    const void *subject; /* what it touched last and is still there; NULL: nothing */
    fg_crash_describe *describe;
    bool waits; /* for events */
};

extern _Thread_local struct fg_crash_here fg_crash_here;

static inline void fg_crash_at(const void *subject, fg_crash_describe *describe)
{
    fg_crash_here.subject = subject;
    fg_crash_here.describe = describe;
}

/* SUBJECT is going. */
static inline void fg_crash_gone(const void *subject)
{
    if (fg_crash_here.subject == subject)
        fg_crash_here.subject = NULL;
}

/* ---- for describers ---- */

void fg_crash_put(const char *text);
void fg_crash_put_str(struct fg_str text); /* what others chose: control characters are shown as "?"; cut at 256 */
void fg_crash_put_number(uint64_t number);
void fg_crash_put_hex(uint64_t number);

#endif
