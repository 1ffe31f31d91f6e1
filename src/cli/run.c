/* fusegate run: the gateway in the foreground until SIGTERM or SIGINT. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "admin/handlers.h"
#include "base/crash.h"
#include "base/log.h"
#include "cli/cli.h"
#include "gateway/gateway.h"
#include "gateway/inspect.h"

#define SAY_EVENTS_EVERY_MS 250

struct options {
    const char *file, *listen, *to;
};

static int usage(const char *problem, const char *argument)
{
    if (problem)
        fprintf(stderr, "fusegate run: %s%s%s\n", problem, argument ? " " : "", argument ? argument : "");
    fprintf(stderr, "usage: fusegate run -c FILE\n"
                    "       fusegate run --listen ADDRESS --to ENDPOINT[,ENDPOINT...]\n");
    return FG_EXIT_USAGE;
}

static int parse(int argc, char **argv, struct options *options)
{
    static const struct {
        const char *name;
        size_t offset;
    } known[] = {
        {"-c", offsetof(struct options, file)},
        {"--config", offsetof(struct options, file)},
        {"--listen", offsetof(struct options, listen)},
        {"--to", offsetof(struct options, to)},
    };

    for (int i = 1; i < argc; i += 2) {
        size_t k = 0;
        while (k < FG_ARRAY_LEN(known) && strcmp(argv[i], known[k].name) != 0)
            k++;
        if (k == FG_ARRAY_LEN(known))
            return usage("unknown argument", argv[i]);
        if (i + 1 == argc)
            return usage("no value after", argv[i]);
        *(const char **)(void *)((char *)options + known[k].offset) = argv[i + 1];
    }
    if (options->file && (options->listen || options->to))
        return usage("-c and --listen/--to exclude each other", NULL);
    if (!options->file && (!options->listen || !options->to))
        return usage("either -c or both --listen and --to are needed", NULL);
    return FG_EXIT_OK;
}

static int load(const struct options *options, struct fg_config **config)
{
    struct fg_config_errors errors = {0};
    int result = options->file ? fg_config_load(options->file, config, &errors)
                               : fg_config_from_flags(options->listen, options->to, config, &errors);
    if (result == 0)
        return FG_EXIT_OK;
    fg_config_errors_print(&errors, options->file ? options->file : "command line", stderr);
    fg_config_errors_cleanup(&errors);
    return FG_EXIT_CONFIG;
}

/* Started without standard output or error, a connection would get their number, and the log would be written to it. */
static void fill_standard_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

/* Each connection is a descriptor: use what the hard limit allows. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        fg_log(FG_LOG_WARN, "cannot raise the limit of open files: %s", strerror(errno));
}

static void block_signals(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, signals, NULL); /* inherited by all threads: only this one takes them */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a log that ulimit -f ends is like a full disk */
}

static void serve(struct fg_gateway *gateway, struct fg_admin *admin, const sigset_t *signals)
{
    const struct timespec pause = {.tv_nsec = SAY_EVENTS_EVERY_MS * 1000000L};
    struct fg_inspect_said said = {0};
    int signal_number;

    do {
        signal_number = sigtimedwait(signals, NULL, &pause);
        if (signal_number == SIGHUP) {
            fg_gateway_refresh(gateway);
            fg_admin_refresh(admin);
        }
        fg_inspect_say_events(gateway, &said, fg_clock_now_ns());
    } while (signal_number < 0 || signal_number == SIGHUP);
    fg_log(FG_LOG_INFO, "%s: draining; a second signal ends at once", strsignal(signal_number));
    struct sigaction by_default = {.sa_handler = SIG_DFL};
    sigaction(SIGTERM, &by_default, NULL);
    sigaction(SIGINT, &by_default, NULL);
    pthread_sigmask(SIG_UNBLOCK, signals, NULL);
    fg_gateway_drain(gateway);
    fg_gateway_join(gateway);
}

static int serve_with_admin(struct fg_gateway *gateway, const sigset_t *signals)
{
    char error[512] = "";
    struct fg_admin *admin = fg_admin_start(gateway, error, sizeof error);

    if (!admin && error[0]) {
        fg_log(FG_LOG_ERROR, "%s", error);
        return FG_EXIT_FAILED;
    }
    if (fg_gateway_start(gateway, error, sizeof error) != 0) {
        fg_log(FG_LOG_ERROR, "%s", error);
        fg_admin_stop(admin);
        return FG_EXIT_FAILED;
    }
    for (size_t i = 0; i < gateway->config->listeners_len; i++)
        fg_log(FG_LOG_INFO, "listening on %s%s", gateway->config->listeners[i].address,
               gateway->config->listeners[i].tls.enabled ? " (TLS)" : "");
    if (admin)
        fg_log(FG_LOG_INFO, "admin on %s", gateway->config->admin.address);
    serve(gateway, admin, signals);
    fg_admin_stop(admin);
    return FG_EXIT_OK;
}

int fg_cli_run(int argc, char **argv)
{
    struct options options = {0};
    struct fg_config *config = NULL;
    struct fg_gateway gateway;
    char error[512];
    sigset_t signals;

    fill_standard_descriptors();
    int result = parse(argc, argv, &options);
    if (result == FG_EXIT_OK)
        result = load(&options, &config);
    if (result != FG_EXIT_OK)
        return result;
    fg_log_init();
    raise_descriptor_limit();
    block_signals(&signals);
    if (fg_crash_init(&(struct fg_crash_options){FG_VERSION, config->crash_report}, error, sizeof error) != 0) {
        fg_log(FG_LOG_ERROR, "%s", error);
        fg_config_unref(config);
        return FG_EXIT_FAILED;
    }
    if (fg_gateway_init(&gateway, config, error, sizeof error) != 0) {
        fg_log(FG_LOG_ERROR, "%s", error);
        fg_config_unref(config);
        return FG_EXIT_FAILED;
    }
    result = serve_with_admin(&gateway, &signals);
    fg_gateway_cleanup(&gateway);
    fg_crash_cleanup();
    fg_log(FG_LOG_INFO, "ended");
    return result;
}
