#include "h1/request.h"

#include <strings.h>

static bool is_tchar(unsigned char c) /* RFC 9110 section 5.6.2 */
{
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return true;
    return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static bool is_token(struct fg_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_tchar((unsigned char)s.p[i]))
            return false;
    return s.len > 0;
}

static ssize_t fail(struct fg_h1_error *error, unsigned status, const char *reason)
{
    *error = (struct fg_h1_error){status, reason};
    return FG_H1_ERROR;
}

static bool equals_ignoring_case(struct fg_str s, const char *text)
{
    return s.len == strlen(text) && strncasecmp(s.p, text, s.len) == 0;
}

/* The line from AT on, without its CRLF; *NEXT is behind it. A line feed alone, or a carriage return inside, is an
 * error. */
static int take_line(const char *at, const char *end, struct fg_str *line, const char **next)
{
    const char *lf = memchr(at, '\n', (size_t)(end - at));

    if (!lf)
        return 0;
    if (lf == at || lf[-1] != '\r')
        return -1;
    *line = (struct fg_str){at, (size_t)(lf - 1 - at)};
    *next = lf + 1;
    return memchr(line->p, '\r', line->len) || memchr(line->p, '\0', line->len) ? -1 : 1;
}

static int parse_start(struct fg_str line, struct fg_arena *arena, struct fg_h1_request *out, struct fg_h1_error *error)
{
    const char *first = memchr(line.p, ' ', line.len);
    const char *last = memrchr(line.p, ' ', line.len);

    if (!first || last == first)
        return (int)fail(error, 400, "the request line is not METHOD TARGET VERSION");
    struct fg_str method = {line.p, (size_t)(first - line.p)};
    struct fg_str target = {first + 1, (size_t)(last - first - 1)};
    struct fg_str version = {last + 1, line.len - (size_t)(last + 1 - line.p)};
    if (!is_token(method))
        return (int)fail(error, 400, "the method is not a token");
    if (target.len == 0)
        return (int)fail(error, 400, "the request target is empty");
    for (size_t i = 0; i < target.len; i++)
        if ((unsigned char)target.p[i] <= 0x20 || (unsigned char)target.p[i] >= 0x7f)
            return (int)fail(error, 400, "the request target has a byte that must be percent-encoded");
    if (version.len != 8 || memcmp(version.p, "HTTP/1.", 7) != 0 || (version.p[7] != '0' && version.p[7] != '1'))
        return (int)fail(error, 505, "the version is not HTTP/1.0 or HTTP/1.1");
    out->method = fg_arena_copy(arena, method);
    out->target = fg_arena_copy(arena, target);
    out->minor_version = version.p[7] - '0';
    return 0;
}

static int parse_field(struct fg_str line, struct fg_arena *arena, struct fg_h1_request *out, struct fg_h1_error *error)
{
    const char *colon = memchr(line.p, ':', line.len);

    if (line.p[0] == ' ' || line.p[0] == '\t')
        return (int)fail(error, 400, "a header field is folded over lines");
    if (!colon || !is_token((struct fg_str){line.p, (size_t)(colon - line.p)}))
        return (int)fail(error, 400, "a header field has no proper name");
    struct fg_str name = fg_arena_copy(arena, (struct fg_str){line.p, (size_t)(colon - line.p)});
    struct fg_str value = {colon + 1, line.len - (size_t)(colon + 1 - line.p)};
    while (value.len > 0 && (value.p[0] == ' ' || value.p[0] == '\t')) {
        value.p++;
        value.len--;
    }
    while (value.len > 0 && (value.p[value.len - 1] == ' ' || value.p[value.len - 1] == '\t'))
        value.len--;
    for (size_t i = 0; i < value.len; i++)
        if (((unsigned char)value.p[i] < 0x20 && value.p[i] != '\t') || value.p[i] == 0x7f)
            return (int)fail(error, 400, "a header field has a control character");
    for (size_t i = 0; i < name.len; i++) /* the arena's copy is ours to change */
        if (name.p[i] >= 'A' && name.p[i] <= 'Z')
            ((char *)(uintptr_t)name.p)[i] = (char)(name.p[i] | 0x20);
    fg_headers_add(&out->headers, arena, name, fg_arena_copy(arena, value));
    return 0;
}

