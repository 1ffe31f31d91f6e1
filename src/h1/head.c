#include "h1/head.h"

#include <strings.h>

/* Every field is looked for among the connection's options: a list of any length would cost its square. */
#define CONNECTION_MAX_BYTES 1024

/* tchar of RFC 9110 section 5.6.2 */
bool fg_h1_is_tchar(unsigned char c)
{
    static const uint32_t allowed[8] = {0x00000000, /* controls */
                                        0x03ff6cfa, /* ! # $ % & ' * + - . 0-9 */
                                        0xc7fffffe, /* A-Z ^ _ */
                                        0x57ffffff, /* ` a-z | ~ */
                                        0,          0, 0, 0};
    return allowed[c >> 5] >> (c & 31) & 1;
}

/* A fragment never belongs to a request target (RFC 9112 section 3.2). Whoever passes one on is read by one endpoint as
 * "/public#/../private" and by another one without what follows the '#': CVE-2023-45539. */
bool fg_h1_is_target_char(unsigned char c)
{
    return c > 0x20 && c < 0x7f && c != '#';
}

static bool is_token(struct fg_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!fg_h1_is_tchar((unsigned char)s.p[i]))
            return false;
    return s.len > 0;
}

static struct fg_str trim(struct fg_str s)
{
    while (s.len > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = (struct fg_str){s.p + 1, s.len - 1};
    while (s.len > 0 && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t'))
        s.len--;
    return s;
}

static bool equals_ignoring_case(struct fg_str s, struct fg_str text)
{
    return s.len == text.len && strncasecmp(s.p, text.p, s.len) == 0;
}

bool fg_h1_list_has(struct fg_str value, struct fg_str option)
{
    const char *at = value.p, *end = value.p + value.len;

    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        if (equals_ignoring_case(trim((struct fg_str){at, (size_t)((comma ? comma : end) - at)}), option))
            return true;
        at = comma ? comma + 1 : end;
    }
    return false;
}

/* ---- lines ---- */

int fg_h1_line(const char *at, const char *end, struct fg_str *line, const char **next)
{
    const char *lf = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;

    if (!lf)
        return 0;
    if (lf == at || lf[-1] != '\r')
        return -1;
    *line = (struct fg_str){at, (size_t)(lf - 1 - at)};
    *next = lf + 1;
    return line->len > 0 && (memchr(line->p, '\r', line->len) || memchr(line->p, '\0', line->len)) ? -1 : 1;
}

static bool parse_version(struct fg_str version, int *minor)
{
    if (version.len != 8 || memcmp(version.p, "HTTP/1.", 7) != 0 || (version.p[7] != '0' && version.p[7] != '1'))
        return false;
    *minor = version.p[7] - '0';
    return true;
}

static enum fg_h1_fault parse_request_line(struct fg_str line, struct fg_arena *arena, struct fg_h1_head *out)
{
    const char *first = memchr(line.p, ' ', line.len);
    const char *last = memrchr(line.p, ' ', line.len);

    if (!first || last == first)
        return FG_H1_FAULT_REQUEST_LINE;
    struct fg_str method = {line.p, (size_t)(first - line.p)};
    struct fg_str target = {first + 1, (size_t)(last - first - 1)};
    struct fg_str version = {last + 1, line.len - (size_t)(last + 1 - line.p)};
    if (!is_token(method))
        return FG_H1_FAULT_METHOD;
    if (target.len == 0)
        return FG_H1_FAULT_TARGET;
    for (size_t i = 0; i < target.len; i++)
        if (!fg_h1_is_target_char((unsigned char)target.p[i]))
            return FG_H1_FAULT_TARGET;
    if (version.len < 5 || strncasecmp(version.p, "HTTP/", 5) != 0)
        return FG_H1_FAULT_PROTOCOL;
    if (!parse_version(version, &out->minor_version))
        return FG_H1_FAULT_VERSION;
    out->method = fg_arena_copy(arena, method);
    out->target = fg_arena_copy(arena, target);
    return FG_H1_FAULT_NONE;
}

/* "HTTP/1.1 200 OK"; the reason, and the space before it, may be missing. */
static enum fg_h1_fault parse_status_line(struct fg_str line, struct fg_h1_head *out)
{
    if (line.len < 12 || line.p[8] != ' ' || (line.len > 12 && line.p[12] != ' '))
        return FG_H1_FAULT_STATUS_LINE;
    if (!parse_version((struct fg_str){line.p, 8}, &out->minor_version))
        return FG_H1_FAULT_VERSION;
    for (size_t i = 9; i < 12; i++) {
        if (line.p[i] < '0' || line.p[i] > '9')
            return FG_H1_FAULT_STATUS_LINE;
        out->status = out->status * 10 + (unsigned)(line.p[i] - '0');
    }
    return out->status < 100 ? FG_H1_FAULT_STATUS_LINE : FG_H1_FAULT_NONE;
}

enum fg_h1_fault fg_h1_field_parse(struct fg_str line, struct fg_arena *arena, struct fg_headers *headers)
{
    const char *colon = line.len > 0 ? memchr(line.p, ':', line.len) : NULL;

