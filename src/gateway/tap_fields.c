/* Header fields of tapped calls, without what must not be seen. */
#include <stdlib.h>

#include "gateway/inspect_int.h"
#include "gateway/tap_int.h"

bool fg_tap_is_secret(const struct fg_gateway *gateway, struct fg_str name)
{
    static const struct fg_str always[] = {{"authorization", 13}, {"proxy-authorization", 19},
                                           {"cookie", 6},         {"set-cookie", 10},
                                           {"x-api-key", 9},      {"x-auth-token", 12}};
    const struct fg_config_tap *config = &gateway->config->tap;

    for (size_t i = 0; i < FG_ARRAY_LEN(always); i++)
        if (fg_str_eq(name, always[i]))
            return true;
    for (size_t i = 0; i < config->redact_headers_len; i++)
        if (fg_str_eq(name, fg_str_from(config->redact_headers[i].name)))
            return true;
    return false;
}

/* Where fields of messages are hidden, so are parameters of a query that have their names. To be freed. */
static char *hide_query(const struct fg_tap_session *session, struct fg_str path, size_t *len)
{
    const char *at = memchr(path.p, '?', path.len), *stop = path.p + path.len;
    char *text = NULL;
    FILE *out = open_memstream(&text, len);

    if (!out)
        return NULL;
    at = at ? at + 1 : stop;
    fwrite(path.p, 1, (size_t)(at - path.p), out);
    while (at < stop) {
        const char *next = memchr(at, '&', (size_t)(stop - at));
        next = next ? next + 1 : stop;
        const char *equals = memchr(at, '=', (size_t)(next - at));
        size_t name_len = equals ? (size_t)(equals - at) : 0;
        bool hidden = equals && (memchr(at, '%', name_len) != NULL || /* what it says is not what it means */
                                 fg_json_hides_path(&session->hide, (struct fg_str){at, name_len}));
        fwrite(at, 1, hidden ? name_len + 1 : (size_t)(next - at), out);
        if (hidden)
            fputs(next[-1] == '&' ? "[redacted]&" : "[redacted]", out);
        at = next;
    }
    fclose(out);
    return text;
}

static void put_value(const struct fg_tap_session *session, const struct fg_tap_field *field, struct fg_str name,
                      struct fg_str value, FILE *out)
{
    bool hides = session->hide.paths_len > 0;
    bool binary = name.len > 4 && memcmp(name.p + name.len - 4, "-bin", 4) == 0;
    size_t len = 0;

    if (field->sensitive || fg_tap_is_secret(session->gateway, name)) {
        fputs("\"[redacted]\"", out);
    } else if (hides && binary) { /* it may be a message, or hold one */
        fprintf(out, "\"[%zu bytes]\"", value.len);
    } else if (hides && fg_str_eq(name, FG_STR(":path"))) {
        char *text = hide_query(session, value, &len);
        fg_inspect_put_string(out, text ? (struct fg_str){text, len} : FG_STR("[redacted]"));
        free(text);
    } else {
        fg_inspect_put_string(out, value);
    }
}

/* The next field; false: there is none. */
bool fg_tap_next_field(struct fg_str *rest, struct fg_tap_field *field, struct fg_str *name, struct fg_str *value)
{
    if (rest->len < sizeof *field)
        return false;
    memcpy(field, rest->p, sizeof *field);
    *name = (struct fg_str){rest->p + sizeof *field, field->name_len};
    *value = (struct fg_str){name->p + name->len, field->value_len};
    size_t len = sizeof *field + name->len + value->len;
    *rest = (struct fg_str){rest->p + len, rest->len - len};
    return true;
}

/* *GZIP: messages that are compressed are in gzip. */
void fg_tap_put_fields(const struct fg_tap_session *session, const struct fg_tap_record *record, struct fg_str fields,
                       bool *gzip, FILE *out)
{
    struct fg_tap_field field;
    struct fg_str name, value;
    const char *separator = "";

    fputs(", \"headers\": [", out);
    while (fg_tap_next_field(&fields, &field, &name, &value)) {
        if (gzip && fg_str_eq(name, FG_STR("grpc-encoding")))
            *gzip = fg_str_eq(value, FG_STR("gzip"));
        fprintf(out, "%s[", separator);
        fg_inspect_put_string(out, name);
        fputs(", ", out);
        put_value(session, &field, name, value, out);
        fputc(']', out);
        separator = ", ";
    }
    fputc(']', out);
    if (record->cut)
        fputs(", \"cut\": true", out);
    if (record->end)
        fputs(", \"end\": true", out);
}