static int parse_length(struct fg_str value, int64_t *out)
{
    int64_t n = 0;

    if (value.len == 0 || value.len > 18)
        return -1;
    for (size_t i = 0; i < value.len; i++) {
        if (value.p[i] < '0' || value.p[i] > '9')
            return -1;
        n = n * 10 + (value.p[i] - '0');
    }
    *out = n;
    return 0;
}

static void apply_connection(struct fg_str value, struct fg_h1_request *out)
{
    const char *at = value.p, *end = value.p + value.len;

    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        struct fg_str option = {at, (size_t)((comma ? comma : end) - at)};
        while (option.len > 0 && option.p[0] == ' ') {
            option.p++;
            option.len--;
        }
        while (option.len > 0 && option.p[option.len - 1] == ' ')
            option.len--;
        if (equals_ignoring_case(option, "close"))
            out->keep_alive = false;
        else if (equals_ignoring_case(option, "keep-alive") && out->minor_version == 0)
            out->keep_alive = true;
        at = comma ? comma + 1 : end;
    }
}

/* How long the content is, and what the connection does next (RFC 9112 sections 6.3 and 9.3). */
static int interpret(struct fg_h1_request *out, struct fg_h1_error *error)
{
    unsigned hosts = 0;

    for (uint32_t i = 0; i < out->headers.len; i++) {
        const struct fg_header *field = &out->headers.items[i];
        if (field->token == FG_TOKEN_HOST) {
            hosts++;
        } else if (field->token == FG_TOKEN_CONNECTION) {
            apply_connection(field->value, out);
        } else if (field->token == FG_TOKEN_CONTENT_LENGTH) {
            if (out->content_length >= 0)
                return (int)fail(error, 400, "content-length is given twice");
            if (parse_length(field->value, &out->content_length) != 0)
                return (int)fail(error, 400, "content-length is not a number");
        } else if (field->token == FG_TOKEN_TRANSFER_ENCODING) {
            if (out->minor_version == 0 || out->chunked)
                return (int)fail(error, 400, "transfer-encoding is doubled, or in HTTP/1.0");
            if (!equals_ignoring_case(field->value, "chunked"))
                return (int)fail(error, 501, "the only transfer-encoding is chunked");
            out->chunked = true;
        }
    }
    if (out->chunked && out->content_length >= 0)
        return (int)fail(error, 400, "content-length and transfer-encoding exclude each other");
    if (hosts > 1 || (hosts == 0 && out->minor_version == 1))
        return (int)fail(error, 400, "there must be one host field");
    return 0;
}

ssize_t fg_h1_request_parse(const char *data, size_t len, const struct fg_h1_limits *limits, struct fg_arena *arena,
                            struct fg_h1_request *out, struct fg_h1_error *error)
{
    const char *at = data, *end = data + FG_MIN(len, limits->max_head_bytes);
    bool started = false;

    *out = (struct fg_h1_request){.content_length = -1};
    for (;;) {
        struct fg_str line;
        int result = take_line(at, end, &line, &at);
        if (result < 0)
            return fail(error, 400, "a line does not end with CRLF, or has a control character");
        if (result == 0)
            return len >= limits->max_head_bytes ? fail(error, 431, "the request head is too large") : FG_H1_MORE;
        if (!started) {
            if (parse_start(line, arena, out, error) != 0)
                return FG_H1_ERROR;
            out->keep_alive = out->minor_version == 1;
            started = true;
        } else if (line.len == 0) {
            return interpret(out, error) == 0 ? at - data : FG_H1_ERROR;
        } else if (out->headers.len >= limits->max_fields) {
            return fail(error, 431, "the request has too many header fields");
        } else if (parse_field(line, arena, out, error) != 0) {
            return FG_H1_ERROR;
        }
    }
}
