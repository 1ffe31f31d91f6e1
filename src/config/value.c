#include "config/value_int.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/time.h"
#include "config/errors.h"
#include "config/nearest.h"
#include "rpc/status.h"

/* ---- numbers ---- */

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit duration_units[] = {
    {"us", FG_US}, {"ms", FG_MS}, {"s", FG_S}, {"m", 60 * FG_S}, {"h", 3600 * FG_S}};
static const struct unit period_units[] = {{"/s", FG_S}, {"/m", 60 * FG_S}, {"/h", 3600 * FG_S}};
static const struct unit size_units[] = {{"", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}};

static uint64_t multiply(uint64_t a, uint64_t b)
{
    return b > 0 && a > UINT64_MAX / b ? UINT64_MAX : a * b;
}

/* Takes digits off the front; their number. */
static size_t take_digits(struct fg_str *text, uint64_t *out)
{
    size_t len = 0;
    uint64_t n = 0;
    for (; len < text->len && fg_value_is_digit(text->p[len]); len++) {
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
    uint64_t n;
    if (take_digits(&text, &n) == 0)
        return -1;
    for (size_t i = 0; i < FG_ARRAY_LEN(period_units); i++) {
        uint64_t period = period_units[i].factor;
        if (!fg_str_eq(text, fg_str_from(period_units[i].name)))
            continue;
        *out_ns = n == 0 ? UINT64_MAX : n > period ? 0 : period / n + (period % n > 0);
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
            if (!fg_value_is_digit(text.p[i]))
                return -1;
            place /= 10;
            fraction += place * (uint64_t)(text.p[i] - '0');
        }
    }
    whole = multiply(whole, unit);
    *out_millionths = whole > UINT64_MAX - fraction ? UINT64_MAX : whole + fraction;
    return 0;
}

/* ---- what a key takes ---- */

struct kind {
    const char *name, *examples;
    int (*number)(struct fg_str text, uint64_t *out);
};

