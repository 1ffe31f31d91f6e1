/* What makes a request, response or trailer section malformed (RFC 9113 section 8, RFC 9110 section 5). */
#include "h2/h2_int.h"

/* tchar of RFC 9110 section 5.6.2 without upper case (RFC 9113 section 8.2.1). */
static bool is_name_char(uint8_t c)
{
    static const uint32_t allowed[8] = {0x00000000, /* controls */
                                        0x03ff6cfa, /* ! # $ % & ' * + - . 0-9 */
                                        0xc0000000, /* ^ _ */
                                        0x57ffffff, /* ` a-z | ~ */
                                        0,          0, 0, 0};
    return allowed[c >> 5] >> (c & 31) & 1;
}

static bool name_ok(struct fg_str name)
{
    if (name.len == 0)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!is_name_char((uint8_t)name.p[i]))
            return false;
    return true;
}

/* Eight bytes at a time: true if one of them may be a control character (false alarms are sorted out by the caller). */
static bool may_hold_control(uint64_t eight)
{
    const uint64_t ones = 0x0101010101010101ull, highs = 0x8080808080808080ull;
    uint64_t below_space = (eight - ones * 0x20) & ~eight & highs;
    uint64_t del = eight ^ ones * 0x7f;
    return below_space | ((del - ones) & ~del & highs);
}

static bool value_ok(struct fg_str value)
{
    const char *p = value.p, *end = value.p + value.len;

    if (value.len == 0)
        return true;
    if (p[0] == ' ' || p[0] == '\t' || end[-1] == ' ' || end[-1] == '\t')
        return false;
    for (; end - p >= 8; p += 8) {
        uint64_t eight;
        memcpy(&eight, p, 8);
        if (may_hold_control(eight))
            break;
    }
    for (; p < end; p++)
        if (((uint8_t)*p < 0x20 && *p != '\t') || *p == 0x7f)
            return false;
    return true;
}

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

/* Rules for every field that is not a pseudo-header. */
static enum fg_h2_fault check_field(const struct fg_header *field, int64_t *content_length)
{
    int64_t length;

    switch (field->token) {
    case FG_TOKEN_NONE:
        if (!name_ok(field->name))
            return field->name.len > 0 && field->name.p[0] == ':' ? FG_H2_FAULT_PSEUDO_HEADER : FG_H2_FAULT_MALFORMED;
        break;
    case FG_TOKEN_CONNECTION:
    case FG_TOKEN_PROXY_CONNECTION:
    case FG_TOKEN_KEEP_ALIVE:
    case FG_TOKEN_TRANSFER_ENCODING:
    case FG_TOKEN_UPGRADE:
        return FG_H2_FAULT_CONNECTION_HEADER;
    case FG_TOKEN_TE:
        if (!fg_str_eq(field->value, FG_STR("trailers")))
            return FG_H2_FAULT_CONNECTION_HEADER;
        break;
    case FG_TOKEN_CONTENT_LENGTH:
        if (!parse_length(field->value, &length) ||
            *content_length >= 0) /* also equal ones: libnghttp2 does the same */
            return FG_H2_FAULT_CONTENT_LENGTH;
        *content_length = length;
        break;
    default:
        break;
    }
    return value_ok(field->value) ? FG_H2_FAULT_NONE : FG_H2_FAULT_MALFORMED;
}

/* Checks every field and collects the pseudo-headers by token; all of them come first, each once. HOST is NULL where
 * the field means nothing: in responses and their trailers. */
static enum fg_h2_fault scan(const struct fg_headers *headers, const struct fg_header *pseudo[FG_TOKEN_LAST_PSEUDO + 1],
                             const struct fg_header **host, int64_t *content_length)
{
    bool pseudo_over = false;

    *content_length = -1;
    for (uint32_t i = 0; i < headers->len; i++) {
        const struct fg_header *field = &headers->items[i];
        if (field->token != FG_TOKEN_NONE && field->token <= FG_TOKEN_LAST_PSEUDO) {
            if (pseudo_over || pseudo[field->token])
                return FG_H2_FAULT_PSEUDO_HEADER;
            if (!value_ok(field->value))
                return FG_H2_FAULT_MALFORMED;
            pseudo[field->token] = field;
            continue;
        }
        pseudo_over = true;
        enum fg_h2_fault fault = check_field(field, content_length);
        if (fault)
            return fault;
        if (host && field->token == FG_TOKEN_HOST) {
            if (*host)
                return FG_H2_FAULT_HOST_MISMATCH;
            *host = field;
        }
    }
    return FG_H2_FAULT_NONE;
}

