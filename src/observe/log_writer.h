/* Writes lines to one file for the threads that have them in rings. Used by one thread. */
#ifndef FG_OBSERVE_LOG_WRITER_H
#define FG_OBSERVE_LOG_WRITER_H

#include "base/out.h"
#include "base/ring.h"

#define FG_LOG_WRITER_BYTES (64u << 10) /* written at once; more than the longest line */

struct fg_log_writer {
    const char *path; /* borrowed; "-": standard output */
    struct fg_out out;
    char *bytes;                 /* lines, which are written before others are taken */
    size_t len, done;            /* of them */
    bool broken;                 /* the last write failed, and that was said */
    bool lost;                   /* the file was deleted and could not be made again, and that was said */
    uint64_t dropped_when_whole; /* lines, when everything was written last */
};

/* 0, or -1 with a sentence in ERROR. A line that an earlier process left torn at the end of the file is ended. */
int fg_log_writer_open(struct fg_log_writer *writer, const char *path, char *error, size_t error_len)
    __attribute__((warn_unused_result));
void fg_log_writer_close(struct fg_log_writer *writer);

/* Whole lines of RING, as far as it can be written; false: the file takes no more now. DROPPED is how many lines found
 * no room so far: the log says it when the file can be written again. */
bool fg_log_writer_drain(struct fg_log_writer *writer, struct fg_ring *ring, uint64_t dropped);

/* By its name. What of a line went to the file before is written again to another one, as a whole. */
void fg_log_writer_reopen(struct fg_log_writer *writer);
void fg_log_writer_look(struct fg_log_writer *writer); /* makes the file again if it was deleted */

/* Lines that were taken and have not been written. */
uint64_t fg_log_writer_left(const struct fg_log_writer *writer);

#endif
