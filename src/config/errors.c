#include "config/errors.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/mem.h"

void fg_errors_add(struct fg_config_errors *errors, int line, int column, const char *key, const char *format, ...)
{
    if (errors->len > FG_ERRORS_MAX)
        return;
    if (errors->len == FG_ERRORS_MAX) {
        line = column = INT32_MAX; /* sorts last; errors_print leaves it out */
        key = "";
        format = "there are more problems; these are the first";
    }
    char message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);

    if (errors->len % 16 == 0)
        errors->items = fg_realloc(errors->items, (errors->len + 16) * sizeof *errors->items);
    errors->items[errors->len++] =
        (struct fg_config_error){.line = line, .column = column, .key = fg_strdup(key), .message = fg_strdup(message)};
}

/* Insertion sort: it is stable and the list is short. */
void fg_errors_sort(struct fg_config_errors *errors)
{
    for (size_t i = 1; i < errors->len; i++) {
        struct fg_config_error e = errors->items[i];
        size_t at = i;
        while (at > 0 && (errors->items[at - 1].line > e.line ||
                          (errors->items[at - 1].line == e.line && errors->items[at - 1].column > e.column))) {
            errors->items[at] = errors->items[at - 1];
            at--;
        }
        errors->items[at] = e;
    }
    if (errors->len > FG_ERRORS_MAX) /* its place was only for the order */
        errors->items[errors->len - 1].line = errors->items[errors->len - 1].column = 0;
}

/* Longest prefix of at most MAX bytes that does not end inside a UTF-8 sequence. */
static size_t cut(struct fg_str text, size_t max)
{
    size_t len = FG_MIN(text.len, max);
    while (len > 0 && len < text.len && ((unsigned char)text.p[len] & 0xc0) == 0x80)
        len--;
    return len;
}

const char *fg_errors_quote(char out[FG_QUOTE_BYTES], struct fg_str text)
{
    size_t len = cut(text, 60), at = 0;

    out[at++] = '"';
    for (size_t i = 0; i < len && at < FG_QUOTE_BYTES - 12; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c < 0x20 || c == 0x7f)
            at += (size_t)snprintf(out + at, FG_QUOTE_BYTES - at, c == '\n' ? "\\n" : "\\x%02x", c);
        else
            out[at++] = (char)c;
    }
    snprintf(out + at, FG_QUOTE_BYTES - at, len < text.len ? "...\"" : "\"");
    return out;
}

void fg_config_errors_print(const struct fg_config_errors *errors, const char *file_name, FILE *to)
{
    for (size_t i = 0; i < errors->len; i++) {
        const struct fg_config_error *e = &errors->items[i];
        fprintf(to, "%s:", file_name);
        if (e->line > 0)
            fprintf(to, "%d:%d:", e->line, e->column);
        fprintf(to, e->key[0] ? " %s: %s\n" : "%s %s\n", e->key, e->message);
    }
}

void fg_config_errors_cleanup(struct fg_config_errors *errors)
{
    for (size_t i = 0; i < errors->len; i++) {
        free(errors->items[i].key);
        free(errors->items[i].message);
    }
    free(errors->items);
    *errors = (struct fg_config_errors){0};
}
