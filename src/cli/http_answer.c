#include "cli/http_answer.h"

static const struct fg_h1_limits limits = {FG_HTTP_ANSWER_HEAD_BYTES, 100};

void fg_http_answer_begin(struct fg_http_answer *answer,
                          void (*on_content)(void *context, const char *data, size_t len), void *context)
{
    answer->status = 0;
    answer->done = false;
    answer->problem = NULL;
    answer->on_content = on_content;
    answer->context = context;
    answer->head_len = 0;
    fg_mem_init(&answer->mem);
    fg_arena_init(&answer->arena, &answer->mem);
    fg_h1_body_init(&answer->body, FG_H1_BODY_NONE, 0);
}

void fg_http_answer_cleanup(struct fg_http_answer *answer)
{
    fg_h1_body_cleanup(&answer->body);
    fg_arena_cleanup(&answer->arena);
    fg_mem_cleanup(&answer->mem);
}

static bool fail(struct fg_http_answer *answer, enum fg_h1_fault fault)
{
    answer->problem = fg_h1_fault_info(fault)->reason;
    return false;
}

static void begin_content(struct fg_http_answer *answer, const struct fg_h1_head *head)
{
    uint64_t length = head->content_length > 0 ? (uint64_t)head->content_length : 0;

    answer->status = head->status;
    if (head->status < 200 || head->status == 204 || head->status == 304 || head->content_length == 0)
        answer->done = true;
    else if (head->chunked)
        fg_h1_body_init(&answer->body, FG_H1_BODY_CHUNKED, 0);
    else
        fg_h1_body_init(&answer->body, length ? FG_H1_BODY_LENGTH : FG_H1_BODY_UNTIL_CLOSE, length);
}

/* Bytes until the head is complete; *AT is behind those that belong to it. */
static bool take_head(struct fg_http_answer *answer, const char *data, size_t len, size_t *at)
{
    size_t before = answer->head_len, more = FG_MIN(len, sizeof answer->head - before);
    struct fg_h1_head head;
    enum fg_h1_fault fault;

    memcpy(answer->head + before, data, more);
    answer->head_len += more;
    ssize_t used =
        fg_h1_head_parse(FG_H1_RESPONSE, answer->head, answer->head_len, &limits, &answer->arena, &head, &fault);
    if (used == FG_H1_ERROR)
        return fail(answer, fault);
    if (used == FG_H1_MORE && answer->head_len == sizeof answer->head)
        return fail(answer, FG_H1_FAULT_HEAD_TOO_LARGE);
    *at = used > 0 ? (size_t)used - before : more;
    if (used > 0)
        begin_content(answer, &head);
    return true;
}

bool fg_http_answer_feed(struct fg_http_answer *answer, const char *data, size_t len)
{
    size_t at = 0;

    if (answer->status == 0 && !take_head(answer, data, len, &at))
        return false;
    while (at < len && !answer->done && answer->status != 0) {
        struct fg_str content;
        enum fg_h1_fault fault;
        fg_h1_body_feed(&answer->body, data, len, &at, &content, &limits, &answer->arena, &fault);
        if (fault != FG_H1_FAULT_NONE)
            return fail(answer, fault);
        if (content.len > 0)
            answer->on_content(answer->context, content.p, content.len);
        answer->done = answer->body.done;
    }
    return true;
}

bool fg_http_answer_end(struct fg_http_answer *answer)
{
    if (!answer->done)
        answer->done = answer->status != 0 && fg_h1_body_eof(&answer->body);
    return answer->done || fail(answer, FG_H1_FAULT_CUT);
}
