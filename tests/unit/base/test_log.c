#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

/* Standard error is a pipe that nobody reads for a while. */
static void a_full_stderr_drops_and_says_so(void **state)
{
    int ends[2], before = dup(STDERR_FILENO);
    static char text[1 << 20];
    char recent[FG_LOG_RECENT_BYTES];
    unsigned lines = 0;
    size_t len = 0;
    (void)state;

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    fg_log_init();
    assert_int_equal(fg_log_recent(0, recent), 0);
    while (fg_log_dropped() < 3)
        fg_log(FG_LOG_INFO, "message %u of many", lines++);
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    for (ssize_t n; (n = read(ends[0], text + len, sizeof text - 1 - len)) > 0;)
        len += (size_t)n;
    assert_int_equal(text[len - 1], '\n'); /* none was cut */
    fg_log(FG_LOG_ERROR, "and one more");
    ssize_t n = read(ends[0], text, sizeof text - 1);
    dup2(before, STDERR_FILENO);
    assert_true(n > 0);
    text[n] = '\0';
    char *second = strchr(text, '\n') + 1;
    assert_string_equal(text + 25, strstr(text, "warn"));
    assert_memory_equal(text + 25, "warn 3 messages were dropped: standard error took none\n",
                        (size_t)(second - text) - 25);
    assert_string_equal(second + 25, "error and one more\n");

    assert_int_equal(fg_log_recent(0, recent), 25 + strlen("error and one more"));
    assert_memory_equal(recent + 25, "error and one more", strlen("error and one more"));
    assert_true(fg_log_recent(FG_LOG_RECENT - 1, recent) > 0);
    assert_int_equal(fg_log_recent(FG_LOG_RECENT, recent), 0);
    close(ends[0]);
    close(ends[1]);
    close(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_full_stderr_drops_and_says_so)};
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
