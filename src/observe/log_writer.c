#include "observe/log_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/mem.h"

/* ---- the file ---- */

static const char *text_of(int error)
{
    return error == -ENXIO ? "nobody reads the pipe" : strerror(-error);
}

static int open_out(struct fg_out *out, const char *path)
{
    if (strcmp(path, "-") == 0 || strcmp(path, "/dev/stdout") == 0)
        return fg_out_open_same(out, STDOUT_FILENO);
    if (strcmp(path, "/dev/stderr") == 0)
        return fg_out_open_same(out, STDERR_FILENO);
    return fg_out_open(out, path);
}

/* A gateway that was killed may have left half a line: the next one must not become its end. */
static void end_torn_line(const struct fg_out *out, const char *path)
{
    struct stat stat;
    char last = '\n';

    if (!out->is_file)
        return;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return; /* it may be written, and not be read */
    if (fstat(fd, &stat) == 0 && stat.st_size > 0 && pread(fd, &last, 1, stat.st_size - 1) == 1 && last != '\n') {
        ssize_t ignored = fg_out_write(out, "\n", 1); /* where that finds no room no line does */
        (void)ignored;
    }
    close(fd);
}

int fg_log_writer_open(struct fg_log_writer *writer, const char *path, char *error, size_t error_len)
{
    *writer = (struct fg_log_writer){.path = path, .out.fd = -1};
    int result = open_out(&writer->out, path);
    if (result != 0) {
        snprintf(error, error_len, "access log %s cannot be opened: %s", path, text_of(result));
        return -1;
    }
    end_torn_line(&writer->out, path);
    writer->bytes = fg_alloc(FG_LOG_WRITER_BYTES);
    return 0;
}

void fg_log_writer_close(struct fg_log_writer *writer)
{
    fg_out_close(&writer->out);
    free(writer->bytes);
    writer->bytes = NULL;
}

/* To the beginning of the line that has been written in part. */
static void rewind_line(struct fg_log_writer *writer)
{
    while (writer->done > 0 && writer->bytes[writer->done - 1] != '\n')
        writer->done--;
}

static int renew(struct fg_log_writer *writer)
{
    struct fg_out now;
    int result = open_out(&now, writer->path);

    if (result != 0)
        return result;
    if (!fg_out_is_same(&writer->out, &now)) {
        rewind_line(writer);
        end_torn_line(&now, writer->path);
    }
    fg_out_close(&writer->out);
    writer->out = now;
    writer->lost = false;
    return 0;
}

void fg_log_writer_reopen(struct fg_log_writer *writer)
{
    int result = renew(writer);

    if (result != 0)
        fg_log(FG_LOG_ERROR, "access log %s cannot be opened again: %s; going on with the old file", writer->path,
               text_of(result));
}

void fg_log_writer_look(struct fg_log_writer *writer)
{
    if (!fg_out_is_deleted(&writer->out))
        return;
    int result = renew(writer);
    if (result == 0)
        fg_log(FG_LOG_WARN, "access log %s was deleted; a new file is written", writer->path);
    else if (!writer->lost)
        fg_log(FG_LOG_ERROR, "access log %s was deleted and cannot be made again: %s; lines are lost until it can",
               writer->path, text_of(result));
    writer->lost = result != 0;
}

/* ---- lines ---- */

/* A pipe or socket that is full for a moment is no news; that lines are dropped is. */
static void say_broken(struct fg_log_writer *writer, int error, uint64_t dropped)
{
    if (writer->broken || (error == -EAGAIN && dropped == writer->dropped_when_whole))
        return;
    writer->broken = true;
    fg_log(FG_LOG_ERROR, "access log %s cannot be written: %s; lines that find no room in memory are dropped",
           writer->path, error == -EAGAIN ? "who reads it is too slow" : strerror(-error));
}

static void say_whole(struct fg_log_writer *writer, uint64_t dropped)
{
    if (writer->broken)
        fg_log(FG_LOG_INFO, "access log %s can be written again; %llu lines were dropped", writer->path,
               (unsigned long long)(dropped - writer->dropped_when_whole));
    writer->broken = false;
    writer->dropped_when_whole = dropped;
}

static bool flush(struct fg_log_writer *writer, uint64_t dropped)
{
    if (writer->len == 0)
        return true;
    while (writer->done < writer->len) {
        ssize_t n = fg_out_write(&writer->out, writer->bytes + writer->done, writer->len - writer->done);
        if (n > 0) {
            writer->done += (size_t)n;
            continue;
        }
        if (n == -EPIPE) /* whoever reads next has not seen the beginning */
            rewind_line(writer);
        say_broken(writer, (int)n, dropped);
        return false;
    }
    writer->len = writer->done = 0;
    say_whole(writer, dropped);
    return true;
}

/* Whole lines, at least one if there is any. */
static void take(struct fg_log_writer *writer, struct fg_ring *ring)
{
    size_t len = fg_ring_copy(ring, writer->bytes, FG_LOG_WRITER_BYTES);
    const char *last = len > 0 ? memrchr(writer->bytes, '\n', len) : NULL;

    writer->len = last ? (size_t)(last + 1 - writer->bytes) : 0;
    writer->done = 0;
    fg_ring_take(ring, writer->len);
}

bool fg_log_writer_drain(struct fg_log_writer *writer, struct fg_ring *ring, uint64_t dropped)
{
    size_t done = 0;

    do {
        if (!flush(writer, dropped))
            return false;
        take(writer, ring);
        done += writer->len;
    } while (writer->len > 0 && done < ring->size); /* then it is another ring's turn */
    return flush(writer, dropped);
}

uint64_t fg_log_writer_left(const struct fg_log_writer *writer)
{
    uint64_t lines = 0;

    for (size_t i = writer->done; i < writer->len; i++)
        lines += writer->bytes[i] == '\n';
    return lines;
}
