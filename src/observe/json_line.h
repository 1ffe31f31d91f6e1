/* Writes one JSON object on one line into a fixed buffer, without printf: it runs for every call. What does not fit is
 * left out field by field, so that the line is always valid JSON. */
#ifndef FG_OBSERVE_JSON_LINE_H
#define FG_OBSERVE_JSON_LINE_H

#include "base/bytes.h"

struct fg_json_line {
    char *start, *at, *end;
    bool first, inside;
};

void fg_json_line_begin(struct fg_json_line *line, char *buffer, size_t len); /* LEN at least 16 */
void fg_json_line_text(struct fg_json_line *line, const char *key, struct fg_str value);
void fg_json_line_number(struct fg_json_line *line, const char *key, uint64_t value);
void fg_json_line_ms(struct fg_json_line *line, const char *key, uint64_t value_ns); /* with three decimals */
void fg_json_line_open(struct fg_json_line *line, const char *key);                  /* an object inside; one level */
void fg_json_line_close(struct fg_json_line *line);
size_t fg_json_line_end(struct fg_json_line *line); /* closes it, with a line feed; the length */

#endif
