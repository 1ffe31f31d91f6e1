/* fusegate streams: the calls in progress, and what each waits for. */
#include <stdlib.h>

#include "cli/args.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "base/time.h"
#include "config/value.h"

static const char usage[] =
    "usage: fusegate streams [options]\n"
    "\n"
    "The calls in progress, those that have waited longest first. Names may end with *;\n"
    "*TEXT* stands for all that have TEXT in them.\n"
    "\n"
    "  --method M        such as order.v1.OrderService/*\n"
    "  --cluster C, --endpoint E, --peer P, --dialect D\n"
    "  --wait CAUSE      those that wait for this: stream_window, connection_window, gate, ...\n"
    "  --phase PHASE     new, queued, sent, headers, messages or done\n"
    "  --min-age T       those that have lasted so long: 250ms, 5s, 2m\n"
    "  --min-wait T      those that have waited so long\n"
    "  --sort ORDER      wait (the default), age, bytes or messages; the highest first\n"
    "  --limit N         at most so many (1000)\n"
    "  --offset N        without the first N of them\n" FG_ASK_USAGE;

static const char *const headings[] = {"ID",   "METHOD", "ENDPOINT", "PEER",  "PHASE",     ">ATTEMPT",
                                       ">AGE", ">LEFT",  ">UP",      ">DOWN", "WAITS FOR", ">SINCE"};

static void put_stream(struct fg_grid *grid, const json_t *stream)
{
    const json_t *wait = json_object_get(stream, "wait");
    const json_t *left = json_object_get(stream, "deadline_in_ms");
    bool waits = strcmp(fg_answer_text(wait, "cause"), "none") != 0;
    char text[FG_DURATION_BYTES];

    fg_grid_cell(grid, fg_answer_text(stream, "id"));
    fg_grid_name(grid, stream, "method");
    fg_grid_name(grid, stream, "endpoint");
    fg_grid_cell(grid, fg_answer_text(json_object_get(stream, "downstream"), "peer"));
    fg_grid_cell(grid, fg_answer_text(stream, "phase"));
    fg_grid_cellf(grid, "%.0f", fg_answer_number(stream, "attempt"));
    fg_grid_cell(grid, fg_duration_text(fg_answer_number(stream, "age_ms"), text));
    fg_grid_cell(grid, left ? fg_duration_text(json_number_value(left), text) : "-");
    fg_grid_cellf(grid, "%.0f", fg_answer_number(stream, "messages_up"));
    fg_grid_cellf(grid, "%.0f", fg_answer_number(stream, "messages_down"));
    fg_grid_cell(grid, waits ? fg_answer_text(wait, "cause") : "-");
    fg_grid_cell(grid, waits ? fg_duration_text(fg_answer_number(wait, "age_ms"), text) : "-");
}

static int show(const struct fg_ask *ask, const char *target)
{
    struct fg_grid grid;
    unsigned status;
    json_t *root = fg_ask_json(ask, target, &status), *stream;
    size_t i;

    if (!root) {
        if (status == 404)
            fprintf(stderr, "fusegate streams: %s: the gateway has no /streams\n", ask->address);
        return FG_EXIT_FAILED;
    }
    const json_t *streams = json_object_get(root, "streams");
    fg_grid_begin(&grid, stdout, headings, FG_ARRAY_LEN(headings));
    json_array_foreach((json_t *)streams, i, stream) put_stream(&grid, stream);
    fg_grid_end(&grid);
    double total = fg_answer_number(root, "total"), matched = fg_answer_number(root, "matched");
    if (total == 0)
        printf("no calls are in progress\n");
    else if ((double)json_array_size(streams) < matched || matched < total)
        printf("%zu shown, %.0f match, %.0f are in progress\n", json_array_size(streams), matched, total);
    if (!json_is_true(json_object_get(root, "complete")))
        printf("a worker did not answer in time: its calls are missing\n");
    json_decref(root);
    return FG_EXIT_OK;
}

struct options {
    struct fg_ask ask;
    const char *method, *cluster, *endpoint, *peer, *dialect, *wait, *phase, *sort, *min_age, *min_wait, *limit,
        *offset, *kill;
};

