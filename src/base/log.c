#include "base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/out.h"

#define LINE_BYTES 2048 /* a pipe takes it as a whole or not at all: lines of several threads do not mix */

/* Standard error is one for the process, and so is this. */
static struct {
    struct fg_out out;
    bool has_out;
    uint64_t dropped, dropped_said;
    uint64_t lines;
    struct {
        size_t len;
        char text[FG_LOG_RECENT_BYTES];
    } recent[FG_LOG_RECENT];
} state;

void fg_log_init(void)
{
    if (!state.has_out)
        state.has_out = fg_out_open_same(&state.out, STDERR_FILENO) == 0;
}

uint64_t fg_log_dropped(void)
{
    return __atomic_load_n(&state.dropped, __ATOMIC_RELAXED);
}

static void keep(const char *line, size_t len)
{
    uint64_t number = __atomic_fetch_add(&state.lines, 1, __ATOMIC_RELAXED);
    size_t place = number % FG_LOG_RECENT, kept = len < FG_LOG_RECENT_BYTES ? len : FG_LOG_RECENT_BYTES;

    __atomic_store_n(&state.recent[place].len, 0, __ATOMIC_RELEASE);
    memcpy(state.recent[place].text, line, kept);
    __atomic_store_n(&state.recent[place].len, kept, __ATOMIC_RELEASE);
}

size_t fg_log_recent(unsigned back, char out[FG_LOG_RECENT_BYTES])
{
    uint64_t lines = __atomic_load_n(&state.lines, __ATOMIC_RELAXED);

    if (back >= FG_LOG_RECENT || back >= lines)
        return 0;
    size_t place = (lines - 1 - back) % FG_LOG_RECENT;
    size_t len = __atomic_load_n(&state.recent[place].len, __ATOMIC_ACQUIRE);
    memcpy(out, state.recent[place].text, len);
    return len;
}

/* A closed or full stderr is nobody's failure. */
static bool put(const char *line, size_t len)
{
    ssize_t n = state.has_out ? fg_out_write(&state.out, line, len) : write(STDERR_FILENO, line, len);
    return n > 0;
}

static size_t format_line(char line[LINE_BYTES], enum fg_log_level level, const char *format, va_list args)
{
    static const char *const names[] = {"error", "warn", "info"};
    struct timespec now;
    struct tm utc;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t len = strftime(line, LINE_BYTES, "%Y-%m-%dT%H:%M:%S", &utc);
    len += (size_t)snprintf(line + len, LINE_BYTES - len, ".%03ldZ %s ", now.tv_nsec / 1000000, names[level]);
    int written = vsnprintf(line + len, LINE_BYTES - len - 1, format, args);
    if (written > 0)
        len += (size_t)written;
    return len > LINE_BYTES - 2 ? LINE_BYTES - 2 : len;
}

__attribute__((format(printf, 3, 4))) static size_t make_line(char line[LINE_BYTES], enum fg_log_level level,
                                                              const char *format, ...)
{
    va_list args;

    va_start(args, format);
    size_t len = format_line(line, level, format, args);
    va_end(args);
    line[len++] = '\n';
    return len;
}

/* There is room again: what is missing is said first. */
static void say_dropped(void)
{
    uint64_t dropped = fg_log_dropped(), said = __atomic_load_n(&state.dropped_said, __ATOMIC_RELAXED);
    char line[LINE_BYTES];

    if (dropped == said)
        return;
    size_t len = make_line(line, FG_LOG_WARN, "%llu messages were dropped: standard error took none",
                           (unsigned long long)(dropped - said));
    if (__atomic_compare_exchange_n(&state.dropped_said, &said, dropped, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED) &&
        !put(line, len))
        __atomic_fetch_sub(&state.dropped_said, dropped - said, __ATOMIC_RELAXED);
}

void fg_log(enum fg_log_level level, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list args;

    va_start(args, format);
    size_t len = format_line(line, level, format, args);
    va_end(args);
    keep(line, len);
    line[len++] = '\n';
    say_dropped();
    if (!put(line, len))
        __atomic_fetch_add(&state.dropped, 1, __ATOMIC_RELAXED);
}
