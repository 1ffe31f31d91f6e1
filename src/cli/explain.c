/* fusegate explain: why calls of a method are refused, or are not. */
#include "cli/explain.h"

#include <stdlib.h>

#include "base/mem.h"
#include "cli/args.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "config/nearest.h"

static const char usage[] =
    "usage: fusegate explain METHOD [ENDPOINT]\n"
    "\n"
    "Says for each endpoint whether calls of METHOD are let through: what opened its breaker, when, which\n"
    "outcomes these were, when the next probe goes; what is in the window now, and what would trip it.\n"
    "METHOD is pkg.Service/Method, or its last part alone; ENDPOINT is HOST:PORT as in the configuration.\n"
    "\n"
    "  --cluster C       only of this cluster\n" FG_ASK_USAGE;

struct options {
    struct fg_ask ask;
    const char *cluster;
    const char *method, *endpoint;
};

/* ---- what is there ---- */

static bool is_rollup(const json_t *circuit)
{
    return fg_answer_text(circuit, "endpoint")[0] == '\0';
}

/* Without the leading slash. */
static const char *bare(const char *method)
{
    return method[0] == '/' ? method + 1 : method;
}

/* 2: METHOD is what was asked for; 1: its last part is; 0: neither. */
static int match(const char *method, const char *asked)
{
    const char *last = strrchr(method, '/');

    if (strcmp(bare(method), bare(asked)) == 0)
        return 2;
    return last && !strchr(asked, '/') && strcmp(last + 1, asked) == 0;
}

static bool passes(const struct options *options, const json_t *circuit)
{
    char *cluster = fg_answer_name(circuit, "cluster");
    bool wanted = !options->cluster || strcmp(cluster, options->cluster) == 0;

    free(cluster);
    return wanted && fg_answer_text(circuit, "method")[0] != '\0';
}

/* The method that is meant, to be freed; NULL: none, or several. */
static char *choose_method(const struct options *options, const json_t *all)
{
    char *best = NULL;
    int quality = 0;
    bool several = false;
    json_t *circuit;
    size_t i;

    json_array_foreach((json_t *)all, i, circuit)
    {
        char *method = fg_answer_name(circuit, "method");
        int found = passes(options, circuit) ? match(method, options->method) : 0;
        if (found > quality) {
            free(best);
            best = method;
            quality = found;
            several = false;
            continue;
        }
        several |= found > 0 && found == quality && strcmp(method, best) != 0;
        free(method);
    }
    if (several) {
        free(best);
        best = NULL;
    }
    return best;
}

/* ---- what is not ---- */

/* Those that end like it, else the nearest, else all. */
static void list_methods(const struct options *options, const json_t *all)
{
    struct fg_nearest nearest;
    const char *before = "";
    json_t *circuit;
    size_t i, alike = 0, shown = 0;

    fg_nearest_init(&nearest, fg_str_from(bare(options->method)));
    json_array_foreach((json_t *)all, i, circuit)
    {
        if (!passes(options, circuit))
            continue;
        fg_nearest_offer(&nearest, bare(fg_answer_text(circuit, "method")));
        alike += match(fg_answer_text(circuit, "method"), options->method) > 0;
    }
    if (alike == 0 && nearest.best) {
        fprintf(stderr, "did you mean %s?\n", nearest.best);
        return;
    }
    fputs(alike ? "there are several:\n" : "methods that were called:\n", stderr);
    json_array_foreach((json_t *)all, i, circuit)
    {
        const char *method = fg_answer_text(circuit, "method");
        if (!passes(options, circuit) || strcmp(method, before) == 0 || (alike > 0 && !match(method, options->method)))
            continue;
        before = method;
        if (++shown > 20) {
            fputs("  ... (fusegate breakers lists all)\n", stderr);
            break;
        }
        fputs("  ", stderr);
        fg_print_text(stderr, bare(method));
        fputc('\n', stderr);
    }
}

static int say_unknown_method(const struct options *options, const json_t *all)
{
    fprintf(stderr, "fusegate explain: no circuit of method ");
    fg_print_text(stderr, options->method);
    fprintf(stderr, "%s%s at %s: it was not called since the gateway started\n", options->cluster ? " in cluster " : "",
            options->cluster ? options->cluster : "", options->ask.address);
    if (json_array_size(all) > 0)
        list_methods(options, all);
    return FG_EXIT_FAILED;
}

