/* Any text, cut anywhere: the values do not depend on where the bytes are cut. */
#include <stdlib.h>

#include "rpc/json_split.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A hash of the values and of how it ended. */
static uint64_t split(const uint8_t *data, size_t len, size_t piece)
{
    struct fg_json_split state = {0};
    uint64_t hash = 1469598103934665603u;

    for (size_t from = 0; from < len; from += piece) {
        size_t part = FG_MIN(piece, len - from), at = 0;
        for (;;) {
            struct fg_str got;
            enum fg_json_split_result result = fg_json_split_feed(&state, (const char *)data + from, part, &at, &got);
            if (at > part ||
                (got.len > 0 && (got.p < (const char *)data || got.p + got.len > (const char *)data + len)))
                abort();
            if (result == FG_JSON_SPLIT_BAD)
                return 1;
            for (size_t i = 0; i < got.len; i++)
                hash = (hash ^ (uint8_t)got.p[i]) * 1099511628211u;
            if (result == FG_JSON_SPLIT_MORE)
                break;
            hash = (hash ^ 256) * 1099511628211u;
        }
    }
    return hash + (uint64_t)(fg_json_split_end(&state) + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint64_t whole = split(data, len, len + 1);

    for (size_t piece = 1; piece <= FG_MIN(len, (size_t)8); piece++)
        if (split(data, len, piece) != whole)
            abort();
    return 0;
}
