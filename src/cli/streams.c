/* fusegate streams: the calls in progress, and what each waits for. */
#include "cli/args.h"
#include "cli/ask.h"
#include "cli/cli.h"

static const char usage[] = "usage: fusegate streams [--limit N]\n"
                            "\n"
                            "The calls in progress, those that have waited longest first.\n"
                            "\n"
                            "  --limit N         at most so many of each worker (1000)\n" FG_ASK_USAGE;

static const char *const headings[] = {"METHOD", "ENDPOINT", "PEER",  "PHASE",     ">ATTEMPT", ">AGE",
                                       ">LEFT",  ">UP",      ">DOWN", "WAITS FOR", ">SINCE"};

static void put_stream(struct fg_grid *grid, const json_t *stream)
{
    const json_t *wait = json_object_get(stream, "wait");
    const json_t *left = json_object_get(stream, "deadline_in_ms");
    bool waits = strcmp(fg_answer_text(wait, "cause"), "none") != 0;
    char text[FG_DURATION_BYTES];

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
    if (json_array_size(streams) == 0)
        printf("no calls are in progress\n");
    if (!json_is_true(json_object_get(root, "complete")))
        printf("a worker did not answer in time: its calls are missing\n");
    json_decref(root);
    return FG_EXIT_OK;
}

int fg_cli_streams(int argc, char **argv)
{
    struct fg_ask ask = {.command = "streams"};
    const char *limit = "1000";
    const struct fg_arg known[] = {{"--limit", &limit, NULL}, FG_ASK_ARGS(ask)};
    struct fg_args args = {.command = "streams", .usage = usage, .known = known, .known_len = FG_ARRAY_LEN(known)};
    unsigned long number;
    char target[64];

    int result = fg_args_parse(&args, argc, argv);
    if (result >= 0)
        return result;
    if (fg_args_number(&args, "--limit", limit, 1000000, &number) != 0)
        return FG_EXIT_USAGE;
    fg_ask_defaults(&ask);
    snprintf(target, sizeof target, "/streams?limit=%lu", number);
    return ask.json ? fg_ask_print(&ask, target) : show(&ask, target);
}
