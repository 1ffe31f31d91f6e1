/* The gateway's own messages: one line each on standard error, "LEVEL message". Calls are logged elsewhere
 * (observe/access_log.h). A message says what happened, where, and what to do. */
#ifndef FG_BASE_LOG_H
#define FG_BASE_LOG_H

enum fg_log_level { FG_LOG_ERROR, FG_LOG_WARN, FG_LOG_INFO };

void fg_log(enum fg_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
