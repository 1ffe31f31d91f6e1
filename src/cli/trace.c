/* fusegate trace: what held calls up, and who held what they waited for. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "base/time.h"
#include "base/wait.h"
#include "cli/args.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "config/value.h"

static const char usage[] =
    "usage: fusegate trace [--seconds N | --last T] [options]\n"
    "\n"
    "The waits that held calls up, with the streams that held what was waited for: those that are\n"
    "over, and those that are not. The gateway keeps the long ones (100 ms) of each worker, the\n"
    "latest 1024.\n"
    "\n"
    "  --seconds N       watches for so long first; ^C ends that early\n"
    "  --last T          at once: those that ended in the last T (30s), or have not ended\n"
    "  --min T           that lasted for T at least (100ms)\n"
    "  --cause CAUSE     those for this: stream_window, connection_window, gate, stream_slot, ...\n"
    "  --peers           also calls that wait for an answer, or for the client, now\n" FG_ASK_USAGE;

static const char *text_of_cause(const char *name)
{
    static const struct {
        const char *name, *text;
    } texts[] = {
#define X(cause, name, text) {name, text},
        FG_WAITS(X)
#undef X
    };
    for (size_t i = 0; i < FG_ARRAY_LEN(texts); i++)
        if (strcmp(texts[i].name, name) == 0)
            return texts[i].text;
    return name; /* of a newer gateway */
}

/* ---- one wait ---- */

static void put_bytes(double bytes)
{
    if (bytes >= 1 << 20)
        printf("%.1f MiB", bytes / (1 << 20));
    else if (bytes >= 1 << 10)
        printf("%.0f KiB", bytes / (1 << 10));
    else
        printf("%.0f bytes", bytes);
}

/* "held by stream 7 (call 0-12, 64 KiB) and stream 9 (call 0-14, 3 KiB)" */
static void put_holders(const json_t *wait)
{
    const json_t *holders = json_object_get(wait, "holders"), *holder;
    double more = fg_answer_number(wait, "more_holders"), gone = fg_answer_number(wait, "gone_bytes");
    size_t i, len = json_array_size(holders);

    if (len > 0)
        fputs("    held by ", stdout);
    json_array_foreach((json_t *)holders, i, holder)
    {
        const char *id = fg_answer_text(holder, "id");
        double bytes = fg_answer_number(holder, "bytes");
        printf("%sstream %.0f",
               i == 0                      ? ""
               : i + 1 == len && more == 0 ? " and "
                                           : ", ",
               fg_answer_number(holder, "stream"));
        if (id[0] || bytes > 0)
            printf(" (%s%s%s", id[0] ? "call " : "", id, id[0] && bytes > 0 ? ", " : "");
        if (bytes > 0)
            put_bytes(bytes);
        if (id[0] || bytes > 0)
            putchar(')');
    }
    if (len > 0 && more > 0)
        printf(" and %.0f more", more);
    if (len > 0)
        putchar('\n');
    if (gone > 0) {
        fputs("    held by no stream that is open: ", stdout);
        put_bytes(gone);
        fputs(" that the peer has not given back\n", stdout);
    }
}

static void put_wait(const json_t *wait)
{
    bool upstream = strcmp(fg_answer_text(wait, "side"), "upstream") == 0;
    bool is_over = json_is_true(json_object_get(wait, "over"));
    char *method = fg_answer_name(wait, "method");
    char lasted[FG_DURATION_BYTES];

    printf("%s  %s%s  call %s ", fg_answer_text(wait, "began"),
           fg_duration_text(fg_answer_number(wait, "lasted_ms"), lasted), is_over ? "" : " so far",
           fg_answer_text(wait, "id"));
    fg_print_text(stdout, method);
    free(method);
    printf("\n    %s: %s\n    ", fg_answer_text(wait, "cause"), text_of_cause(fg_answer_text(wait, "cause")));
    if (json_object_get(wait, "stream"))
        printf("stream %.0f ", fg_answer_number(wait, "stream"));
    fputs(upstream ? "to endpoint " : "of client ", stdout);
    fg_print_text(stdout, fg_answer_text(wait, upstream ? "endpoint" : "peer"));
    if (json_object_get(wait, "connection"))
        printf(", connection %.0f of the worker", fg_answer_number(wait, "connection"));
    putchar('\n');
    put_holders(wait);
}

