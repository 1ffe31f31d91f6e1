/* The upper rows of `fusegate top`. */
#include <stdarg.h>
#include <stdlib.h>

#include "base/time.h"
#include "cli/top_state.h"

#define SHOWN_SECONDS 60

/* ---- one after the other, until the row is full ---- */

struct pen {
    struct fg_picture *picture;
    unsigned row, col;
};

static void put(struct pen *pen, enum fg_style style, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Two blanks between parts. */
static void put(struct pen *pen, enum fg_style style, const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (pen->col + fg_picture_width(pen->picture, text) <= pen->picture->cols)
        pen->col = fg_picture_put(pen->picture, pen->row, pen->col, pen->picture->cols, style, text) + 2;
}

static const char *number_of(const json_t *object, const char *key, char out[FG_TOP_NUMBER_BYTES])
{
    return fg_top_number(fg_answer_number(object, key), out);
}

static const char *ms_of(const json_t *object, const char *key, char out[FG_DURATION_BYTES])
{
    const json_t *value = json_object_get(object, key);

    return json_is_number(value) ? fg_duration_text(json_number_value(value), out) : "-";
}

/* ---- rows ---- */

static void put_gateway(const struct fg_top *top, struct pen *pen)
{
    const json_t *seen = top->news.overview, *config = json_object_get(seen, "config");
    const char *state = fg_answer_text(seen, "state");
    char text[FG_DURATION_BYTES], *address = fg_printable(top->ask->address);
    char *version = fg_printable(fg_answer_text(seen, "version"));
    char *path = fg_answer_name(config, "file"), *file = fg_printable(path);

    put(pen, FG_STYLE_STRONG, "fusegate %s", version);
    put(pen, FG_STYLE_NORMAL, "%s", address);
    put(pen, strcmp(state, "ready") == 0 ? FG_STYLE_GOOD : FG_STYLE_WARN, "%s",
        strcmp(state, "ready") == 0      ? "ready"
        : strcmp(state, "draining") == 0 ? "DRAINING"
                                         : "starting");
    put(pen, FG_STYLE_NORMAL, "up %s", fg_duration_text(1000 * fg_answer_number(seen, "uptime_s"), text));
    put(pen, FG_STYLE_NORMAL, "workers %.0f", fg_answer_number(seen, "workers"));
    put(pen, FG_STYLE_NORMAL, "config #%.0f", fg_answer_number(config, "generation"));
    if (fg_answer_number(json_object_get(seen, "log"), "dropped") > 0)
        put(pen, FG_STYLE_WARN, "log lines dropped: %.0f", fg_answer_number(json_object_get(seen, "log"), "dropped"));
    if (fg_answer_text(config, "file")[0])
        put(pen, FG_STYLE_DIM, "%s", file);
    free(address);
    free(version);
    free(file);
    free(path);
}

static void put_gone(const struct fg_top *top, struct pen *pen, uint64_t now_ns)
{
    char text[FG_DURATION_BYTES];
    double age_ms = now_ns > top->news_ns ? (double)(now_ns - top->news_ns) / (double)FG_MS : 0;

    pen->col = fg_picture_putf(pen->picture, pen->row, 0, FG_STYLE_BAD, "! no answer for %s, trying on: %s",
                               fg_duration_text(age_ms, text), top->news.problem);
}

static void put_calls(const json_t *now, struct pen *pen)
{
    char text[FG_TOP_NUMBER_BYTES];
    double calls = fg_answer_number(now, "calls_per_s"), failures = fg_answer_number(now, "failures_per_s");

    put(pen, FG_STYLE_STRONG, "calls %s/s", fg_top_number(calls, text));
    put(pen,
        failures >= calls / 100 && failures > 0 ? FG_STYLE_BAD
        : failures > 0                          ? FG_STYLE_WARN
                                                : FG_STYLE_NORMAL,
        "failed %s/s %.*f %%", number_of(now, "failures_per_s", text),
        failures > 0 && 10 * failures<calls, calls> 0 ? 100 * failures / calls : 0);
    put(pen, fg_answer_number(now, "refused_per_s") > 0 ? FG_STYLE_WARN : FG_STYLE_NORMAL, "refused %s/s",
        number_of(now, "refused_per_s", text));
    put(pen, FG_STYLE_NORMAL, "retried %s/s", number_of(now, "retries_per_s", text));
    put(pen, FG_STYLE_STRONG, "in progress %s", number_of(now, "in_progress", text));
    put(pen, fg_answer_number(now, "queued") > 0 ? FG_STYLE_WARN : FG_STYLE_NORMAL, "queued %s",
        number_of(now, "queued", text));
}

static void put_times(const json_t *seen, const json_t *now, struct pen *pen)
{
    char text[FG_DURATION_BYTES], number[FG_TOP_NUMBER_BYTES];
    const json_t *breakers = json_object_get(seen, "breakers");
    double open = fg_answer_number(breakers, "open"), half_open = fg_answer_number(breakers, "half_open");

    put(pen, FG_STYLE_NORMAL, "p50 %s", ms_of(now, "p50_ms", text));
    put(pen, FG_STYLE_NORMAL, "p90 %s", ms_of(now, "p90_ms", text));
    put(pen, FG_STYLE_STRONG, "p99 %s", ms_of(now, "p99_ms", text));
    put(pen,
        open > 0        ? FG_STYLE_BAD
        : half_open > 0 ? FG_STYLE_WARN
                        : FG_STYLE_NORMAL,
        "breakers open %.0f, half %.0f", open, half_open);
    put(pen, FG_STYLE_NORMAL, "in %sB/s", number_of(now, "read_bytes_per_s", number));
    put(pen, FG_STYLE_NORMAL, "out %sB/s", number_of(now, "written_bytes_per_s", number));
    put(pen, FG_STYLE_NORMAL, "clients %s", number_of(now, "downstream_connections", number));
    put(pen, FG_STYLE_NORMAL, "upstream %s", number_of(now, "upstream_connections", number));
}

static void put_views(const struct fg_top *top, struct pen *pen)
{
    for (int i = 0; i < FG_TOP_VIEWS; i++) {
        bool now = i == (int)top->view;
        put(pen, now ? FG_STYLE_CHOSEN : FG_STYLE_NORMAL, now ? "[%d %s]" : "%d %s", i + 1, fg_top_views[i].name);
    }
    put(pen, FG_STYLE_NORMAL, "? help");
    put(pen, FG_STYLE_NORMAL, "q quit");
}

void fg_top_draw_header(const struct fg_top *top, struct fg_picture *picture, uint64_t now_ns)
{
    const json_t *now = json_object_get(top->news.overview, "now");
    struct pen pens[FG_TOP_HEADER_ROWS];

    for (unsigned i = 0; i < FG_TOP_HEADER_ROWS; i++)
        pens[i] = (struct pen){picture, i, 0};
    if (top->news.problem[0])
        put_gone(top, &pens[0], now_ns);
    else
        put_gateway(top, &pens[0]);
    put_calls(now, &pens[1]);
    put_times(top->news.overview, now, &pens[2]);
    put_views(top, &pens[3]);
}

/* ---- bars ---- */

/* Eighths of a cell; the first is nothing. */
static const char *bar(bool utf8, double value, double most)
{
    static const char *const blocks[] = {" ",
                                         "\xe2\x96\x81",
                                         "\xe2\x96\x82",
                                         "\xe2\x96\x83",
                                         "\xe2\x96\x84",
                                         "\xe2\x96\x85",
                                         "\xe2\x96\x86",
                                         "\xe2\x96\x87",
                                         "\xe2\x96\x88"};
    static const char *const ascii[] = {" ", "_", ".", ":", "-", "=", "+", "*", "#"};
    int level = most > 0 && value > 0 ? 1 + (int)(7 * value / most) : 0;

    return (utf8 ? blocks : ascii)[level > 8 ? 8 : level];
}

static double value_of(const json_t *sample, const char *key, bool is_rate)
{
    double took_s = fg_answer_number(sample, "took_s"), value = fg_answer_number(sample, key);

    return !is_rate ? value : took_s > 0 ? value / took_s : 0;
}

/* LABEL, the latest seconds, the highest of them. */
static void put_bars(const struct fg_top *top, struct fg_picture *picture, unsigned row, const char *label,
                     const char *key, bool is_rate)
{
    const json_t *history = json_object_get(top->news.overview, "history");
    size_t len = json_array_size(history), room = picture->cols > 26 ? picture->cols - 26 : 0;
    size_t shown = room < SHOWN_SECONDS ? room : SHOWN_SECONDS, first = len > shown ? len - shown : 0;
    char text[FG_DURATION_BYTES], number[FG_TOP_NUMBER_BYTES];
    double most = 0;

    for (size_t i = first; i < len; i++) {
        double value = value_of(json_array_get(history, i), key, is_rate);
        most = value > most ? value : most;
    }
    unsigned col = 10 + (unsigned)(shown - (len - first));
    fg_picture_put(picture, row, 0, 10, FG_STYLE_NORMAL, label);
    for (size_t i = first; i < len; i++)
        col = fg_picture_put(picture, row, col, 1, FG_STYLE_NORMAL,
                             bar(picture->utf8, value_of(json_array_get(history, i), key, is_rate), most));
    fg_picture_putf(picture, row, 10 + (unsigned)shown, FG_STYLE_DIM, "| max %s",
                    is_rate ? fg_top_number(most, number) : fg_duration_text(most, text));
}

unsigned fg_top_draw_history(const struct fg_top *top, struct fg_picture *picture, unsigned row)
{
    put_bars(top, picture, row, "calls/s", "calls", true);
    put_bars(top, picture, row + 1, "failed/s", "failures", true);
    put_bars(top, picture, row + 2, "p99", "p99_ms", false);
    return row + 3;
}
