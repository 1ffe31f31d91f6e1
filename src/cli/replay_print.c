#include "cli/replay_print.h"

#include <jansson.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "base/time.h"

static const char *const headings[] = {"TIME",  "CLUSTER",   "ENDPOINT",   "METHOD",  "CHANGE",
                                       "CAUSE", ">OBSERVED", ">THRESHOLD", ">REFUSES"};

#define TIME_BYTES 40

static const char *time_text(uint64_t wall_ms, char out[TIME_BYTES])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm utc;

    if (wall_ms == 0)
        return "-";
    gmtime_r(&seconds, &utc);
    size_t len = strftime(out, TIME_BYTES - 8, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(out + len, TIME_BYTES - len, ".%03uZ", (unsigned)(wall_ms % 1000));
    return out;
}

/* To be freed. */
static char *copy(struct fg_str s)
{
    char *text = fg_alloc(s.len + 1);

    if (s.len > 0)
        memcpy(text, s.p, s.len);
    text[s.len] = '\0';
    return text;
}

/* ---- changes ---- */

void fg_replay_print_begin(struct fg_replay_printer *printer)
{
    printer->changes = 0;
    if (printer->json)
        fputs("{\"changes\": [", printer->out);
    else
        fg_grid_begin(&printer->grid, printer->out, headings, FG_ARRAY_LEN(headings));
}

static void put_name(struct fg_grid *grid, struct fg_str name)
{
    char *text = copy(name);

    fg_grid_cell(grid, name.len > 0 ? text : "all");
    free(text);
}

static void put_row(struct fg_grid *grid, const struct fg_replay_change *change)
{
    const struct fg_breaker_event *event = change->event;
    char text[TIME_BYTES];
    bool trip = event->to == FG_BREAKER_OPEN;

    fg_grid_cell(grid, time_text(change->wall_ms, text));
    put_name(grid, event->cluster);
    put_name(grid, event->endpoint);
    put_name(grid, event->method);
    fg_grid_cellf(grid, "%s -> %s", fg_breaker_state_name(event->from), fg_breaker_state_name(event->to));
    fg_grid_cell(grid, trip ? event->cause : "-");
    if (!trip) {
        for (int i = 0; i < 3; i++)
            fg_grid_cell(grid, "-");
        return;
    }
    fg_grid_cellf(grid, "%.4g", event->observed);
    fg_grid_cellf(grid, "%.4g", event->threshold);
    if (change->refuses_all)
        fg_grid_cell(grid, "all");
    else
        fg_grid_cellf(grid, "factor <= %.4g", event->severity / 1000.0);
}

/* json_pack would fail on bytes that are no UTF-8; such a name is shown without them. */
static json_t *json_name(struct fg_str name)
{
    json_t *value = json_stringn(name.p, name.len);

    if (value)
        return value;
    char *text = copy(name), *printable = fg_printable(text);
    value = json_string(printable);
    free(text);
    free(printable);
    return value;
}

static void put_object(FILE *out, json_t *object)
{
    json_dumpf(object, out, JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9));
    json_decref(object);
}

static json_t *json_change(const struct fg_replay_change *change)
{
    const struct fg_breaker_event *event = change->event;
    char text[TIME_BYTES];
    json_t *object = json_object();

    if (change->wall_ms)
        json_object_set_new(object, "time", json_string(time_text(change->wall_ms, text)));
    json_object_set_new(object, "at_us", json_integer((json_int_t)(event->at_ns / FG_US)));
    json_object_set_new(object, "cluster", json_name(event->cluster));
    json_object_set_new(object, "endpoint", json_name(event->endpoint));
    json_object_set_new(object, "method", json_name(event->method));
    json_object_set_new(object, "from", json_string(fg_breaker_state_name(event->from)));
    json_object_set_new(object, "to", json_string(fg_breaker_state_name(event->to)));
    if (event->to != FG_BREAKER_OPEN)
        return object;
    json_object_set_new(object, "cause", json_string(event->cause));
    json_object_set_new(object, "observed", json_real(event->observed));
    json_object_set_new(object, "threshold", json_real(event->threshold));
    json_object_set_new(object, "factor", json_integer(event->factor));
    json_object_set_new(object, "severity", json_integer(event->severity));
    json_object_set_new(object, "refuses_all", json_boolean(change->refuses_all));
    return object;
}

