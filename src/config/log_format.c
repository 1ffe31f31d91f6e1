#include "config/log_format.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/wait.h"
#include "config/nearest.h"

/* What readers of web servers' logs know, and behind it what they do not. */
#define COMBINED                                                                                                       \
    "%{peer_host} - - [%{time_clf}] \"%{http_method} %{path} %{protocol}\" %{http_status} %{bytes_down} "              \
    "\"%{request:referer}\" \"%{request:user-agent}\" %{code} %{duration_ms}"

static const struct field {
    const char *name;
    enum fg_log_argument argument;
    const char *help;
} fields[] = {
#define X(field, name, argument, help) [FG_LOG_##field] = {name, FG_LOG_TAKES_##argument, help},
    FG_LOG_FIELDS(X)
#undef X
};

static struct fg_log_part *add(struct fg_log_format *format, enum fg_log_field field, struct fg_str text)
{
    struct fg_log_part *part = &format->parts[format->len++]; /* each takes a byte of the template, at least */
    *part = (struct fg_log_part){.field = field, .text = text};
    return part;
}

static int find_field(struct fg_str name, enum fg_log_field *out, char why[FG_LOG_WHY_BYTES])
{
    struct fg_nearest nearest;

    fg_nearest_init(&nearest, name);
    for (size_t i = FG_LOG_TEXT + 1; i < FG_ARRAY_LEN(fields); i++) {
        if (fg_str_eq(name, fg_str_from(fields[i].name))) {
            *out = (enum fg_log_field)i;
            return 0;
        }
        fg_nearest_offer(&nearest, fields[i].name);
    }
    int used = snprintf(why, FG_LOG_WHY_BYTES, "there is no %%{%.*s}", (int)FG_MIN(name.len, (size_t)64), name.p);
    if (nearest.best)
        snprintf(why + used, FG_LOG_WHY_BYTES - (size_t)used, "; did you mean %%{%s}?", nearest.best);
    else
        snprintf(why + used, FG_LOG_WHY_BYTES - (size_t)used, "; a header of the request is %%{request:NAME}");
    return -1;
}

/* A token (RFC 9110 section 5.6.2), put into lower case where it stands. */
static bool take_header_name(struct fg_str name)
{
    char *p = (char *)name.p;

    for (size_t i = 0; i < name.len; i++) {
        if (p[i] >= 'A' && p[i] <= 'Z')
            p[i] = (char)(p[i] - 'A' + 'a');
        if (!((p[i] >= 'a' && p[i] <= 'z') || (p[i] >= '0' && p[i] <= '9') || memchr("!#$%&'*+-.^_`|~", p[i], 15)))
            return false;
    }
    return name.len > 0 && name.len <= 128;
}

static int set_wait(struct fg_log_part *part, struct fg_str name, char why[FG_LOG_WHY_BYTES])
{
    struct fg_nearest nearest;

    fg_nearest_init(&nearest, name);
    for (unsigned i = FG_WAIT_NONE + 1; i < FG_WAIT_LEN; i++) {
        const char *known = fg_wait_name((enum fg_wait_cause)i);
        if (fg_str_eq(name, fg_str_from(known))) {
            part->wait = i;
            return 0;
        }
        fg_nearest_offer(&nearest, known);
    }
    snprintf(why, FG_LOG_WHY_BYTES, "there is no wait %.*s%s%s%s", (int)FG_MIN(name.len, (size_t)64), name.p,
             nearest.best ? "; did you mean " : "", nearest.best ? nearest.best : "", nearest.best ? "?" : "");
    return -1;
}

