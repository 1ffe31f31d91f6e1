/* fusegate top: a live view of a gateway. */
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/top_screen.h"
#include "cli/top_state.h"
#include "config/value.h"
#include "io/loop.h"

#define INTERVAL_MIN  (100 * FG_MS)
#define INTERVAL_MAX  (3600 * FG_S)
#define REDRAW_MS     1000 /* ages and countdowns go on between two answers */
#define PLAIN_ROWS    20   /* without a terminal, and as many as the list is long */
#define PLAIN_COLUMNS 100

static const char usage[] =
    "usage: fusegate top [--interval 1s] [--view VIEW] [--once]\n"
    "\n"
    "A live view of a gateway: traffic, the calls in progress and what they wait for, breakers,\n"
    "endpoints. ? shows the keys. Without a terminal it prints one picture.\n"
    "\n"
    "  --interval T      how often the gateway is asked (1s)\n"
    "  --view VIEW       to begin with: overview, streams, breakers, endpoints, waits or events\n"
    "  --once            print one picture and end\n"
    "  --no-color        as NO_COLOR in the environment\n"
    "  --admin ADDRESS   of the gateway: HOST:PORT or unix:/PATH (or FUSEGATE_ADMIN; else 127.0.0.1:9901)\n"
    "  --token TOKEN     its admin.token (better: FUSEGATE_TOKEN, which other users cannot see)\n";

struct options {
    struct fg_ask ask;
    const char *interval, *view;
    bool once, no_color;
};

/* ---- without a terminal ---- */

static int print_once(struct fg_top *top)
{
    const char *columns = getenv("COLUMNS");
    unsigned long cols = columns ? strtoul(columns, NULL, 10) : 0;
    struct fg_picture picture;

    top->plain = true;
    fg_top_fill(top, fg_clock_now_ns());
    fg_picture_init(&picture, PLAIN_ROWS + (unsigned)top->table.len,
                    cols >= 40 && cols <= 1000 ? (unsigned)cols : PLAIN_COLUMNS, top->utf8);
    fg_top_draw(top, &picture, fg_clock_now_ns());
    fg_picture_print(&picture, stdout);
    fg_picture_cleanup(&picture);
    return fflush(stdout) == 0 ? FG_EXIT_OK : FG_EXIT_FAILED;
}

/* ---- with one ---- */

static void draw(struct fg_top *top, struct fg_top_screen *screen)
{
    struct fg_picture picture;
    unsigned rows, cols;

    fg_top_screen_size(screen, &rows, &cols);
    fg_picture_init(&picture, rows, cols, top->utf8);
    fg_top_draw(top, &picture, fg_clock_now_ns());
    fg_top_screen_show(screen, &picture);
    fg_picture_cleanup(&picture);
}

static void want(const struct fg_top *top, struct fg_top_source *source)
{
    char *target = fg_top_target(top);

    fg_top_source_want(source, fg_top_overview(top), target, (unsigned)top->view);
    free(target);
}

static void kill_call(const struct fg_top *top, struct fg_top_source *source)
{
    char success[128], *target = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&target, &len);

    if (!out)
        return;
    fputs("/streams/kill?id=", out);
    fg_ask_encode(out, top->kill_id);
    fclose(out);
    snprintf(success, sizeof success, "call %s is ended", top->kill_id);
    fg_top_source_act(source, target, success);
    free(target);
}

static void press(struct fg_top *top, struct fg_top_source *source, uint32_t key)
{
    switch (fg_top_press(top, key)) {
    case FG_TOP_ASK_ANEW:
        want(top, source);
        break;
    case FG_TOP_PAUSE:
        fg_top_source_pause(source, top->paused);
        break;
    case FG_TOP_KILL:
        kill_call(top, source);
        break;
    case FG_TOP_NOTHING:
        break;
    }
}

/* False: a signal says that it is over. */
static bool take_signals(int fd)
{
    struct signalfd_siginfo info;

    while (read(fd, &info, sizeof info) == (ssize_t)sizeof info)
        if (info.ssi_signo != SIGWINCH) /* the size is asked for before each picture */
            return false;
    return true;
}