void fg_replay_print_change(void *context, const struct fg_replay_change *change)
{
    struct fg_replay_printer *printer = context;

    printer->changes++;
    if (!printer->json) {
        put_row(&printer->grid, change);
        return;
    }
    fputs(printer->changes > 1 ? ",\n " : "\n ", printer->out);
    put_object(printer->out, json_change(change));
}

/* ---- the summary ---- */

static uint64_t refused(const struct fg_replay_summary *summary)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < FG_ARRAY_LEN(summary->refused_by_class); i++)
        sum += summary->refused_by_class[i];
    return sum;
}

static void put_classes(const struct fg_replay_printer *printer, const struct fg_replay_summary *summary)
{
    static const char *const columns[] = {"ATTEMPTS THAT ENDED AS", ">IN THE LOG", ">WOULD HAVE BEEN REFUSED",
                                          "WHICH IS"};
    static const char *const remarks[] = {"healthy calls refused", "failures avoided", "", ""};
    struct fg_grid grid;

    fg_grid_begin(&grid, printer->out, columns, FG_ARRAY_LEN(columns));
    for (int i = FG_CLASS_SUCCESS; i <= FG_CLASS_IGNORED; i++) {
        fg_grid_cell(&grid, fg_class_name((enum fg_class)i));
        fg_grid_cellf(&grid, "%llu", (unsigned long long)summary->by_class[i]);
        fg_grid_cellf(&grid, "%llu", (unsigned long long)summary->refused_by_class[i]);
        fg_grid_cell(&grid, remarks[i]);
    }
    fg_grid_end(&grid);
}

static void put_number(FILE *out, uint64_t count, const char *what)
{
    fprintf(out, "%llu %s%s", (unsigned long long)count, what, count == 1 ? "" : "s");
}

/* "3 lines are cut off or no JSON: skipped", if there are any. */
static void put_count(FILE *out, uint64_t count, const char *one, const char *many)
{
    if (count == 1)
        fprintf(out, "1 %s\n", one);
    else if (count > 1)
        fprintf(out, "%llu %s\n", (unsigned long long)count, many);
}

static void put_remarks(FILE *out, const struct fg_replay_summary *s)
{
    put_count(out, s->let_through, "attempt passed because of max_ejected", "attempts passed because of max_ejected");
    put_count(out, s->refused_then, "call was refused by breakers when the log was written: nobody knows its end",
              "calls were refused by breakers when the log was written: nobody knows their end");
    put_count(out, s->late, "attempt began before the window: taken for let through (--window)",
              "attempts began before the window: taken for let through (--window)");
    put_count(out, s->omitted, "attempt is not in the log: its call had too many",
              "attempts are not in the log: their calls had too many");
    put_count(out, s->clocks, "time the log goes on with another clock: a boot, or another machine",
              "times the log goes on with another clock: boots, or other machines");
    put_count(out, s->broken, "line is cut off or no JSON: skipped", "lines are cut off or no JSON: skipped");
    put_count(out, s->old, "line has no attempts, it is of an older version of fusegate: skipped",
              "lines have no attempts, they are of an older version of fusegate: skipped");
    put_count(out, s->other, "line is JSON, but no call: skipped", "lines are JSON, but no calls: skipped");
    for (size_t i = 0; i < s->notes_len; i++) {
        fg_print_text(out, s->notes[i].text);
        fputs(": ", out);
        put_number(out, s->notes[i].attempts, "attempt");
        fputs(" skipped\n", out);
    }
    if (s->notes_len == FG_REPLAY_NOTES_MAX)
        fputs("and perhaps more that were skipped\n", out);
}

