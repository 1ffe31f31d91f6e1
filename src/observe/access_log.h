/* The access log: one JSON line per call (observe/access_line.h). Workers never wait for it: each formats into a ring
 * of its own, a thread writes the rings out. A line that finds no room is dropped and counted. */
#ifndef FG_OBSERVE_ACCESS_LOG_H
#define FG_OBSERVE_ACCESS_LOG_H

#include "base/stats.h"
#include "call/call.h"

struct fg_access_log;

/* PATH is a file, appended to, or "-" for standard output. NULL with a sentence in ERROR. */
struct fg_access_log *fg_access_log_new(const char *path, unsigned workers, char *error, size_t error_len);
void fg_access_log_set_stats(struct fg_access_log *log, unsigned worker, struct fg_stats *stats); /* for the drops */
void fg_access_log_free(struct fg_access_log *log); /* writes what is left */

/* From the worker's own thread. CALL has ended; WALL_NS is the time of the end, since 1970. */
void fg_access_log_write(struct fg_access_log *log, unsigned worker, const struct fg_call *call, const char *peer,
                         uint64_t wall_ns);

/* Opens the file anew, after it was moved away. Any thread; takes effect soon. */
void fg_access_log_reopen(struct fg_access_log *log);

#endif
