/* fusegate breakers: all circuits of a gateway. */
#include <stdlib.h>

#include "cli/args.h"
#include "cli/ask.h"
#include "cli/cli.h"

static const char usage[] =
    "usage: fusegate breakers [--cluster C] [--endpoint E] [--method M] [--state STATE]\n"
    "\n"
    "The circuits: of a method on an endpoint, of all methods of an endpoint (method \"all\"), and\n"
    "of a method over all endpoints (endpoint \"all\", which refuses nothing). Method \"*\" is what\n"
    "methods share for which there was no room. `fusegate explain` tells more about one.\n"
    "\n"
    "  --cluster C, --endpoint E, --method M   only those\n"
    "  --state STATE     only those: open, half_open or closed\n"
    "  --limit N         at most so many (1000)\n" FG_ASK_USAGE;

static const char *const headings[] = {"CLUSTER",  "ENDPOINT",  "METHOD",     "STATE",  ">SINCE",
                                       "CAUSE",    ">OBSERVED", ">THRESHOLD", ">CALLS", ">FAILURES",
                                       ">REFUSED", ">SHED",     ">NEXT PROBE"};

struct options {
    struct fg_ask ask;
    const char *cluster, *endpoint, *method, *state, *limit;
};

static void put_name(struct fg_grid *grid, const json_t *breaker, const char *key)
{
    if (fg_answer_text(breaker, key)[0])
        fg_grid_name(grid, breaker, key);
    else
        fg_grid_cell(grid, "all");
}

static void put_breaker(struct fg_grid *grid, const json_t *breaker)
{
    const json_t *since = json_object_get(breaker, "since_ms");
    const char *cause = fg_answer_text(breaker, "cause");
    bool closed = strcmp(fg_answer_text(breaker, "state"), "closed") == 0;
    char text[FG_DURATION_BYTES];

    fg_grid_name(grid, breaker, "cluster");
    put_name(grid, breaker, "endpoint");
    put_name(grid, breaker, "method");
    fg_grid_cell(grid, fg_answer_text(breaker, "state"));
    fg_grid_cell(grid, since ? fg_duration_text(json_number_value(since), text) : "-");
    fg_grid_cell(grid, cause[0] ? cause : "-");
    if (cause[0]) {
        fg_grid_cellf(grid, "%.4g", fg_answer_number(breaker, "observed"));
        fg_grid_cellf(grid, "%.4g", fg_answer_number(breaker, "threshold"));
    } else {
        fg_grid_cell(grid, "-");
        fg_grid_cell(grid, "-");
    }
    fg_grid_cellf(grid, "%.10g", fg_answer_number(breaker, "calls"));
    fg_grid_cellf(grid, "%.10g", fg_answer_number(breaker, "failures"));
    fg_grid_cellf(grid, "%.0f", fg_answer_number(breaker, "refused"));
    fg_grid_cellf(grid, "%.0f", fg_answer_number(breaker, "shed"));
    fg_grid_cell(grid, closed ? "-" : fg_duration_text(fg_answer_number(breaker, "retry_in_ms"), text));
}

static int show(const struct fg_ask *ask, const char *target)
{
    struct fg_grid grid;
    unsigned status;
    json_t *root = fg_ask_json(ask, target, &status), *breaker;
    size_t i;

    if (!root) {
        if (status == 404)
            fprintf(stderr, "fusegate breakers: %s: the gateway has no /breakers: it is of an older version\n",
                    ask->address);
        return FG_EXIT_FAILED;
    }
    const json_t *all = json_object_get(root, "breakers");
    fg_grid_begin(&grid, stdout, headings, FG_ARRAY_LEN(headings));
    json_array_foreach((json_t *)all, i, breaker) put_breaker(&grid, breaker);
    fg_grid_end(&grid);
    if (json_array_size(all) == 0)
        printf("no such circuits\n");
    if (fg_answer_number(root, "left_out") > 0)
        printf("and %.0f more: --limit, --cluster, --endpoint, --method or --state choose\n",
               fg_answer_number(root, "left_out"));
    json_decref(root);
    return FG_EXIT_OK;
}

/* To be freed. */
static char *target_of(const struct options *options)
{
    const char *const keys[] = {"cluster", "endpoint", "method", "state"};
    const char *const values[] = {options->cluster, options->endpoint, options->method, options->state};
    char *target = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&target, &len);

    if (!out)
        return NULL;
    fprintf(out, "/breakers?limit=%s", options->limit);
    for (size_t i = 0; i < FG_ARRAY_LEN(keys); i++) {
        if (!values[i])
            continue;
        fprintf(out, "&%s=", keys[i]);
        fg_ask_encode(out, values[i]);
    }
    fclose(out);
    return target;
}

int fg_cli_breakers(int argc, char **argv)
{
    struct options options = {.ask.command = "breakers", .limit = "1000"};
    const struct fg_arg known[] = {{"--cluster", &options.cluster, NULL}, {"--endpoint", &options.endpoint, NULL},
                                   {"--method", &options.method, NULL},   {"--state", &options.state, NULL},
                                   {"--limit", &options.limit, NULL},     FG_ASK_ARGS(options.ask)};
    struct fg_args args = {.command = "breakers", .usage = usage, .known = known, .known_len = FG_ARRAY_LEN(known)};
    unsigned long number;

    int result = fg_args_parse(&args, argc, argv);
    if (result >= 0)
        return result;
    if (fg_args_number(&args, "--limit", options.limit, 1000000, &number) != 0)
        return FG_EXIT_USAGE;
    fg_ask_defaults(&options.ask);
    char *target = target_of(&options);
    if (!target)
        return FG_EXIT_FAILED;
    result = options.ask.json ? fg_ask_print(&options.ask, target) : show(&options.ask, target);
    free(target);
    return result;
}
