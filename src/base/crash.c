#include "base/crash.h"

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/log.h"
#include "base/backtrace.h"

#define STACK_BYTES (64u << 10)
#define FRAMES_MAX  48
#define HANG_S      10
#define STDERR_MS   1000 /* who reads it may take so long */
#define PATH_BYTES  4096
#define FOREIGN_MAX 256

static const struct {
    int number;
    const char *name;
} handled[] = {{SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"}, {SIGILL, "SIGILL"}, {SIGFPE, "SIGFPE"}, {SIGABRT, "SIGABRT"}};

_Thread_local struct fg_crash_here fg_crash_here;

static _Thread_local struct {
    char name[16];
    void *stack; /* NULL: it had one before us */
} thread;

/* A process crashes once. */
static struct {
    const char *version;
    char build_id[FG_BUILD_ID_BYTES];
    char path[PATH_BYTES];
    bool is_folder, is_active;
    struct sigaction before[FG_ARRAY_LEN(handled)];
    bool is_ours[FG_ARRAY_LEN(handled)];
    pid_t reporter;  /* the thread that reports; atomic; 0: none */
    sigjmp_buf next; /* where the report goes on when a part of it crashes */
    volatile bool in_part;
    int file;         /* -1: none */
    bool stderr_gone; /* it took nothing for a while */
    char text[4096];
    size_t len;
    struct fg_backtrace_frame frames[FRAMES_MAX];
} crash = {.file = -1};

/* ---- writing ---- */

static void write_file(const char *text, size_t len)
{
    while (crash.file >= 0 && len > 0) {
        ssize_t n = write(crash.file, text, len);
        if (n <= 0 && !(n < 0 && errno == EINTR))
            return;
        if (n > 0) {
            text += n;
            len -= (size_t)n;
        }
    }
}

static void write_stderr(const char *text, size_t len)
{
    struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};

    while (!crash.stderr_gone && len > 0) {
        ssize_t n = poll(&room, 1, STDERR_MS) > 0 ? write(STDERR_FILENO, text, FG_MIN(len, (size_t)1024)) : 0;
        if (n <= 0) {
            crash.stderr_gone = true;
            return;
        }
        text += n;
        len -= (size_t)n;
    }
}

static void flush(void)
{
    size_t len = crash.len;

    crash.len = 0;
    write_file(crash.text, len);
    write_stderr(crash.text, len);
}

static void put_byte(char c)
{
    if (crash.len == sizeof crash.text)
        flush();
    crash.text[crash.len++] = c;
}

void fg_crash_put(const char *text)
{
    while (*text)
        put_byte(*text++);
}

void fg_crash_put_str(struct fg_str text)
{
    for (size_t i = 0; i < FG_MIN(text.len, (size_t)FOREIGN_MAX); i++)
        put_byte(text.p[i] >= 0x20 && text.p[i] < 0x7f ? text.p[i] : '?');
    if (text.len > FOREIGN_MAX)
        fg_crash_put("...");
}

static void put_digits(uint64_t number, unsigned base, unsigned least)
{
    char digits[20];
    unsigned len = 0;

    do {
        digits[len++] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number > 0 || len < least);
    while (len > 0)
        put_byte(digits[--len]);
}

void fg_crash_put_number(uint64_t number)
{
    put_digits(number, 10, 1);
}

void fg_crash_put_hex(uint64_t number)
{
    fg_crash_put("0x");
    put_digits(number, 16, 1);
}

/* Days since 1970 to a date: howardhinnant.github.io/date_algorithms.html, civil_from_days. */
static void put_time(time_t at_s)
{
    uint64_t days = (uint64_t)at_s / 86400 + 719468, second = (uint64_t)at_s % 86400;
    uint64_t era = days / 146097, of_era = days % 146097;
    uint64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint64_t shifted = (5 * of_year + 2) / 153; /* months from March */
    uint64_t month = shifted < 10 ? shifted + 3 : shifted - 9;

    put_digits(year_of_era + era * 400 + (month <= 2), 10, 4);
    put_byte('-');
    put_digits(month, 10, 2);
    put_byte('-');
    put_digits(of_year - (153 * shifted + 2) / 5 + 1, 10, 2);
    put_byte('T');
    put_digits(second / 3600, 10, 2);
    put_byte(':');
    put_digits(second / 60 % 60, 10, 2);
    put_byte(':');
    put_digits(second % 60, 10, 2);
    put_byte('Z');
}

/* ---- the parts of the report ---- */

struct event {
    int number;
    const siginfo_t *info;
    const ucontext_t *context;
    time_t at_s;
};

static const char *signal_name(int number)
{
    for (size_t i = 0; i < FG_ARRAY_LEN(handled); i++)
        if (handled[i].number == number)
            return handled[i].name;
    return "signal";
}

static void put_head(const struct event *event)
{
    fg_crash_put("\n==== fusegate crashed: ");
    fg_crash_put(signal_name(event->number));
    if (event->info->si_code <= 0) {
        fg_crash_put(" sent by process ");
        fg_crash_put_number((uint64_t)event->info->si_pid);
        fg_crash_put(event->info->si_pid == getpid() ? ", itself" : ", user ");
        if (event->info->si_pid != getpid())
            fg_crash_put_number(event->info->si_uid);
    } else {
        fg_crash_put(" at address ");
        fg_crash_put_hex((uintptr_t)event->info->si_addr);
        fg_crash_put(", code ");
        fg_crash_put_number((uint64_t)event->info->si_code);
    }
    fg_crash_put("\ntime: ");
    put_time(event->at_s);
    fg_crash_put("\nversion: ");
    fg_crash_put(crash.version);
    fg_crash_put("\nbuild id: ");
    fg_crash_put(crash.build_id[0] ? crash.build_id : "none");
    fg_crash_put("\nprocess: ");
    fg_crash_put_number((uint64_t)getpid());
    fg_crash_put("\nthread: ");
    fg_crash_put(thread.name[0] ? thread.name : "unnamed");
    fg_crash_put(" (");
    fg_crash_put_number((uint64_t)crash.reporter);
    fg_crash_put(fg_crash_here.waits ? "), waits for events\n" : ")\n");
}

static void put_subject(const struct event *event)
{
    (void)event;
    fg_crash_put("last call: ");
    if (fg_crash_here.subject && fg_crash_here.describe)
        fg_crash_here.describe(fg_crash_here.subject);
    else
        fg_crash_put("none that is still there");
    put_byte('\n');
}

static uintptr_t program_counter(const ucontext_t *context)
{
#if defined(__x86_64__)
    return (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (uintptr_t)context->uc_mcontext.pc;
#else
    (void)context;
    return 0;
#endif
}

static void put_frame(size_t number, const struct fg_backtrace_frame *frame)
{
    const char *slash = strrchr(frame->file, '/');

    fg_crash_put("  #");
    fg_crash_put_number(number);
    put_byte(' ');
    fg_crash_put_hex(frame->address);
    if (frame->file[0]) {
        put_byte(' ');
        fg_crash_put(slash ? slash + 1 : frame->file);
        put_byte('+');
        fg_crash_put_hex(frame->address - frame->base);
    }
    if (frame->name[0]) {
        put_byte(' ');
        fg_crash_put(frame->name);
        put_byte('+');
        fg_crash_put_hex(frame->name_offset);
    }
    put_byte('\n');
}

static void put_backtrace(const struct event *event)
{
    void *addresses[FRAMES_MAX];
    uintptr_t pc = program_counter(event->context);
    int len = backtrace(addresses, FRAMES_MAX), first = 0;
    size_t frames = 0;

    while (first < len && (uintptr_t)addresses[first] != pc) /* before it stand the frames of the handler */
        first++;
    if (first == len) { /* a jump to nowhere: what called is not known for sure */
        crash.frames[frames++] = (struct fg_backtrace_frame){.address = pc};
        first = 0;
    }
    for (int i = first; i < len && frames < FRAMES_MAX; i++)
        crash.frames[frames++] =
            (struct fg_backtrace_frame){.address = (uintptr_t)addresses[i], .is_return = (uintptr_t)addresses[i] != pc};
    fg_backtrace_find(crash.frames, frames);
    fg_crash_put("backtrace:\n");
    for (size_t i = 0; i < frames; i++)
        put_frame(i, &crash.frames[i]);
}

static void put_messages(const struct event *event)
{
    char line[FG_LOG_RECENT_BYTES];
    (void)event;

    fg_crash_put("last messages:\n");
    for (unsigned back = FG_LOG_RECENT; back-- > 0;) {
        size_t len = fg_log_recent(back, line);
        if (len == 0)
            continue;
        fg_crash_put("  ");
        fg_crash_put_str((struct fg_str){line, len});
        put_byte('\n');
    }
}

/* ---- the handler ---- */

static void put_part(void (*part)(const struct event *event), const struct event *event)
{
    if (sigsetjmp(crash.next, 0) == 0) {
        crash.in_part = true;
        part(event);
    } else {
        fg_crash_put("\n  (the rest of this part cannot be read)\n");
    }
    crash.in_part = false;
    flush();
}

static void open_file(const struct event *event)
{
    size_t len = strlen(crash.path);

    if (len == 0)
        return;
    if (crash.is_folder) { /* room for the name was kept */
        crash.len = 0;
        fg_crash_put("/fusegate-crash-");
        put_time(event->at_s);
        put_byte('-');
        fg_crash_put_number((uint64_t)getpid());
        fg_crash_put(".txt");
        memcpy(crash.path + len, crash.text, crash.len);
        crash.path[len + crash.len] = '\0';
        crash.len = 0;
    }
    crash.file = open(crash.path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
    if (crash.file < 0 && errno == EMFILE) {
        close(STDIN_FILENO); /* nobody needs it any more */
        crash.file = open(crash.path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    }
}

static void report(const struct event *event)
{
    open_file(event);
    put_part(put_head, event);
    put_part(put_subject, event);
    put_part(put_backtrace, event);
    put_part(put_messages, event);
    fg_crash_put("==== end of report\n");
    flush();
    if (crash.file >= 0)
        close(crash.file);
}

static void use_default(int number)
{
    struct sigaction by_default = {.sa_handler = SIG_DFL};
    sigset_t one;

    sigaction(number, &by_default, NULL);
    sigemptyset(&one);
    sigaddset(&one, number);
    pthread_sigmask(SIG_UNBLOCK, &one, NULL);
}

static void end_by(int number)
{
    use_default(number);
    syscall(SYS_tgkill, getpid(), gettid(), number);
    _exit(128 + number);
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    pid_t self = gettid(), reporter = 0;
    struct event event = {.number = number, .info = info, .context = context};
    struct timespec now = {0};

    if (!__atomic_compare_exchange_n(&crash.reporter, &reporter, self, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        if (reporter == self && crash.in_part)
            siglongjmp(crash.next, 1);
        if (reporter == self)
            end_by(number);
        for (;;) /* one report is enough, and with it the process ends */
            pause();
    }
    use_default(SIGALRM);
    alarm(HANG_S);
    clock_gettime(CLOCK_REALTIME, &now);
    event.at_s = now.tv_sec;
    report(&event);
    if (info->si_code <= 0)
        end_by(number);
    for (size_t i = 0; i < FG_ARRAY_LEN(handled); i++)
        use_default(handled[i].number);
    /* What faulted faults again, and the core shows where. */
}

/* ---- life ---- */

static int check_path(const char *path, char *error, size_t error_len)
{
    struct stat stat_;
    char folder[PATH_BYTES];
    size_t len = strlen(path);

    if (len >= PATH_BYTES - 80) { /* of the file's name in a folder */
        snprintf(error, error_len, "crash_report %s: the name is too long", path);
        return -1;
    }
    bool exists = stat(path, &stat_) == 0;
    crash.is_folder = exists && S_ISDIR(stat_.st_mode);
    memcpy(folder, path, len + 1);
    char *slash = strrchr(folder, '/');
    if (!slash)
        memcpy(folder, ".", 2);
    else
        slash[slash == folder] = '\0';
    if (access(exists ? path : folder, exists && !crash.is_folder ? W_OK : W_OK | X_OK) != 0) {
        snprintf(error, error_len, "crash_report %s cannot be written: %s", path, strerror(errno));
        return -1;
    }
    memcpy(crash.path, path, len + 1);
    return 0;
}

int fg_crash_init(const struct fg_crash_options *options, char *error, size_t error_len)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    void *ignored[2];

    if (options->path && check_path(options->path, error, error_len) != 0)
        return -1;
    crash.version = options->version;
    fg_backtrace_build_id(crash.build_id);
    (void)backtrace(ignored, 2); /* loads what it needs: that takes memory and locks */
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < FG_ARRAY_LEN(handled); i++) {
        sigaction(handled[i].number, NULL, &crash.before[i]);
        crash.is_ours[i] = !(crash.before[i].sa_flags & SA_SIGINFO) && crash.before[i].sa_handler == SIG_DFL;
        if (crash.is_ours[i])
            sigaction(handled[i].number, &action, NULL);
    }
    crash.is_active = true;
    fg_crash_thread_begin("main");
    return 0;
}

void fg_crash_cleanup(void)
{
    for (size_t i = 0; i < FG_ARRAY_LEN(handled) && crash.is_active; i++)
        if (crash.is_ours[i])
            sigaction(handled[i].number, &crash.before[i], NULL);
    crash.is_active = false;
    fg_crash_thread_end();
}

void fg_crash_thread_begin(const char *name)
{
    stack_t before, ours = {.ss_size = STACK_BYTES};

    snprintf(thread.name, sizeof thread.name, "%s", name);
    if (strcmp(name, "main") != 0) /* it has the program's name, by which it is found */
        pthread_setname_np(pthread_self(), thread.name);
    if (thread.stack || sigaltstack(NULL, &before) != 0 || !(before.ss_flags & SS_DISABLE))
        return;
    ours.ss_sp = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (ours.ss_sp == MAP_FAILED)
        return; /* the handler then runs on the thread's own */
    thread.stack = ours.ss_sp;
    sigaltstack(&ours, NULL);
}

void fg_crash_thread_end(void)
{
    stack_t none = {.ss_flags = SS_DISABLE};

    if (!thread.stack)
        return;
    sigaltstack(&none, NULL);
    munmap(thread.stack, STACK_BYTES);
    thread.stack = NULL;
}
