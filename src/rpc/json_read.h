/* A strict JSON tokenizer (RFC 8259) over text that lies in parts. It keeps no tree and no text: strings come out in
 * pieces, unescaped and checked to be UTF-8. */
#ifndef FG_RPC_JSON_READ_H
#define FG_RPC_JSON_READ_H

#include "rpc/json_utf8.h"
#include "rpc/proto_json_span.h"

#define FG_JSON_NUMBER_MAX 512 /* bytes of a number */

/* A value: a copy is a bookmark. */
struct fg_json_in {
    struct fg_span span;
    uint64_t total;               /* bytes of the whole text */
    uint64_t line_begin;          /* where the current line begins */
    int line;                     /* from 1 */
    int token_line, token_column; /* where the last token began; of a fault: where it is */
    const char *fault;            /* NULL: none; else static text. Nothing can be read any more */
    struct fg_utf8 utf8;          /* of the string that is being read */
    char unescaped[4];
    size_t number_len;
    char number[FG_JSON_NUMBER_MAX];
};

/* PARTS are borrowed as long as IN is used. */
void fg_json_in_init(struct fg_json_in *in, const struct fg_str *parts, size_t parts_len);

/* Skips white space: the first byte of the next token, which is not taken; -1: the end, or a fault. */
int fg_json_peek(struct fg_json_in *in);
bool fg_json_take(struct fg_json_in *in, char c);            /* the token C, or a fault */
int fg_json_fault(struct fg_json_in *in, const char *fault); /* -1; the first one counts */

/* The next string is read by fg_json_begin_string and as many fg_json_piece as it takes. 1: *PIECE, valid until the
 * next call; 0: the string has ended; -1: a fault. */
bool fg_json_begin_string(struct fg_json_in *in);
int fg_json_piece(struct fg_json_in *in, struct fg_str *piece);

/* A whole string. *TEXT is in the input or in BUFFER; p == NULL: it has more than CAP bytes. false: a fault. */
bool fg_json_text(struct fg_json_in *in, char *buffer, size_t cap, struct fg_str *text);

/* A number, as it is written; valid until the next one. false: a fault. */
bool fg_json_number(struct fg_json_in *in, struct fg_str *text);
bool fg_json_literal(struct fg_json_in *in, const char *word); /* "true", "false", "null" */

/* A value of any kind, up to DEPTH (at most 256) objects and arrays inside each other. */
bool fg_json_skip(struct fg_json_in *in, size_t depth);

/* Goes on in an object ('}') or an array (']') that has been opened: true: an element is next. FIRST says whether it is
 * the first one, and is cleared. false: the end, which is taken; or a fault. */
bool fg_json_more(struct fg_json_in *in, char close, bool *first);

/* Is TEXT a number as JSON has it? */
bool fg_json_is_number(struct fg_str text);

#endif
