#include "cli/explain.h"

#include <stdlib.h>

#include "cli/ask.h"

/* ---- which ---- */

static bool is(const json_t *object, const char *key, const char *value)
{
    return strcmp(fg_answer_text(object, key), value) == 0;
}

static void put_name(const json_t *circuit, const char *key, FILE *out)
{
    char *name = fg_answer_name(circuit, key);

    fg_print_text(out, name[0] == '/' && name[1] ? name + 1 : name);
    free(name);
}

/* Roll-ups and "*" stand for many. */
static const char *verb(const json_t *circuit, const char *of_one, const char *of_many)
{
    const char *method = fg_answer_text(circuit, "method");
    return method[0] == '\0' || strcmp(method, "*") == 0 ? of_many : of_one;
}

static void put_subject(const json_t *circuit, FILE *out)
{
    bool of_endpoint = fg_answer_text(circuit, "method")[0] == '\0',
         of_all = fg_answer_text(circuit, "endpoint")[0] == '\0';

    if (of_endpoint) {
        fputs("All methods", out);
    } else if (is(circuit, "method", "*")) {
        fputs("The methods without a circuit of their own", out);
    } else {
        put_name(circuit, "method", out);
    }
    fputs(of_all ? " over all endpoints" : " on ", out);
    put_name(circuit, "endpoint", out);
    fputs(" (cluster ", out);
    put_name(circuit, "cluster", out);
    fputc(')', out);
}

/* ---- why ---- */

/* Where calls do not differ in their class, there is one row. */
static bool has_classes(const json_t *circuit)
{
    return json_array_size(json_object_get(circuit, "thresholds")) > 1;
}

/* " for priority 1", or the factor where no priority has it. */
static void put_class(const json_t *circuit, FILE *out)
{
    double factor = fg_answer_number(circuit, "factor");
    int priority = factor == 1000 ? 0 : factor == 1300 ? 1 : factor == 1600 ? 2 : -1;

    if (!has_classes(circuit))
        return;
    if (priority >= 0)
        fprintf(out, " for priority %d", priority);
    else
        fprintf(out, " for a class of factor %.4g", factor / 1000);
}

static void put_cause(const json_t *circuit, FILE *out)
{
    double observed = fg_answer_number(circuit, "observed"), threshold = fg_answer_number(circuit, "threshold");
    bool slow = is(circuit, "cause", "slow_ratio");

    if (is(circuit, "cause", "consecutive_failures"))
        fprintf(out, "%.0f failures in a row (threshold %.0f", observed, threshold);
    else if (slow || is(circuit, "cause", "failure_ratio"))
        fprintf(out, "%.4g %% of the calls %s (threshold %.4g %%", 100 * observed, slow ? "were slow" : "failed",
                100 * threshold);
    else if (is(circuit, "cause", "probe_failed")) {
        fprintf(out, "a probe failed after %.0f of %.0f had succeeded", observed, threshold);
        return;
    } else {
        fg_print_text(out, fg_answer_text(circuit, "cause"));
        return;
    }
    put_class(circuit, out);
    fputc(')', out);
}

/* "priority 0, 1 and 2" */
static void put_priorities(size_t from, size_t to, FILE *out)
{
    for (size_t i = from; i < to; i++)
        fprintf(out, "%s%zu", i == from ? "priority " : i + 1 == to ? " and " : ", ", i);
}

/* " for priority 0 and 1, while priority 2 goes on", of a circuit that is not closed. */
static void put_refused_classes(const json_t *circuit, FILE *out)
{
    const json_t *thresholds = json_object_get(circuit, "thresholds");
    size_t classes = json_array_size(thresholds), refused = 0;

    while (refused < classes && json_is_true(json_object_get(json_array_get(thresholds, refused), "refused")))
        refused++;
    if (refused == classes)
        return;
    fputs(" for ", out);
    if (refused > 0)
        put_priorities(0, refused, out);
    else
        fprintf(out, "classes of a factor up to %.4g", fg_answer_number(circuit, "severity") / 1000);
    fputs(", while ", out);
    put_priorities(refused, classes, out);
    fputs(refused + 1 == classes ? " goes on" : " go on", out);
}

