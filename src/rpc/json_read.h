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
    uint64_t total;      /* bytes of the whole text */
    uint64_t line_begin; /* where the current line begins */
    uint64_t token_left; /* bytes from the beginning of the last token, or a fault, to the end */
    int line;            /* of that token, from 1 */
    const char *fault;   /* NULL: none; else static text. Nothing can be read any more */
    struct fg_utf8 utf8; /* of the string that is being read */
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

/* Where the last token began, or the fault is: a column, from 1. */
int fg_json_column(const struct fg_json_in *in);

/* The next string is read by fg_json_begin_string and as many fg_json_piece as it takes. 1: *PIECE, valid until the
 * next call; 0: the string has ended; -1: a fault. */
bool fg_json_begin_string(struct fg_json_in *in);
int fg_json_piece(struct fg_json_in *in, struct fg_str *piece);

/* A whole string. *TEXT is in the input or in BUFFER; p == NULL: it has more than CAP bytes. false: a fault. */
bool fg_json_text(struct fg_json_in *in, char *buffer, size_t cap, struct fg_str *text);

/* The same for a string that needs no BUFFER, or nothing is taken: it is in one part and has no escapes. */
bool fg_json_plain_text(struct fg_json_in *in, struct fg_str *text);

/* Takes KEY, as it is written with its quotes and its colon, if that is what comes next and fg_json_more has said so.
 */
static inline bool fg_json_take_key(struct fg_json_in *in, struct fg_str key)
{
    if ((size_t)(in->span.stop - in->span.at) < key.len || memcmp(in->span.at, key.p, key.len) != 0)
        return false;
    in->span.at += key.len;
    return true;
}

/* DIGITS / 10^PLACES. */
struct fg_json_decimal {
    uint64_t digits;
    unsigned places;
    bool negative;
};

/* A number of at most MAX_DIGITS (up to 18) digits without an exponent, in quotes or not, in one part; or nothing is
 * taken. FRACTION: it may have one. */
bool fg_json_plain_number(struct fg_json_in *in, unsigned max_digits, bool fraction, struct fg_json_decimal *number);

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
