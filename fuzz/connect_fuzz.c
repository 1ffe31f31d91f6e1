/* Connect in all its forms through the face and a call: see face_exchange.h.
 *
 * The input: options of the exchange; form (0 streams, 1 unary, 2 unary by GET; 4 JSON; 8 base64 in the query, 16 the
 * content says that it is compressed); seed of the cuts; the answer's share of the rest in 256ths; the request; the
 * answer. */
#include <jansson.h>

#include "face_exchange.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { STREAM, UNARY, GET, FORMS, JSON = 4, BASE64 = 8, COMPRESSED = 16 };

/* ---- requests ---- */

static void put_query(struct text *path, const struct text *message, uint8_t form)
{
    text_print(path, "/t.S/Get?connect=v1&encoding=%s%s%s&message=", form & JSON ? "json" : "proto",
               form & BASE64 ? "&base64=1" : "", form & COMPRESSED ? "&compression=gzip" : "");
    if (form & BASE64) {
        char *text = fg_alloc(fg_base64_padded_len(message->len) + 1);
        fg_base64_padded((const uint8_t *)message->p, message->len, text);
        text_put(path, text, fg_base64_padded_len(message->len));
        free(text);
        return;
    }
    for (size_t i = 0; i < message->len; i++) /* what the parser of heads lets through */
        if (message->p[i] > 0x20 && message->p[i] < 0x7f && message->p[i] != '#')
            text_put(path, &message->p[i], 1);
}

/* One message is the content. */
static void put_content(struct text *to, const uint8_t *data, size_t len, uint8_t form, unsigned options)
{
    struct text framed = {0};

    if (!(form & COMPRESSED) || !(options & FRAMED) || len > 127) {
        text_put(to, data, len);
        return;
    }
    uint8_t *counted = fg_alloc(len + 1);
    counted[0] = (uint8_t)(0x80 | len);
    memcpy(counted + 1, data, len);
    put_messages(&framed, counted, len + 1, FRAMED | GZIP);
    text_put(to, framed.p + FG_MESSAGE_PREFIX, framed.len - FG_MESSAGE_PREFIX);
    free(counted);
    free(framed.p);
}

static const char *fields_of(uint8_t form)
{
    if (!(form & COMPRESSED))
        return "connect-protocol-version: 1\n";
    return form % 4 == STREAM ? "connect-protocol-version: 1\nconnect-content-encoding: gzip\n"
                              : "connect-protocol-version: 1\ncontent-encoding: gzip\n";
}

/* ---- answers ---- */

static void check_object(const char *text, size_t len, const char *needs)
{
    json_error_t error;
    json_t *value = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);

    if (!value)
        fprintf(stderr, "%s: %.*s\n", error.text, (int)len, text);
    check(json_is_object(value) && (!needs || json_object_get(value, needs)), "what says how it ended is no such JSON");
    json_decref(value);
}

/* Envelopes, and one that says how it ended. */
static void check_stream(const struct result *result)
{
    bool ended = false;

    for (size_t at = 0; at < result->out.len;) {
        const uint8_t *prefix = (const uint8_t *)result->out.p + at;
        check(!ended, "something follows the end of the stream");
        check(result->out.len - at >= FG_MESSAGE_PREFIX, "the answer ends inside of a prefix");
        size_t len = fg_load_u32(prefix + 1);
        check(result->out.len - at - FG_MESSAGE_PREFIX >= len, "the answer ends inside of an envelope");
        check(prefix[0] <= 2, "the answer has an unknown flag");
        ended = prefix[0] == FG_MESSAGE_END_STREAM;
        if (ended)
            check_object((const char *)prefix + FG_MESSAGE_PREFIX, len, result->code != FG_STATUS_OK ? "error" : NULL);
        at += FG_MESSAGE_PREFIX + len;
    }
    check(ended, "the answer does not say how it ended");
}

static void check_unary(const struct result *result)
{
    bool ok = strstr(result->head.p, ":status: 200\n") != NULL;

    check(ok == (result->code == FG_STATUS_OK), "the HTTP status is not that of the call");
    char length[64];
    snprintf(length, sizeof length, "content-length: %zu\n", result->out.len);
    check(strstr(result->head.p, length) != NULL, "content-length is not that of the content");
    if (!ok)
        check_object(result->out.p, result->out.len, "code");
}

static void check_result(const struct exchange *x, const struct result *result, uint8_t form)
{
    check_reset(x, result);
    if (result->finished && form % 4 == STREAM)
        check_stream(result);
    else if (result->finished)
        check_unary(result);
    if (form & JSON || form % 4 != STREAM || result->up_ended)
        check(is_whole(&result->up), "the endpoint got half a message");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char *const types[2][FORMS] = {{"application/connect+proto", "application/proto", NULL},
                                                {"application/connect+json", "application/json", NULL}};
    struct result whole = {0}, cut = {0};
    struct text path = {0};

    if (len < 4 || data[1] % 4 == FORMS)
        return 0;
    make_world();
    uint8_t form = data[1];
    uint32_t seed = data[2];
    size_t answer = (len - 4) * data[3] / 256, request = len - 4 - answer;
    struct exchange x = {.method = form % 4 == GET ? "GET" : "POST",
                         .path = form % 4 == STREAM ? "/t.S/Chat" : "/t.S/Get",
                         .content_type = types[!!(form & JSON)][form % 4],
                         .fields = fields_of(form),
                         .options = form % 4 == STREAM ? data[0] : data[0] & ~(unsigned)EARLY};
    world.cluster.descriptors = world.descriptors;
    if (form % 4 == STREAM)
        put_messages(&x.request, data + 4, request, x.options);
    else
        put_content(&x.request, data + 4, request, form, x.options);
    put_messages(&x.answer, data + 4 + request, answer, x.options);
    if (form % 4 == GET) {
        put_query(&path, &x.request, form);
        x.path = path.p;
        text_clear(&x.request);
    }
    play(&x, &whole, NULL);
    play(&x, &cut, &seed);
    compare(&whole, &cut);
    check_result(&x, &whole, form);
    check_result(&x, &cut, form);
    if (whole.code == FG_STATUS_OK)
        check_same(&whole.out, &cut.out, "the answer depends on the cuts");
    free_result(&whole);
    free_result(&cut);
    free(x.request.p);
    free(x.answer.p);
    free(path.p);
    return 0;
}
