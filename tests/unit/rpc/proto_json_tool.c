/* Converts messages for tests/interop/test_proto_json.py: argument: a file with a FileDescriptorSet. Each request on
 * standard input is: direction ('P' to JSON, 'J' to protobuf), flags, length of the type's name, bytes of each part (0:
 * one part), length of the message (all but the first two 32 bits, little-endian), name, message. The answer: 'y' or
 * 'n', length, and the result or "CODE|LINE|COLUMN|PATH|MESSAGE". With a number as second argument the first request is
 * repeated so many times, and the nanoseconds of one are printed instead. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "rpc/proto_json.h"

#define PARTS_MAX 65536

enum flags { EMIT_DEFAULTS = 1, ORIGINAL_NAMES = 2, IGNORE_UNKNOWN = 4, ENUM_NUMBERS = 8 };

struct request {
    uint8_t direction, flags;
    uint32_t name_len, part_bytes, len;
    char name[512];
    uint8_t *message;
};

struct result {
    char *bytes;
    size_t len, cap;
};

static int append(void *context, const char *bytes, size_t len)
{
    struct result *result = context;

    if (result->len + len > result->cap) {
        result->cap = 2 * (result->len + len);
        result->bytes = fg_realloc(result->bytes, result->cap);
    }
    memcpy(result->bytes + result->len, bytes, len);
    result->len += len;
    return 0;
}

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "proto_json_tool: %s\n", what);
    exit(2);
}

static bool read_request(struct request *request)
{
    if (fread(&request->direction, 1, 1, stdin) != 1)
        return false;
    check(fread(&request->flags, 1, 1, stdin) == 1 && fread(&request->name_len, 4, 1, stdin) == 1 &&
              fread(&request->part_bytes, 4, 1, stdin) == 1 && fread(&request->len, 4, 1, stdin) == 1,
          "half a request");
    check(request->name_len < sizeof request->name, "a long name");
    check(fread(request->name, 1, request->name_len, stdin) == request->name_len, "half a name");
    request->message = fg_alloc(request->len);
    check(fread(request->message, 1, request->len, stdin) == request->len, "half a message");
    return true;
}

static size_t split(const struct request *request, struct fg_str *parts)
{
    size_t step = request->part_bytes ? request->part_bytes : FG_MAX(request->len, 1u), n = 0;

    if (request->len / step >= PARTS_MAX)
        step = request->len / (PARTS_MAX / 2);
    for (size_t at = 0; at < request->len; at += step)
        parts[n++] = (struct fg_str){(const char *)request->message + at, FG_MIN(step, request->len - at)};
    return n;
}

static int convert(const struct request *request, const struct fg_descriptors *set, const struct fg_message *type,
                   struct fg_mem *mem, struct result *result, struct fg_proto_json_error *error)
{
    static struct fg_str parts[PARTS_MAX];
    size_t parts_len = split(request, parts);
    char buffer[4096];

    result->len = 0;
    if (request->direction == 'P') {
        struct fg_proto_to_json how = {.descriptors = set,
                                       .emit_defaults = request->flags & EMIT_DEFAULTS,
                                       .original_names = request->flags & ORIGINAL_NAMES,
                                       .enum_numbers = request->flags & ENUM_NUMBERS};
        struct fg_json_out out;
        fg_json_out_init(&out, buffer, request->part_bytes % 2 ? 32 : sizeof buffer, append, result);
        return fg_proto_to_json(&how, type, parts, parts_len, &out, error);
    }
    struct fg_json_to_proto how = {.descriptors = set, .ignore_unknown = request->flags & IGNORE_UNKNOWN};
    struct fg_proto_out out;
    struct fg_outq q;
    struct iovec iov;
    fg_proto_out_init(&out, mem, FG_PROTO_OUT_MAX_BYTES);
    int rc = fg_json_to_proto(&how, type, parts, parts_len, &out, error);
    if (rc == 0) {
        fg_outq_init(&q, mem);
        fg_proto_out_move(&out, &q);
        while (fg_outq_peek(&q, &iov, 1) > 0) {
            append(result, iov.iov_base, iov.iov_len);
            fg_outq_consume(&q, iov.iov_len);
        }
        fg_outq_cleanup(&q);
    }
    fg_proto_out_cleanup(&out);
    return rc;
}

static void answer(bool ok, const char *bytes, size_t len)
{
    uint32_t len32 = (uint32_t)len;

    putchar(ok ? 'y' : 'n');
    fwrite(&len32, 4, 1, stdout);
    fwrite(bytes, 1, len, stdout);
    fflush(stdout);
}

static struct fg_descriptors *load(const char *path)
{
    static uint8_t bytes[8 << 20];
    struct fg_descriptors *set = NULL;
    struct fg_descriptors_error error;
    FILE *file = fopen(path, "rb");

    check(file != NULL, "no such file");
    size_t len = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    check(fg_descriptors_new(bytes, len, &set, &error) == 0, error.text);
    return set;
}

static double now(void)
{
    struct timespec at;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return (double)at.tv_sec * 1e9 + (double)at.tv_nsec;
}

static void measure(const struct request *request, const struct fg_descriptors *set, const struct fg_message *type,
                    struct fg_mem *mem, struct result *result, int times)
{
    struct fg_proto_json_error error;
    double begin = now();

    for (int i = 0; i < times; i++)
        check(convert(request, set, type, mem, result, &error) == 0, "no valid message");
    printf("%.1f\n", (now() - begin) / times);
}

int main(int argc, char **argv)
{
    struct fg_proto_json_error error;
    struct request request;
    struct result result = {0};
    struct fg_mem mem;
    char text[512];

    check(argc == 2 || argc == 3, "usage: proto_json_tool SET [TIMES]");
    struct fg_descriptors *set = load(argv[1]);
    fg_mem_init(&mem);
    while (read_request(&request)) {
        const struct fg_message *type = fg_descriptors_message(set, (struct fg_str){request.name, request.name_len});
        check(type != NULL, "no such message");
        if (argc == 3) {
            measure(&request, set, type, &mem, &result, (int)strtol(argv[2], NULL, 10));
        } else if (convert(&request, set, type, &mem, &result, &error) == 0) {
            answer(true, result.bytes, result.len);
        } else {
            int len = snprintf(text, sizeof text, "%s|%d|%d|%s|%s", fg_status_name(error.code), error.line,
                               error.column, error.path, error.message);
            answer(false, text, (size_t)len);
        }
        free(request.message);
    }
    free(result.bytes);
    fg_mem_cleanup(&mem);
    fg_descriptors_unref(set);
    return 0;
}
