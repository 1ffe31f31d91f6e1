#include "call/reply.h"

static const struct {
    const char *name;
    enum fg_status code;
    enum fg_source source;
} reasons[] = {
#define X(reason, code, source) [FG_REASON_##reason] = {#reason, FG_STATUS_##code, FG_SOURCE_##source},
    FG_REASONS(X)
#undef X
};

struct fg_reply fg_reply_make(enum fg_reason reason, struct fg_str message)
{
    return (struct fg_reply){
        .reason = reason, .code = reasons[reason].code, .source = reasons[reason].source, .message = message};
}

void fg_reply_add(struct fg_reply *reply, const char *key, struct fg_str value)
{
    if (reply->pairs_len < FG_REPLY_PAIRS && value.len > 0)
        reply->pairs[reply->pairs_len++] = (struct fg_metadata_pair){fg_str_from(key), value};
}

const char *fg_reason_name(enum fg_reason reason)
{
    return reasons[reason].name;
}
