#include "cli/caller_input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/caller_call.h"
#include "cli/cli.h"
#include "rpc/message.h"

#define READ_BYTES (64u << 10)

static void stop_watching(struct fg_caller_input *input)
{
    if (input->watched)
        fg_watch_remove(input->loop, &input->watch);
    input->watched = false;
}

static void on_ready(struct fg_watch *watch, unsigned ready)
{
    struct fg_caller_input *input = FG_CONTAINER_OF(watch, struct fg_caller_input, watch);

    input->ready = true;
    if (ready & FG_HANGUP)
        stop_watching(input);                    /* what is left can be read at any time */
    fg_caller_input_pause(input, input->paused); /* it stays ready until it is read: that is no reason to turn */
}

static int open_input(struct fg_caller_input *input, const char *data)
{
    bool is_stdin = strcmp(data, "-") == 0 || strcmp(data, "@") == 0 || strcmp(data, "@-") == 0;

    input->name = is_stdin ? "standard input" : data + 1;
    input->watch.fd = is_stdin ? STDIN_FILENO : open(data + 1, O_RDONLY | O_CLOEXEC);
    if (input->watch.fd < 0) {
        fg_caller_say("%s: %s", input->name, strerror(errno));
        return FG_EXIT_USAGE;
    }
    input->watch.interest = FG_READABLE;
    input->watch.on_ready = on_ready;
    input->watched = fg_watch_add(input->loop, &input->watch) == 0; /* files are always ready, and cannot be watched */
    input->ready = !input->watched;
    return -1;
}

int fg_caller_input_init(struct fg_caller_input *input, struct fg_loop *loop, const char *data, bool many)
{
    *input = (struct fg_caller_input){.loop = loop, .watch.fd = -1, .many = many, .line = 1, .column = 1};
    fg_outq_init(&input->text, &loop->mem);
    fg_outq_init(&input->value, &loop->mem);
    if (data && (data[0] == '@' || strcmp(data, "-") == 0))
        return open_input(input, data);
    input->name = "the message";
    input->ended = true;
    if (data)
        fg_outq_copy(&input->text, data, strlen(data));
    return -1;
}

void fg_caller_input_cleanup(struct fg_caller_input *input)
{
    stop_watching(input);
    if (input->watch.fd > STDIN_FILENO)
        close(input->watch.fd);
    fg_outq_cleanup(&input->text);
    fg_outq_cleanup(&input->value);
}

/* One read. */
static void fill(struct fg_caller_input *input)
{
    char buffer[READ_BYTES];
    ssize_t n;

    if (!input->ready || input->ended)
        return;
    do
        n = read(input->watch.fd, buffer, sizeof buffer);
    while (n < 0 && errno == EINTR);
    input->ready = !input->watched;
    fg_caller_input_pause(input, input->paused);
    if (n > 0) {
        fg_outq_copy(&input->text, buffer, (size_t)n);
        return;
    }
    if (n < 0 && errno == EAGAIN)
        return;
    if (n < 0) {
        fg_caller_say("%s: %s", input->name, strerror(errno));
        input->failed = true;
    }
    input->ended = true;
    stop_watching(input);
}

static void advance(struct fg_caller_input *input, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        input->column++;
        if (text[i] == '\n') {
            input->line++;
            input->column = 1;
        }
    }
}

static void begin_value(struct fg_caller_input *input)
{
    input->value_line = input->line;
    input->value_column = input->column;
}

/* What is read as a value when the splitter has no use for it: whoever parses it will say what is wrong, and where. */
static void take_rest(struct fg_caller_input *input)
{
    if (input->value.bytes == 0)
        begin_value(input);
    fg_outq_move(&input->text, input->text.bytes, &input->value);
}

static enum fg_caller_read hand_out(struct fg_caller_input *input, struct fg_outq *out)
{
    input->values++;
    fg_outq_move(&input->value, input->value.bytes, out);
    return FG_CALLER_READ_MESSAGE;
}