static const struct kind kinds[] = {
    [FG_KEY_BOOL] = {"true or false", NULL, fg_value_bool},
    [FG_KEY_INTEGER] = {"a whole number", NULL, fg_value_integer},
    [FG_KEY_SIZE] = {"a size", "64KiB or 1MiB", fg_value_size},
    [FG_KEY_DURATION] = {"a duration", "250ms, 2s or 5m", fg_value_duration},
    [FG_KEY_RATIO] = {"a ratio", "20% or 0.2", fg_value_ratio},
    [FG_KEY_FACTOR] = {"a factor", "2 or 1.5", fg_value_ratio},
    [FG_KEY_RATE] = {"a rate", "10/s", fg_value_rate},
    [FG_KEY_INTERVAL] = {"a rate", "10/s, 600/m or 1000/h", fg_value_interval},
    [FG_KEY_CODES] = {"a list of status codes", "[UNAVAILABLE, INTERNAL]", NULL},
    [FG_KEY_LIMIT_KEY] = {"header:NAME", NULL, NULL},
    [FG_KEY_TEXT] = {"text", NULL, NULL},
    [FG_KEY_FILE] = {"a file name", NULL, NULL},
    [FG_KEY_LISTEN] = {"host:port or [v6]:port", NULL, NULL},
    [FG_KEY_ENDPOINT] = {"host:port or [v6]:port", NULL, NULL},
    [FG_KEY_ADMIN] = {"host:port, [v6]:port or unix:/path", NULL, NULL},
    [FG_KEY_METHOD] = {"pkg.Service/Method, pkg.Service/* or *", NULL, NULL},
    [FG_KEY_PATH] = {"a path that starts with \"/\"", NULL, NULL},
    [FG_KEY_HOST] = {"a host name", NULL, NULL},
    [FG_KEY_TOKEN] = {"visible ASCII without spaces", NULL, NULL},
    [FG_KEY_CLUSTER] = {"the name of a cluster", NULL, NULL},
    [FG_KEY_TENANT] = {"a tenant", NULL, NULL},
    [FG_KEY_HTTP_STATUS] = {"an HTTP status", NULL, NULL},
    [FG_KEY_HEADER] = {"a header name", NULL, NULL},
    [FG_KEY_CALL_HEADER] = {"a header name", NULL, NULL},
    [FG_KEY_FIELD] = {"a path of fields", NULL, NULL},
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

/* A decimal number of UNITs, without needless zeros. */
static void format_decimal(uint64_t number, uint64_t unit, const char *suffix, char *out, size_t out_len)
{
    char digits[32];
    int places = 0;
    for (uint64_t u = unit; u > 1; u /= 10)
        places++;
    int n = snprintf(digits, sizeof digits, "%llu.%0*llu", (unsigned long long)(number / unit), places,
                     (unsigned long long)(number % unit));
    while (n > 0 && digits[n - 1] == '0')
        n--;
    if (n > 0 && digits[n - 1] == '.')
        n--;
    snprintf(out, out_len, "%.*s%s", n, digits, suffix);
}

/* The rate in the shortest period that has exactly this INTERVAL. */
static void format_interval(uint64_t interval, char *out, size_t out_len)
{
    const struct unit *unit = period_units;
    uint64_t n = 0;
    for (size_t i = 0; i < FG_ARRAY_LEN(period_units) && interval > 0; i++) {
        unit = &period_units[i];
        n = unit->factor / interval + (unit->factor % interval > 0);
        if (unit->factor / n + (unit->factor % n > 0) == interval)
            break;
    }
    snprintf(out, out_len, "%llu%s", (unsigned long long)n, unit->name);
}

static void format_with_unit(uint64_t number, const struct unit *units, size_t units_len, char *out, size_t out_len)
{
    const struct unit *best = NULL;
    for (size_t i = 0; i < units_len; i++)
        if (number > 0 && number % units[i].factor == 0)
            best = &units[i];
    snprintf(out, out_len, "%llu%s", (unsigned long long)(best ? number / best->factor : number),
             best ? best->name : "");
}

void fg_value_format(enum fg_key_type type, uint64_t number, char *out, size_t out_len)
{
    switch (type) {
    case FG_KEY_RATIO:
        format_decimal(number, FG_RATIO_UNIT / 100, "%", out, out_len);
        break;
    case FG_KEY_FACTOR:
        format_decimal(number, FG_RATIO_UNIT, "", out, out_len);
        break;
    case FG_KEY_INTERVAL:
        format_interval(number, out, out_len);
        break;
    case FG_KEY_SIZE:
        format_with_unit(number, size_units, FG_ARRAY_LEN(size_units), out, out_len);
        break;
    case FG_KEY_DURATION:
        format_with_unit(number, duration_units, FG_ARRAY_LEN(duration_units), out, out_len);
        break;
    default:
        snprintf(out, out_len, "%llu%s", (unsigned long long)number, type == FG_KEY_RATE ? "/s" : "");
    }
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
        bool inverse = key->type == FG_KEY_INTERVAL; /* the longest one is the lowest rate */
        fg_value_format(key->type, inverse ? key->max : key->min, least, sizeof least);
        fg_value_format(key->type, inverse ? key->min : key->max, most, sizeof most);
        add(&w, " from %s to %s", least, most);
    }
    if (kind->examples)
        add(&w, ", such as %s", kind->examples);
}

/* ---- status codes ---- */

int fg_value_code(struct fg_str text, uint64_t *out_set, char why[FG_VALUE_WHY_BYTES])
{
    struct writer w = {why, 0, FG_VALUE_WHY_BYTES};
    struct fg_nearest nearest;
    enum fg_status number;

    fg_nearest_init(&nearest, text);
    for (unsigned i = FG_STATUS_OK + 1; i < FG_STATUS_LEN; i++) {
        if (fg_str_eq(text, fg_str_from(fg_status_name(i)))) {
            *out_set = UINT64_C(1) << i;
            return 0;
        }
        fg_nearest_offer(&nearest, fg_status_name(i));
    }
    if (fg_str_eq(text, FG_STR("OK")) || fg_str_eq(text, FG_STR("0"))) {
        add(&w, "expected the code of a call that failed; OK is always a success");
        return -1;
    }
    if (fg_status_parse(text, &number) && fg_str_eq(text, fg_status_number(number)))
        nearest.best = fg_status_name(number);
    if (nearest.best) {
        add(&w, "expected a status code; did you mean \"%s\"?", nearest.best);
        return -1;
    }
    add(&w, "expected a status code, one of:");
    for (unsigned i = FG_STATUS_OK + 1; i < FG_STATUS_LEN; i++)
        add(&w, "%s %s", i > FG_STATUS_OK + 1 ? "," : "", fg_status_name(i));
    return -1;
}

