#include "observe/json_line.h"

#include "base/time.h"

#define TAIL_BYTES 8 /* for the closing braces */

void fg_json_line_begin(struct fg_json_line *line, char *buffer, size_t len)
{
    *line = (struct fg_json_line){buffer, buffer, buffer + len - TAIL_BYTES, true, false};
    *line->at++ = '{';
}

/* Puts `,"key":` if NEED more bytes fit behind it. */
static bool put_key(struct fg_json_line *line, const char *key, size_t need)
{
    size_t len = strlen(key);

    if ((size_t)(line->end - line->at) < len + 4 + need)
        return false;
    if (!line->first)
        *line->at++ = ',';
    line->first = false;
    *line->at++ = '"';
    memcpy(line->at, key, len);
    line->at += len;
    *line->at++ = '"';
    *line->at++ = ':';
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

static char *put_escape(char *at, unsigned char c)
{
    static const char digits[] = "0123456789abcdef";
    const char text[] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};
    memcpy(at, text, sizeof text);
    return at + sizeof text;
}

void fg_json_line_text(struct fg_json_line *line, const char *key, struct fg_str value)
{
    const unsigned char *p = (const unsigned char *)value.p, *stop = p + value.len;

    if (!put_key(line, key, 2))
        return;
    *line->at++ = '"';
    while (p < stop && line->end - line->at > 7) { /* a cut value is better than none */
        size_t len = *p >= 0x80 ? utf8_len(p, (size_t)(stop - p)) : 0;
        if (len > 0) {
            memcpy(line->at, p, len);
            line->at += len;
            p += len;
            continue;
        }
        if (*p < 0x20 || *p >= 0x7f) {
            line->at = put_escape(line->at, *p);
        } else {
            if (*p == '"' || *p == '\\')
                *line->at++ = '\\';
            *line->at++ = (char)*p;
        }
        p++;
    }
    *line->at++ = '"';
}

static char *put_number(char *at, uint64_t value, unsigned least_digits)
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

void fg_json_line_number(struct fg_json_line *line, const char *key, uint64_t value)
{
    if (put_key(line, key, 20))
        line->at = put_number(line->at, value, 1);
}

void fg_json_line_ms(struct fg_json_line *line, const char *key, uint64_t value_ns)
{
    if (!put_key(line, key, 24))
        return;
    line->at = put_number(line->at, value_ns / FG_MS, 1);
    *line->at++ = '.';
    line->at = put_number(line->at, value_ns / FG_US % 1000, 3);
}

void fg_json_line_open(struct fg_json_line *line, const char *key)
{
    line->inside = put_key(line, key, 2);
    if (!line->inside) {
        line->end = line->at; /* full: nothing that belongs inside may land outside */
        return;
    }
    *line->at++ = '{';
    line->first = true;
    line->end--; /* for the closing brace */
}

void fg_json_line_close(struct fg_json_line *line)
{
    if (!line->inside)
        return;
    line->inside = false;
    line->end++;
    *line->at++ = '}';
    line->first = false;
}

size_t fg_json_line_end(struct fg_json_line *line)
{
    *line->at++ = '}';
    *line->at++ = '\n';
    return (size_t)(line->at - line->start);
}
