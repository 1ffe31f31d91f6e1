/* The access log: a line per call (access_line.h, access_text.h). Workers never wait for it: each formats into a ring
 * of its own, a thread writes the rings out. A line that finds no room is dropped and counted; a line is written as a
 * whole, however often the disk was full in between. */
#ifndef FG_OBSERVE_ACCESS_LOG_H
#define FG_OBSERVE_ACCESS_LOG_H

#include "base/stats.h"
#include "call/call.h"
#include "config/log_format.h"

struct fg_access_log;

/* CONFIG is sound, and its path is not "off": a file, appended to, or "-" for standard output. NULL with a sentence in
 * ERROR. */
struct fg_access_log *fg_access_log_new(const struct fg_config_access_log *config, unsigned workers, char *error,
                                        size_t error_len);
void fg_access_log_set_stats(struct fg_access_log *log, unsigned worker, struct fg_stats *stats); /* for the drops */
/* Writes what is left; what nobody takes within a second is dropped. */
void fg_access_log_free(struct fg_access_log *log);

/* Its template, if that names fields of answers (fg_call_env.notes); else NULL. */
const struct fg_log_format *fg_access_log_notes(const struct fg_access_log *log);

/* From the worker's own thread. CALL has ended; WALL_NS is the time of the end, since 1970. */
void fg_access_log_write(struct fg_access_log *log, unsigned worker, const struct fg_call *call, uint64_t wall_ns);

/* CALL is in progress: OUTCOME is what it came to so far. */
void fg_access_log_report(struct fg_access_log *log, unsigned worker, const struct fg_call *call,
                          const struct fg_outcome *outcome, struct fg_wait wait, uint64_t wall_ns);

/* Opens the file anew, after it was moved away. Any thread; takes effect soon. */
void fg_access_log_reopen(struct fg_access_log *log);

#endif
