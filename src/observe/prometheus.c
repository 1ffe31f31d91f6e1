#include "observe/prometheus.h"

#include <string.h>
#include <strings.h>

/* ---- which format ---- */

static struct fg_str trim(struct fg_str s)
{
    while (s.len > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = (struct fg_str){s.p + 1, s.len - 1};
    while (s.len > 0 && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* Takes what comes before the next SEPARATOR off REST. */
static struct fg_str cut(struct fg_str *rest, char separator)
{
    const char *end = memchr(rest->p, separator, rest->len);
    struct fg_str part = {rest->p, end ? (size_t)(end - rest->p) : rest->len};

    *rest = end ? (struct fg_str){end + 1, rest->len - part.len - 1} : FG_STR("");
    return trim(part);
}

static bool equals(struct fg_str s, const char *text)
{
    return s.len == strlen(text) && strncasecmp(s.p, text, s.len) == 0;
}

/* Weight 0 means "not this" (RFC 9110, 12.4.2): 0, 0.0, 0.00, 0.000. */
static bool is_refused(struct fg_str parameter)
{
    if (parameter.len < 3 || (parameter.p[0] | 0x20) != 'q' || parameter.p[1] != '=')
        return false;
    for (size_t i = 2; i < parameter.len; i++)
        if (parameter.p[i] != '0' && parameter.p[i] != '.')
            return false;
    return true;
}

/* Prometheus lists formats by preference, and OpenMetrics before the text: it is enough that it is there. */
enum fg_prometheus_format fg_prometheus_choose(struct fg_str accept)
{
    while (accept.len > 0) {
        struct fg_str range = cut(&accept, ',');
        bool found = equals(cut(&range, ';'), "application/openmetrics-text");
        while (found && range.len > 0) {
            struct fg_str parameter = cut(&range, ';');
            bool is_version = parameter.len > 8 && strncasecmp(parameter.p, "version=", 8) == 0;
            if (is_refused(parameter) || (is_version && !equals(parameter, "version=1.0.0")))
                found = false;
        }
        if (found)
            return FG_PROMETHEUS_OPENMETRICS;
    }
    return FG_PROMETHEUS_TEXT;
}

const char *fg_prometheus_content_type(enum fg_prometheus_format format)
{
    return format == FG_PROMETHEUS_OPENMETRICS ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                               : "text/plain; version=0.0.4; charset=utf-8";
}

/* ---- parts of the formats ---- */

struct page {
    FILE *out;
    enum fg_prometheus_format format;
    char name[128];
};

static const char *unit_of(const struct fg_metric_info *info)
{
    return strcmp(info->unit, "s") == 0 ? "seconds" : strcmp(info->unit, "By") == 0 ? "bytes" : "";
}

/* A dot is all that OpenTelemetry's names have and Prometheus' do not. */
static void put_dotless(FILE *out, const char *name)
{
    for (; *name; name++)
        fputc(*name == '.' ? '_' : *name, out);
}

/* OpenMetrics escapes quotes in help, too. */
static void put_help(struct page *page, const char *help)
{
    for (; *help; help++) {
        if (*help == '"' && page->format == FG_PROMETHEUS_OPENMETRICS)
            fputc('\\', page->out);
        fputc(*help, page->out);
    }
    fputc('\n', page->out);
}

static void begin(void *context, const struct fg_metric_info *info)
{
    static const char *const types[] = {"counter", "gauge", "gauge", "histogram"};
    struct page *page = context;
    const char *unit = unit_of(info);
    bool openmetrics = page->format == FG_PROMETHEUS_OPENMETRICS;
    /* A counter is called x_total in the text format, and x with a sample x_total in OpenMetrics. */
    const char *suffix = info->kind == FG_METRIC_COUNTER && !openmetrics ? "_total" : "";

    snprintf(page->name, sizeof page->name, "%s%s%s", info->name, unit[0] ? "_" : "", unit);
    for (char *p = page->name; *p; p++)
        if (*p == '.')
            *p = '_';
    fprintf(page->out, "# HELP %s%s ", page->name, suffix);
    put_help(page, info->help);
    fprintf(page->out, "# TYPE %s%s %s\n", page->name, suffix, types[info->kind]);
    if (openmetrics && unit[0])
        fprintf(page->out, "# UNIT %s %s\n", page->name, unit);
}

/* Method names are what clients like to send: quotes and line feeds are escaped, and what is not ASCII is replaced,
 * since the format wants valid UTF-8. */
static void put_value(FILE *out, struct fg_str value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.p[i];
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c == '\n')
            fputs("\\n", out);
        else
            fputc(c < 0x20 || c >= 0x7f ? '?' : c, out);
    }
}

/* The name and all labels but for the closing bracket. False: there are none, and no bracket is open. */
static bool put_labels(const struct page *page, const struct fg_metric_point *point, const char *suffix)
{
    fprintf(page->out, "%s%s", page->name, suffix);
    for (size_t i = 0; i < point->attributes_len; i++) {
        fputc(i == 0 ? '{' : ',', page->out);
        put_dotless(page->out, point->attributes[i].key);
        fputs("=\"", page->out);
        put_value(page->out, point->attributes[i].value);
        fputc('"', page->out);
    }
    return point->attributes_len > 0;
}

static void put_number(const struct page *page, const struct fg_metric_point *point, const char *suffix, double value,
                       int decimals)
{
    if (put_labels(page, point, suffix))
        fputc('}', page->out);
    fprintf(page->out, " %.*f\n", decimals, value);
}

/* ---- histograms ---- */

static void put_exemplar(const struct page *page, const struct fg_metric_exemplar *exemplar)
{
    fputs(" # {trace_id=\"", page->out);
    for (size_t i = 0; i < sizeof exemplar->trace.trace_id; i++)
        fprintf(page->out, "%02x", exemplar->trace.trace_id[i]);
    fputs("\",span_id=\"", page->out);
    for (size_t i = 0; i < sizeof exemplar->trace.span_id; i++)
        fprintf(page->out, "%02x", exemplar->trace.span_id[i]);
    fprintf(page->out, "\"} %.9f %.3f", exemplar->value, (double)exemplar->trace.wall_ns / 1e9);
}

static void put_histogram(const struct page *page, const struct fg_metric_point *point, int decimals)
{
    const struct fg_metric_histogram *histogram = point->histogram;
    uint64_t total = 0;

    for (size_t i = 0; i <= histogram->bounds_len; i++) {
        total += histogram->buckets[i];
        fputc(put_labels(page, point, "_bucket") ? ',' : '{', page->out);
        if (i < histogram->bounds_len)
            fprintf(page->out, "le=\"%.10g\"} %llu", histogram->bounds[i], (unsigned long long)total);
        else
            fprintf(page->out, "le=\"+Inf\"} %llu", (unsigned long long)total);
        if (page->format == FG_PROMETHEUS_OPENMETRICS && histogram->exemplars && histogram->exemplars[i].trace.wall_ns)
            put_exemplar(page, &histogram->exemplars[i]);
        fputc('\n', page->out);
    }
    put_number(page, point, "_sum", histogram->sum, decimals);
    put_number(page, point, "_count", (double)histogram->count, 0);
}

static void visit(void *context, const struct fg_metric_point *point)
{
    const struct page *page = context;
    bool is_time = strcmp(point->info->unit, "s") == 0;

    if (point->histogram)
        put_histogram(page, point, is_time ? 9 : 0);
    else
        put_number(page, point, point->info->kind == FG_METRIC_COUNTER ? "_total" : "", point->value, is_time ? 6 : 0);
}

void fg_prometheus_render(const struct fg_metric_view *view, enum fg_prometheus_format format, FILE *out)
{
    struct page page = {.out = out, .format = format};

    fg_metric_view_walk(view, begin, visit, &page);
    if (format == FG_PROMETHEUS_OPENMETRICS)
        fputs("# EOF\n", out);
}
