#include "rpc/message.h"

enum fg_message_result fg_message_take(struct fg_outq *q, uint64_t max, uint8_t *flags, struct fg_outq *content)
{
    uint8_t prefix[FG_MESSAGE_PREFIX];

    if (q->bytes < sizeof prefix)
        return FG_MESSAGE_NONE;
    fg_outq_read(q, prefix, sizeof prefix);
    uint32_t len = fg_load_u32(prefix + 1);
    if (len > max)
        return FG_MESSAGE_TOO_LARGE;
    if (q->bytes - sizeof prefix < len)
        return FG_MESSAGE_NONE;
    *flags = prefix[0];
    fg_outq_consume(q, sizeof prefix);
    fg_outq_move(q, len, content);
    return FG_MESSAGE_WHOLE;
}

void fg_message_put_prefix(struct fg_outq *q, uint8_t flags, size_t len)
{
    uint8_t prefix[FG_MESSAGE_PREFIX] = {flags};

    fg_store_u32(prefix + 1, (uint32_t)len);
    fg_outq_copy(q, prefix, sizeof prefix);
}

struct fg_str *fg_message_parts(const struct fg_outq *q, size_t *len)
{
    size_t count = 0;

    for (const struct fg_seg *seg = q->head; seg; seg = seg->next)
        count++;
    struct fg_str *parts = fg_alloc((count + 1) * sizeof *parts);
    *len = 0;
    for (const struct fg_seg *seg = q->head; seg; seg = seg->next)
        parts[(*len)++] = (struct fg_str){(const char *)seg->data, seg->len};
    return parts;
}
