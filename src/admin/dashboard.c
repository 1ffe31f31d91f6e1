#include "admin/dashboard.h"

#include <stdlib.h>
#include <zlib.h>

#include "admin/handlers_int.h"

/* Nothing but what comes from here, and nothing inline: whatever gets into the page cannot run. */
#define POLICY                                                                                                         \
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "              \
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

static const struct fg_dashboard_file *find(struct fg_str name)
{
    for (const struct fg_dashboard_file *file = fg_dashboard_files; file->name; file++)
        if (fg_str_eq(name, fg_str_from(file->name)))
            return file;
    return NULL;
}

/* A coding with q=0 is refused by the client (RFC 9110 section 12.4.2); whoever writes that gets it plain. */
static bool takes_gzip(const struct fg_headers *headers)
{
    const struct fg_header *field = fg_headers_get(headers, FG_TOKEN_ACCEPT_ENCODING);

    return field && memmem(field->value.p, field->value.len, "gzip", 4) &&
           !memmem(field->value.p, field->value.len, "q=0", 3);
}

static bool inflate_to(const struct fg_dashboard_file *file, FILE *body)
{
    uint8_t *plain = fg_alloc(file->len + 1);
    z_stream stream = {.avail_in = (uInt)file->gzip_len, .next_out = plain, .avail_out = (uInt)(file->len + 1)};

    memcpy(&stream.next_in, &file->gzip, sizeof file->gzip); /* zlib's pointer is not const, but it only reads */
    bool good = inflateInit2(&stream, 15 + 16) == Z_OK;
    if (good) {
        good = inflate(&stream, Z_FINISH) == Z_STREAM_END && stream.total_out == file->len;
        inflateEnd(&stream);
    }
    if (good)
        fwrite(plain, 1, file->len, body);
    free(plain);
    return good;
}

void fg_dashboard(void *context, const struct fg_admin_request *request, struct fg_admin_response *response, FILE *body)
{
    const struct fg_dashboard_file *file = find(request->rest);
    const struct fg_header *known = fg_headers_find(request->headers, FG_STR("if-none-match"));
    bool gzip = takes_gzip(request->headers);
    char etag[80];
    (void)context;

    if (request->path.p[request->path.len - 1] == '/') { /* its parts are named from where it is without the slash */
        response->status = 302;
        snprintf(response->fields, sizeof response->fields, "location: ../dashboard\r\n");
        return;
    }
    if (!file) {
        fg_admin_say(response, body, 404, "the dashboard has no such part");
        return;
    }
    /* The two codings are different bytes, and so have different strong tags (RFC 9110 section 8.8.3). */
    snprintf(etag, sizeof etag, "\"%s%s\"", file->hash, gzip ? "-gzip" : "");
    response->content_type = file->content_type;
    response->cache_control = "private, no-cache"; /* it is asked for again, and mostly not sent again */
    response->policy = POLICY;
    snprintf(response->fields, sizeof response->fields, "etag: %s\r\nvary: accept-encoding\r\n%s", etag,
             gzip ? "content-encoding: gzip\r\n" : "");
    if (known && memmem(known->value.p, known->value.len, etag, strlen(etag)))
        response->status = 304;
    else if (gzip)
        fwrite(file->gzip, 1, file->gzip_len, body);
    else if (!inflate_to(file, body))
        fg_admin_say(response, body, 500, "it cannot be inflated");
}