/* The splitter over what was read. */
static enum fg_json_split_result split(struct fg_caller_input *input)
{
    while (input->text.bytes > 0) {
        const struct fg_seg *seg = input->text.head;
        const char *data = (const char *)seg->data;
        struct fg_str piece;
        size_t at = 0;
        enum fg_json_split_result result = fg_json_split_feed(&input->split, data, seg->len, &at, &piece);
        if (result == FG_JSON_SPLIT_BAD) {
            advance(input, data, at);
            fg_outq_consume(&input->text, at);
            return result;
        }
        size_t before = piece.len > 0 ? (size_t)(piece.p - data) : at;
        advance(input, data, before);
        if (input->value.bytes == 0)
            begin_value(input);
        fg_outq_copy(&input->value, piece.p, piece.len);
        advance(input, data + before, at - before);
        fg_outq_consume(&input->text, at);
        if (result == FG_JSON_SPLIT_VALUE)
            return result;
    }
    return FG_JSON_SPLIT_MORE;
}

static enum fg_caller_read next_of_many(struct fg_caller_input *input, struct fg_outq *out)
{
    enum fg_json_split_result result = split(input);

    if (result == FG_JSON_SPLIT_VALUE)
        return hand_out(input, out);
    if (result == FG_JSON_SPLIT_BAD) {
        take_rest(input);
        input->split = (struct fg_json_split){0};
        return hand_out(input, out);
    }
    if (!input->ended)
        return FG_CALLER_READ_NOTHING;
    int end = fg_json_split_end(&input->split);
    input->split = (struct fg_json_split){0};
    if (end != 0)
        return input->value.bytes > 0 ? hand_out(input, out) : FG_CALLER_READ_BAD;
    return FG_CALLER_READ_END;
}

static bool is_blank(const struct fg_outq *q)
{
    for (const struct fg_seg *seg = q->head; seg; seg = seg->next)
        for (size_t i = 0; i < seg->len; i++)
            if (!memchr(" \t\r\n", seg->data[i], 4))
                return false;
    return true;
}

enum fg_caller_read fg_caller_input_next(struct fg_caller_input *input, struct fg_outq *out)
{
    fill(input);
    if (input->failed)
        return FG_CALLER_READ_BAD;
    if (input->many) {
        enum fg_caller_read result = next_of_many(input, out);
        if (result == FG_CALLER_READ_BAD)
            fg_caller_say("%s ends inside of a list of messages", input->name);
        return result;
    }
    if (!input->ended)
        return FG_CALLER_READ_NOTHING;
    if (input->values > 0)
        return FG_CALLER_READ_END;
    if (is_blank(&input->text))
        fg_outq_cleanup(&input->text);
    take_rest(input);
    return hand_out(input, out);
}

bool fg_caller_input_is_ready(const struct fg_caller_input *input)
{
    return input->ready || input->ended;
}

void fg_caller_input_pause(struct fg_caller_input *input, bool paused)
{
    input->paused = paused;
    if (input->watched)
        fg_watch_set_interest(input->loop, &input->watch, paused || input->ready ? 0 : FG_READABLE);
}

bool fg_caller_input_convert(struct fg_caller_input *input, const struct fg_descriptors *types,
                             const struct fg_message *type, struct fg_outq *json, struct fg_outq *out)
{
    struct fg_json_to_proto how = {.descriptors = types};
    struct fg_proto_json_error error;
    struct fg_proto_out proto;
    size_t parts_len;

    if (json->bytes == 0)
        fg_outq_copy(json, "{}", 2);
    struct fg_str *parts = fg_message_parts(json, &parts_len);
    fg_proto_out_init(&proto, &input->loop->mem, FG_PROTO_OUT_MAX_BYTES);
    int rc = fg_json_to_proto(&how, type, parts, parts_len, &proto, &error);
    if (rc == 0)
        fg_proto_out_move(&proto, out);
    fg_proto_out_cleanup(&proto);
    free(parts);
    fg_outq_cleanup(json);
    if (rc == 0)
        return true;
    if (error.line > 0)
        fg_caller_say("%s is no %.*s: line %d, column %d%s%s: %s", input->name, (int)type->full_name.len,
                      type->full_name.p, input->value_line + error.line - 1,
                      error.line == 1 ? input->value_column + error.column - 1 : error.column,
                      error.path[0] ? ", " : "", error.path, error.message);
    else
        fg_caller_say("%s is no %.*s: %s%s%s", input->name, (int)type->full_name.len, type->full_name.p, error.path,
                      error.path[0] ? ": " : "", error.message);
    return false;
}