static void put_next_probe(const json_t *circuit, FILE *out)
{
    double ms = fg_answer_number(circuit, "retry_in_ms");
    char text[FG_DURATION_BYTES];

    if (ms > 0)
        fprintf(out, "; next probe in %s", fg_duration_text(ms, text));
    else
        fputs("; the next call is a probe", out);
}

static void put_since(const json_t *circuit, const char *before, const char *after, FILE *out)
{
    const json_t *since = json_object_get(circuit, "since_ms");
    char text[FG_DURATION_BYTES];

    if (since)
        fprintf(out, "%s%s%s", before, fg_duration_text(json_number_value(since), text), after);
}

static void put_open(const json_t *circuit, FILE *out)
{
    double retrips = fg_answer_number(circuit, "retrips");
    char text[FG_DURATION_BYTES];

    fputs(verb(circuit, " is refused", " are refused"), out);
    put_refused_classes(circuit, out);
    fputs(": ", out);
    put_cause(circuit, out);
    put_since(circuit, " ", " ago", out);
    put_next_probe(circuit, out);
    if (retrips > 1)
        fprintf(out, " (trip %.0f without healthy time in between: pause %s)", retrips,
                fg_duration_text(fg_answer_number(circuit, "pause_ms"), text));
    fputs(".\n", out);
}

static void put_half_open(const json_t *circuit, FILE *out)
{
    fputs(verb(circuit, " is being probed", " are being probed"), out);
    put_since(circuit, " for ", "", out);
    fprintf(out, ", after ");
    put_cause(circuit, out);
    fprintf(out, ": %.0f probes are out, %.0f successes close it", fg_answer_number(circuit, "permits_out"),
            fg_answer_number(circuit, "half_open_calls"));
    put_refused_classes(circuit, out);
    if (fg_answer_number(circuit, "retry_in_ms") > 0)
        put_next_probe(circuit, out);
    fputs(".\n", out);
}

static void put_closed(const json_t *circuit, FILE *out)
{
    if (json_is_false(json_object_get(circuit, "enabled")))
        fprintf(out, "%s: breaker.enabled is false", verb(circuit, " passes", " pass"));
    else if (fg_answer_text(circuit, "endpoint")[0] == '\0')
        fputs(": this circuit only counts", out);
    else
        fprintf(out, "%s: closed", verb(circuit, " passes", " pass"));
    put_since(circuit, " for ", "", out);
    if (fg_answer_text(circuit, "cause")[0]) {
        fputs("; it was open because of ", out);
        put_cause(circuit, out);
    }
    fputs(".\n", out);
}

/* ---- numbers ---- */

static void put_share(const char *what, double part, double all, FILE *out)
{
    if (all > 0)
        fprintf(out, ", %.4g %s (%.4g %%)", part, what, 100 * part / all);
}

static void put_count(double count, const char *before, const char *what, FILE *out)
{
    fprintf(out, "%s%.10g %s%s", before, count, what, count == 1 ? "" : "s");
}

static void put_window(const json_t *circuit, FILE *out)
{
    const json_t *window = json_object_get(circuit, "window");
    double calls = fg_answer_number(window, "calls"), shed = fg_answer_number(circuit, "shed_share");
    char text[FG_DURATION_BYTES];

    fprintf(out, "  last %s", fg_duration_text(fg_answer_number(window, "ms"), text));
    put_count(calls, ": ", "call", out);
    put_share("failed", fg_answer_number(window, "failures"), calls, out);
    put_share("slow", fg_answer_number(window, "slow"), fg_answer_number(window, "slow_calls"), out);
    put_share("overloaded", fg_answer_number(window, "overloads"), fg_answer_number(window, "overload_calls"), out);
    put_count(fg_answer_number(circuit, "consecutive_failures"), "; ", "failure", out);
    fputs(" in a row\n", out);
    if (shed > 0)
        fprintf(out, "  overloaded: %.3g %% of the calls are kept away from it\n", 100 * shed);
    put_count(fg_answer_number(circuit, "trips"), "  since the start: ", "trip", out);
    put_count(fg_answer_number(circuit, "refused"), ", ", "refusal", out);
    if (fg_answer_number(circuit, "shed") > 0)
        fprintf(out, ", %.0f kept away because of overload", fg_answer_number(circuit, "shed"));
    fputc('\n', out);
}

