/* Spans in a ring: the struct with only the events that it has, then its texts, one after the other. */
#include "observe/span.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 1024 /* bytes of one text; clients choose most of them */
#define TEXTS    8
#define PARTS    (2 + TEXTS) /* of a span */

/* What stands before each span. */
struct head {
    uint32_t len; /* of the struct that follows, as far as it is written */
    uint32_t texts[TEXTS];
};

static const size_t text_offsets[TEXTS] = {
    offsetof(struct fg_span, reason),  offsetof(struct fg_span, method),     offsetof(struct fg_span, cluster),
    offsetof(struct fg_span, route),   offsetof(struct fg_span, endpoint),   offsetof(struct fg_span, peer),
    offsetof(struct fg_span, dialect), offsetof(struct fg_span, tracestate),
};

static struct fg_str *text_of(struct fg_span *span, size_t i)
{
    return (struct fg_str *)(void *)((char *)span + text_offsets[i]);
}

static const struct fg_str *const_text_of(const struct fg_span *span, size_t i)
{
    return (const struct fg_str *)(const void *)((const char *)span + text_offsets[i]);
}

/* ---- writing ---- */

static void add_parts(struct head *head, const struct fg_span *span, struct fg_str *parts)
{
    head->len = (uint32_t)(offsetof(struct fg_span, events) + span->events_len * sizeof span->events[0]);
    parts[0] = (struct fg_str){(const char *)head, sizeof *head};
    parts[1] = (struct fg_str){(const char *)span, head->len};
    for (size_t i = 0; i < TEXTS; i++) {
        const struct fg_str *text = const_text_of(span, i);
        head->texts[i] = (uint32_t)FG_MIN(text->len, (size_t)TEXT_MAX);
        parts[2 + i] = (struct fg_str){text->p, head->texts[i]};
    }
}

bool fg_span_write(struct fg_ring *ring, const struct fg_span *spans, size_t spans_len)
{
    struct head heads[1 + FG_SPAN_ATTEMPTS_MAX];
    struct fg_str parts[(1 + FG_SPAN_ATTEMPTS_MAX) * PARTS];

    for (size_t i = 0; i < spans_len; i++)
        add_parts(&heads[i], &spans[i], &parts[i * PARTS]);
    return fg_ring_put_parts(ring, parts, spans_len * PARTS, 0);
}

/* ---- reading ---- */

static void must_get(struct fg_ring *ring, void *out, size_t len)
{
    if (len > 0 && !fg_ring_get(ring, out, len))
        abort(); /* spans come whole */
}

size_t fg_span_read(struct fg_ring *ring, size_t max, void (*take)(void *context, const struct fg_span *span),
                    void *context)
{
    struct fg_span span;
    struct head head;
    char texts[TEXTS * TEXT_MAX];
    size_t taken = 0;

    for (; taken < max && fg_ring_get(ring, &head, sizeof head); taken++) {
        char *at = texts;
        must_get(ring, &span, head.len);
        for (size_t i = 0; i < TEXTS; i++) {
            must_get(ring, at, head.texts[i]);
            *text_of(&span, i) = (struct fg_str){at, head.texts[i]};
            at += head.texts[i];
        }
        take(context, &span);
    }
    return taken;
}
