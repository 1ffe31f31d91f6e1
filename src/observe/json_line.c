#include "observe/json_line.h"

#include "base/time.h"

#define TAIL_BYTES 2 /* the closing brace and the line feed */

void fg_json_line_begin(struct fg_json_line *line, char *buffer, size_t len)
{
    *line = (struct fg_json_line){.start = buffer, .at = buffer, .end = buffer + len - TAIL_BYTES, .first = true};
    *line->at++ = '{';
}

/* Puts `,"key":` if NEED more bytes fit behind it; in a list, where KEY is empty, the comma alone. */
static bool put_key(struct fg_json_line *line, struct fg_str key, size_t need)
{
    char *at = line->at;

    if (line->skipped > 0 || (size_t)(line->end - at) < key.len + 4 + need) {
        line->cut = true;
        return false;
    }
    if (!line->first)
        *at++ = ',';
    line->first = false;
    if (key.len > 0) {
        *at++ = '"';
        memcpy(at, key.p, key.len);
        at += key.len;
        *at++ = '"';
        *at++ = ':';
    }
    line->at = at;
    return true;
}

/* Length of a valid UTF-8 sequence of more than one byte at P, or 0. */
static size_t utf8_len(const unsigned char *p, size_t left)
{
    size_t len = p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 0;

    if (p[0] >= 0xf5 || len == 0 || len > left)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
        (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return len;
}

static char *put_escape(char *at, unsigned c)
{
    static const char digits[] = "0123456789abcdef";
    const char text[] = {'\\', 'u', digits[c >> 12], digits[c >> 8 & 15], digits[c >> 4 & 15], digits[c & 15]};
    memcpy(at, text, sizeof text);
    return at + sizeof text;
}

/* Of a valid sequence: a control character of Latin-1 or a line or paragraph separator, which readers may take for the
 * end of a line or a terminal for an order. */
static unsigned control_at(const unsigned char *p)
{
    if (p[0] == 0xc2 && p[1] < 0xa0)
        return p[1];
    return p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9) ? 0x2000u | (p[2] & 0x3fu) : 0;
}

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

char *fg_json_line_escape(char *at, const char *full, struct fg_str value, bool *cut)
{
    const unsigned char *p = (const unsigned char *)value.p, *stop = p + value.len;

    while (p < stop && at < full) { /* a cut value is better than none */
        if (is_plain(*p)) {
            *at++ = (char)*p++;
            continue;
        }
        size_t len = *p >= 0x80 ? utf8_len(p, (size_t)(stop - p)) : 0;
        if (len > 0) {
            unsigned control = control_at(p);
            if (control) {
                at = put_escape(at, control);
            } else {
                memcpy(at, p, len);
                at += len;
            }
            p += len;
            continue;
        }
        if (*p == '"' || *p == '\\') {
            *at++ = '\\';
            *at++ = (char)*p;
        } else {
            at = put_escape(at, *p);
        }
        p++;
    }
    *cut |= p < stop;
    return at;
}

void fg_json_line_put_text(struct fg_json_line *line, struct fg_str key, struct fg_str value)
{
    if (!put_key(line, key, 2))
        return;
    *line->at++ = '"';
    /* Room for an escape and the closing quote is kept. */
    line->at = fg_json_line_escape(line->at, line->end - FG_JSON_LINE_ESCAPE, value, &line->cut);
    *line->at++ = '"';
}

void fg_json_line_put_name(struct fg_json_line *line, struct fg_str key, struct fg_str value)
{
    if (!put_key(line, key, value.len + 2))
        return;
    *line->at++ = '"';
    memcpy(line->at, value.p, value.len);
    line->at += value.len;
    *line->at++ = '"';
}

char *fg_json_line_digits(char *at, uint64_t value, unsigned least_digits)
{
    char digits[20];
    unsigned len = 0;

    do {
        digits[len++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0 || len < least_digits);
    while (len > 0)
        *at++ = digits[--len];
    return at;
}

void fg_json_line_put_number(struct fg_json_line *line, struct fg_str key, uint64_t value)
{
    if (put_key(line, key, 20))
        line->at = fg_json_line_digits(line->at, value, 1);
}

void fg_json_line_put_ms(struct fg_json_line *line, struct fg_str key, uint64_t value_ns)
{
    if (!put_key(line, key, 24))
        return;
    line->at = fg_json_line_digits(line->at, value_ns / FG_MS, 1);
    *line->at++ = '.';
    line->at = fg_json_line_digits(line->at, value_ns / FG_US % 1000, 3);
}

void fg_json_line_put_bool(struct fg_json_line *line, struct fg_str key, bool value)
{
    struct fg_str text = value ? FG_STR("true") : FG_STR("false");

    if (!put_key(line, key, text.len))
        return;
    memcpy(line->at, text.p, text.len);
    line->at += text.len;
}

void fg_json_line_open(struct fg_json_line *line, struct fg_str key, char bracket)
{
    /* What found no room is skipped with all that belongs inside: it must not land outside. */
    if (line->depth == FG_JSON_LINE_DEPTH || !put_key(line, key, 2)) {
        line->cut = true;
        line->skipped++;
        return;
    }
    line->closers[line->depth++] = bracket == '{' ? '}' : ']';
    *line->at++ = bracket;
    line->end--; /* for what closes it */
    line->first = true;
}

void fg_json_line_close(struct fg_json_line *line)
{
    if (line->skipped > 0) {
        line->skipped--;
        return;
    }
    *line->at++ = line->closers[--line->depth];
    line->end++;
    line->first = false;
}

size_t fg_json_line_end(struct fg_json_line *line)
{
    *line->at++ = '}';
    *line->at++ = '\n';
    return (size_t)(line->at - line->start);
}
