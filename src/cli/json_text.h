/* JSON trees as text: numbers in their shortest form, as the gateway wrote them. */
#ifndef FG_CLI_JSON_TEXT_H
#define FG_CLI_JSON_TEXT_H

#include <jansson.h>
#include <stdio.h>

/* INDENT: a negative number puts all on one line; else members stand on lines of their own, below as many spaces. */
void fg_json_print(const json_t *value, int indent, FILE *out);

/* The same on one line, to be freed. */
char *fg_json_print_text(const json_t *value);

#endif
