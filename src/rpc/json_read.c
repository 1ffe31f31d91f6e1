#include "rpc/json_read.h"

#define DEPTH_MAX 256

void fg_json_in_init(struct fg_json_in *in, const struct fg_str *parts, size_t parts_len)
{
    in->span = fg_span_of(parts, parts_len);
    in->total = fg_span_len(&in->span);
    in->line_begin = 0;
    in->line = 1;
    in->token_left = in->total;
    in->fault = NULL;
    in->utf8 = (struct fg_utf8){0};
    in->number_len = 0;
}

static void mark_token(struct fg_json_in *in)
{
    in->token_left = fg_span_len(&in->span);
}

int fg_json_column(const struct fg_json_in *in)
{
    return (int)FG_MIN(in->total - in->token_left - in->line_begin + 1, (uint64_t)INT32_MAX);
}

int fg_json_fault(struct fg_json_in *in, const char *fault)
{
    if (in->fault)
        return -1;
    mark_token(in);
    in->fault = fault;
    in->span.at = in->span.stop;
    in->span.after = 0;
    return -1;
}

int fg_json_peek(struct fg_json_in *in)
{
    while (fg_span_more(&in->span)) {
        uint8_t c = *in->span.at;
        if (c > ' ') {
            mark_token(in);
            return c;
        }
        if (c != ' ' && c != '\n' && c != '\t' && c != '\r')
            return fg_json_fault(in, "a control character outside of a string");
        in->span.at++;
        if (c == '\n') {
            in->line++;
            in->line_begin = in->total - fg_span_len(&in->span);
        }
    }
    if (!in->fault)
        mark_token(in);
    return -1;
}

static const char *expected(char c)
{
    switch (c) {
    case ':':
        return "expected ':'";
    case '{':
        return "expected an object";
    case '[':
        return "expected an array";
    case '"':
        return "expected a string";
    case '}':
        return "expected ',' or '}'";
    default:
        return "expected ',' or ']'";
    }
}

bool fg_json_take(struct fg_json_in *in, char c)
{
    int found = fg_json_peek(in);

    if (found != (uint8_t)c) {
        fg_json_fault(in, found < 0 ? "the text ends too early" : expected(c));
        return false;
    }
    in->span.at++;
    return true;
}

bool fg_json_more(struct fg_json_in *in, char close, bool *first)
{
    int c = fg_json_peek(in);

    if (c == close) {
        in->span.at++;
        return false;
    }
    if (*first) {
        *first = false;
        if (c < 0)
            fg_json_fault(in, "the text ends too early");
        return !in->fault;
    }
    if (c != ',') {
        fg_json_fault(in, c < 0 ? "the text ends too early" : expected(close));
        return false;
    }
    in->span.at++;
    c = fg_json_peek(in);
    if (c == close || c < 0)
        fg_json_fault(in, c < 0 ? "the text ends too early" : "a comma before the end");
    return !in->fault;
}

/* ---- strings ---- */

bool fg_json_begin_string(struct fg_json_in *in)
{
    in->utf8 = (struct fg_utf8){0};
    return fg_json_take(in, '"');
}

/* Four hexadecimal digits; -1: not that. */
static int32_t take_hex(struct fg_json_in *in)
{
    int32_t value = 0;

    for (int i = 0; i < 4; i++) {
        if (!fg_span_more(&in->span))
            return -1;
        uint8_t c = *in->span.at, lower = c | 0x20;
        if (c >= '0' && c <= '9')
            value = value * 16 + (c - '0');
        else if (lower >= 'a' && lower <= 'f')
            value = value * 16 + (lower - 'a' + 10);
        else
            return -1;
        in->span.at++;
    }
    return value;
}

static bool take_byte(struct fg_json_in *in, char c)
{
    if (!fg_span_more(&in->span) || *in->span.at != (uint8_t)c)
        return false;
    in->span.at++;
    return true;
}

