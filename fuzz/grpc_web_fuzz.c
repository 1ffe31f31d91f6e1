/* gRPC-Web in all its forms, and gRPC in JSON, through the face and a call: see face_exchange.h.
 *
 * The input: options of the exchange; form (1 text, 2 the answer in the other form, 4 JSON, 8 gRPC itself, 16 the
 * request is put into base64 here); seed of the cuts; the answer's share of the rest in 256ths; the request; the
 * answer. */
#include "face_exchange.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { TEXT = 1, OTHER_ANSWER = 2, JSON = 4, PLAIN = 8, ENCODED = 16 };

static const char *content_type(uint8_t form)
{
    if (form & PLAIN)
        return "application/grpc+json";
    if (form & TEXT)
        return form & JSON ? "application/grpc-web-text+json" : "application/grpc-web-text+proto";
    return form & JSON ? "application/grpc-web+json" : "application/grpc-web";
}

/* As browsers do: each piece that is sent is padded. */
static void encode(struct text *text, uint32_t seed)
{
    struct text encoded = {0};
    char four[400];

    for (size_t at = 0, piece; at < text->len; at += piece) {
        piece = next_cut(&seed, text->len - at);
        fg_base64_padded((const uint8_t *)text->p + at, piece, four);
        text_put(&encoded, four, fg_base64_padded_len(piece));
    }
    text_put(&encoded, "", 0);
    free(text->p);
    *text = encoded;
}

static void decode(struct text *text)
{
    struct fg_base64_stream stream = {0};
    struct text plain = {0};
    uint8_t *bytes = fg_alloc(FG_BASE64_STREAM_ROOM(text->len));
    int64_t len = fg_base64_stream_feed(&stream, (const uint8_t *)text->p, text->len, bytes);

    check(len >= 0 && fg_base64_stream_is_whole(&stream), "the answer is not base64");
    text_put(&plain, bytes, (size_t)len);
    free(bytes);
    free(text->p);
    *text = plain;
}

/* Messages, then the trailers. */
static void check_answer(struct result *result, bool is_text)
{
    size_t at = 0;
    bool trailers = false;

    if (is_text)
        decode(&result->out);
    while (at < result->out.len) {
        const uint8_t *prefix = (const uint8_t *)result->out.p + at;
        check(!trailers, "something follows the trailers");
        check(result->out.len - at >= FG_MESSAGE_PREFIX, "the answer ends inside of a prefix");
        size_t frame = fg_load_u32(prefix + 1);
        check(result->out.len - at - FG_MESSAGE_PREFIX >= frame, "the answer ends inside of a frame");
        trailers = prefix[0] == 0x80;
        check(trailers || prefix[0] <= 1, "the answer has an unknown flag");
        at += FG_MESSAGE_PREFIX + frame;
    }
    check(trailers, "the answer has no trailers");
}

static void check_result(const struct exchange *x, struct result *result, uint8_t form)
{
    check_reset(x, result);
    if (!(form & PLAIN) && result->finished)
        check_answer(result, !!(form & TEXT) ^ !!(form & OTHER_ANSWER));
    if (form & (JSON | PLAIN) || result->up_ended)
        check(is_whole(&result->up), "the endpoint got half a message");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct exchange x = {.method = "POST", .path = "/t.S/Chat"};
    struct result whole = {0}, cut = {0};

    if (len < 4)
        return 0;
    make_world();
    uint8_t form = data[1];
    uint32_t seed = data[2];
    size_t answer = (len - 4) * data[3] / 256, request = len - 4 - answer;
    x.options = data[0];
    x.content_type = content_type(form);
    x.fields = !(form & OTHER_ANSWER) ? "grpc-encoding: gzip\n"
               : form & TEXT          ? "accept: application/grpc-web\n"
                                      : "accept: application/grpc-web-text\n";
    world.cluster.descriptors = form & (JSON | PLAIN) ? world.descriptors : NULL;
    put_messages(&x.request, data + 4, request, x.options);
    put_messages(&x.answer, data + 4 + request, answer, x.options);
    if (form & TEXT && form & ENCODED && !(form & PLAIN))
        encode(&x.request, seed);
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
    return 0;
}
