/* Any bytes as protobuf, and as JSON. The first byte chooses the direction and the size of the parts. What one
 * direction makes, the other understands, and the JSON of that is the same. */
#include <stdlib.h>

#include "rpc/proto_json.h"

#include "../tests/unit/rpc/descriptor_build.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct bytes {
    char *p;
    size_t len, cap;
};

static struct fg_descriptors *set;
static const struct fg_message *all;
static struct fg_mem mem;

static void check(bool ok)
{
    if (!ok)
        abort();
}

static int append(void *context, const char *bytes, size_t len)
{
    struct bytes *to = context;

    if (to->len + len > to->cap) {
        to->cap = 2 * (to->len + len);
        to->p = fg_realloc(to->p, to->cap);
    }
    memcpy(to->p + to->len, bytes, len);
    to->len += len;
    return 0;
}

static size_t split(const void *data, size_t len, size_t step, struct fg_str *parts, size_t cap)
{
    size_t n = 0;

    if (step == 0 || len / step >= cap)
        step = FG_MAX(len, (size_t)1);
    for (size_t at = 0; at < len; at += step)
        parts[n++] = (struct fg_str){(const char *)data + at, FG_MIN(step, len - at)};
    return n;
}

static int print(const void *data, size_t len, size_t step, unsigned flags, struct bytes *json)
{
    struct fg_proto_to_json how = {set, flags & 1, flags & 2, flags & 4};
    struct fg_proto_json_error error;
    struct fg_str parts[256];
    struct fg_json_out out;
    char buffer[64];

    json->len = 0;
    fg_json_out_init(&out, buffer, sizeof buffer, append, json);
    int rc = fg_proto_to_json(&how, all, parts, split(data, len, step, parts, FG_ARRAY_LEN(parts)), &out, &error);
    check((rc == 0) == (error.code == FG_STATUS_OK));
    return rc;
}

static int parse(const void *data, size_t len, size_t step, unsigned flags, struct bytes *wire)
{
    struct fg_json_to_proto how = {set, flags & 1};
    struct fg_proto_json_error error;
    struct fg_str parts[256];
    struct fg_proto_out out;
    struct fg_outq q;
    struct iovec iov;

    wire->len = 0;
    fg_proto_out_init(&out, &mem, 1 << 20);
    int rc = fg_json_to_proto(&how, all, parts, split(data, len, step, parts, FG_ARRAY_LEN(parts)), &out, &error);
    check((rc == 0) == (error.code == FG_STATUS_OK));
    check(rc == 0 || (error.line > 0 && error.column > 0 && error.message[0] != '\0'));
    fg_outq_init(&q, &mem);
    if (rc == 0)
        fg_proto_out_move(&out, &q);
    while (fg_outq_peek(&q, &iov, 1) > 0) {
        append(wire, iov.iov_base, iov.iov_len);
        fg_outq_consume(&q, iov.iov_len);
    }
    fg_outq_cleanup(&q);
    fg_proto_out_cleanup(&out);
    return rc;
}

/* JSON may have grown beyond what may be read: an Any in an Any is deeper here than there. */
static void check_round(const struct bytes *json, size_t step)
{
    struct bytes wire = {0}, again = {0}, text = {0};

    if (parse(json->p, json->len, step, 0, &wire) == 0 && print(wire.p, wire.len, step, 0, &text) == 0) {
        check(parse(text.p, text.len, 0, 0, &again) == 0);
        check(again.len == wire.len && (wire.len == 0 || memcmp(again.p, wire.p, wire.len) == 0));
    }
    free(wire.p);
    free(again.p);
    free(text.p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct fg_descriptors_error error;
    struct bytes result = {0};
    struct built raw;

    if (!set) {
        build_set(&raw);
        fg_mem_init(&mem);
        check(fg_descriptors_new(raw.bytes, raw.len, &set, &error) == 0);
        all = fg_descriptors_message(set, FG_STR("t.All"));
    }
    if (len == 0)
        return 0;
    size_t step = data[0] >> 4;
    unsigned flags = data[0] >> 1 & 7;
    if (data[0] & 1) {
        if (parse(data + 1, len - 1, step, flags, &result) == 0) {
            struct bytes json = {0};
            if (print(result.p, result.len, step, 0, &json) == 0)
                check_round(&json, step);
            free(json.p);
        }
    } else if (print(data + 1, len - 1, step, flags, &result) == 0) {
        check_round(&result, step);
    }
    free(result.p);
    return 0;
}
