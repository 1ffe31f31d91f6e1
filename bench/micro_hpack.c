/* What HPACK costs a proxied call: CPU time of decoding a request block and encoding its list again, as a gateway does.
 *
 *     cc -O2 -g -std=c11 -D_GNU_SOURCE -Isrc bench/micro_hpack.c src/h2/hpack_*.c src/h2/huffman*.c src/base/bytes.c \
 *         src/base/header.c src/base/mem.c src/base/outq.c -o /tmp/micro_hpack && taskset -c 1 /tmp/micro_hpack */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "h2/hpack.h"

#define BLOCKS     64 /* different ones, so that unique fields are unique to the caches */
#define ROUNDS     5000
#define REPEATS    9
#define BLOCK_ROOM 2048

struct work {
    const char *name;
    bool unique;  /* grpc-timeout and traceparent of each call */
    bool huffman; /* the client codes them, as most do */
};

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void add(struct fg_headers *headers, struct fg_arena *arena, const char *name, const char *value)
{
    fg_headers_add(headers, arena, fg_str_from(name), fg_arena_copy(arena, fg_str_from(value)));
}

/* A literal without indexing and with a new name. */
static uint8_t *put_literal(uint8_t *to, const struct work *work, const char *name, const char *value)
{
    size_t name_len = strlen(name), value_len = strlen(value);

    *to++ = 0;
    *to++ = (uint8_t)name_len;
    memcpy(to, name, name_len);
    to += name_len;
    if (work->huffman) {
        size_t len = fg_huffman_encode((const uint8_t *)value, value_len, to + 1);
        *to = (uint8_t)(0x80 | len);
        return to + 1 + len;
    }
    *to++ = (uint8_t)value_len;
    memcpy(to, value, value_len);
    return to + value_len;
}

static size_t make_block(const struct work *work, struct fg_hpack_encoder *client, struct fg_mem *mem, unsigned seed,
                         uint8_t *block)
{
    struct fg_headers headers = {0};
    struct fg_arena arena;

    fg_arena_init(&arena, mem);
    add(&headers, &arena, ":method", "POST");
    add(&headers, &arena, ":scheme", "http");
    add(&headers, &arena, ":path", "/order.v1.OrderService/PlaceOrder");
    add(&headers, &arena, ":authority", "orders.internal:8443");
    add(&headers, &arena, "te", "trailers");
    add(&headers, &arena, "content-type", "application/grpc");
    add(&headers, &arena, "user-agent", "grpc-go/1.62.1");
    add(&headers, &arena, "grpc-accept-encoding", "identity,deflate,gzip");
    add(&headers, &arena, "x-tenant", "gold");
    add(&headers, &arena, "x-region", "eu-central-1");
    uint8_t *to = block + fg_hpack_encode(client, &headers, true, block);
    if (work->unique) {
        char timeout[24], trace[80];
        snprintf(timeout, sizeof timeout, "%uu", 1900000 + seed * 7919 % 99991);
        snprintf(trace, sizeof trace, "00-%08x%08x%08x%08x-%08x%08x-01", seed * 2654435761u, seed * 40503u + 77,
                 seed * 2246822519u, seed * 3266489917u, seed * 668265263u, seed * 374761393u);
        to = put_literal(to, work, "grpc-timeout", timeout);
        to = put_literal(to, work, "traceparent", trace);
    }
    fg_arena_cleanup(&arena);
    return (size_t)(to - block);
}

struct result {
    double decode_ns, encode_ns, both_ns;
    size_t in_bytes, out_bytes;
    uint32_t fields;
};

struct gateway {
    struct fg_mem mem;
    struct fg_hpack_decoder decoder;
    struct fg_hpack_encoder encoder;
};

static size_t forward(struct gateway *gateway, const uint8_t *block, size_t len, bool encode, uint32_t *fields)
{
    static const struct fg_hpack_limits limits = {65536, 100};
    struct fg_headers headers = {0};
    struct fg_arena arena;
    uint8_t out[BLOCK_ROOM];
    size_t out_len = 0;

    fg_arena_init(&arena, &gateway->mem);
    if (fg_hpack_decode(&gateway->decoder, block, len, &limits, &arena, &headers) != FG_HPACK_OK)
        abort();
    if (encode && fg_hpack_encode_bound(&headers) <= sizeof out)
        out_len = fg_hpack_encode(&gateway->encoder, &headers, true, out);
    *fields = headers.len;
    fg_arena_cleanup(&arena);
    return out_len;
}

static double measure(struct gateway *gateway, uint8_t (*blocks)[BLOCK_ROOM], const size_t *lens, bool encode)
{
    double best = 1e18;
    uint32_t fields;

    for (int repeat = 0; repeat < REPEATS; repeat++) {
        double start = now_ns();
        for (int round = 0; round < ROUNDS; round++)
            for (int i = 0; i < BLOCKS; i++)
                forward(gateway, blocks[i], lens[i], encode, &fields);
        best = FG_MIN(best, (now_ns() - start) / ROUNDS / BLOCKS);
    }
    return best;
}

static struct result run(const struct work *work)
{
    static uint8_t blocks[BLOCKS][BLOCK_ROOM];
    size_t lens[BLOCKS];
    struct fg_hpack_encoder client;
    struct gateway gateway;
    struct result result = {0};

    fg_mem_init(&gateway.mem);
    fg_hpack_decoder_init(&gateway.decoder, 4096);
    fg_hpack_encoder_init(&gateway.encoder, 4096);
    fg_hpack_encoder_init(&client, 4096);
    for (unsigned i = 0; i < 3; i++) { /* until everything that repeats is in the tables */
        size_t len = make_block(work, &client, &gateway.mem, i, blocks[0]);
        forward(&gateway, blocks[0], len, true, &result.fields);
    }
    for (unsigned i = 0; i < BLOCKS; i++)
        lens[i] = make_block(work, &client, &gateway.mem, i + 10, blocks[i]);
    for (unsigned i = 0; i < 2; i++)
        result.out_bytes = forward(&gateway, blocks[1], lens[1], true, &result.fields);
    result.in_bytes = lens[1];
    result.decode_ns = measure(&gateway, blocks, lens, false);
    result.both_ns = measure(&gateway, blocks, lens, true);
    result.encode_ns = result.both_ns - result.decode_ns;
    fg_hpack_decoder_cleanup(&gateway.decoder);
    fg_hpack_encoder_cleanup(&gateway.encoder);
    fg_hpack_encoder_cleanup(&client);
    fg_mem_cleanup(&gateway.mem);
    return result;
}

int main(void)
{
    static const struct work works[] = {
        {"all indexed", false, false},
        {"unique grpc-timeout and traceparent, raw", true, false},
        {"unique grpc-timeout and traceparent, Huffman", true, true},
    };

    printf("%-46s %6s %6s %6s %9s %9s %9s\n", "request block", "fields", "in B", "out B", "decode ns", "encode ns",
           "both ns");
    for (size_t i = 0; i < FG_ARRAY_LEN(works); i++) {
        struct result r = run(&works[i]);
        printf("%-46s %6u %6zu %6zu %9.1f %9.1f %9.1f\n", works[i].name, r.fields, r.in_bytes, r.out_bytes, r.decode_ns,
               r.encode_ns, r.both_ns);
    }
    return 0;
}
