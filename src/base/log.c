#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

void fg_log(enum fg_log_level level, const char *format, ...)
{
    static const char *const names[] = {"error", "warn", "info"};
    char line[2048];
    struct timespec now;
    struct tm utc;
    va_list args;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t len = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &utc);
    len += (size_t)snprintf(line + len, sizeof line - len, ".%03ldZ %s ", now.tv_nsec / 1000000, names[level]);
    va_start(args, format);
    int written = vsnprintf(line + len, sizeof line - len - 1, format, args);
    va_end(args);
    if (written > 0)
        len += (size_t)written;
    if (len > sizeof line - 2)
        len = sizeof line - 2;
    line[len++] = '\n';
    /* One write, so that lines of several threads do not mix; a closed or full stderr is nobody's failure. */
    ssize_t ignored = write(STDERR_FILENO, line, len);
    (void)ignored;
}