static void put_summary(const struct fg_replay_printer *printer, const struct fg_replay_summary *s)
{
    char first[TIME_BYTES], last[TIME_BYTES];
    unsigned long long elsewhere = s->elsewhere, all = refused(s);

    fputs(printer->changes > 0 ? "\n" : "", printer->out);
    put_number(printer->out, s->calls, "call");
    fputs(" with ", printer->out);
    put_number(printer->out, s->attempts, "attempt");
    if (s->first_wall_ms)
        fprintf(printer->out, ", %s to %s", time_text(s->first_wall_ms, first), time_text(s->last_wall_ms, last));
    fprintf(printer->out, "\nwith %s breakers would have opened ", printer->config);
    put_number(printer->out, s->trips, "time");
    fputs("\n\n", printer->out);
    put_classes(printer, s);
    if (all > 0)
        fprintf(printer->out,
                "\nof %llu refused, another endpoint would have taken %llu; for %llu there would have been none\n", all,
                elsewhere, all - elsewhere);
    put_count(printer->out, s->shed, "of them because of overload", "of them because of overload");
    put_remarks(printer->out, s);
}

static void put_json_classes(json_t *summary, const char *key, const uint64_t counts[4])
{
    json_t *object = json_object();

    for (int i = FG_CLASS_SUCCESS; i <= FG_CLASS_IGNORED; i++)
        json_object_set_new(object, fg_class_name((enum fg_class)i), json_integer((json_int_t)counts[i]));
    json_object_set_new(summary, key, object);
}

static json_t *json_notes(const struct fg_replay_summary *s)
{
    json_t *list = json_array();

    for (size_t i = 0; i < s->notes_len; i++) {
        json_t *note = json_object();
        json_object_set_new(note, "reason", json_name(fg_str_from(s->notes[i].text)));
        json_object_set_new(note, "attempts", json_integer((json_int_t)s->notes[i].attempts));
        json_array_append_new(list, note);
    }
    return list;
}

static json_t *json_summary(const struct fg_replay_summary *s)
{
    const struct {
        const char *key;
        uint64_t value;
    } numbers[] = {
        {"lines", s->lines},
        {"calls", s->calls},
        {"attempts", s->attempts},
        {"trips", s->trips},
        {"raises", s->raises},
        {"refused", refused(s)},
        {"refused_elsewhere", s->elsewhere},
        {"refused_shed", s->shed},
        {"failures_avoided", s->refused_by_class[FG_CLASS_FAILURE]},
        {"healthy_refused", s->refused_by_class[FG_CLASS_SUCCESS]},
        {"let_through", s->let_through},
        {"refused_then", s->refused_then},
        {"attempts_skipped", s->skipped},
        {"attempts_late", s->late},
        {"attempts_omitted", s->omitted},
        {"attempts_without_endpoint", s->unasked},
        {"clocks", s->clocks},
        {"lines_broken", s->broken},
        {"lines_old", s->old},
        {"lines_other", s->other},
    };
    char text[TIME_BYTES];
    json_t *summary = json_object();

    for (size_t i = 0; i < FG_ARRAY_LEN(numbers); i++)
        json_object_set_new(summary, numbers[i].key, json_integer((json_int_t)numbers[i].value));
    put_json_classes(summary, "attempts_by_class", s->by_class);
    put_json_classes(summary, "refused_by_class", s->refused_by_class);
    if (s->first_wall_ms) {
        json_object_set_new(summary, "first", json_string(time_text(s->first_wall_ms, text)));
        json_object_set_new(summary, "last", json_string(time_text(s->last_wall_ms, text)));
    }
    json_object_set_new(summary, "skipped", json_notes(s));
    return summary;
}

void fg_replay_print_end(struct fg_replay_printer *printer, const struct fg_replay_summary *summary)
{
    if (!printer->json) {
        fg_grid_end(&printer->grid);
        put_summary(printer, summary);
        return;
    }
    fputs("\n],\n\"summary\": ", printer->out);
    put_object(printer->out, json_summary(summary));
    fputs("}\n", printer->out);
}