/* "[UNAVAILABLE, INTERNAL]", which is how a default is written. */
static int parse_codes(struct fg_str text, uint64_t *out_set, char why[FG_VALUE_WHY_BYTES])
{
    uint64_t set = 0, one;
    if (text.len < 2 || text.p[0] != '[' || text.p[text.len - 1] != ']')
        return -1;
    text = (struct fg_str){text.p + 1, text.len - 2};
    while (text.len > 0) {
        const char *comma = memchr(text.p, ',', text.len);
        struct fg_str name = {text.p, comma ? (size_t)(comma - text.p) : text.len};
        if (fg_value_code(name, &one, why) != 0)
            return -1;
        set |= one;
        size_t used = FG_MIN(name.len + 2, text.len); /* with ", " */
        text = (struct fg_str){text.p + used, text.len - used};
    }
    *out_set = set;
    return 0;
}

/* ---- checking ---- */

/* What somebody who writes 64KB, 20 (for 20%), 10 (for 10/s), 30 (for 30s), x-tenant (for header:x-tenant),
 * yes or off most likely means. */
static void guess(const struct fg_key *key, struct fg_str text, char *out, size_t out_len)
{
    static const struct {
        const char *wrong, *right;
    } units[] = {{"B", ""},      {"K", "KiB"},    {"k", "KiB"},    {"KB", "KiB"},   {"kB", "KiB"},
                 {"kb", "KiB"},  {"M", "MiB"},    {"MB", "MiB"},   {"G", "GiB"},    {"GB", "GiB"},
                 {"sec", "s"},   {"S", "s"},      {"min", "m"},    {"msec", "ms"},  {"hr", "h"},
                 {" s", "s"},    {" ms", "ms"},   {" KiB", "KiB"}, {" MiB", "MiB"}, {"/sec", "/s"},
                 {"/min", "/m"}, {"/hour", "/h"}, {" /s", "/s"},   {"rps", "/s"},   {"x", ""}};
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
    if (key->type == FG_KEY_LIMIT_KEY) {
        bool is_name = text.len < 40 && memchr(text.p, '-', text.len) != NULL;
        if (is_name && !fg_value_text_fault(FG_KEY_CALL_HEADER, text))
            snprintf(out, out_len, "header:%.*s", (int)text.len, text.p);
        return;
    }
    if (text.len > 20 || take_digits(&rest, &n) == 0)
        return;
    const char *unit = NULL;
    if (rest.len == 0)
        unit = key->type == FG_KEY_DURATION                               ? "s"
               : key->type == FG_KEY_RATIO                                ? "%"
               : key->type == FG_KEY_RATE || key->type == FG_KEY_INTERVAL ? "/s"
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

struct fg_str fg_value_header_of(struct fg_str text)
{
    struct fg_str prefix = FG_STR("header:");
    if (!fg_str_starts_with(text, prefix))
        return (struct fg_str){0};
    return (struct fg_str){text.p + prefix.len, text.len - prefix.len};
}

static int parse_limit_key(const struct fg_key *key, struct fg_str text, uint64_t *out, char why[FG_VALUE_WHY_BYTES])
{
    struct fg_str name = fg_value_header_of(text);
    if (!name.p)
        return refuse(key, text, why);
    const char *wrong = fg_value_text_fault(FG_KEY_CALL_HEADER, name);
    if (wrong)
        snprintf(why, FG_VALUE_WHY_BYTES, "%s", wrong);
    *out = FG_LIMIT_KEY_HEADER;
    return wrong ? -1 : 0;
}

int fg_value_parse(const struct fg_key *key, struct fg_str text, uint64_t *out, char why[FG_VALUE_WHY_BYTES])
{
    const struct kind *kind = &kinds[key->type];
    const struct fg_key_word *word = find_word(key, text);

    *out = 0;
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
    if (key->type == FG_KEY_ENUM)
        return refuse(key, text, why);
    if (key->type == FG_KEY_CODES)
        return parse_codes(text, out, why);
    if (key->type == FG_KEY_LIMIT_KEY)
        return parse_limit_key(key, text, out, why);
    const char *wrong = fg_value_text_fault(key->type, text);
    if (!wrong && key->max > 0 && text.len > key->max)
        wrong = "the text is too long";
    if (wrong)
        snprintf(why, FG_VALUE_WHY_BYTES, "%s", wrong);
    return wrong ? -1 : 0;
}
