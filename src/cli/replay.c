/* fusegate replay: what breakers with other settings would have done with the calls of an access log. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/time.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/replay_print.h"
#include "config/value.h"

#define READ_BYTES     ((size_t)1 << 20)
#define LINE_MAX_BYTES ((size_t)256 << 10) /* more than any line of a log has */
#define FILES_MAX      1024
#define PENDING_MAX    262144 /* attempts; about 50 MB */

static const char usage[] =
    "usage: fusegate replay -c FILE LOG...\n"
    "\n"
    "Runs the attempts of recorded calls through the breakers as FILE configures them, and says which would have\n"
    "opened when, what they would have refused, and how that ended in reality. LOG is an access log of fusegate, or -\n"
    "for standard input; several are those of one gateway, the oldest first.\n"
    "\n"
    "Clusters and endpoints are those of the log. Priority, weight and the sets of codes come from the route of FILE\n"
    "that takes the method to that cluster; of routes that ask for headers, which are not in the log, it is the one\n"
    "with the recorded priority and weight. An attempt that would have been refused counts nowhere further; what\n"
    "another endpoint would have answered instead, nobody knows.\n"
    "\n"
    "  -c, --config FILE  the configuration to try\n"
    "  --window DURATION  how far the lines may be out of order (60s); a call is written when it ends, so this is "
    "also\n"
    "                     how long one may last and still be asked for at its beginning\n"
    "  --json             for machines: {\"changes\": [...], \"summary\": {...}}\n";

struct options {
    const char *file, *window;
    bool json;
};

/* ---- lines ---- */

/* A line that is too long is no call: its pieces are passed over, and its end is taken for a broken line. */
struct reader {
    struct fg_replay *replay;
    char *bytes; /* READ_BYTES + LINE_MAX_BYTES */
    size_t len;
    bool too_long;
};

static void take_line(struct reader *reader, const char *line, size_t len)
{
    if (len > 0 && line[len - 1] == '\r')
        len--;
    if (reader->too_long)
        len = 0;
    if (len > 0 || reader->too_long)
        fg_replay_feed(reader->replay, line, len);
    reader->too_long = false;
}

/* The lines that are whole; the rest moves to the front. */
static void take_lines(struct reader *reader)
{
    char *at = reader->bytes, *stop = reader->bytes + reader->len, *feed;

    while ((feed = memchr(at, '\n', (size_t)(stop - at)))) {
        take_line(reader, at, (size_t)(feed - at));
        at = feed + 1;
    }
    reader->len = (size_t)(stop - at);
    if (reader->len >= LINE_MAX_BYTES) {
        reader->too_long = true;
        reader->len = 0;
    }
    memmove(reader->bytes, at, reader->len);
}

static int read_file(struct fg_replay *replay, char *buffer, int fd, const char *name)
{
    struct reader reader = {.replay = replay, .bytes = buffer};
    ssize_t n;

    while ((n = read(fd, reader.bytes + reader.len, READ_BYTES)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            fprintf(stderr, "fusegate replay: %s cannot be read: %s\n", name, strerror(errno));
            return FG_EXIT_FAILED;
        }
        reader.len += (size_t)n;
        take_lines(&reader);
    }
    take_line(&reader, reader.bytes, reader.len); /* the last one, which may be cut off */
    return FG_EXIT_OK;
}

static int read_files(struct fg_replay *replay, const char *const *names, size_t len)
{
    char *buffer = fg_alloc(READ_BYTES + LINE_MAX_BYTES);
    int result = FG_EXIT_OK;

    for (size_t i = 0; i < len && result == FG_EXIT_OK; i++) {
        bool from_stdin = strcmp(names[i], "-") == 0;
        int fd = from_stdin ? STDIN_FILENO : open(names[i], O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
            fprintf(stderr, "fusegate replay: %s cannot be opened: %s\n", names[i], strerror(errno));
            result = FG_EXIT_FAILED;
            break;
        }
        result = read_file(replay, buffer, fd, from_stdin ? "standard input" : names[i]);
        if (!from_stdin)
            close(fd);
    }
    free(buffer);
    return result;
}

/* ---- the command ---- */

/* A log in which there is no call is most likely not the file that was meant. */
static int judge(const struct fg_replay_summary *summary)
{
    if (summary->calls > 0 || summary->lines == 0)
        return FG_EXIT_OK;
    fprintf(stderr, "fusegate replay: %s\n",
            summary->old > 0 ? "the log is of an older version of fusegate, which did not record attempts"
                             : "there is no call in it: is this an access log of fusegate?");
    return FG_EXIT_FAILED;
}

static int replay_all(const struct options *options, const struct fg_config *config, uint64_t window_ns,
                      const char *const *names, size_t len)
{
    struct fg_replay_printer printer = {.out = stdout, .json = options->json, .config = options->file};
    struct fg_replay *replay = fg_replay_new(config, window_ns, PENDING_MAX, fg_replay_print_change, &printer);

    fg_replay_print_begin(&printer);
    int result = read_files(replay, names, len);
    const struct fg_replay_summary *summary = fg_replay_end(replay);
    fg_replay_print_end(&printer, summary);
    if (result == FG_EXIT_OK)
        result = judge(summary);
    if (fflush(stdout) != 0 && result == FG_EXIT_OK) {
        fprintf(stderr, "fusegate replay: standard output cannot be written: %s\n", strerror(errno));
        result = FG_EXIT_FAILED;
    }
    fg_replay_free(replay);
    return result;
}

int fg_cli_replay(int argc, char **argv)
{
    struct options options = {.window = "60s"};
    const struct fg_arg known[] = {{"-c", &options.file, NULL},
                                   {"--config", &options.file, NULL},
                                   {"--window", &options.window, NULL},
                                   {"--json", NULL, &options.json}};
    const char *names[FILES_MAX];
    struct fg_args args = {.command = "replay",
                           .usage = usage,
                           .known = known,
                           .known_len = FG_ARRAY_LEN(known),
                           .names = names,
                           .names_max = FILES_MAX};
    struct fg_config_errors errors = {0};
    struct fg_config *config = NULL;
    uint64_t window_ns;

    int result = fg_args_parse(&args, argc, argv);
    if (result >= 0)
        return result;
    if (!options.file || args.names_len == 0) {
        fputs(usage, stderr);
        return FG_EXIT_USAGE;
    }
    if (fg_value_duration(fg_str_from(options.window), &window_ns) != 0 || window_ns > 24 * 3600 * FG_S) {
        fprintf(stderr, "fusegate replay: --window is a duration such as 60s, at most 24h, not %s\n", options.window);
        return FG_EXIT_USAGE;
    }
    if (fg_config_load(options.file, &config, &errors) != 0) {
        fg_config_errors_print(&errors, options.file, stderr);
        fg_config_errors_cleanup(&errors);
        return FG_EXIT_CONFIG;
    }
    result = replay_all(&options, config, window_ns, names, args.names_len);
    fg_config_unref(config);
    return result;
}
