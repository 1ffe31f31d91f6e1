/* HPACK against libnghttp2's. The first byte chooses:
 * even: the rest is blocks and changes of the table limit for one connection's decoder; both decoders must find the
 * same fields and the same blocks malformed, and one of ours with tight limits must keep step; odd:  the rest describes
 * lists of fields for one connection's encoder; libnghttp2 must decode the same lists.
 *
 * Deliberate differences, which are stepped around here: ours refuses a third table size update in a row, theirs takes
 * any number; theirs refuses strings over 64 KiB, ours leaves that to the limit of the block (inputs are shorter). */
#include <stdlib.h>

#include "../tests/unit/h2/hpack_oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct input {
    const uint8_t *at, *end;
};

static unsigned take(struct input *input)
{
    return input->at < input->end ? *input->at++ : 0;
}

static struct fg_str take_bytes(struct input *input, size_t len)
{
    struct fg_str bytes = {(const char *)input->at, FG_MIN(len, (size_t)(input->end - input->at))};
    input->at += bytes.len;
    return bytes;
}

static void check(bool ok)
{
    if (!ok)
        abort();
}

static bool has_three_updates(struct fg_str block)
{
    const uint8_t *at = (const uint8_t *)block.p, *end = at + block.len;
    unsigned updates = 0;

    for (; at < end && (*at & 0xe0) == 0x20; updates++)
        if ((*at++ & 0x1f) == 0x1f)
            while (at < end && *at++ & 0x80)
                ;
    return updates > 2;
}

/* ---- decoders ---- */

struct decoders {
    struct fg_mem mem;
    struct fg_hpack_decoder ours, tight;
    nghttp2_hd_inflater *theirs;
};

/* false: the connection is over. */
static bool decode_block(struct decoders *decoders, struct fg_str block)
{
    static const struct fg_hpack_limits unlimited = {UINT32_MAX, UINT32_MAX}, limits = {200, 4};
    const uint8_t *bytes = (const uint8_t *)block.p;
    struct fg_headers ours = {0}, tight = {0}, theirs = {0};
    struct fg_arena arena;

    if (has_three_updates(block))
        return false;
    fg_arena_init(&arena, &decoders->mem);
    enum fg_hpack_result result = fg_hpack_decode(&decoders->ours, bytes, block.len, &unlimited, &arena, &ours);
    enum fg_hpack_result limited = fg_hpack_decode(&decoders->tight, bytes, block.len, &limits, &arena, &tight);
    bool ok = oracle_inflate(decoders->theirs, bytes, block.len, &arena, &theirs);
    check((result == FG_HPACK_OK) == ok);
    check((result == FG_HPACK_MALFORMED) == (limited == FG_HPACK_MALFORMED));
    check(limited != FG_HPACK_OK || tight.len == ours.len);
    check(tight.len <= limits.max_fields);
    check(same_fields(&tight, &ours, tight.len));
    check(ours.len == theirs.len || !ok);
    check(same_fields(&ours, &theirs, ok ? ours.len : 0));
    fg_arena_cleanup(&arena);
    return ok;
}

static void fuzz_decoder(struct input *input)
{
    struct decoders decoders;
    bool ok = true;

    fg_mem_init(&decoders.mem);
    fg_hpack_decoder_init(&decoders.ours, 4096);
    fg_hpack_decoder_init(&decoders.tight, 4096);
    check(nghttp2_hd_inflate_new(&decoders.theirs) == 0);
    while (ok && input->at < input->end) {
        unsigned op = take(input);
        if (op < 16) {
            uint32_t limit = op * 100 + take(input) % 8 * 1000;
            fg_hpack_decoder_set_limit(&decoders.ours, limit);
            fg_hpack_decoder_set_limit(&decoders.tight, limit);
            check(nghttp2_hd_inflate_change_table_size(decoders.theirs, limit) == 0);
        } else {
            ok = decode_block(&decoders, take_bytes(input, op == 255 ? 4096 : op - 16));
        }
    }
    nghttp2_hd_inflate_del(decoders.theirs);
    fg_hpack_decoder_cleanup(&decoders.ours);
    fg_hpack_decoder_cleanup(&decoders.tight);
    fg_mem_cleanup(&decoders.mem);
}

/* ---- encoder ---- */

static void add_field(struct input *input, struct fg_headers *headers, struct fg_arena *arena)
{
    static const char *const names[] = {"accept", "x-id",         "x-trace-bin", "www-authenticate", "link",
                                        "",       "x-longer-key", "age",         "cookies",          "te2"};
    unsigned kind = take(input), value = take(input);
    struct fg_str name;

    if (kind % 64 > 0 && kind % 64 < FG_TOKEN_LEN)
        name = fg_token_name(kind % 64);
    else if (kind % 64 < 60)
        name = fg_str_from(names[kind % FG_ARRAY_LEN(names)]);
    else
        name = take_bytes(input, kind % 64 == 63 ? 300 : 7);
    fg_headers_add(headers, arena, name, take_bytes(input, value < 200 ? value % 16 : (value - 200) * 10));
    headers->items[headers->len - 1].sensitive = kind >= 192;
}

static void encode_block(struct input *input, struct fg_hpack_encoder *encoder, nghttp2_hd_inflater *theirs,
                         struct fg_mem *mem)
{
    struct fg_headers sent = {0}, received = {0};
    struct fg_arena arena;
    unsigned fields = take(input);
    size_t prefix = 0;

    fg_arena_init(&arena, mem);
    for (unsigned i = 0; i < fields % 32; i++)
        add_field(input, &sent, &arena);
    size_t bound = fg_hpack_encode_bound(&sent);
    uint8_t *block = malloc(FG_HPACK_MAX_UPDATE_BYTES + bound);
    check(block != NULL);
    if (fields >= 128)
        prefix = fg_hpack_encode_updates(encoder, block);
    size_t len = fg_hpack_encode(encoder, &sent, fields < 128, block + prefix);
    check(len <= bound);
    check(oracle_inflate(theirs, block, prefix + len, &arena, &received));
    check(sent.len == received.len);
    check(same_fields(&sent, &received, sent.len));
    free(block);
    fg_arena_cleanup(&arena);
}

static void fuzz_encoder(struct input *input)
{
    struct fg_hpack_encoder encoder;
    nghttp2_hd_inflater *theirs;
    struct fg_mem mem;

    fg_mem_init(&mem);
    fg_hpack_encoder_init(&encoder, take(input) * 64);
    check(nghttp2_hd_inflate_new(&theirs) == 0);
    while (input->at < input->end) {
        unsigned op = take(input);
        if (op < 16) {
            uint32_t limit = op * 100 + take(input) % 8 * 1000;
            fg_hpack_encoder_set_peer_limit(&encoder, limit);
            check(nghttp2_hd_inflate_change_table_size(theirs, limit) == 0);
        } else {
            encode_block(input, &encoder, theirs, &mem);
        }
    }
    nghttp2_hd_inflate_del(theirs);
    fg_hpack_encoder_cleanup(&encoder);
    fg_mem_cleanup(&mem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct input input = {data, data + len};

    if (take(&input) % 2 == 0)
        fuzz_decoder(&input);
    else
        fuzz_encoder(&input);
    return 0;
}
