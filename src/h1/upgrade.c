/* Connections that are asked to speak something else: WebSocket (RFC 6455), as an extended CONNECT to whoever uses the
 * engine (RFC 8441), and HTTP/2 without TLS (RFC 7540 section 3.2). */
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "h1/h1_int.h"

#define KEY_LEN    24
#define ACCEPT_LEN 28

/* ---- WebSocket's handshake (RFC 6455 section 4) ---- */

/* What proves that the peer has understood KEY: 28 characters. */
static struct fg_str accept_of(struct fg_str key, struct fg_arena *arena)
{
    struct fg_str text = fg_arena_printf(arena, "%.*s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", (int)key.len, key.p);
    unsigned char digest[SHA_DIGEST_LENGTH];
    unsigned char *out = fg_arena_alloc(arena, ACCEPT_LEN + 1);

    EVP_Digest(text.p, text.len, digest, NULL, EVP_sha1(), NULL);
    EVP_EncodeBlock(out, digest, sizeof digest);
    return (struct fg_str){(const char *)out, ACCEPT_LEN};
}

static struct fg_str key_new(struct fg_arena *arena)
{
    unsigned char nonce[16] = {0};
    unsigned char *out = fg_arena_alloc(arena, KEY_LEN + 1);

    RAND_bytes(nonce, sizeof nonce); /* it proves nothing but that the peer has read it: any will do */
    EVP_EncodeBlock(out, nonce, sizeof nonce);
    return (struct fg_str){(const char *)out, KEY_LEN};
}

static const struct fg_str websocket = {"websocket", 9};
static const struct fg_str key_name = {"sec-websocket-key", 17};
static const struct fg_str accept_name = {"sec-websocket-accept", 20};

/* The only field of that name; NULL: none, or several. */
static const struct fg_header *only(const struct fg_headers *headers, struct fg_str name)
{
    const struct fg_header *found = NULL;

    for (uint32_t i = 0; i < headers->len; i++) {
        if (!fg_str_eq(headers->items[i].name, name))
            continue;
        if (found)
            return NULL;
        found = &headers->items[i];
    }
    return found;
}

static bool upgrade_has(const struct fg_headers *headers, struct fg_str protocol)
{
    for (uint32_t i = 0; i < headers->len; i++)
        if (headers->items[i].token == FG_TOKEN_UPGRADE && fg_h1_list_has(headers->items[i].value, protocol))
            return true;
    return false;
}

static bool connection_has(const struct fg_headers *headers, struct fg_str option)
{
    for (uint32_t i = 0; i < headers->len; i++)
        if (headers->items[i].token == FG_TOKEN_CONNECTION && fg_h1_list_has(headers->items[i].value, option))
            return true;
    return false;
}

/* ---- as a server ---- */

bool fg_h1_asks_for_websocket(struct fg_h1_stream *stream, const struct fg_h1_head *head)
{
    const struct fg_header *key = only(&head->headers, key_name);

    if (!stream->conn->options->websocket || head->minor_version == 0 || !head->wants_upgrade || head->chunked ||
        head->content_length > 0 || !fg_str_eq(head->method, FG_STR("GET")) ||
        !upgrade_has(&head->headers, websocket) || !key || key->value.len != KEY_LEN)
        return false;
    stream->tunnel = FG_H1_TUNNEL_ASKED;
    stream->websocket_key = key->value;
    return true;
}

bool fg_h1_is_websocket_field(struct fg_str name)
{
    return fg_str_eq(name, key_name) || fg_str_eq(name, accept_name);
}

void fg_h1_accept_tunnel(struct fg_h1_stream *stream, struct fg_headers *headers)
{
    struct fg_h1_conn *conn = stream->conn;

    stream->tunnel = FG_H1_TUNNEL_OPEN;
    stream->out_framing = FG_H1_BODY_UNTIL_CLOSE;
    stream->asked_to_stay = false;
    fg_h1_put_text(conn, "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n");
    fg_h1_put_field(conn, accept_name, accept_of(stream->websocket_key, &stream->arena));
    fg_h1_put_fields(conn, headers);
    fg_h1_put_text(conn, "\r\n");
}

/* ---- as a client ---- */

void fg_h1_ask_for_tunnel(struct fg_h1_stream *stream, const struct fg_headers *headers)
{
    struct fg_h1_conn *conn = stream->conn;

    stream->out_framing = FG_H1_BODY_UNTIL_CLOSE;
    stream->websocket_key = key_new(&stream->arena);
    fg_h1_put_text(conn, "upgrade: websocket\r\nconnection: upgrade\r\n");
    fg_h1_put_field(conn, key_name, stream->websocket_key);
    if (!only(headers, FG_STR("sec-websocket-version")))
        fg_h1_put_text(conn, "sec-websocket-version: 13\r\n");
}

bool fg_h1_is_tunnel_accepted(struct fg_h1_stream *stream, const struct fg_h1_head *head)
{
    const struct fg_header *proof = only(&head->headers, accept_name);

    return stream->tunnel == FG_H1_TUNNEL_ASKED && head->wants_upgrade && upgrade_has(&head->headers, websocket) &&
           proof && fg_str_eq(proof->value, accept_of(stream->websocket_key, &stream->arena));
}

/* ---- HTTP/2 without TLS ---- */

/* base64url without padding (RFC 7540 section 3.2.1). False: it is something else. */
static bool decode_settings(struct fg_str text, struct fg_arena *arena, struct fg_str *out)
{
    size_t padded = (text.len + 3) / 4 * 4;
    unsigned char *copy = fg_arena_alloc(arena, padded + 1), *bytes = fg_arena_alloc(arena, padded + 1);

    memset(copy, '=', padded);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.p[i];
        bool known = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
        if (!known)
            return false;
        copy[i] = c == '-' ? '+' : c == '_' ? '/' : (unsigned char)c;
    }
    if (text.len % 4 == 1 || EVP_DecodeBlock(bytes, copy, (int)padded) < 0)
        return false;
    *out = (struct fg_str){(const char *)bytes, text.len * 3 / 4};
    return out->len % 6 == 0;
}

/* Only the first request of a connection can ask for it: what else is in progress would have to end before. A request
 * with content would have to be read to its end before HTTP/2 begins; it is answered in HTTP/1.1. */
bool fg_h1_asks_for_h2c(struct fg_h1_stream *stream, const struct fg_h1_head *head, struct fg_str *settings)
{
    struct fg_h1_conn *conn = stream->conn;
    const struct fg_header *field = only(&head->headers, FG_STR("http2-settings"));

    return conn->options->h2c && conn->exchanges == 0 && head->minor_version == 1 && head->wants_upgrade &&
           !head->chunked && head->content_length <= 0 && field && upgrade_has(&head->headers, FG_STR("h2c")) &&
           connection_has(&head->headers, FG_STR("http2-settings")) &&
           decode_settings(field->value, &stream->arena, settings);
}