static int say_unknown_endpoint(const struct options *options, const json_t *all, const char *method)
{
    json_t *circuit;
    size_t i;

    fprintf(stderr, "fusegate explain: ");
    fg_print_text(stderr, bare(method));
    fprintf(stderr, " was not called on endpoint ");
    fg_print_text(stderr, options->endpoint);
    fputs("; it was on:\n", stderr);
    json_array_foreach((json_t *)all, i, circuit)
    {
        char *name = fg_answer_name(circuit, "method");
        if (passes(options, circuit) && !is_rollup(circuit) && strcmp(name, method) == 0)
            fprintf(stderr, "  %s\n", fg_answer_text(circuit, "endpoint"));
        free(name);
    }
    return FG_EXIT_FAILED;
}

/* ---- details ---- */

/* Everything about one circuit; METHOD "": all methods of the endpoint. NULL: that has been said. */
static json_t *ask_details(const struct options *options, const char *cluster, const char *endpoint, const char *method)
{
    char *target = NULL;
    size_t len = 0;
    unsigned status;
    FILE *out = open_memstream(&target, &len);

    if (!out)
        return NULL;
    fputs("/breakers/", out);
    fg_ask_encode(out, cluster);
    fputc('/', out);
    fg_ask_encode(out, endpoint);
    fputs("?method=", out);
    fg_ask_encode(out, method);
    fclose(out);
    json_t *details = fg_ask_json(&options->ask, target, &status);
    if (!details && status == 404)
        fprintf(stderr, "fusegate explain: %s: %s is gone\n", options->ask.address, target);
    free(target);
    return details;
}

static bool add_details(const struct options *options, const json_t *circuit, const char *method, json_t *list)
{
    char *cluster = fg_answer_name(circuit, "cluster"), *endpoint = fg_answer_name(circuit, "endpoint");
    json_t *details = ask_details(options, cluster, endpoint, method);

    free(cluster);
    free(endpoint);
    if (details)
        json_array_append_new(list, details);
    return details != NULL;
}

/* The circuits of METHOD: on the endpoints, each followed by that of the endpoint as a whole; then over all. */
static json_t *collect(const struct options *options, const json_t *all, const char *method)
{
    json_t *list = json_array(), *circuit;
    bool complete = true;
    size_t i;

    for (int rollups = 0; rollups <= 1; rollups++)
        json_array_foreach((json_t *)all, i, circuit)
        {
            char *name = fg_answer_name(circuit, "method");
            bool wanted = passes(options, circuit) && strcmp(name, method) == 0 && is_rollup(circuit) == rollups &&
                          (!options->endpoint || strcmp(fg_answer_text(circuit, "endpoint"), options->endpoint) == 0);
            free(name);
            if (!wanted)
                continue;
            complete = complete && add_details(options, circuit, method, list);
            if (!rollups)
                complete = complete && add_details(options, circuit, "", list);
        }
    if (complete)
        return list;
    json_decref(list);
    return NULL;
}

static void print(const struct options *options, json_t *list)
{
    json_t *circuit;
    size_t i;

    if (options->ask.json) {
        json_dumpf(list, stdout, JSON_INDENT(1) | JSON_ENSURE_ASCII);
        putchar('\n');
        return;
    }
    json_array_foreach(list, i, circuit)
    {
        if (i > 0)
            putchar('\n');
        fg_explain_circuit(circuit, stdout);
    }
}

static int explain(const struct options *options)
{
    unsigned status;
    json_t *root = fg_ask_json(&options->ask, "/breakers?limit=1000000", &status);

    if (!root) {
        if (status == 404)
            fprintf(stderr, "fusegate explain: %s: the gateway has no /breakers: it is of an older version\n",
                    options->ask.address);
        return FG_EXIT_FAILED;
    }
    const json_t *all = json_object_get(root, "breakers");
    char *method = choose_method(options, all);
    int result = method ? FG_EXIT_OK : say_unknown_method(options, all);
    json_t *list = method ? collect(options, all, method) : NULL;
    if (method && !list)
        result = FG_EXIT_FAILED;
    else if (list && json_array_size(list) == 0)
        result = say_unknown_endpoint(options, all, method);
    else if (list)
        print(options, list);
    json_decref(list);
    free(method);
    json_decref(root);
    return result;
}

int fg_cli_explain(int argc, char **argv)
{
    struct options options = {.ask.command = "explain"};
    const struct fg_arg known[] = {{"--cluster", &options.cluster, NULL}, FG_ASK_ARGS(options.ask)};
    const char *names[2] = {NULL, NULL};
    struct fg_args args = {.command = "explain",
                           .usage = usage,
                           .known = known,
                           .known_len = FG_ARRAY_LEN(known),
                           .names = names,
                           .names_max = FG_ARRAY_LEN(names)};

    int result = fg_args_parse(&args, argc, argv);
    if (result >= 0)
        return result;
    if (args.names_len == 0) {
        fputs(usage, stderr);
        return FG_EXIT_USAGE;
    }
    options.method = names[0];
    options.endpoint = names[1];
    fg_ask_defaults(&options.ask);
    return explain(&options);
}
