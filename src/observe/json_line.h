/* Writes one JSON object on one line into a fixed buffer, without printf: it runs for every call. What does not fit is
 * left out field by field, so that the line is always valid JSON. Keys are literals of plain ASCII. */
#ifndef FG_OBSERVE_JSON_LINE_H
#define FG_OBSERVE_JSON_LINE_H

#include "base/bytes.h"

#define FG_JSON_LINE_DEPTH 4 /* of what is open inside */

struct fg_json_line {
    char *start, *at, *end; /* `end` leaves room for everything that closes */
    uint8_t depth, skipped; /* open inside; opened where there was no room, with all that they hold */
    char closers[FG_JSON_LINE_DEPTH];
    bool first;
    bool cut; /* something was left out */
};

void fg_json_line_begin(struct fg_json_line *line, char *buffer, size_t len); /* LEN at least 16 */
size_t fg_json_line_end(struct fg_json_line *line); /* closes it, with a line feed; the length */

/* ---- without a line ---- */

#define FG_JSON_LINE_ESCAPE 7 /* bytes of the longest escape, and one for a quote behind it */

/* VALUE as it stands in quotes, at AT; the end of it. What would begin at or behind FULL, which has room for one more
 * escape, is left out and *CUT set. */
char *fg_json_line_escape(char *at, const char *full, struct fg_str value, bool *cut);
char *fg_json_line_digits(char *at, uint64_t value, unsigned least_digits); /* at most 20 bytes; the end of them */

/* ---- with one ---- */

/* VALUE is any bytes; what is no UTF-8 is shown as Latin-1. */
void fg_json_line_put_text(struct fg_json_line *line, struct fg_str key, struct fg_str value);
/* VALUE needs no escape: a name of our own. */
void fg_json_line_put_name(struct fg_json_line *line, struct fg_str key, struct fg_str value);
void fg_json_line_put_number(struct fg_json_line *line, struct fg_str key, uint64_t value);
void fg_json_line_put_ms(struct fg_json_line *line, struct fg_str key, uint64_t value_ns); /* with three decimals */
void fg_json_line_put_bool(struct fg_json_line *line, struct fg_str key, bool value);

/* An object ('{') or a list ('[') inside; KEY is empty in a list. Each is closed, also when it found no room. */
void fg_json_line_open(struct fg_json_line *line, struct fg_str key, char bracket);
void fg_json_line_close(struct fg_json_line *line);

/* With keys as literals their length is known when they are compiled. */

static inline void fg_json_line_text(struct fg_json_line *line, const char *key, struct fg_str value)
{
    fg_json_line_put_text(line, fg_str_from(key), value);
}

static inline void fg_json_line_name(struct fg_json_line *line, const char *key, const char *value)
{
    fg_json_line_put_name(line, fg_str_from(key), fg_str_from(value));
}

static inline void fg_json_line_number(struct fg_json_line *line, const char *key, uint64_t value)
{
    fg_json_line_put_number(line, fg_str_from(key), value);
}

static inline void fg_json_line_ms(struct fg_json_line *line, const char *key, uint64_t value_ns)
{
    fg_json_line_put_ms(line, fg_str_from(key), value_ns);
}

static inline void fg_json_line_true(struct fg_json_line *line, const char *key)
{
    fg_json_line_put_bool(line, fg_str_from(key), true);
}

static inline void fg_json_line_object(struct fg_json_line *line, const char *key)
{
    fg_json_line_open(line, fg_str_from(key), '{');
}

static inline void fg_json_line_list(struct fg_json_line *line, const char *key)
{
    fg_json_line_open(line, fg_str_from(key), '[');
}

#endif