static int set_argument(struct fg_log_format *format, struct fg_log_part *part, struct fg_str argument,
                        char why[FG_LOG_WHY_BYTES])
{
    const struct field *field = &fields[part->field];

    if (field->argument == FG_LOG_TAKES_WAIT && argument.p)
        return set_wait(part, argument, why);
    if (field->argument != FG_LOG_TAKES_HEADER) {
        if (!argument.p)
            return 0;
        snprintf(why, FG_LOG_WHY_BYTES, "%%{%s} stands alone, without a colon", field->name);
        return -1;
    }
    if (!argument.p || !take_header_name(argument)) {
        snprintf(why, FG_LOG_WHY_BYTES, "%%{%s:NAME} needs the name of a header", field->name);
        return -1;
    }
    part->text = argument;
    if (part->field == FG_LOG_REQUEST)
        return 0;
    if (format->notes == FG_LOG_NOTES_MAX) {
        snprintf(why, FG_LOG_WHY_BYTES, "expected at most %d headers and trailers of the answer", FG_LOG_NOTES_MAX);
        return -1;
    }
    part->note = format->notes++;
    return 0;
}

/* Takes "%{...}" or "%%" off the front of *REST. */
static int take_name(struct fg_log_format *format, struct fg_str *rest, char why[FG_LOG_WHY_BYTES])
{
    const char *end = rest->len > 1 && rest->p[1] == '{' ? memchr(rest->p, '}', rest->len) : NULL;
    enum fg_log_field field;

    if (rest->len > 1 && rest->p[1] == '%') {
        add(format, FG_LOG_TEXT, (struct fg_str){rest->p, 1});
        *rest = (struct fg_str){rest->p + 2, rest->len - 2};
        return 0;
    }
    if (!end) {
        snprintf(why, FG_LOG_WHY_BYTES, "after %% expected {NAME}, or %%%% for the sign itself");
        return -1;
    }
    struct fg_str name = {rest->p + 2, (size_t)(end - rest->p) - 2}, argument = {0};
    const char *colon = name.len > 0 ? memchr(name.p, ':', name.len) : NULL;
    if (colon) {
        argument = (struct fg_str){colon + 1, (size_t)(end - colon) - 1};
        name.len = (size_t)(colon - name.p);
    }
    if (find_field(name, &field, why) != 0)
        return -1;
    *rest = (struct fg_str){end + 1, rest->len - (size_t)(end + 1 - rest->p)};
    return set_argument(format, add(format, field, (struct fg_str){0}), argument, why);
}

static int compile(struct fg_log_format *format, char why[FG_LOG_WHY_BYTES])
{
    struct fg_str rest = fg_str_from(format->text);
    bool any = false;

    while (rest.len > 0) {
        const char *sign = memchr(rest.p, '%', rest.len);
        size_t plain = sign ? (size_t)(sign - rest.p) : rest.len;
        if (plain > 0) {
            add(format, FG_LOG_TEXT, (struct fg_str){rest.p, plain});
            rest = (struct fg_str){rest.p + plain, rest.len - plain};
        } else if (take_name(format, &rest, why) != 0) {
            return -1;
        }
        any |= format->parts[format->len - 1].field != FG_LOG_TEXT;
    }
    if (!any)
        snprintf(why, FG_LOG_WHY_BYTES, "expected json, combined, or a template such as %%{method} %%{code}");
    return any ? 0 : -1;
}

int fg_log_format_compile(struct fg_log_format *out, const char *text, char why[FG_LOG_WHY_BYTES])
{
    struct fg_log_format format = {0};

    if (strcmp(text, "json") == 0) {
        *out = format;
        return 0;
    }
    format.text = fg_strdup(strcmp(text, "combined") == 0 ? COMBINED : text);
    format.parts = fg_alloc((strlen(format.text) + 1) * sizeof *format.parts);
    int result = compile(&format, why);
    if (result == 0)
        *out = format;
    else
        fg_log_format_cleanup(&format);
    return result;
}

void fg_log_format_cleanup(struct fg_log_format *format)
{
    free(format->parts);
    free(format->text);
    *format = (struct fg_log_format){0};
}

void fg_log_format_print_fields(FILE *to)
{
    for (size_t i = FG_LOG_TEXT + 1; i < FG_ARRAY_LEN(fields); i++)
        fprintf(to, "| `%%{%s%s}` | %s |\n", fields[i].name, fields[i].argument == FG_LOG_TAKES_HEADER ? ":NAME" : "",
                fields[i].help);
}