static void run(struct fg_top *top, struct fg_top_screen *screen, struct fg_top_source *source, int signals)
{
    struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                           {.fd = signals, .events = POLLIN},
                           {.fd = fg_top_source_fd(source), .events = POLLIN}};
    struct fg_top_news news;
    uint32_t key;

    while (!top->quit) {
        draw(top, screen);
        if (poll(fds, FG_ARRAY_LEN(fds), REDRAW_MS) < 0 && errno != EINTR)
            return;
        if (!take_signals(signals) || (fds[0].revents & (POLLHUP | POLLERR)))
            return;
        while (fg_top_screen_key(screen, &key))
            press(top, source, key);
        if (fg_top_source_take(source, &news))
            fg_top_hear(top, &news, fg_clock_now_ns());
    }
}

static int watch(struct fg_top *top, const struct options *options, uint64_t interval_ns)
{
    const char *no_color = getenv("NO_COLOR");
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGQUIT);
    sigaddset(&set, SIGWINCH);
    sigprocmask(SIG_BLOCK, &set, NULL); /* inherited by the source's thread */
    int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0) {
        fprintf(stderr, "fusegate top: %s\n", strerror(errno));
        return FG_EXIT_FAILED;
    }
    struct fg_top_source *source = fg_top_source_start(top->ask, (unsigned)(interval_ns / FG_MS));
    struct fg_top_screen *screen = source ? fg_top_screen_open(!options->no_color && !(no_color && no_color[0])) : NULL;
    if (screen) {
        want(top, source);
        run(top, screen, source, signals);
        fg_top_screen_close(screen);
    }
    if (source)
        fg_top_source_stop(source);
    close(signals);
    return screen ? FG_EXIT_OK : FG_EXIT_FAILED;
}

/* ---- the command ---- */

static bool choose_view(struct fg_top *top, const char *name)
{
    for (int i = 0; i < FG_TOP_VIEWS; i++) {
        if (strcmp(name, fg_top_views[i].name) != 0)
            continue;
        top->view = (enum fg_top_view_id)i;
        return true;
    }
    fprintf(stderr,
            "fusegate top: --view: found \"%s\", expected overview, streams, breakers, endpoints, waits or events\n",
            name);
    return false;
}

/* Nothing is drawn before the gateway has answered once: what is wrong at the start is said as by every command. */
static bool ask_first(struct fg_top *top)
{
    struct fg_top_news news = {.tag = (unsigned)top->view};
    char *target = fg_top_target(top);

    fg_top_source_ask(top->ask, fg_top_overview(top), target, &news);
    free(target);
    bool good = !news.problem[0];
    if (!good)
        fprintf(stderr, "fusegate top: %s: %s\n", top->ask->address, news.problem);
    fg_top_hear(top, &news, fg_clock_now_ns());
    return good;
}

int fg_cli_top(int argc, char **argv)
{
    struct options o = {.ask.command = "top", .interval = "1s", .view = "overview"};
    const struct fg_arg known[] = {{"--interval", &o.interval, NULL}, {"--view", &o.view, NULL},
                                   {"--once", NULL, &o.once},         {"--no-color", NULL, &o.no_color},
                                   {"--admin", &o.ask.address, NULL}, {"--token", &o.ask.token, NULL}};
    struct fg_args args = {.command = "top", .usage = usage, .known = known, .known_len = FG_ARRAY_LEN(known)};
    uint64_t interval_ns;
    struct fg_top top;

    int result = fg_args_parse(&args, argc, argv);
    if (result >= 0)
        return result;
    if (fg_value_duration(fg_str_from(o.interval), &interval_ns) != 0 || interval_ns < INTERVAL_MIN ||
        interval_ns > INTERVAL_MAX) {
        fprintf(stderr, "fusegate top: --interval: found \"%s\", expected a duration of 100ms to 1h\n", o.interval);
        return FG_EXIT_USAGE;
    }
    fg_ask_defaults(&o.ask);
    setlocale(LC_CTYPE, "");
    fg_top_init(&top, &o.ask, strcmp(nl_langinfo(CODESET), "UTF-8") == 0);
    if (!choose_view(&top, o.view))
        result = FG_EXIT_USAGE;
    else if (!ask_first(&top))
        result = FG_EXIT_FAILED;
    else if (o.once || !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        result = print_once(&top);
    else
        result = watch(&top, &o, interval_ns);
    fg_top_cleanup(&top);
    return result;
}
