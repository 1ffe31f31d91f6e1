#include "h1/body.h"

#include <stdlib.h>

/* States of the chunked framing. */
enum { SIZE_FIRST, SIZE, SIZE_SPACE, EXTENSION, SIZE_LF, CONTENT, CONTENT_CR, CONTENT_LF, TRAILERS };

#define SIZE_DIGITS_MAX 16

void fg_h1_body_init(struct fg_h1_body *body, enum fg_h1_framing framing, uint64_t length)
{
    *body = (struct fg_h1_body){.framing = framing, .left = length};
    body->done = framing == FG_H1_BODY_NONE || (framing == FG_H1_BODY_LENGTH && length == 0);
}

void fg_h1_body_cleanup(struct fg_h1_body *body)
{
    free(body->line);
    body->line = NULL;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* ---- the size of a chunk, byte by byte ---- */

/* White space may follow (section 7.1.1), but no second number behind it. */
static enum fg_h1_fault take_after_size(struct fg_h1_body *body, char c)
{
    if (c == '\r')
        body->state = SIZE_LF;
    else if (c == ';')
        body->state = EXTENSION;
    else if (c == ' ' || c == '\t')
        body->state = SIZE_SPACE;
    else
        return FG_H1_FAULT_CHUNK_SIZE;
    if (c != '\r' && ++body->skipped > FG_H1_CHUNK_EXTENSION_MAX)
        return FG_H1_FAULT_CHUNK_EXTENSION;
    return FG_H1_FAULT_NONE;
}

static enum fg_h1_fault take_size_digit(struct fg_h1_body *body, char c)
{
    int digit = hex_digit(c);

    if (digit >= 0) {
        /* 2^60 bytes and more: nobody means that; nor zeros without end. */
        if (body->left >> 56 || ++body->digits > SIZE_DIGITS_MAX)
            return FG_H1_FAULT_CHUNK_SIZE;
        body->left = body->left << 4 | (unsigned)digit;
        body->state = SIZE;
        return FG_H1_FAULT_NONE;
    }
    return body->state == SIZE_FIRST ? FG_H1_FAULT_CHUNK_SIZE : take_after_size(body, c);
}

/* Extensions are skipped, but not without end, and with nothing in them that another parser could take for a line's
 * end. */
static enum fg_h1_fault take_extension(struct fg_h1_body *body, char c)
{
    if (c == '\r') {
        body->state = SIZE_LF;
        return FG_H1_FAULT_NONE;
    }
    if (((unsigned char)c < 0x20 && c != '\t') || c == 0x7f)
        return FG_H1_FAULT_CHUNK_SIZE;
    return ++body->skipped > FG_H1_CHUNK_EXTENSION_MAX ? FG_H1_FAULT_CHUNK_EXTENSION : FG_H1_FAULT_NONE;
}

static enum fg_h1_fault take_size_lf(struct fg_h1_body *body, char c)
{
    if (c != '\n')
        return FG_H1_FAULT_CHUNK_SIZE;
    body->digits = 0;
    body->skipped -= (uint32_t)FG_MIN((uint64_t)body->skipped, body->left);
    body->state = body->left > 0 ? CONTENT : TRAILERS;
    return FG_H1_FAULT_NONE;
}

static enum fg_h1_fault take_framing(struct fg_h1_body *body, char c)
{
    switch (body->state) {
    case SIZE_FIRST:
    case SIZE:
        return take_size_digit(body, c);
    case SIZE_SPACE:
        return take_after_size(body, c);
    case EXTENSION:
        return take_extension(body, c);
    case SIZE_LF:
        return take_size_lf(body, c);
    case CONTENT_CR:
        body->state = CONTENT_LF;
        return c == '\r' ? FG_H1_FAULT_NONE : FG_H1_FAULT_CHUNK_END;
    default: /* CONTENT_LF */
        body->state = SIZE_FIRST;
        return c == '\n' ? FG_H1_FAULT_NONE : FG_H1_FAULT_CHUNK_END;
    }
}

/* ---- trailers ---- */

/* What would change the message's framing or routing after the fact has no place here (RFC 9110 section 6.5.1), nor
 * what is said to this connection alone: passed on by HTTP/2 it would make the message malformed. */
static bool is_forbidden(const struct fg_header *field)
{
    switch (field->token) {
    case FG_TOKEN_CONTENT_LENGTH:
    case FG_TOKEN_TRANSFER_ENCODING:
    case FG_TOKEN_HOST:
    case FG_TOKEN_TE:
    case FG_TOKEN_TRAILER:
    case FG_TOKEN_CONNECTION:
    case FG_TOKEN_PROXY_CONNECTION:
    case FG_TOKEN_KEEP_ALIVE:
    case FG_TOKEN_UPGRADE:
    case FG_TOKEN_HTTP2_SETTINGS:
    case FG_TOKEN_EXPECT:
    case FG_TOKEN_AUTHORIZATION:
        return true;
    default:
        return false;
    }
}

static enum fg_h1_fault take_trailer_line(struct fg_h1_body *body, struct fg_str line,
                                          const struct fg_h1_limits *limits, struct fg_arena *arena)
{
    if (line.len == 0) {
        body->done = true;
        return FG_H1_FAULT_NONE;
    }
    if (body->trailers.len >= limits->max_fields)
        return FG_H1_FAULT_TOO_MANY_FIELDS;
    if (fg_h1_field_parse(line, arena, &body->trailers) != FG_H1_FAULT_NONE ||
        is_forbidden(&body->trailers.items[body->trailers.len - 1]))
        return FG_H1_FAULT_TRAILER;
    return FG_H1_FAULT_NONE;
}

/* Keeps the beginning of a line for the next bytes. */
static enum fg_h1_fault keep(struct fg_h1_body *body, const char *data, size_t len, const struct fg_h1_limits *limits)
{
    if (body->trailer_bytes > limits->max_head_bytes)
        return FG_H1_FAULT_HEAD_TOO_LARGE;
    body->line = fg_realloc(body->line, body->line_len + len);
    memcpy(body->line + body->line_len, data, len);
    body->line_len += len;
    return FG_H1_FAULT_NONE;
}

/* One line, which may have begun in bytes before; or all that is there of it. */
static enum fg_h1_fault take_trailers(struct fg_h1_body *body, const char *data, size_t len, size_t *at,
                                      const struct fg_h1_limits *limits, struct fg_arena *arena)
{
    const char *begin = data + *at, *lf = memchr(begin, '\n', len - *at), *next;
    size_t taken = lf ? (size_t)(lf + 1 - begin) : len - *at;
    struct fg_str line;

    *at += taken;
    body->trailer_bytes += taken;
    if (!lf || body->line_len > 0) {
        enum fg_h1_fault fault = keep(body, begin, taken, limits);
        if (fault || !lf)
            return fault;
        begin = body->line;
        taken = body->line_len;
        body->line_len = 0;
    }
    if (body->trailer_bytes > limits->max_head_bytes)
        return FG_H1_FAULT_HEAD_TOO_LARGE;
    if (fg_h1_line(begin, begin + taken, &line, &next) != 1)
        return FG_H1_FAULT_TRAILER;
    return take_trailer_line(body, line, limits, arena);
}

/* ---- all of it ---- */

static void take_content(struct fg_h1_body *body, const char *data, size_t len, size_t *at, struct fg_str *content)
{
    size_t room = len - *at;

    content->p = data + *at;
    content->len = body->framing == FG_H1_BODY_UNTIL_CLOSE ? room : (size_t)FG_MIN((uint64_t)room, body->left);
    *at += content->len;
    if (body->framing != FG_H1_BODY_UNTIL_CLOSE)
        body->left -= content->len;
}

void fg_h1_body_feed(struct fg_h1_body *body, const char *data, size_t len, size_t *at, struct fg_str *content,
                     const struct fg_h1_limits *limits, struct fg_arena *arena, enum fg_h1_fault *fault)
{
    *content = (struct fg_str){data, 0};
    *fault = FG_H1_FAULT_NONE;
    if (body->framing != FG_H1_BODY_CHUNKED) {
        if (body->done)
            return;
        take_content(body, data, len, at, content);
        body->done = body->framing == FG_H1_BODY_LENGTH && body->left == 0;
        return;
    }
    while (*at < len && !body->done && !*fault) {
        if (body->state == CONTENT) {
            take_content(body, data, len, at, content);
            if (body->left == 0)
                body->state = CONTENT_CR;
            return;
        }
        if (body->state == TRAILERS)
            *fault = take_trailers(body, data, len, at, limits, arena);
        else
            *fault = take_framing(body, data[(*at)++]);
    }
}

bool fg_h1_body_eof(struct fg_h1_body *body)
{
    if (body->framing == FG_H1_BODY_UNTIL_CLOSE)
        body->done = true;
    return body->done;
}
