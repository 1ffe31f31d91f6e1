/* fusegate tap: calls of a running gateway as they happen. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/args.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/tap_output.h"
#include "rpc/grpc.h"

static const char usage[] =
    "usage: fusegate tap [options]\n"
    "\n"
    "Calls as they happen: their headers, their messages as JSON, what became of them. It needs\n"
    "admin.token; tap.redact_headers and tap.redact_fields of the configuration are not shown.\n"
    "\n"
    "  --match METHOD    calls of that method; \"*\" at the end stands for the rest, here and below\n"
    "  --cluster NAME    --endpoint ADDRESS    --peer ADDRESS    --dialect NAME\n"
    "  --header NAME:VALUE   whose request has that header\n"
    "  --code CODE       that ended with that code; they are shown when they have ended\n"
    "  --failed          that ended with anything but OK; the same\n"
    "  --rate N          at most so many calls per second, all of each of them (100)\n"
    "  --max-bytes N     of one message (4096; with -o 65536)\n"
    "  --seconds N       end after so long\n"
    "  --count N         end after so many calls\n"
    "  --pretty          messages on several lines\n"
    "  -o FILE           FILE.har: finished calls as a HAR 1.2 archive; FILE.pcapng: a capture that\n"
    "                    Wireshark opens, with the calls as gRPC over HTTP/2; else the lines of JSON\n" FG_ASK_USAGE;

struct options {
    struct fg_ask ask;
    const char *match, *cluster, *endpoint, *peer, *dialect, *header, *code, *rate, *max_bytes, *seconds, *count, *file;
    bool failed, pretty;
};

const char *fg_tap_part(const json_t *field, size_t i)
{
    const char *text = json_string_value(json_array_get(field, i));
    return text ? text : "";
}

char *fg_tap_bytes(const json_t *event, size_t *len)
{
    const json_t *base64 = json_object_get(event, "base64"), *text = json_object_get(event, "text");
    struct fg_str from = {json_string_value(base64), json_string_length(base64)}, bytes = {NULL, 0};
    struct fg_arena arena;
    struct fg_mem mem;
    bool good = true;

    *len = 0;
    if (!base64 && !text)
        return NULL;
    fg_mem_init(&mem);
    fg_arena_init(&arena, &mem);
    if (base64)
        good = fg_base64_decode(&arena, from, &bytes) == 0;
    else
        bytes = (struct fg_str){json_string_value(text), json_string_length(text)};
    char *copy = fg_alloc(bytes.len + 1);
    if (good && bytes.len > 0)
        memcpy(copy, bytes.p, bytes.len);
    *len = good ? bytes.len : 0;
    fg_arena_cleanup(&arena);
    fg_mem_cleanup(&mem);
    return copy;
}

char *fg_tap_base64(const char *bytes, size_t len)
{
    struct fg_arena arena;
    struct fg_mem mem;

    fg_mem_init(&mem);
    fg_arena_init(&arena, &mem);
    struct fg_str text = fg_base64_encode(&arena, bytes, len);
    size_t padding = (4 - text.len % 4) % 4;
    char *copy = fg_alloc(text.len + padding + 1);
    memcpy(copy, text.p, text.len);
    memset(copy + text.len, '=', padding);
    copy[text.len + padding] = '\0';
    fg_arena_cleanup(&arena);
    fg_mem_cleanup(&mem);
    return copy;
}

/* ---- what comes ---- */

struct reading {
    struct fg_tap_output *output; /* NULL: lines as they are */
    FILE *out;
    sigset_t signals; /* that end the command */
    bool failed;      /* it cannot be written */
};