/* After "\u": surrogates come in pairs (RFC 8259 section 7). */
static int unescape_unicode(struct fg_json_in *in, struct fg_str *piece)
{
    int32_t c = take_hex(in);

    if (c < 0)
        return fg_json_fault(in, "four hexadecimal digits have to follow \\u");
    if (c >= 0xdc00 && c <= 0xdfff)
        return fg_json_fault(in, "a low surrogate without a high one");
    if (c >= 0xd800 && c <= 0xdbff) {
        int32_t low = take_byte(in, '\\') && take_byte(in, 'u') ? take_hex(in) : -1;
        if (low < 0xdc00 || low > 0xdfff)
            return fg_json_fault(in, "a high surrogate without a low one");
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    *piece = (struct fg_str){in->unescaped, fg_utf8_put((uint32_t)c, in->unescaped)};
    return 1;
}

/* After the backslash. */
static int unescape(struct fg_json_in *in, struct fg_str *piece)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";

    if (!fg_span_more(&in->span))
        return fg_json_fault(in, "the text ends too early");
    uint8_t c = *in->span.at;
    const char *known = c ? strchr(from, c) : NULL;
    if (c != 'u' && !known)
        return fg_json_fault(in, "an escape that JSON does not have");
    in->span.at++;
    if (c == 'u')
        return unescape_unicode(in, piece);
    in->unescaped[0] = to[known - from];
    *piece = (struct fg_str){in->unescaped, 1};
    return 1;
}

int fg_json_piece(struct fg_json_in *in, struct fg_str *piece)
{
    if (!fg_span_more(&in->span))
        return fg_json_fault(in, "the text ends inside a string");
    const uint8_t *from = in->span.at, *stop = in->span.stop, *p = from;
    for (;;) {
        if (in->utf8.need == 0)
            p += fg_json_plain_len(p, (size_t)(stop - p));
        if (p == stop || (*p < 0x80 && in->utf8.need == 0))
            break;
        if (!fg_utf8_step(&in->utf8, *p)) {
            in->span.at = p;
            return fg_json_fault(in, "a string is not UTF-8");
        }
        p++;
    }
    in->span.at = p;
    if (p > from) {
        *piece = (struct fg_str){(const char *)from, (size_t)(p - from)};
        return 1;
    }
    if (*p < ' ')
        return fg_json_fault(in, "a control character in a string");
    in->span.at++;
    return *p == '"' ? 0 : unescape(in, piece);
}

bool fg_json_plain_text(struct fg_json_in *in, struct fg_str *text)
{
    if (fg_json_peek(in) != '"')
        return false;
    const uint8_t *from = in->span.at + 1, *stop = in->span.stop, *p = from;
    struct fg_utf8 state = {0};
    for (;;) {
        if (state.need == 0)
            p += fg_json_plain_len(p, (size_t)(stop - p));
        if (p == stop)
            return false;
        if (*p < 0x80 && state.need == 0)
            break;
        if (!fg_utf8_step(&state, *p++))
            return false;
    }
    if (*p != '"')
        return false;
    *text = (struct fg_str){(const char *)from, (size_t)(p - from)};
    in->span.at = p + 1;
    return true;
}

bool fg_json_text(struct fg_json_in *in, char *buffer, size_t cap, struct fg_str *text)
{
    struct fg_str piece, first = {"", 0};
    size_t len = 0, pieces = 0;
    int rc;

    if (fg_json_plain_text(in, text))
        return true;
    if (!fg_json_begin_string(in))
        return false;
    while ((rc = fg_json_piece(in, &piece)) > 0) {
        if (pieces++ == 0)
            first = piece;
        if (piece.len <= cap - FG_MIN(len, cap))
            memcpy(buffer + len, piece.p, piece.len);
        len += piece.len;
    }
    if (pieces == 1 && first.p != in->unescaped)
        *text = first;
    else
        *text = (struct fg_str){len <= cap ? buffer : NULL, len};
    return rc == 0;
}

/* ---- numbers, literals ---- */

static size_t digits_at(struct fg_str text, size_t i)
{
    size_t from = i;

    while (i < text.len && text.p[i] >= '0' && text.p[i] <= '9')
        i++;
    return i - from;
}

/* number = [ minus ] int [ frac ] [ exp ] (RFC 8259 section 6) */
bool fg_json_is_number(struct fg_str text)
{
    size_t i = text.len > 0 && text.p[0] == '-', digits = digits_at(text, i);

    if (digits == 0 || (digits > 1 && text.p[i] == '0'))
        return false;
    i += digits;
    if (i < text.len && text.p[i] == '.') {
        digits = digits_at(text, i + 1);
        if (digits == 0)
            return false;
        i += 1 + digits;
    }
    if (i < text.len && (text.p[i] | 0x20) == 'e') {
        i++;
        i += i < text.len && (text.p[i] == '+' || text.p[i] == '-');
        digits = digits_at(text, i);
        if (digits == 0)
            return false;
        i += digits;
    }
    return i == text.len;
}

