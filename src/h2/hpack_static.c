#include "h2/hpack_int.h"

#define FIELD(TOKEN, name_, value_)                                                                                    \
    {                                                                                                                  \
        .name = {name_, sizeof(name_) - 1}, .value = {value_, sizeof(value_) - 1}, .token = FG_TOKEN_##TOKEN           \
    }

const struct fg_header fg_hpack_static[FG_HPACK_STATIC_LEN + 1] = {
    [1] = FIELD(AUTHORITY, ":authority", ""),
    [2] = FIELD(METHOD, ":method", "GET"),
    [3] = FIELD(METHOD, ":method", "POST"),
    [4] = FIELD(PATH, ":path", "/"),
    [5] = FIELD(PATH, ":path", "/index.html"),
    [6] = FIELD(SCHEME, ":scheme", "http"),
    [7] = FIELD(SCHEME, ":scheme", "https"),
    [8] = FIELD(STATUS, ":status", "200"),
    [9] = FIELD(STATUS, ":status", "204"),
    [10] = FIELD(STATUS, ":status", "206"),
    [11] = FIELD(STATUS, ":status", "304"),
    [12] = FIELD(STATUS, ":status", "400"),
    [13] = FIELD(STATUS, ":status", "404"),
    [14] = FIELD(STATUS, ":status", "500"),
    [15] = FIELD(NONE, "accept-charset", ""),
    [16] = FIELD(ACCEPT_ENCODING, "accept-encoding", "gzip, deflate"),
    [17] = FIELD(NONE, "accept-language", ""),
    [18] = FIELD(NONE, "accept-ranges", ""),
    [19] = FIELD(NONE, "accept", ""),
    [20] = FIELD(NONE, "access-control-allow-origin", ""),
    [21] = FIELD(NONE, "age", ""),
    [22] = FIELD(NONE, "allow", ""),
    [23] = FIELD(AUTHORIZATION, "authorization", ""),
    [24] = FIELD(NONE, "cache-control", ""),
    [25] = FIELD(NONE, "content-disposition", ""),
    [26] = FIELD(NONE, "content-encoding", ""),
    [27] = FIELD(NONE, "content-language", ""),
    [28] = FIELD(CONTENT_LENGTH, "content-length", ""),
    [29] = FIELD(NONE, "content-location", ""),
    [30] = FIELD(NONE, "content-range", ""),
    [31] = FIELD(CONTENT_TYPE, "content-type", ""),
    [32] = FIELD(COOKIE, "cookie", ""),
    [33] = FIELD(DATE, "date", ""),
    [34] = FIELD(NONE, "etag", ""),
    [35] = FIELD(EXPECT, "expect", ""),
    [36] = FIELD(NONE, "expires", ""),
    [37] = FIELD(NONE, "from", ""),
    [38] = FIELD(HOST, "host", ""),
    [39] = FIELD(NONE, "if-match", ""),
    [40] = FIELD(NONE, "if-modified-since", ""),
    [41] = FIELD(NONE, "if-none-match", ""),
    [42] = FIELD(NONE, "if-range", ""),
    [43] = FIELD(NONE, "if-unmodified-since", ""),
    [44] = FIELD(NONE, "last-modified", ""),
    [45] = FIELD(NONE, "link", ""),
    [46] = FIELD(NONE, "location", ""),
    [47] = FIELD(NONE, "max-forwards", ""),
    [48] = FIELD(NONE, "proxy-authenticate", ""),
    [49] = FIELD(NONE, "proxy-authorization", ""),
    [50] = FIELD(NONE, "range", ""),
    [51] = FIELD(NONE, "referer", ""),
    [52] = FIELD(NONE, "refresh", ""),
    [53] = FIELD(NONE, "retry-after", ""),
    [54] = FIELD(SERVER, "server", ""),
    [55] = FIELD(SET_COOKIE, "set-cookie", ""),
    [56] = FIELD(NONE, "strict-transport-security", ""),
    [57] = FIELD(TRANSFER_ENCODING, "transfer-encoding", ""),
    [58] = FIELD(USER_AGENT, "user-agent", ""),
    [59] = FIELD(NONE, "vary", ""),
    [60] = FIELD(NONE, "via", ""),
    [61] = FIELD(NONE, "www-authenticate", ""),
};

struct range {
    uint8_t first, end;
};

static const struct range by_token[FG_TOKEN_LEN] = {
    [FG_TOKEN_AUTHORITY] = {1, 2},
    [FG_TOKEN_METHOD] = {2, 4},
    [FG_TOKEN_PATH] = {4, 6},
    [FG_TOKEN_SCHEME] = {6, 8},
    [FG_TOKEN_STATUS] = {8, 15},
    [FG_TOKEN_ACCEPT_ENCODING] = {16, 17},
    [FG_TOKEN_AUTHORIZATION] = {23, 24},
    [FG_TOKEN_CONTENT_LENGTH] = {28, 29},
    [FG_TOKEN_CONTENT_TYPE] = {31, 32},
    [FG_TOKEN_COOKIE] = {32, 33},
    [FG_TOKEN_DATE] = {33, 34},
    [FG_TOKEN_EXPECT] = {35, 36},
    [FG_TOKEN_HOST] = {38, 39},
    [FG_TOKEN_SERVER] = {54, 55},
    [FG_TOKEN_SET_COOKIE] = {55, 56},
    [FG_TOKEN_TRANSFER_ENCODING] = {57, 58},
    [FG_TOKEN_USER_AGENT] = {58, 59},
};

/* Names without a token: few per length. */
#define LONGEST_NAME 27

static uint32_t find_by_len(struct fg_str name)
{
    static const uint8_t by_len[LONGEST_NAME + 1][6] = {
        [3] = {21, 60},
        [4] = {34, 37, 45, 59},
        [5] = {22, 50},
        [6] = {19},
        [7] = {36, 51, 52},
        [8] = {39, 42, 46},
        [11] = {53},
        [12] = {47},
        [13] = {18, 24, 30, 41, 44},
        [14] = {15},
        [15] = {17},
        [16] = {26, 27, 29, 61},
        [17] = {40},
        [18] = {48},
        [19] = {25, 43, 49},
        [25] = {56},
        [27] = {20},
    };

    if (name.len > LONGEST_NAME)
        return 0;
    for (const uint8_t *index = by_len[name.len]; *index > 0; index++)
        if (memcmp(fg_hpack_static[*index].name.p, name.p, name.len) == 0)
            return *index;
    return 0;
}

uint32_t fg_hpack_static_find_name(const struct fg_header *field)
{
    return field->token != FG_TOKEN_NONE ? by_token[field->token].first : find_by_len(field->name);
}

uint32_t fg_hpack_static_find(const struct fg_header *field)
{
    if (field->token == FG_TOKEN_NONE) /* these have empty values in the table */
        return field->value.len > 0 ? 0 : find_by_len(field->name);
    for (uint32_t i = by_token[field->token].first; i < by_token[field->token].end; i++) {
        const struct fg_str *value = &fg_hpack_static[i].value;
        if (value->len == field->value.len && fg_hpack_same(value->p, field->value.p, value->len))
            return i;
    }
    return 0;
}
