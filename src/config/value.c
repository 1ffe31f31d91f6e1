#include "config/value.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/time.h"
#include "config/errors.h"
#include "config/nearest.h"

/* ---- numbers ---- */

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit duration_units[] = {
    {"us", FG_US}, {"ms", FG_MS}, {"s", FG_S}, {"m", 60 * FG_S}, {"h", 3600 * FG_S}};
static const struct unit size_units[] = {{"", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static uint64_t multiply(uint64_t a, uint64_t b)
{
    return b > 0 && a > UINT64_MAX / b ? UINT64_MAX : a * b;
}

/* Takes digits off the front; their number. */
static size_t take_digits(struct fg_str *text, uint64_t *out)
{
    size_t len = 0;
    uint64_t n = 0;
    for (; len < text->len && is_digit(text->p[len]); len++) {
        uint64_t digit = (uint64_t)(text->p[len] - '0');
        n = multiply(n, 10);
        n = n > UINT64_MAX - digit ? UINT64_MAX : n + digit;
    }
    text->p += len;
    text->len -= len;
    *out = n;
    return len;
}

static int with_unit(struct fg_str text, const struct unit *units, size_t units_len, uint64_t *out)
{
    uint64_t n;
    if (take_digits(&text, &n) == 0)
        return -1;
    for (size_t i = 0; i < units_len; i++) {
        if (fg_str_eq(text, fg_str_from(units[i].name))) {
            *out = multiply(n, units[i].factor);
            return 0;
        }
    }
    return -1;
}

int fg_value_integer(struct fg_str text, uint64_t *out)
{
    static const struct unit none[] = {{"", 1}};
    return with_unit(text, none, 1, out);
}

int fg_value_duration(struct fg_str text, uint64_t *out_ns)
{
    if (fg_str_eq(text, FG_STR("0"))) {
        *out_ns = 0;
        return 0;
    }
    return with_unit(text, duration_units, FG_ARRAY_LEN(duration_units), out_ns);
}

int fg_value_size(struct fg_str text, uint64_t *out_bytes)
{
    return with_unit(text, size_units, FG_ARRAY_LEN(size_units), out_bytes);
}

int fg_value_rate(struct fg_str text, uint64_t *out_per_s)
{
    static const struct unit per_second[] = {{"/s", 1}};
    return with_unit(text, per_second, 1, out_per_s);
}

int fg_value_interval(struct fg_str text, uint64_t *out_ns)
{
    static const struct unit periods[] = {{"/s", FG_S}, {"/m", 60 * FG_S}, {"/h", 3600 * FG_S}};
    uint64_t n;

    if (take_digits(&text, &n) == 0)
        return -1;
    for (size_t i = 0; i < FG_ARRAY_LEN(periods); i++) {
        if (!fg_str_eq(text, fg_str_from(periods[i].name)))
            continue;
        if (n == 0 || n > periods[i].factor)
            return -1;
        *out_ns = (periods[i].factor + n - 1) / n;
        return 0;
    }
    return -1;
}

int fg_value_bool(struct fg_str text, uint64_t *out)
{
    bool yes = fg_str_eq(text, FG_STR("true"));
    if (!yes && !fg_str_eq(text, FG_STR("false")))
        return -1;
    *out = yes;
    return 0;
}

int fg_value_ratio(struct fg_str text, uint64_t *out_millionths)
{
    uint64_t whole, unit = FG_RATIO_UNIT, fraction = 0;
    if (text.len > 0 && text.p[text.len - 1] == '%') {
        unit /= 100;
        text.len--;
    }
    if (take_digits(&text, &whole) == 0)
        return -1;
    if (text.len > 0) {
        if (text.p[0] != '.' || text.len == 1)
            return -1;
        uint64_t place = unit;
        for (size_t i = 1; i < text.len; i++) {
            if (!is_digit(text.p[i]))
                return -1;
            place /= 10;
            fraction += place * (uint64_t)(text.p[i] - '0');
        }
    }
    whole = multiply(whole, unit);
    *out_millionths = whole > UINT64_MAX - fraction ? UINT64_MAX : whole + fraction;
    return 0;
}

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
        if (!is_alnum(c) && c != '.' && c != '-' && c != '_')
            return "expected host:port or [v6]:port; the host has a letter that no host name has";
        if (c == '.' && (i == 0 || host.p[i - 1] == '.'))
            return "expected host:port or [v6]:port; the host has an empty part";
        digits = digits && (is_digit(c) || c == '.');
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
        else if (c == '_' || (is_alnum(c) && !(start && is_digit(c))))
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
        if (!is_alnum(text.p[i]) && !memchr(".-_:[]", text.p[i], 6))
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
        if (!is_alnum(text.p[i]) && !memchr("_-.", text.p[i], 3))
            return wrong;
    return text.len == 0 || text.len > 64 ? wrong : NULL;
}

/* A token (RFC 9110 section 5.6.2). */
static const char *check_header(struct fg_str text)
{
    if (text.len > 0 && text.p[0] == ':')
        return "expected a header name; for :authority and :path there are keys of their own";
    for (size_t i = 0; i < text.len; i++)
        if (!is_alnum(text.p[i]) && !memchr("!#$%&'*+-.^_`|~", text.p[i], 15))
            return "expected a header name";
    return text.len == 0 || text.len > 128 ? "expected a header name of 1 to 128 letters" : NULL;
}

static const char *check_limit_key(struct fg_str text)
{
    struct fg_str prefix = FG_STR("header:");

    if (!fg_str_starts_with(text, prefix))
        return "expected none, peer, method, tenant or header:NAME";
    return check_header((struct fg_str){text.p + prefix.len, text.len - prefix.len});
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

/* ---- what a key takes ---- */

struct kind {
    const char *name, *examples;
    int (*number)(struct fg_str text, uint64_t *out);
    const char *(*text)(struct fg_str text);
};

static const struct kind kinds[] = {
    [FG_KEY_BOOL] = {"true or false", NULL, fg_value_bool, NULL},
    [FG_KEY_INTEGER] = {"a whole number", NULL, fg_value_integer, NULL},
    [FG_KEY_SIZE] = {"a size", "64KiB or 1MiB", fg_value_size, NULL},
    [FG_KEY_DURATION] = {"a duration", "250ms, 2s or 5m", fg_value_duration, NULL},
    [FG_KEY_RATIO] = {"a ratio", "20% or 0.2", fg_value_ratio, NULL},
    [FG_KEY_RATE] = {"a rate", "10/s", fg_value_rate, NULL},
    [FG_KEY_INTERVAL] = {"a rate", "10/s, 600/m or 1000/h", fg_value_interval, NULL},
    [FG_KEY_ENUM] = {NULL, NULL, NULL, NULL},
    [FG_KEY_CODES] = {NULL, NULL, NULL, NULL},
    [FG_KEY_TEXT] = {"text", NULL, NULL, check_text},
    [FG_KEY_FILE] = {"a file name", NULL, NULL, check_file},
    [FG_KEY_LISTEN] = {"host:port or [v6]:port", NULL, NULL, check_listen},
    [FG_KEY_ENDPOINT] = {"host:port or [v6]:port", NULL, NULL, check_endpoint},
    [FG_KEY_ADMIN] = {"host:port, [v6]:port or unix:/path", NULL, NULL, check_admin},
    [FG_KEY_METHOD] = {"pkg.Service/Method, pkg.Service/* or *", NULL, NULL, check_method},
    [FG_KEY_PATH] = {"a path that starts with \"/\"", NULL, NULL, check_path},
    [FG_KEY_HOST] = {"a host name", NULL, NULL, check_host_name},
    [FG_KEY_TOKEN] = {"visible ASCII without spaces", NULL, NULL, check_token},
    [FG_KEY_CLUSTER] = {"the name of a cluster", NULL, NULL, check_cluster},
    [FG_KEY_HEADER] = {"a header name", NULL, NULL, check_header},
    [FG_KEY_LIMIT_KEY] = {"header:NAME", NULL, NULL, check_limit_key},
};

struct writer {
    char *p;
    size_t len, cap;
};

__attribute__((format(printf, 2, 3))) static void add(struct writer *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(w->p + w->len, w->cap - w->len, format, args);
    va_end(args);
    w->len = FG_MIN(w->len + (size_t)FG_MAX(n, 0), w->cap - 1);
}

void fg_value_format(enum fg_key_type type, uint64_t number, char *out, size_t out_len)
{
    const struct unit *units = type == FG_KEY_SIZE ? size_units : duration_units;
    size_t units_len = type == FG_KEY_SIZE ? FG_ARRAY_LEN(size_units) : FG_ARRAY_LEN(duration_units);
    const struct unit *best = NULL;

    if (type == FG_KEY_RATIO) {
        uint64_t rest = number % (FG_RATIO_UNIT / 100);
        int n = snprintf(out, out_len, "%llu.%04llu", (unsigned long long)(number / (FG_RATIO_UNIT / 100)),
                         (unsigned long long)rest);
        while (n > 0 && out[n - 1] == '0')
            n--;
        if (n > 0 && out[n - 1] == '.')
            n--;
        snprintf(out + n, out_len - (size_t)n, "%%");
        return;
    }
    if (type == FG_KEY_SIZE || type == FG_KEY_DURATION)
        for (size_t i = 0; i < units_len; i++)
            if (number > 0 && number % units[i].factor == 0)
                best = &units[i];
    snprintf(out, out_len, "%llu%s", (unsigned long long)(best ? number / best->factor : number),
             best                  ? best->name
             : type == FG_KEY_RATE ? "/s"
                                   : "");
}

void fg_value_expected(const struct fg_key *key, char out[FG_VALUE_WHY_BYTES])
{
    struct writer w = {out, 0, FG_VALUE_WHY_BYTES};
    const struct kind *kind = &kinds[key->type];

    out[0] = '\0';
    for (const struct fg_key_word *word = key->words; word && word->text; word++)
        add(&w, "%s%s", word == key->words ? "" : kind->name || word[1].text ? ", " : " or ", word->text);
    if (kind->name)
        add(&w, "%s%s", key->words ? " or " : "", kind->name);
    if (kind->number && key->max > 0) {
        char least[32], most[32];
        fg_value_format(key->type, key->min, least, sizeof least);
        fg_value_format(key->type, key->max, most, sizeof most);
        add(&w, " from %s to %s", least, most);
    }
    if (kind->examples)
        add(&w, ", such as %s", kind->examples);
    if (key->type == FG_KEY_CODES) {
        w.len = 0;
        add(&w, "status codes, such as UNAVAILABLE or [UNAVAILABLE, ABORTED]");
    }
}

/* ---- checking ---- */

/* What somebody who writes 64KB, 20 (for 20%), 10 (for 10/s), 30 (for 30s), yes or off most likely means. */
static void guess(const struct fg_key *key, struct fg_str text, char *out, size_t out_len)
{
    static const struct {
        const char *wrong, *right;
    } units[] = {{"B", ""},     {"K", "KiB"},  {"k", "KiB"},    {"KB", "KiB"},  {"kB", "KiB"},
                 {"kb", "KiB"}, {"M", "MiB"},  {"MB", "MiB"},   {"G", "GiB"},   {"GB", "GiB"},
                 {"sec", "s"},  {"S", "s"},    {"min", "m"},    {"msec", "ms"}, {"hr", "h"},
                 {" s", "s"},   {" ms", "ms"}, {" KiB", "KiB"}, {" MiB", "MiB"}};
    struct fg_str rest = text;
    uint64_t n, ignored;
    char candidate[64];

    out[0] = '\0';
    if (key->type == FG_KEY_BOOL) {
        bool yes = fg_str_eq(text, FG_STR("yes")) || fg_str_eq(text, FG_STR("on")) || fg_str_eq(text, FG_STR("True"));
        bool no = fg_str_eq(text, FG_STR("no")) || fg_str_eq(text, FG_STR("off")) || fg_str_eq(text, FG_STR("False"));
        snprintf(out, out_len, "%s", yes ? "true" : no ? "false" : "");
        return;
    }
    if (text.len > 20 || take_digits(&rest, &n) == 0)
        return;
    const char *unit = NULL;
    if (rest.len == 0)
        unit = key->type == FG_KEY_DURATION ? "s"
               : key->type == FG_KEY_RATIO  ? "%"
               : key->type == FG_KEY_RATE   ? "/s"
                                            : NULL;
    for (size_t i = 0; i < FG_ARRAY_LEN(units) && !unit; i++)
        if (fg_str_eq(rest, fg_str_from(units[i].wrong)))
            unit = units[i].right;
    if (!unit)
        return;
    snprintf(candidate, sizeof candidate, "%llu%s", (unsigned long long)n, unit);
    struct fg_str fixed = fg_str_from(candidate);
    if (kinds[key->type].number && kinds[key->type].number(fixed, &ignored) == 0 && ignored >= key->min &&
        ignored <= key->max)
        snprintf(out, out_len, "%s", candidate);
}

static const struct fg_key_word *find_word(const struct fg_key *key, struct fg_str text)
{
    for (const struct fg_key_word *word = key->words; word && word->text; word++)
        if (fg_str_eq(text, fg_str_from(word->text)))
            return word;
    return NULL;
}

static int refuse(const struct fg_key *key, struct fg_str text, char why[FG_VALUE_WHY_BYTES])
{
    char expected[FG_VALUE_WHY_BYTES], likely[64];
    struct fg_nearest nearest;

    fg_value_expected(key, expected);
    guess(key, text, likely, sizeof likely);
    fg_nearest_init(&nearest, text);
    for (const struct fg_key_word *word = key->words; word && word->text; word++)
        fg_nearest_offer(&nearest, word->text);
    const char *meant = likely[0] ? likely : nearest.best;
    struct writer w = {why, 0, FG_VALUE_WHY_BYTES};
    add(&w, "expected %s", expected);
    if (meant)
        add(&w, "; did you mean \"%s\"?", meant);
    return -1;
}

/* One name, or several with spaces between them. */
static int parse_codes(const struct fg_key *key, struct fg_str text, uint64_t *out, char why[FG_VALUE_WHY_BYTES])
{
    struct fg_str rest = text;

    do {
        const char *space = rest.len > 0 ? memchr(rest.p, ' ', rest.len) : NULL;
        struct fg_str name = {rest.p, space ? (size_t)(space - rest.p) : rest.len};
        const struct fg_key_word *word = find_word(key, name);
        if (!word)
            return refuse(key, name, why);
        *out |= word->number;
        rest = space ? (struct fg_str){space + 1, rest.len - name.len - 1} : FG_STR("");
    } while (rest.len > 0);
    return 0;
}

int fg_value_parse(const struct fg_key *key, struct fg_str text, uint64_t *out, char why[FG_VALUE_WHY_BYTES])
{
    const struct kind *kind = &kinds[key->type];
    const struct fg_key_word *word = find_word(key, text);

    *out = 0;
    if (key->type == FG_KEY_CODES)
        return parse_codes(key, text, out, why);
    if (word) {
        *out = word->number;
        return 0;
    }
    if (kind->number) {
        uint64_t n;
        if (kind->number(text, &n) != 0 || (key->max > 0 && (n < key->min || n > key->max)))
            return refuse(key, text, why);
        *out = n;
        return 0;
    }
    if (!kind->text)
        return refuse(key, text, why);
    const char *wrong = kind->text(text);
    if (!wrong && key->max > 0 && text.len > key->max)
        wrong = "the text is too long";
    if (wrong)
        snprintf(why, FG_VALUE_WHY_BYTES, "%s", wrong);
    return wrong ? -1 : 0;
}
