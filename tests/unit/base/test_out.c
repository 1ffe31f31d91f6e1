#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/out.h"

/* Writes until it is told to stop; a test that waits here hangs. */
static size_t fill(const struct fg_out *out, size_t piece)
{
    static const char bytes[4096];
    size_t total = 0;
    ssize_t n;

    while ((n = fg_out_write(out, bytes, piece)) > 0)
        total += (size_t)n;
    assert_int_equal(n, -EAGAIN);
    return total;
}

static void a_full_pipe_refuses_and_keeps_its_flags(void **state)
{
    struct fg_out out;
    int ends[2];
    char byte[4096];
    (void)state;

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fg_out_open_same(&out, ends[1]), 0);
    assert_true(fill(&out, 1000) >= 4096);
    assert_int_equal(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0); /* others who have it are not told to */
    assert_int_equal(read(ends[0], byte, sizeof byte), sizeof byte);
    assert_int_equal(fg_out_write(&out, "x", 1), 1);
    fg_out_close(&out);
    assert_int_equal(out.fd, -1);
    close(ends[0]);
    close(ends[1]);
}

/* What cannot be opened a second time is asked for room. */
static void what_others_have_is_asked_for_room(void **state)
{
    struct fg_out out = {.waits = true};
    int ends[2];
    (void)state;

    assert_int_equal(pipe(ends), 0);
    out.fd = ends[1];
    assert_true(fill(&out, 4096) >= 4096);
    close(ends[0]);
    close(ends[1]);
}

static void a_full_socket_refuses(void **state)
{
    struct fg_out out;
    int ends[2];
    (void)state;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(fg_out_open_same(&out, ends[0]), 0);
    assert_true(out.is_socket);
    assert_true(fill(&out, 4096) > 0);
    close(ends[1]);
    assert_int_equal(fg_out_write(&out, "x", 1), -EPIPE);
    fg_out_close(&out);
    close(ends[0]);
}

static void what_cannot_be_written_says_why(void **state)
{
    char folder[] = "/tmp/fusegate-test-XXXXXX", path[64], moved[64];
    struct fg_out out, again;
    (void)state;

    assert_non_null(mkdtemp(folder));
    assert_int_equal(fg_out_open(&out, folder), -EISDIR);
    snprintf(path, sizeof path, "%s/pipe", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(fg_out_open(&out, path), -ENXIO);
    unlink(path);
    snprintf(path, sizeof path, "%s/file", folder);
    snprintf(moved, sizeof moved, "%s/moved", folder);
    assert_int_equal(fg_out_open(&out, path), 0);
    assert_true(out.is_file);
    assert_int_equal(fg_out_open(&again, path), 0);
    assert_true(fg_out_is_same(&out, &again));
    fg_out_close(&again);
    assert_int_equal(rename(path, moved), 0);
    assert_int_equal(fg_out_open(&again, path), 0);
    assert_false(fg_out_is_same(&out, &again));
    assert_false(fg_out_is_deleted(&out));
    unlink(moved);
    assert_true(fg_out_is_deleted(&out));
    fg_out_close(&out);
    fg_out_close(&again);
    assert_int_equal(fg_out_open(&out, "/dev/full"), 0);
    assert_int_equal(fg_out_write(&out, "x", 1), -ENOSPC);
    fg_out_close(&out);
    unlink(path);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_pipe_refuses_and_keeps_its_flags),
        cmocka_unit_test(what_others_have_is_asked_for_room),
        cmocka_unit_test(a_full_socket_refuses),
        cmocka_unit_test(what_cannot_be_written_says_why),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
