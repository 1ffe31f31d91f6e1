#include "admin/query.h"

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool fg_query_decode(struct fg_str text, char *out, size_t out_len, size_t *len)
{
    *len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.p[i];
        if (*len == out_len)
            return false;
        if (c == '%') {
            int high = i + 2 < text.len ? hex(text.p[i + 1]) : -1, low = i + 2 < text.len ? hex(text.p[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        }
        out[(*len)++] = c;
    }
    return true;
}

bool fg_query_find(struct fg_str query, const char *key, struct fg_str *value)
{
    struct fg_str wanted = fg_str_from(key);

    for (size_t at = 0; at < query.len;) {
        const char *stop = memchr(query.p + at, '&', query.len - at);
        struct fg_str part = {query.p + at, stop ? (size_t)(stop - query.p) - at : query.len - at};
        at += part.len + 1;
        if (part.len <= wanted.len || part.p[wanted.len] != '=' || !fg_str_starts_with(part, wanted))
            continue;
        *value = (struct fg_str){part.p + wanted.len + 1, part.len - wanted.len - 1};
        return true;
    }
    return false;
}

bool fg_query_text(struct fg_str query, const char *key, char *out, size_t out_len)
{
    struct fg_str encoded;
    size_t len = 0;

    if (fg_query_find(query, key, &encoded) && !fg_query_decode(encoded, out, out_len - 1, &len))
        return false;
    out[len] = '\0';
    return memchr(out, '\0', len) == NULL;
}

bool fg_query_number(struct fg_str query, const char *key, uint64_t fallback, uint64_t max, uint64_t *out)
{
    struct fg_str text;
    uint64_t number = 0;

    *out = fallback;
    if (!fg_query_find(query, key, &text))
        return true;
    if (text.len == 0 || text.len > 20)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned)(unsigned char)text.p[i] - '0';
        if (digit > 9 || number > (UINT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *out = number;
    return number <= max;
}
