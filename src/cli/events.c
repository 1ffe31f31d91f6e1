/* fusegate events: when which breaker changed its state, and why. */
#include "cli/args.h"
#include "cli/ask.h"
#include "cli/cli.h"

static const char usage[] =
    "usage: fusegate events [--follow] [--since SEQ]\n"
    "\n"
    "The latest changes of state of breakers, oldest first. REFUSES is up to which factor of a\n"
    "call's class calls are refused from then on; priority 0 has the factor 1, 1 has 1.3, 2 has 1.6.\n"
    "\n"
    "  --follow          go on with what comes, until interrupted\n"
    "  --since SEQ       from this number on (0)\n" FG_ASK_USAGE;

static const char *const headings[] = {">SEQ",   "TIME",  "CLUSTER",   "ENDPOINT",   "METHOD",
                                       "CHANGE", "CAUSE", ">OBSERVED", ">THRESHOLD", ">REFUSES"};

static void put_event(struct fg_grid *grid, const json_t *event)
{
    const char *cause = fg_answer_text(event, "cause"), *endpoint = fg_answer_text(event, "endpoint");
    const char *method = fg_answer_text(event, "method");
    bool trip = strcmp(fg_answer_text(event, "to"), "open") == 0;

    fg_grid_cellf(grid, "%.0f", fg_answer_number(event, "seq"));
    fg_grid_cell(grid, fg_answer_text(event, "time"));
    fg_grid_name(grid, event, "cluster");
    fg_grid_cell(grid, endpoint[0] ? endpoint : "all");
    if (method[0])
        fg_grid_name(grid, event, "method");
    else
        fg_grid_cell(grid, "all");
    fg_grid_cellf(grid, "%s -> %s", fg_answer_text(event, "from"), fg_answer_text(event, "to"));
    fg_grid_cell(grid, trip ? cause : "-");
    if (trip) {
        fg_grid_cellf(grid, "%.4g", fg_answer_number(event, "observed"));
        fg_grid_cellf(grid, "%.4g", fg_answer_number(event, "threshold"));
        if (json_is_true(json_object_get(event, "refuses_all")))
            fg_grid_cell(grid, "all");
        else
            fg_grid_cellf(grid, "factor <= %.4g", fg_answer_number(event, "severity") / 1000);
    } else {
        for (int i = 0; i < 3; i++)
            fg_grid_cell(grid, "-");
    }
}

static int say_missing(const struct fg_ask *ask, unsigned status)
{
    if (status == 404)
        fprintf(stderr, "fusegate events: %s: the gateway has no /events: it is of an older version\n", ask->address);
    return FG_EXIT_FAILED;
}

/* What was kept; *NEXT is where to go on. */
static int show(const struct fg_ask *ask, const char *since, struct fg_grid *grid, double *next)
{
    char target[64];
    unsigned status;
    json_t *event;
    size_t i;

    snprintf(target, sizeof target, "/events?since=%s", since);
    json_t *root = fg_ask_json(ask, target, &status);
    if (!root)
        return say_missing(ask, status);
    const json_t *events = json_object_get(root, "events");
    json_array_foreach((json_t *)events, i, event) put_event(grid, event);
    fg_grid_flush(grid);
    if (json_array_size(events) == 0)
        printf("no breaker has changed its state%s\n", strcmp(since, "0") == 0 ? "" : " since");
    if (fg_answer_number(root, "lost") > 0 && strcmp(since, "0") != 0)
        printf("%.0f events before the first of these are no longer kept\n", fg_answer_number(root, "lost"));
    *next = fg_answer_number(root, "next");
    fflush(stdout);
    json_decref(root);
    return FG_EXIT_OK;
}

static bool on_line(void *context, const char *line)
{
    struct fg_grid *grid = context;
    json_t *event = json_loads(line, JSON_ALLOW_NUL, NULL);

    if (event) {
        put_event(grid, event);
        fg_grid_flush(grid);
        json_decref(event);
    }
    return fflush(stdout) == 0;
}

static bool on_raw_line(void *context, const char *line)
{
    (void)context;
    puts(line);
    return fflush(stdout) == 0;
}

static int follow(const struct fg_ask *ask, const char *since)
{
    struct fg_grid grid;
    char target[96];
    double next = 0;

    if (ask->json) {
        snprintf(target, sizeof target, "/events?follow=1&since=%s", since);
        return fg_ask_follow(ask, target, on_raw_line, NULL) == 0 ? FG_EXIT_OK : FG_EXIT_FAILED;
    }
    fg_grid_begin(&grid, stdout, headings, FG_ARRAY_LEN(headings));
    int result = show(ask, since, &grid, &next);
    snprintf(target, sizeof target, "/events?follow=1&since=%.0f", next);
    if (result == FG_EXIT_OK && fg_ask_follow(ask, target, on_line, &grid) != 0)
        result = FG_EXIT_FAILED;
    fg_grid_end(&grid);
    return result;
}

int fg_cli_events(int argc, char **argv)
{
    struct fg_ask ask = {.command = "events"};
    const char *since = "0";
    bool follows = false;
    const struct fg_arg known[] = {{"--since", &since, NULL}, {"--follow", NULL, &follows}, FG_ASK_ARGS(ask)};
    struct fg_args args = {.command = "events", .usage = usage, .known = known, .known_len = FG_ARRAY_LEN(known)};
    struct fg_grid grid;
    unsigned long number;
    char target[64];
    double next;

    int result = fg_args_parse(&args, argc, argv);
    if (result >= 0)
        return result;
    if (fg_args_number(&args, "--since", since, 1ul << 62, &number) != 0)
        return FG_EXIT_USAGE;
    fg_ask_defaults(&ask);
    if (follows)
        return follow(&ask, since);
    snprintf(target, sizeof target, "/events?since=%lu", number);
    if (ask.json)
        return fg_ask_print(&ask, target);
    fg_grid_begin(&grid, stdout, headings, FG_ARRAY_LEN(headings));
    result = show(&ask, since, &grid, &next);
    fg_grid_end(&grid);
    return result;
}
