/* fusegate clusters: the endpoints, their load and their breakers. */
#include "cli/args.h"
#include "cli/ask.h"
#include "cli/cli.h"

static const char usage[] =
    "usage: fusegate clusters\n"
    "\n"
    "The endpoints of each cluster with their connections and load, the state of the breaker\n"
    "over all of an endpoint's methods, and how many of its methods are not let through freely.\n"
    "\n" FG_ASK_USAGE;

static const char *const headings[] = {"CLUSTER", "ENDPOINT", "BREAKER",  ">METHODS", ">NOT CLOSED", ">REFUSED",
                                       ">WEIGHT", ">CONNS",   ">STALLED", ">STREAMS", ">ACTIVE",     ">WAITING"};

static void put_endpoint(struct fg_grid *grid, const json_t *cluster, const json_t *endpoint)
{
    static const char *const counts[] = {"weight", "connections", "stalled", "streams", "active", "waiting"};
    const json_t *breaker = json_object_get(endpoint, "breaker");
    json_t *methods = json_object_get(endpoint, "methods"), *method;
    double refused = fg_answer_number(breaker, "refused");
    unsigned not_closed = 0;
    const char *name;

    json_object_foreach(methods, name, method)
    {
        not_closed += strcmp(fg_answer_text(method, "state"), "closed") != 0;
        refused += fg_answer_number(method, "refused");
    }
    fg_grid_name(grid, cluster, "name");
    fg_grid_name(grid, endpoint, "address");
    fg_grid_cell(grid, fg_answer_text(breaker, "state"));
    fg_grid_cellf(grid, "%zu", json_object_size(methods));
    fg_grid_cellf(grid, "%u", not_closed);
    fg_grid_cellf(grid, "%.0f", refused);
    for (size_t i = 0; i < FG_ARRAY_LEN(counts); i++)
        fg_grid_cellf(grid, "%.0f", fg_answer_number(endpoint, counts[i]));
}

static int show(const struct fg_ask *ask)
{
    struct fg_grid grid;
    unsigned status;
    json_t *root = fg_ask_json(ask, "/clusters", &status), *cluster, *endpoint;
    size_t i, k;

    if (!root) {
        if (status == 404)
            fprintf(stderr, "fusegate clusters: %s: the gateway has no /clusters\n", ask->address);
        return FG_EXIT_FAILED;
    }
    fg_grid_begin(&grid, stdout, headings, FG_ARRAY_LEN(headings));
    json_array_foreach(json_object_get(root, "clusters"), i, cluster)
        json_array_foreach(json_object_get(cluster, "endpoints"), k, endpoint) put_endpoint(&grid, cluster, endpoint);
    fg_grid_end(&grid);
    if (!json_is_true(json_object_get(root, "complete")))
        printf("a worker did not answer in time: its load is missing\n");
    json_decref(root);
    return FG_EXIT_OK;
}

int fg_cli_clusters(int argc, char **argv)
{
    struct fg_ask ask = {.command = "clusters"};
    const struct fg_arg known[] = {FG_ASK_ARGS(ask)};
    struct fg_args args = {.command = "clusters", .usage = usage, .known = known, .known_len = FG_ARRAY_LEN(known)};

    int result = fg_args_parse(&args, argc, argv);
    if (result >= 0)
        return result;
    fg_ask_defaults(&ask);
    return ask.json ? fg_ask_print(&ask, "/clusters") : show(&ask);
}