static int by_beginning(const void *a, const void *b)
{
    const json_t *x = *(const json_t *const *)a, *y = *(const json_t *const *)b;
    return strcmp(fg_answer_text(x, "began"), fg_answer_text(y, "began"));
}

static int show(const struct fg_ask *ask, const char *target)
{
    unsigned status;
    json_t *root = fg_ask_json(ask, target, &status), *wait;
    size_t i;

    if (!root) {
        if (status == 404)
            fprintf(stderr, "fusegate trace: %s: the gateway has no /trace: it is of an older version\n", ask->address);
        return FG_EXIT_FAILED;
    }
    const json_t *waits = json_object_get(root, "waits");
    size_t len = json_array_size(waits);
    const json_t **sorted = calloc(len + 1, sizeof(const json_t *));
    if (!sorted) {
        json_decref(root);
        return FG_EXIT_FAILED;
    }
    json_array_foreach((json_t *)waits, i, wait) sorted[i] = wait;
    qsort(sorted, len, sizeof *sorted, by_beginning);
    for (i = 0; i < len; i++)
        put_wait(sorted[i]);
    if (len == 0)
        printf("no call was held up\n");
    if (!json_is_true(json_object_get(root, "complete")))
        printf("a worker did not answer in time: its waits are missing\n");
    free(sorted);
    json_decref(root);
    return FG_EXIT_OK;
}

/* ---- watching ---- */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

/* For how long it did, in milliseconds. */
static uint64_t watch(unsigned long seconds)
{
    struct sigaction action = {.sa_handler = on_interrupt}, before;
    struct timespec begin, now, left = {(time_t)seconds, 0};

    clock_gettime(CLOCK_MONOTONIC, &begin);
    fprintf(stderr, "watching for %lu s\n", seconds);
    sigaction(SIGINT, &action, &before);
    while (!interrupted && nanosleep(&left, &left) != 0 && errno == EINTR)
        continue;
    sigaction(SIGINT, &before, NULL);
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)((now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1000000);
}

static bool read_ms(struct fg_args *args, const char *option, const char *text, uint64_t *ms)
{
    uint64_t ns;

    if (fg_value_duration(fg_str_from(text), &ns) != 0 || ns / FG_MS > UINT32_MAX) {
        fprintf(stderr, "fusegate %s: %s: found \"%s\", expected a duration such as 250ms, 5s or 2m\n", args->command,
                option, text);
        return false;
    }
    *ms = ns / FG_MS;
    return true;
}

int fg_cli_trace(int argc, char **argv)
{
    struct fg_ask ask = {.command = "trace"};
    const char *seconds = NULL, *last = "30s", *min = "100ms", *cause = "";
    bool peers = false;
    const struct fg_arg known[] = {{"--seconds", &seconds, NULL}, {"--last", &last, NULL},   {"--min", &min, NULL},
                                   {"--cause", &cause, NULL},     {"--peers", NULL, &peers}, FG_ASK_ARGS(ask)};
    struct fg_args args = {.command = "trace", .usage = usage, .known = known, .known_len = FG_ARRAY_LEN(known)};
    unsigned long watched_s = 0;
    uint64_t last_ms, min_ms;
    char *target = NULL;
    size_t len = 0;

    int result = fg_args_parse(&args, argc, argv);
    if (result >= 0)
        return result;
    if (!read_ms(&args, "--last", last, &last_ms) || !read_ms(&args, "--min", min, &min_ms) ||
        (seconds && fg_args_number(&args, "--seconds", seconds, 86400, &watched_s) != 0))
        return FG_EXIT_USAGE;
    fg_ask_defaults(&ask);
    if (seconds)
        last_ms = watch(watched_s);
    FILE *out = open_memstream(&target, &len);
    if (!out)
        return FG_EXIT_FAILED;
    fprintf(out, "/trace?last_ms=%llu&min_ms=%llu&peers=%d&cause=", (unsigned long long)last_ms,
            (unsigned long long)min_ms, peers);
    fg_ask_encode(out, cause);
    fclose(out);
    result = ask.json ? fg_ask_print(&ask, target) : show(&ask, target);
    free(target);
    return result;
}
