#include "base/header.h"

static const struct fg_str names[FG_TOKEN_LEN] = {[FG_TOKEN_NONE] = {"", 0},
#define X(token, name) [FG_TOKEN_##token] = {name, sizeof(name) - 1},
                                                  FG_TOKENS(X)
#undef X
};

struct fg_str fg_token_name(enum fg_token token)
{
    return names[token];
}

/* Candidates share the length; a handful per length, so a scan of the few is as fast as a perfect hash and needs no
 * generated table. */
#define LONGEST_NAME 26

enum fg_token fg_token_find(struct fg_str name)
{
    static const uint8_t by_len[LONGEST_NAME + 1][8] = {
        [2] = {FG_TOKEN_TE},
        [4] = {FG_TOKEN_DATE, FG_TOKEN_HOST},
        [5] = {FG_TOKEN_PATH},
        [6] = {FG_TOKEN_COOKIE, FG_TOKEN_EXPECT, FG_TOKEN_SERVER},
        [7] = {FG_TOKEN_METHOD, FG_TOKEN_SCHEME, FG_TOKEN_STATUS, FG_TOKEN_TRAILER, FG_TOKEN_UPGRADE},
        [8] = {FG_TOKEN_PRIORITY},
        [9] = {FG_TOKEN_PROTOCOL},
        [10] = {FG_TOKEN_AUTHORITY, FG_TOKEN_CONNECTION, FG_TOKEN_KEEP_ALIVE, FG_TOKEN_SET_COOKIE, FG_TOKEN_USER_AGENT},
        [11] = {FG_TOKEN_GRPC_STATUS, FG_TOKEN_TRACEPARENT},
        [12] = {FG_TOKEN_CONTENT_TYPE, FG_TOKEN_GRPC_TIMEOUT, FG_TOKEN_GRPC_MESSAGE},
        [13] = {FG_TOKEN_GRPC_ENCODING, FG_TOKEN_AUTHORIZATION},
        [14] = {FG_TOKEN_CONTENT_LENGTH, FG_TOKEN_HTTP2_SETTINGS},
        [15] = {FG_TOKEN_ACCEPT_ENCODING},
        [16] = {FG_TOKEN_PROXY_CONNECTION},
        [17] = {FG_TOKEN_TRANSFER_ENCODING, FG_TOKEN_X_FUSEGATE_ORIGIN},
        [20] = {FG_TOKEN_GRPC_ACCEPT_ENCODING},
        [22] = {FG_TOKEN_GRPC_RETRY_PUSHBACK_MS},
        [23] = {FG_TOKEN_GRPC_STATUS_DETAILS_BIN},
        [26] = {FG_TOKEN_GRPC_PREVIOUS_RPC_ATTEMPTS},
    };

    if (name.len > LONGEST_NAME)
        return FG_TOKEN_NONE;
    for (const uint8_t *candidate = by_len[name.len]; *candidate != FG_TOKEN_NONE; candidate++)
        if (memcmp(names[*candidate].p, name.p, name.len) == 0)
            return (enum fg_token) * candidate;
    return FG_TOKEN_NONE;
}

uint32_t fg_header_hash(struct fg_str name, struct fg_str value)
{
    uint32_t h = fg_hash(value.p, value.len, fg_hash(name.p, name.len, 0));
    return h ? h : 1;
}

struct fg_header *fg_headers_add_slot(struct fg_headers *headers, struct fg_arena *arena)
{
    if (headers->len == headers->cap) {
        uint32_t cap = headers->cap ? headers->cap * 2 : 16;
        struct fg_header *items = fg_arena_alloc(arena, cap * sizeof *items);
        if (headers->len > 0)
            memcpy(items, headers->items, headers->len * sizeof *items);
        headers->items = items;
        headers->cap = cap;
    }
    return &headers->items[headers->len++];
}

void fg_headers_add(struct fg_headers *headers, struct fg_arena *arena, struct fg_str name, struct fg_str value)
{
    *fg_headers_add_slot(headers, arena) =
        (struct fg_header){.name = name, .value = value, .token = (uint8_t)fg_token_find(name)};
}

void fg_headers_add_token(struct fg_headers *headers, struct fg_arena *arena, enum fg_token token, struct fg_str value)
{
    *fg_headers_add_slot(headers, arena) =
        (struct fg_header){.name = names[token], .value = value, .token = (uint8_t)token};
}

struct fg_header *fg_headers_get(const struct fg_headers *headers, enum fg_token token)
{
    for (uint32_t i = 0; i < headers->len; i++)
        if (headers->items[i].token == token)
            return &headers->items[i];
    return NULL;
}

struct fg_header *fg_headers_find(const struct fg_headers *headers, struct fg_str name)
{
    for (uint32_t i = 0; i < headers->len; i++)
        if (fg_str_eq(headers->items[i].name, name))
            return &headers->items[i];
    return NULL;
}

void fg_headers_add_copy(struct fg_headers *headers, struct fg_arena *arena, const struct fg_header *field)
{
    struct fg_header *copy = fg_headers_add_slot(headers, arena);

    *copy = *field;
    copy->name = field->token ? field->name : fg_arena_copy(arena, field->name);
    copy->value = fg_arena_copy(arena, field->value);
}
