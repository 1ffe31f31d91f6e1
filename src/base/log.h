/* The gateway's own messages: one line each on standard error, "LEVEL message". Calls are logged elsewhere
 * (observe/access_log.h). A message says what happened, where, and what to do. Nobody waits for who reads them: what
 * finds no room is dropped, and the next line that does says how many were. */
#ifndef FG_BASE_LOG_H
#define FG_BASE_LOG_H

#include <stddef.h>
#include <stdint.h>

enum fg_log_level { FG_LOG_ERROR, FG_LOG_WARN, FG_LOG_INFO };

/* Before other threads begin; without it messages are written as standard error takes them, and wait for it. */
void fg_log_init(void);

void fg_log(enum fg_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

uint64_t fg_log_dropped(void); /* lines that found no room, since the start */

#define FG_LOG_RECENT       16
#define FG_LOG_RECENT_BYTES 240

/* The last lines, also those that were dropped. BACK counts from the latest, 0; the length of the beginning of that
 * line, without its line feed, in OUT; 0: there is none. Safe in a signal handler: a line that is being written
 * meanwhile may be mixed from two. */
size_t fg_log_recent(unsigned back, char out[FG_LOG_RECENT_BYTES]);

#endif
