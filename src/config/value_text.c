#include "config/value_int.h"

#include <arpa/inet.h>
#include <strings.h>

/* ---- addresses ---- */

static bool is_v4(struct fg_str host)
{
    char text[INET_ADDRSTRLEN];
    struct in_addr address;
    if (host.len >= sizeof text)
        return false;
    memcpy(text, host.p, host.len);
    text[host.len] = '\0';
    return inet_pton(AF_INET, text, &address) == 1;
}

static bool is_v6(struct fg_str host, struct in6_addr *address)
{
    char text[INET6_ADDRSTRLEN];
    if (host.len >= sizeof text)
        return false;
    memcpy(text, host.p, host.len);
    text[host.len] = '\0';
    return inet_pton(AF_INET6, text, address) == 1;
}

/* A host name (RFC 1123, and "_", which container networks use) or an IPv4 address. */
static const char *check_name(struct fg_str host)
{
    bool digits = true;
    if (host.len > 253)
        return "a host name has at most 253 letters";
    for (size_t i = 0; i < host.len; i++) {
        char c = host.p[i];
        if (c == '*')
            return "* is no host; write 0.0.0.0 or [::] for every address";
        if (!fg_value_is_alnum(c) && c != '.' && c != '-' && c != '_')
            return "expected host:port or [v6]:port; the host has a letter that no host name has";
        if (c == '.' && (i == 0 || host.p[i - 1] == '.'))
            return "expected host:port or [v6]:port; the host has an empty part";
        digits = digits && (fg_value_is_digit(c) || c == '.');
    }
    return digits && !is_v4(host) ? "expected host:port or [v6]:port; the host is not an IPv4 address" : NULL;
}

static const char *check_host(struct fg_str host, bool brackets)
{
    struct in6_addr address;
    if (host.len == 0)
        return "the host is missing; write 0.0.0.0 or [::] for every address";
    if (brackets)
        return is_v6(host, &address) ? NULL
                                     : "expected host:port or [v6]:port; there is no IPv6 address in the brackets";
    if (memchr(host.p, ':', host.len))
        return "expected host:port or [v6]:port; an IPv6 address stands in brackets";
    return check_name(host);
}

static const char *check_port(struct fg_str text, uint16_t *out)
{
    uint64_t port;
    if (fg_value_integer(text, &port) != 0)
        return "expected a port from 1 to 65535 after the last colon";
    if (port > 65535)
        return "expected a port from 1 to 65535";
    *out = (uint16_t)port;
    return NULL;
}

static const char *last_colon(struct fg_str text)
{
    for (size_t i = text.len; i-- > 0;)
        if (text.p[i] == ':')
            return text.p + i;
    return NULL;
}

const char *fg_value_address(struct fg_str text, struct fg_value_address *out)
{
    struct fg_str host, port;
    bool brackets = text.len > 0 && text.p[0] == '[';
    const char *colon = last_colon(text);
    const char *end = brackets ? memchr(text.p, ']', text.len) : colon;

    if (!end || (brackets && end + 1 != colon))
        return "expected host:port or [v6]:port; the port is missing";
    host.p = text.p + brackets;
    host.len = (size_t)(end - host.p);
    port.p = colon + 1;
    port.len = (size_t)(text.p + text.len - port.p);

    struct fg_value_address address = {.host = host};
    const char *why = check_host(host, brackets);
    if (!why)
        why = check_port(port, &address.port);
    if (!why)
        *out = address;
    return why;
}

bool fg_value_is_loopback(struct fg_str host)
{
    struct in6_addr address;
    if (is_v6(host, &address))
        return IN6_IS_ADDR_LOOPBACK(&address);
    return fg_str_eq(host, FG_STR("localhost")) || (is_v4(host) && fg_str_starts_with(host, FG_STR("127.")));
}

/* ---- texts ---- */

static const char *check_listen(struct fg_str text)
{
    struct fg_value_address address;
    const char *why = fg_value_address(text, &address);
    if (!why && address.port == 0)
        return "port 0 would listen on a random port; name one";
    return why;
}

static const char *check_endpoint(struct fg_str text)
{
    struct fg_value_address address;
    const char *why = fg_value_address(text, &address);
    if (!why && address.port == 0)
        return "expected a port from 1 to 65535";
    return why;
}

static const char *check_admin(struct fg_str text)
{
    if (!fg_str_starts_with(text, FG_STR("unix:")))
        return check_listen(text);
    if (text.len == 5)
        return "expected a path after unix:";
    return text.len - 5 > 107 ? "the path of a unix socket has at most 107 bytes" : NULL;
}

static bool is_identifier(struct fg_str text, bool dots)
{
    bool start = true; /* of a part: there it may not be a digit, a dot or the end */
    for (size_t i = 0; i < text.len; i++) {
        char c = text.p[i];
        if (c == '.' && dots && !start)
            start = true;
        else if (c == '_' || (fg_value_is_alnum(c) && !(start && fg_value_is_digit(c))))
            start = false;
        else
            return false;
    }
    return !start;
}

static const char *check_method(struct fg_str text)
{
    static const char wrong[] = "expected pkg.Service/Method, pkg.Service/* or *";
    if (fg_str_eq(text, FG_STR("*")))
        return NULL;
    if (text.len > 0 && text.p[0] == '/')
        return "expected pkg.Service/Method, pkg.Service/* or *, without a slash in front";
    const char *slash = text.len > 0 ? memchr(text.p, '/', text.len) : NULL;
    if (!slash)
        return wrong;
    struct fg_str service = {text.p, (size_t)(slash - text.p)};
    struct fg_str method = {slash + 1, text.len - service.len - 1};
    bool any = fg_str_eq(method, FG_STR("*"));
    return is_identifier(service, true) && (any || is_identifier(method, false)) ? NULL : wrong;
}