static bool may_be_in_number(uint8_t c)
{
    return (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '+' || (c | 0x20) == 'e';
}

/* Digits at P, at the end of VALUE, which wraps around after 19; where they end. */
static const uint8_t *take_digits(const uint8_t *p, const uint8_t *stop, uint64_t *value)
{
    for (; p < stop && (uint8_t)(*p - '0') <= 9; p++)
        *value = *value * 10 + (uint8_t)(*p - '0');
    return p;
}

bool fg_json_plain_number(struct fg_json_in *in, unsigned max_digits, bool fraction, struct fg_json_decimal *number)
{
    int c = fg_json_peek(in);
    if (c < 0)
        return false;
    const uint8_t *p = in->span.at + (c == '"'), *stop = in->span.stop;
    *number = (struct fg_json_decimal){.negative = p < stop && *p == '-'};
    const uint8_t *begin = p += number->negative;
    p = take_digits(p, stop, &number->digits);
    size_t len = (size_t)(p - begin);
    if (len == 0 || (len > 1 && *begin == '0'))
        return false;
    if (fraction && p < stop && *p == '.') {
        begin = ++p;
        p = take_digits(p, stop, &number->digits);
        number->places = (unsigned)(p - begin);
        if (p == begin)
            return false;
    }
    if (len + number->places > max_digits || p == stop || (c == '"' ? *p != '"' : may_be_in_number(*p)))
        return false;
    in->span.at = p + (c == '"');
    return true;
}

bool fg_json_number(struct fg_json_in *in, struct fg_str *text)
{
    if (fg_json_peek(in) < 0) {
        fg_json_fault(in, "the text ends too early");
        return false;
    }
    in->number_len = 0;
    while (fg_span_more(&in->span) && may_be_in_number(*in->span.at)) {
        if (in->number_len == sizeof in->number) {
            fg_json_fault(in, "a number has too many digits");
            return false;
        }
        in->number[in->number_len++] = (char)*in->span.at++;
    }
    *text = (struct fg_str){in->number, in->number_len};
    if (!fg_json_is_number(*text)) {
        fg_json_fault(in, text->len > 0 ? "a number that JSON does not have" : "expected a value");
        return false;
    }
    return true;
}

bool fg_json_literal(struct fg_json_in *in, const char *word)
{
    (void)fg_json_peek(in);
    for (const char *c = word; *c; c++) {
        if (!take_byte(in, *c)) {
            fg_json_fault(in, "expected a value");
            return false;
        }
    }
    return true;
}

/* ---- skipping ---- */

static bool skip_string(struct fg_json_in *in)
{
    struct fg_str piece;
    int rc;

    if (!fg_json_begin_string(in))
        return false;
    while ((rc = fg_json_piece(in, &piece)) > 0)
        continue;
    return rc == 0;
}

static bool skip_scalar(struct fg_json_in *in, int c)
{
    struct fg_str text;

    switch (c) {
    case '"':
        return skip_string(in);
    case 't':
        return fg_json_literal(in, "true");
    case 'f':
        return fg_json_literal(in, "false");
    case 'n':
        return fg_json_literal(in, "null");
    default:
        return fg_json_number(in, &text);
    }
}

bool fg_json_skip(struct fg_json_in *in, size_t depth)
{
    char open[DEPTH_MAX]; /* what closes each */
    size_t len = 0;
    bool first = false;

    depth = FG_MIN(depth, (size_t)DEPTH_MAX);
    do {
        int c = fg_json_peek(in);
        if (c == '{' || c == '[') {
            if (len == depth) {
                fg_json_fault(in, "nested too deep");
                return false;
            }
            in->span.at++;
            open[len++] = c == '{' ? '}' : ']';
            first = true;
        } else if (!skip_scalar(in, c)) {
            return false;
        } else {
            first = false;
        }
        while (len > 0 && !fg_json_more(in, open[len - 1], &first)) {
            if (in->fault)
                return false;
            len--;
            first = false;
        }
        if (len > 0 && open[len - 1] == '}' && (!skip_string(in) || !fg_json_take(in, ':')))
            return false;
    } while (len > 0);
    return true;
}