static bool on_line(void *context, const char *line)
{
    struct reading *reading = context;

    if (!reading->output) {
        fprintf(reading->out, "%s\n", line);
        reading->failed = fflush(reading->out) != 0;
        return !reading->failed;
    }
    json_t *event = json_loads(line, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
    sigset_t before;
    pthread_sigmask(SIG_BLOCK, &reading->signals, &before); /* a file is not interrupted in the middle of an event */
    if (event)
        reading->failed = !reading->output->on_event(reading->output, fg_answer_text(event, "event"), event);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    json_decref(event);
    return !reading->failed;
}

/* ---- what is asked for ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    return len > end_len && strcmp(text + len - end_len, end) == 0;
}

static bool put_number(struct fg_args *args, FILE *out, const char *option, const char *key, const char *text)
{
    unsigned long number;

    if (!text)
        return true;
    if (fg_args_number(args, option, text, 1000000000, &number) != 0)
        return false;
    fprintf(out, "&%s=%lu", key, number);
    return true;
}

/* To be freed; NULL: it has been said what is wrong. */
static char *target_of(struct fg_args *args, const struct options *o)
{
    const char *const keys[] = {"method", "cluster", "endpoint", "peer", "dialect", "header", "code"};
    const char *const values[] = {o->match, o->cluster, o->endpoint, o->peer, o->dialect, o->header, o->code};
    bool capture = o->file && ends_with(o->file, ".pcapng");
    char *target = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&target, &len);

    if (!out)
        return NULL;
    fprintf(out, "/tap?failed=%d&bytes=%d", o->failed, capture);
    for (size_t i = 0; i < FG_ARRAY_LEN(keys); i++) {
        if (!values[i])
            continue;
        fprintf(out, "&%s=", keys[i]);
        fg_ask_encode(out, values[i]);
    }
    bool good = put_number(args, out, "--rate", "rate", o->rate) &&
                put_number(args, out, "--max-bytes", "max_bytes",
                           o->max_bytes ? o->max_bytes
                           : o->file    ? "65536"
                                        : NULL) &&
                put_number(args, out, "--seconds", "seconds", o->seconds) &&
                put_number(args, out, "--count", "count", o->count);
    fclose(out);
    if (good)
        return target;
    free(target);
    return NULL;
}

/* Whom the events are for. False: that has been said. */
static bool open_output(const struct options *o, struct reading *reading)
{
    const char *no_colour = getenv("NO_COLOR"), *file = o->file;

    reading->out = stdout;
    if (file) {
        reading->out = fopen(file, "w+e");
        if (!reading->out) {
            fprintf(stderr, "fusegate tap: %s cannot be written: %s\n", file, strerror(errno));
            return false;
        }
    }
    if (file && ends_with(file, ".har"))
        reading->output = fg_tap_har_new(reading->out);
    else if (file && ends_with(file, ".pcapng"))
        reading->output = fg_tap_pcap_new(reading->out);
    else if (!file && !o->ask.json)
        reading->output = fg_tap_print_new(stdout, isatty(STDOUT_FILENO) && !(no_colour && no_colour[0]), o->pretty);
    else
        return true;
    if (!reading->output)
        fprintf(stderr, "fusegate tap: %s cannot be written: it has to be a plain file\n", file);
    return reading->output != NULL;
}

static int run(const struct options *o, const char *target)
{
    struct reading reading = {.output = NULL};

    if (!open_output(o, &reading))
        return FG_EXIT_FAILED;
    sigemptyset(&reading.signals);
    sigaddset(&reading.signals, SIGINT);
    sigaddset(&reading.signals, SIGTERM);
    sigaddset(&reading.signals, SIGHUP);
    int result = fg_ask_follow(&o->ask, target, on_line, &reading) == 0 ? FG_EXIT_OK : FG_EXIT_FAILED;
    if (reading.failed) {
        fprintf(stderr, "fusegate tap: %s cannot be written: %s\n", o->file ? o->file : "standard output",
                strerror(errno));
        result = FG_EXIT_FAILED;
    }
    if (reading.output)
        reading.output->free(reading.output);
    if (o->file)
        fclose(reading.out);
    return result;
}

int fg_cli_tap(int argc, char **argv)
{
    struct options o = {.ask = {.command = "tap", .shows = true}};
    const struct fg_arg known[] = {
        {"--match", &o.match, NULL},     {"--cluster", &o.cluster, NULL}, {"--endpoint", &o.endpoint, NULL},
        {"--peer", &o.peer, NULL},       {"--dialect", &o.dialect, NULL}, {"--header", &o.header, NULL},
        {"--code", &o.code, NULL},       {"--rate", &o.rate, NULL},       {"--max-bytes", &o.max_bytes, NULL},
        {"--seconds", &o.seconds, NULL}, {"--count", &o.count, NULL},     {"--failed", NULL, &o.failed},
        {"--pretty", NULL, &o.pretty},   {"-o", &o.file, NULL},           FG_ASK_ARGS(o.ask)};
    struct fg_args args = {.command = "tap", .usage = usage, .known = known, .known_len = FG_ARRAY_LEN(known)};

    int result = fg_args_parse(&args, argc, argv);
    if (result >= 0)
        return result;
    char *target = target_of(&args, &o);
    if (!target)
        return FG_EXIT_USAGE;
    fg_ask_defaults(&o.ask);
    result = run(&o, target);
    free(target);
    return result;
}