static const char *check_path(struct fg_str text)
{
    if (text.len == 0 || text.p[0] != '/')
        return "expected a path that starts with \"/\"";
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.p[i] <= 0x20 || (unsigned char)text.p[i] >= 0x7f)
            return "expected a path as it is sent: visible ASCII, others percent-encoded";
        if (text.p[i] == '?' || text.p[i] == '#')
            return "expected a path; what follows ? or # takes no part in the match";
    }
    return NULL;
}

static const char *check_host_name(struct fg_str text)
{
    static const char wrong[] = "expected a host name, with :port if clients send one";
    for (size_t i = 0; i < text.len; i++)
        if (!fg_value_is_alnum(text.p[i]) && !memchr(".-_:[]", text.p[i], 6))
            return wrong;
    return text.len == 0 || text.len > 260 ? wrong : NULL;
}

static const char *check_token(struct fg_str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.p[i] <= 0x20 || text.p[i] >= 0x7f)
            return "expected visible ASCII without spaces";
    return text.len == 0 ? "expected visible ASCII without spaces" : NULL;
}

static const char *check_cluster(struct fg_str text)
{
    static const char wrong[] = "expected a cluster name: 1 to 64 letters, digits, \"_\", \"-\" or \".\"";
    for (size_t i = 0; i < text.len; i++)
        if (!fg_value_is_alnum(text.p[i]) && !memchr("_-.", text.p[i], 3))
            return wrong;
    return text.len == 0 || text.len > 64 ? wrong : NULL;
}

/* A token (RFC 9110 section 5.6.2). */
static const char *check_header_name(struct fg_str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!fg_value_is_alnum(text.p[i]) && !memchr("!#$%&'*+-.^_`|~", text.p[i], 15))
            return "expected a header name";
    return text.len == 0 || text.len > 128 ? "expected a header name of 1 to 128 letters" : NULL;
}

static const char *check_header(struct fg_str text)
{
    if (text.len > 0 && text.p[0] == ':')
        return "expected a header name; for :authority and :path there are keys of their own";
    return check_header_name(text);
}

/* Not those that are about one connection and end with it (RFC 9110 section 7.6.1). */
static const char *check_call_header(struct fg_str text)
{
    static const char *const hops[] = {"connection", "keep-alive",        "proxy-connection", "te",
                                       "trailer",    "transfer-encoding", "upgrade"};
    if (text.len > 0 && text.p[0] == ':')
        return "expected a header name; what begins with \":\" belongs to the protocol";
    for (size_t i = 0; i < FG_ARRAY_LEN(hops); i++)
        if (text.len == strlen(hops[i]) && strncasecmp(text.p, hops[i], text.len) == 0)
            return "expected a header of the call; this one is about the connection and ends with it";
    return check_header_name(text);
}

static const char *check_text(struct fg_str text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f)
            return "expected text without control characters";
    return NULL;
}

static const char *check_file(struct fg_str text)
{
    if (text.len == 0)
        return "expected a file name";
    return text.len > 4000 ? "the file name is too long" : check_text(text);
}

/* A header's value: it has no space at its ends (RFC 9113 section 8.2.1). */
static const char *check_tenant(struct fg_str text)
{
    bool ends = text.len > 0 && (text.p[0] == ' ' || text.p[text.len - 1] == ' ');
    if (text.len == 0 || text.len > 256 || ends || check_text(text))
        return "expected a tenant: 1 to 256 letters as they stand in the header, without a space at the ends";
    return NULL;
}

static const char *check_http_status(struct fg_str text)
{
    bool good = text.len == 3 && text.p[0] >= '2' && text.p[0] <= '5';

    for (size_t i = 1; good && i < 3; i++)
        good = (text.p[i] >= '0' && text.p[i] <= '9') || (text.p[i] == 'x' && text.p[1] == 'x');
    return good ? NULL : "expected an HTTP status from 200 to 599, or a class of them such as 4xx";
}

/* Names or "*" with dots between them; the last one is a name. Keys of maps count as names. */
static const char *check_field(struct fg_str text)
{
    static const char wrong[] = "expected a path of fields such as password, card.number or *.token";
    size_t part = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.p[i];
        if (c == '.' ? part == 0 : !fg_value_is_alnum(c) && c != '_' && c != '-' && c != '*')
            return wrong;
        if ((c == '*' && part > 0) || (c != '.' && part > 0 && text.p[i - 1] == '*'))
            return wrong;
        part = c == '.' ? 0 : part + 1;
    }
    return part == 0 || text.p[text.len - 1] == '*' || text.len > 256 ? wrong : NULL;
}

const char *fg_value_text_fault(enum fg_key_type type, struct fg_str text)
{
    static const char *(*const checks[])(struct fg_str text) = {
        [FG_KEY_TEXT] = check_text,     [FG_KEY_FILE] = check_file,
        [FG_KEY_LISTEN] = check_listen, [FG_KEY_ENDPOINT] = check_endpoint,
        [FG_KEY_ADMIN] = check_admin,   [FG_KEY_METHOD] = check_method,
        [FG_KEY_PATH] = check_path,     [FG_KEY_HOST] = check_host_name,
        [FG_KEY_TOKEN] = check_token,   [FG_KEY_CLUSTER] = check_cluster,
        [FG_KEY_TENANT] = check_tenant, [FG_KEY_HTTP_STATUS] = check_http_status,
        [FG_KEY_HEADER] = check_header, [FG_KEY_CALL_HEADER] = check_call_header,
        [FG_KEY_FIELD] = check_field,
    };
    return checks[type](text);
}
