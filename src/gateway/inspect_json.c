#include <math.h>

#include "gateway/inspect_int.h"

void fg_inspect_put_string(FILE *out, struct fg_str s)
{
    fputc('"', out);
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f) /* a byte that is no ASCII may be invalid UTF-8: shown as Latin-1 */
            fprintf(out, "\\u%04x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

void fg_inspect_put_field(FILE *out, const char *name, struct fg_str value)
{
    fprintf(out, "\"%s\": ", name);
    fg_inspect_put_string(out, value);
}

void fg_inspect_put_number(FILE *out, const char *name, double value)
{
    fprintf(out, "\"%s\": %.9g", name, isfinite(value) ? value : 0);
}

void fg_inspect_put_ms(FILE *out, const char *name, uint64_t value_ns)
{
    fprintf(out, "\"%s\": %.3f", name, (double)value_ns / (double)FG_MS);
}

void fg_inspect_put_bool(FILE *out, const char *name, bool value)
{
    fprintf(out, "\"%s\": %s", name, value ? "true" : "false");
}

const struct fg_config_cluster *fg_inspect_cluster(const struct fg_gateway *gateway, struct fg_str name)
{
    const struct fg_config *config = gateway->config;

    for (size_t i = 0; i < config->clusters_len; i++)
        if (fg_str_eq(name, fg_str_from(config->clusters[i].name)))
            return &config->clusters[i];
    return NULL;
}

bool fg_inspect_has_classes(const struct fg_gateway *gateway, const struct fg_config_cluster *cluster)
{
    return gateway->workers[0].clusters[cluster - gateway->config->clusters].has_classes;
}