    if (line.len > 0 && (line.p[0] == ' ' || line.p[0] == '\t'))
        return FG_H1_FAULT_FOLDED_FIELD;
    if (!colon || !is_token((struct fg_str){line.p, (size_t)(colon - line.p)}))
        return FG_H1_FAULT_FIELD_NAME;
    struct fg_str name = fg_arena_copy(arena, (struct fg_str){line.p, (size_t)(colon - line.p)});
    struct fg_str value = trim((struct fg_str){colon + 1, line.len - (size_t)(colon + 1 - line.p)});
    for (size_t i = 0; i < value.len; i++)
        if (((unsigned char)value.p[i] < 0x20 && value.p[i] != '\t') || value.p[i] == 0x7f)
            return FG_H1_FAULT_FIELD_VALUE;
    for (size_t i = 0; i < name.len; i++) /* the arena's copy is ours to change */
        if (name.p[i] >= 'A' && name.p[i] <= 'Z')
            ((char *)(uintptr_t)name.p)[i] = (char)(name.p[i] | 0x20);
    fg_headers_add(headers, arena, name, fg_arena_copy(arena, value));
    return FG_H1_FAULT_NONE;
}

/* ---- what the fields mean for the connection ---- */

static bool parse_length(struct fg_str value, int64_t *out)
{
    int64_t n = 0;

    if (value.len == 0 || value.len > 18)
        return false;
    for (size_t i = 0; i < value.len; i++) {
        if (value.p[i] < '0' || value.p[i] > '9')
            return false;
        n = n * 10 + (value.p[i] - '0');
    }
    *out = n;
    return true;
}

static enum fg_h1_fault interpret_field(const struct fg_header *field, struct fg_h1_head *out)
{
    switch (field->token) {
    case FG_TOKEN_CONNECTION:
        out->closes |= fg_h1_list_has(field->value, FG_STR("close"));
        if (fg_h1_list_has(field->value, FG_STR("keep-alive")))
            out->keep_alive = true;
        out->wants_upgrade |= fg_h1_list_has(field->value, FG_STR("upgrade"));
        break;
    case FG_TOKEN_CONTENT_LENGTH:
        if (out->content_length >= 0)
            return FG_H1_FAULT_LENGTH_TWICE;
        if (!parse_length(field->value, &out->content_length))
            return FG_H1_FAULT_LENGTH;
        break;
    case FG_TOKEN_TRANSFER_ENCODING:
        if (out->minor_version == 0 || out->chunked)
            return FG_H1_FAULT_TRANSFER_ENCODING;
        if (!equals_ignoring_case(field->value, FG_STR("chunked")))
            return FG_H1_FAULT_TRANSFER_CODING;
        out->chunked = true;
        break;
    default:
        break;
    }
    return FG_H1_FAULT_NONE;
}

/* How long the content is, and what the connection does next (sections 6.3 and 9.3). */
static enum fg_h1_fault interpret(enum fg_h1_kind kind, struct fg_h1_head *out)
{
    unsigned hosts = 0;
    size_t options = 0;

    for (uint32_t i = 0; i < out->headers.len; i++) {
        const struct fg_header *field = &out->headers.items[i];
        hosts += field->token == FG_TOKEN_HOST;
        options += field->token == FG_TOKEN_CONNECTION ? field->value.len : 0;
        enum fg_h1_fault fault = interpret_field(field, out);
        if (fault)
            return fault;
    }
    if (options > CONNECTION_MAX_BYTES)
        return FG_H1_FAULT_HEAD_TOO_LARGE;
    if (out->closes) /* wherever it stands among other options (section 9.3) */
        out->keep_alive = false;
    if (out->chunked && out->content_length >= 0)
        return FG_H1_FAULT_LENGTH_AND_CHUNKED;
    if (kind == FG_H1_REQUEST && (hosts > 1 || (hosts == 0 && out->minor_version == 1)))
        return FG_H1_FAULT_HOST;
    return FG_H1_FAULT_NONE;
}

ssize_t fg_h1_head_parse(enum fg_h1_kind kind, const char *data, size_t len, const struct fg_h1_limits *limits,
                         struct fg_arena *arena, struct fg_h1_head *out, enum fg_h1_fault *fault)
{
    const char *at = data, *end = data + FG_MIN(len, limits->max_head_bytes);
    bool started = false;

    *out = (struct fg_h1_head){.content_length = -1};
    for (*fault = FG_H1_FAULT_NONE; !*fault;) {
        struct fg_str line;
        int result = fg_h1_line(at, end, &line, &at);
        if (result == 0 && len < limits->max_head_bytes)
            return FG_H1_MORE;
        if (result <= 0) {
            *fault = result < 0 ? FG_H1_FAULT_LINE : FG_H1_FAULT_HEAD_TOO_LARGE;
        } else if (!started) {
            *fault = kind == FG_H1_REQUEST ? parse_request_line(line, arena, out) : parse_status_line(line, out);
            out->keep_alive = out->minor_version == 1;
            started = true;
        } else if (line.len == 0) {
            *fault = interpret(kind, out);
            if (!*fault)
                return at - data;
        } else if (out->headers.len >= limits->max_fields) {
            *fault = FG_H1_FAULT_TOO_MANY_FIELDS;
        } else {
            *fault = fg_h1_field_parse(line, arena, &out->headers);
        }
    }
    return FG_H1_ERROR;
}