static bool path_ok(struct fg_str path, struct fg_str method)
{
    if (path.len == 0)
        return false;
    if (memchr(path.p, ' ', path.len) || memchr(path.p, '#', path.len))
        return false;
    return path.p[0] == '/' || (fg_str_eq(path, FG_STR("*")) && fg_str_eq(method, FG_STR("OPTIONS")));
}

static bool authority_ok(struct fg_str authority)
{
    for (size_t i = 0; i < authority.len;
         i++) /* no userinfo (RFC 9113 section 8.3.1), nothing that ends an authority */
        if (strchr("@/?# \t\\", authority.p[i]))
            return false;
    return true;
}

enum fg_h2_fault fg_h2_check_request(const struct fg_headers *headers, bool extended, int64_t *content_length)
{
    const struct fg_header *pseudo[FG_TOKEN_LAST_PSEUDO + 1] = {0}, *host = NULL;
    enum fg_h2_fault fault = scan(headers, pseudo, &host, content_length);

    if (fault)
        return fault;
    const struct fg_header *method = pseudo[FG_TOKEN_METHOD], *authority = pseudo[FG_TOKEN_AUTHORITY];
    const struct fg_header *protocol = pseudo[FG_TOKEN_PROTOCOL];
    if (pseudo[FG_TOKEN_STATUS] || !method || method->value.len == 0 || (protocol && !extended))
        return FG_H2_FAULT_PSEUDO_HEADER;
    if (authority && (authority->value.len == 0 || !authority_ok(authority->value)))
        return FG_H2_FAULT_PSEUDO_HEADER;
    if (host && authority && !fg_str_eq(host->value, authority->value))
        return FG_H2_FAULT_HOST_MISMATCH;
    bool is_connect = fg_str_eq(method->value, FG_STR("CONNECT"));
    if (protocol && (!is_connect || protocol->value.len == 0 || !authority)) /* RFC 8441 section 4 */
        return FG_H2_FAULT_PSEUDO_HEADER;
    if (is_connect && !protocol) /* section 8.5 */
        return authority && !pseudo[FG_TOKEN_SCHEME] && !pseudo[FG_TOKEN_PATH] ? FG_H2_FAULT_NONE
                                                                               : FG_H2_FAULT_PSEUDO_HEADER;
    if (!pseudo[FG_TOKEN_SCHEME] || pseudo[FG_TOKEN_SCHEME]->value.len == 0 || !pseudo[FG_TOKEN_PATH])
        return FG_H2_FAULT_PSEUDO_HEADER;
    return path_ok(pseudo[FG_TOKEN_PATH]->value, method->value) ? FG_H2_FAULT_NONE : FG_H2_FAULT_PSEUDO_HEADER;
}

enum fg_h2_fault fg_h2_check_response(const struct fg_headers *headers, unsigned *status, int64_t *content_length)
{
    const struct fg_header *pseudo[FG_TOKEN_LAST_PSEUDO + 1] = {0};
    enum fg_h2_fault fault = scan(headers, pseudo, NULL, content_length);
    const struct fg_header *field = pseudo[FG_TOKEN_STATUS];

    if (fault)
        return fault;
    for (int i = FG_TOKEN_AUTHORITY; i <= FG_TOKEN_LAST_PSEUDO; i++)
        if (pseudo[i] && i != FG_TOKEN_STATUS)
            return FG_H2_FAULT_PSEUDO_HEADER;
    if (!field || field->value.len != 3)
        return FG_H2_FAULT_PSEUDO_HEADER;
    *status = 0;
    for (int i = 0; i < 3; i++) {
        if (field->value.p[i] < '0' || field->value.p[i] > '9')
            return FG_H2_FAULT_PSEUDO_HEADER;
        *status = *status * 10 + (unsigned)(field->value.p[i] - '0');
    }
    /* 101 cannot be in HTTP/2 (section 8.6). */
    return *status < 100 || *status == 101 ? FG_H2_FAULT_PSEUDO_HEADER : FG_H2_FAULT_NONE;
}

enum fg_h2_fault fg_h2_check_trailers(const struct fg_headers *headers, bool is_request)
{
    const struct fg_header *pseudo[FG_TOKEN_LAST_PSEUDO + 1] = {0}, *host = NULL;
    int64_t content_length;
    enum fg_h2_fault fault = scan(headers, pseudo, is_request ? &host : NULL, &content_length);

    if (fault)
        return fault;
    for (int i = FG_TOKEN_AUTHORITY; i <= FG_TOKEN_LAST_PSEUDO; i++)
        if (pseudo[i])
            return FG_H2_FAULT_PSEUDO_HEADER;
    /* Framing and routing have no place behind the content (RFC 9110 section 6.5.1); an HTTP/1 peer might act on it. */
    return content_length >= 0 || host ? FG_H2_FAULT_TRAILER_FIELD : FG_H2_FAULT_NONE;
}