static void put_row(struct fg_grid *grid, const json_t *thresholds, const char *what, const char *key, bool share)
{
    json_t *threshold;
    size_t i;

    if (!json_object_get(json_array_get(thresholds, 0), key))
        return;
    fg_grid_cell(grid, what);
    json_array_foreach((json_t *)thresholds, i, threshold)
    {
        double value = fg_answer_number(threshold, key);
        if (!share && value == 0)
            fg_grid_cell(grid, "off");
        else
            fg_grid_cellf(grid, share ? "%.4g %%" : "%.0f", share ? 100 * value : value);
    }
}

static void put_thresholds(const json_t *circuit, FILE *out)
{
    static const char *const by_priority[] = {"  trips it", ">PRIORITY 0", ">PRIORITY 1", ">PRIORITY 2"};
    static const char *const of_all[] = {"  trips it", ">"};
    const json_t *thresholds = json_object_get(circuit, "thresholds");
    struct fg_grid grid;
    char text[64];

    if (json_array_size(thresholds) != (has_classes(circuit) ? 3 : 1))
        return;
    if (has_classes(circuit))
        fg_grid_begin(&grid, out, by_priority, FG_ARRAY_LEN(by_priority));
    else
        fg_grid_begin(&grid, out, of_all, FG_ARRAY_LEN(of_all));
    put_row(&grid, thresholds, "  failures in a row", "consecutive_failures", false);
    snprintf(text, sizeof text, "  failed, of %.0f calls or more", fg_answer_number(circuit, "minimum_calls"));
    put_row(&grid, thresholds, text, "failure_ratio", true);
    snprintf(text, sizeof text, "  slow, of %.0f calls or more", fg_answer_number(circuit, "minimum_calls"));
    put_row(&grid, thresholds, text, "slow_ratio", true);
    fg_grid_end(&grid);
}

static void put_outcomes(const json_t *circuit, FILE *out)
{
    static const char *const headings[] = {"  outcomes that tripped it", "SOURCE", "CLASS", ">DURATION", ">AGO"};
    json_t *outcomes = json_object_get(circuit, "outcomes"), *outcome;
    struct fg_grid grid;
    char text[FG_DURATION_BYTES];
    size_t i;

    fg_grid_begin(&grid, out, headings, FG_ARRAY_LEN(headings));
    json_array_foreach(outcomes, i, outcome)
    {
        bool slow = json_is_true(json_object_get(outcome, "slow"));
        double duration_ms = fg_answer_number(outcome, "duration_ms"); /* in whole milliseconds */
        fg_grid_cellf(&grid, "  %s", fg_answer_text(outcome, "code"));
        fg_grid_cell(&grid, fg_answer_text(outcome, "source"));
        fg_grid_cellf(&grid, "%s%s", fg_answer_text(outcome, "class"), slow ? ", slow" : "");
        fg_grid_cell(&grid, duration_ms < 1 ? "< 1 ms" : fg_duration_text(duration_ms, text));
        fg_grid_cell(&grid, fg_duration_text(fg_answer_number(outcome, "age_ms"), text));
    }
    fg_grid_end(&grid);
}

void fg_explain_circuit(const json_t *circuit, FILE *out)
{
    put_subject(circuit, out);
    if (is(circuit, "state", "open"))
        put_open(circuit, out);
    else if (is(circuit, "state", "half_open"))
        put_half_open(circuit, out);
    else
        put_closed(circuit, out);
    put_outcomes(circuit, out);
    put_window(circuit, out);
    if (fg_answer_text(circuit, "endpoint")[0] && !json_is_false(json_object_get(circuit, "enabled")))
        put_thresholds(circuit, out);
}
