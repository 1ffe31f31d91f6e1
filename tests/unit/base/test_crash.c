/* Each case crashes a child and reads what it left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/backtrace.h"
#include "base/crash.h"
#include "base/log.h"

#define NO_SANITIZER __attribute__((noinline, no_sanitize("address", "undefined")))

static char path[64], report[1 << 16];

/* Volatile: or the compiler would know better. */
static void *volatile nowhere = (void *)16;
static volatile int depth;

NO_SANITIZER void crash_here(void);
NO_SANITIZER void crash_here(void)
{
    *(volatile int *)nowhere = 1;
}

/* Runs CRASH in a child that reports to `path`; the signal that ended it. */
static int crash_in_child(void (*crash)(void))
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    const struct rlimit no_core = {0, 0}, stack = {1 << 20, 1 << 20};
    char error[256] = "";
    pid_t child = fork();

    if (child == 0) {
        setrlimit(RLIMIT_CORE, &no_core);
        setrlimit(RLIMIT_STACK, &stack);
        for (size_t i = 0; i < FG_ARRAY_LEN(numbers); i++)
            signal(numbers[i], SIG_DFL); /* a sanitizer's, and cmocka's */
        if (fg_crash_init(&(struct fg_crash_options){"1.2.3", path}, error, sizeof error) != 0)
            _exit(1);
        dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
        crash();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    FILE *file = fopen(path, "r");
    size_t len = file ? fread(report, 1, sizeof report - 1, file) : 0;
    if (file)
        fclose(file);
    report[len] = '\0';
    unlink(path);
    return WTERMSIG(status);
}

static void assert_has(const char *text)
{
    if (!strstr(report, text))
        fail_msg("no \"%s\" in:\n%s", text, report);
}

static unsigned reports(void)
{
    unsigned count = 0;

    for (const char *at = report; (at = strstr(at, "fusegate crashed")); at++)
        count++;
    return count;
}

static void describe(const void *subject)
{
    fg_crash_put_str(fg_str_from(subject));
}

static void fault(void)
{
    fg_crash_at("the \nsubject", describe);
    fg_log(FG_LOG_INFO, "the last words");
    crash_here();
}

static void a_fault_is_reported_with_all_that_is_known(void **state)
{
    char build_id[FG_BUILD_ID_BYTES];
    (void)state;

    assert_int_equal(crash_in_child(fault), SIGSEGV);
    assert_has("fusegate crashed: SIGSEGV at address 0x10, code 1\ntime: 20");
    assert_has("\nversion: 1.2.3\nbuild id: ");
    fg_backtrace_build_id(build_id);
    assert_int_equal(strlen(build_id), 40);
    assert_has(build_id);
    assert_has("\nthread: main (");
    assert_has("\nlast call: the ?subject\n");
    assert_has("\nbacktrace:\n  #0 0x");
    const char *first = strstr(report, "  #0 ");
    assert_non_null(first);
    assert_non_null(memmem(first, (size_t)(strchr(first, '\n') - first), " crash_here+0x", 14));
    assert_has("info the last words\n");
    assert_has("==== end of report\n");
}

static void describe_badly(const void *subject)
{
    describe(subject);
    crash_here();
}

static void fault_twice(void)
{
    fg_crash_at("half of it", describe_badly);
    crash_here();
}

static void what_crashes_in_the_report_is_left_out(void **state)
{
    (void)state;
    assert_int_equal(crash_in_child(fault_twice), SIGSEGV);
    assert_has("last call: half of it\n  (the rest of this part cannot be read)\n");
    assert_has(" crash_here+0x");
    assert_has("==== end of report\n");
    assert_int_equal(reports(), 1);
}

static void an_abort_ends_as_an_abort(void **state)
{
    (void)state;
    assert_int_equal(crash_in_child(abort), SIGABRT);
    assert_has("fusegate crashed: SIGABRT sent by process ");
    assert_has(", itself\n");
    assert_has("last call: none that is still there\n");
}

NO_SANITIZER static int fall(int levels)
{
    volatile char room[512];

    room[0] = (char)levels;
    depth = levels;
    return levels == INT32_MAX ? 0 : fall(levels + 1) + room[0];
}

static void overflow(void)
{
    (void)fall(0);
}

static void *run_overflow(void *context)
{
    fg_crash_thread_begin("worker 7");
    (void)fall(0);
    return context;
}

static void overflow_in_thread(void)
{
    pthread_t other;
    pthread_attr_t small;

    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 256 << 10);
    if (pthread_create(&other, &small, run_overflow, NULL) == 0)
        pthread_join(other, NULL);
}

static void the_end_of_the_stack_can_be_told(void **state)
{
    (void)state;
    assert_int_equal(crash_in_child(overflow), SIGSEGV);
    assert_has("end of report");
    assert_int_equal(crash_in_child(overflow_in_thread), SIGSEGV);
    assert_has("thread: worker 7 (");
    assert_has(" fall");
}

static pthread_barrier_t all;

static void *run_fault(void *context)
{
    fg_crash_thread_begin("one of many");
    pthread_barrier_wait(&all);
    crash_here();
    return context;
}

static void many_fault(void)
{
    pthread_t threads[8];

    pthread_barrier_init(&all, NULL, FG_ARRAY_LEN(threads));
    for (size_t i = 0; i < FG_ARRAY_LEN(threads); i++)
        if (pthread_create(&threads[i], NULL, run_fault, NULL) != 0)
            _exit(1);
    for (size_t i = 0; i < FG_ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
}

static void of_several_threads_one_reports(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        assert_int_equal(crash_in_child(many_fault), SIGSEGV);
        assert_int_equal(reports(), 1);
        assert_has("thread: one of many (");
        assert_has("end of report");
    }
}

static void a_handler_that_is_there_stays(void **state)
{
    struct sigaction before, after;
    char error[256];
    (void)state;

    struct sigaction own = {.sa_handler = _exit};
    sigaction(SIGFPE, &own, &before);
    assert_int_equal(fg_crash_init(&(struct fg_crash_options){"1", NULL}, error, sizeof error), 0);
    sigaction(SIGFPE, NULL, &after);
    assert_true(after.sa_handler == _exit);
    fg_crash_cleanup();
    sigaction(SIGFPE, &before, NULL);
}

static void what_cannot_be_written_is_refused(void **state)
{
    char error[256];
    (void)state;
    assert_int_equal(
        fg_crash_init(&(struct fg_crash_options){"1", "/tmp/there-is-no-such-folder/x"}, error, sizeof error), -1);
    assert_string_equal(error,
                        "crash_report /tmp/there-is-no-such-folder/x cannot be written: No such file or directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fault_is_reported_with_all_that_is_known),
        cmocka_unit_test(what_crashes_in_the_report_is_left_out),
        cmocka_unit_test(an_abort_ends_as_an_abort),
        cmocka_unit_test(the_end_of_the_stack_can_be_told),
        cmocka_unit_test(of_several_threads_one_reports),
        cmocka_unit_test(a_handler_that_is_there_stays),
        cmocka_unit_test(what_cannot_be_written_is_refused),
    };
    snprintf(path, sizeof path, "/tmp/fusegate-crash-test-%d", (int)getpid());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