static bool put_duration(struct fg_args *args, FILE *out, const char *option, const char *key, const char *text)
{
    uint64_t ns;

    if (!text)
        return true;
    if (fg_value_duration(fg_str_from(text), &ns) != 0) {
        fprintf(stderr, "fusegate %s: %s: found \"%s\", expected a duration such as 250ms, 5s or 2m\n", args->command,
                option, text);
        return false;
    }
    fprintf(out, "&%s=%llu", key, (unsigned long long)(ns / FG_MS));
    return true;
}

/* To be freed; NULL: it has been said what is wrong. */
static char *target_of(struct fg_args *args, const struct options *options)
{
    const char *const keys[] = {"method", "cluster", "endpoint", "peer", "dialect", "wait", "phase", "sort"};
    const char *const values[] = {options->method,  options->cluster, options->endpoint, options->peer,
                                  options->dialect, options->wait,    options->phase,    options->sort};
    unsigned long limit, offset;
    char *target = NULL;
    size_t len = 0;

    if (fg_args_number(args, "--limit", options->limit, 10000, &limit) != 0 ||
        fg_args_number(args, "--offset", options->offset, 10000, &offset) != 0)
        return NULL;
    FILE *out = open_memstream(&target, &len);
    if (!out)
        return NULL;
    fprintf(out, "/streams?limit=%lu&offset=%lu", limit, offset);
    for (size_t i = 0; i < FG_ARRAY_LEN(keys); i++) {
        if (!values[i])
            continue;
        fprintf(out, "&%s=", keys[i]);
        fg_ask_encode(out, values[i]);
    }
    bool good = put_duration(args, out, "--min-age", "min_age_ms", options->min_age) &&
                put_duration(args, out, "--min-wait", "min_wait_ms", options->min_wait);
    fclose(out);
    if (good)
        return target;
    free(target);
    return NULL;
}

static int kill_call(struct fg_ask *ask, const char *id)
{
    struct fg_answer answer;
    char *target = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&target, &len);

    if (!out)
        return FG_EXIT_FAILED;
    fputs("/streams/kill?id=", out);
    fg_ask_encode(out, id);
    fclose(out);
    ask->acts = true;
    int result = fg_ask_get(ask, target, &answer);
    free(target);
    if (result != 0)
        return FG_EXIT_FAILED;
    if (answer.status != 200)
        fprintf(stderr, "fusegate streams: --kill %s: %s", id, answer.text ? answer.text : "\n");
    else if (ask->json)
        printf("%s\n", answer.text);
    else
        printf("call %s is ended\n", id);
    result = answer.status == 200 ? FG_EXIT_OK : FG_EXIT_FAILED;
    fg_answer_cleanup(&answer);
    return result;
}

int fg_cli_streams(int argc, char **argv)
{
    struct options o = {.ask.command = "streams", .limit = "1000", .offset = "0"};
    const struct fg_arg known[] = {{"--method", &o.method, NULL},     {"--cluster", &o.cluster, NULL},
                                   {"--endpoint", &o.endpoint, NULL}, {"--peer", &o.peer, NULL},
                                   {"--dialect", &o.dialect, NULL},   {"--wait", &o.wait, NULL},
                                   {"--phase", &o.phase, NULL},       {"--sort", &o.sort, NULL},
                                   {"--min-age", &o.min_age, NULL},   {"--min-wait", &o.min_wait, NULL},
                                   {"--kill", &o.kill, NULL},         {"--limit", &o.limit, NULL},
                                   {"--offset", &o.offset, NULL},     FG_ASK_ARGS(o.ask)};
    struct fg_args args = {.command = "streams", .usage = usage, .known = known, .known_len = FG_ARRAY_LEN(known)};

    int result = fg_args_parse(&args, argc, argv);
    if (result >= 0)
        return result;
    if (o.kill) {
        fg_ask_defaults(&o.ask);
        return kill_call(&o.ask, o.kill);
    }
    char *target = target_of(&args, &o);
    if (!target)
        return FG_EXIT_USAGE;
    fg_ask_defaults(&o.ask);
    result = o.ask.json ? fg_ask_print(&o.ask, target) : show(&o.ask, target);
    free(target);
    return result;
}
