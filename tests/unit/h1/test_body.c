/* Where content ends: chunk by chunk, cut in pieces of every size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "h1/body.h"

static const struct fg_h1_limits limits = {.max_head_bytes = 256, .max_fields = 4};

struct reader {
    struct fg_mem mem;
    struct fg_arena arena;
    struct fg_h1_body body;
    enum fg_h1_fault fault;
    size_t taken, content_len;
    char content[64]; /* its beginning */
};

static void begin(struct reader *r, enum fg_h1_framing framing, uint64_t length)
{
    *r = (struct reader){0};
    fg_mem_init(&r->mem);
    fg_arena_init(&r->arena, &r->mem);
    fg_h1_body_init(&r->body, framing, length);
}

static void end(struct reader *r)
{
    fg_h1_body_cleanup(&r->body);
    fg_arena_cleanup(&r->arena);
    fg_mem_cleanup(&r->mem);
}

/* In pieces, each in memory of its own, so that a look beyond one is seen. */
static void feed(struct reader *r, const char *text, size_t len, size_t piece)
{
    while (len > 0 && !r->body.done && !r->fault) {
        size_t part = FG_MIN(len, piece), at = 0;
        char *copy = fg_alloc(part);
        memcpy(copy, text, part);
        while (at < part && !r->body.done && !r->fault) {
            struct fg_str content;
            fg_h1_body_feed(&r->body, copy, part, &at, &content, &limits, &r->arena, &r->fault);
            for (size_t i = 0; i < content.len; i++, r->content_len++)
                if (r->content_len < sizeof r->content - 1)
                    r->content[r->content_len] = content.p[i];
        }
        free(copy);
        r->taken += at;
        text += part;
        len -= part;
    }
}

static void read_chunked(struct reader *r, const char *text, size_t piece)
{
    begin(r, FG_H1_BODY_CHUNKED, 0);
    feed(r, text, strlen(text), piece);
}

static void expect_fault(const char *text, enum fg_h1_fault fault)
{
    for (size_t piece = 1; piece <= strlen(text); piece++) {
        struct reader r;
        read_chunked(&r, text, piece);
        if (r.fault != fault)
            fail_msg("%s in pieces of %zu: %s, not %s", text, piece, fg_h1_fault_info(r.fault)->name,
                     fg_h1_fault_info(fault)->name);
        end(&r);
    }
}

/* ---- chunks ---- */

static void chunks_and_trailers_are_read_however_they_are_cut(void **state)
{
    static const char text[] =
        "5\r\nhello\r\n1;name=\"value\"\r\n \r\n00A \t\r\nworld56789\r\n0\r\nX-One: 1\r\nx-two:\r\n\r\nGET";
    (void)state;

    for (size_t piece = 1; piece <= sizeof text; piece++) {
        struct reader r;
        read_chunked(&r, text, piece);
        assert_int_equal(r.fault, FG_H1_FAULT_NONE);
        assert_true(r.body.done);
        assert_int_equal(r.taken, sizeof text - 1 - 3); /* what follows is not this message's */
        assert_string_equal(r.content, "hello world56789");
        assert_int_equal(r.body.trailers.len, 2);
        assert_string_equal(r.body.trailers.items[0].name.p, "x-one");
        assert_string_equal(r.body.trailers.items[0].value.p, "1");
        assert_string_equal(r.body.trailers.items[1].name.p, "x-two");
        assert_string_equal(r.body.trailers.items[1].value.p, "");
        end(&r);
    }
}

static void an_unfinished_message_is_not_done(void **state)
{
    static const char text[] = "3;x\r\nabc\r\n0\r\na: 1\r\n\r\n";
    (void)state;

    for (size_t len = 0; len < sizeof text; len++) {
        struct reader r;
        begin(&r, FG_H1_BODY_CHUNKED, 0);
        feed(&r, text, len, 1);
        assert_int_equal(r.fault, FG_H1_FAULT_NONE);
        assert_int_equal(r.body.done, len == sizeof text - 1);
        assert_int_equal(fg_h1_body_eof(&r.body), len == sizeof text - 1);
        end(&r);
    }
}

static void a_chunk_size_is_one_hexadecimal_number(void **state)
{
    static const char *const bad[] = {
        "\r\n",       " 5\r\n",  ";x\r\n", "x\r\n", "+5\r\n",  "-1\r\n",  "0x5\r\n",
        "5g\r\n",     "5_0\r\n", "5\n",    "5\rx",  "5\v\r\n", "5 5\r\n", /* another parser may read 55 */
        "5\t0\r\n",                                                       /* or 50 */
        "5 \t a\r\n",                                                     /* or 5a */
        "\xff\r\n",
    };
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(bad); i++)
        expect_fault(bad[i], FG_H1_FAULT_CHUNK_SIZE);
}

static void zeros_before_a_chunk_size_have_an_end(void **state)
{
    struct reader r;
    (void)state;

    read_chunked(&r, "0000000000000005\r\nhello", 7); /* 16 digits */
    assert_int_equal(r.fault, FG_H1_FAULT_NONE);
    assert_string_equal(r.content, "hello");
    end(&r);
    expect_fault("00000000000000005\r\n", FG_H1_FAULT_CHUNK_SIZE);
    expect_fault("00000000000000000\r\n", FG_H1_FAULT_CHUNK_SIZE);
    read_chunked(&r, "0000000000000001\r\na\r\n0000000000000002\r\nbc\r\n0000000000000000\r\n\r\n", 3); /* of each */
    assert_int_equal(r.fault, FG_H1_FAULT_NONE);
    assert_true(r.body.done);
    assert_string_equal(r.content, "abc");
    end(&r);
}

static void a_chunk_size_cannot_overflow(void **state)
{
    struct reader r;
    (void)state;

    read_chunked(&r, "fffffffffffffff\r\nx", 100); /* 2^60 - 1 */
    assert_int_equal(r.fault, FG_H1_FAULT_NONE);
    assert_string_equal(r.content, "x");
    assert_int_equal(r.body.left, (1ull << 60) - 2);
    end(&r);
    expect_fault("1000000000000000\r\n", FG_H1_FAULT_CHUNK_SIZE);
    expect_fault("ffffffffffffffff\r\n", FG_H1_FAULT_CHUNK_SIZE);
    expect_fault("10000000000000005\r\n", FG_H1_FAULT_CHUNK_SIZE); /* 5 if 64 bits are all there is */
}

static void a_chunk_ends_where_it_said(void **state)
{
    static const char *const bad[] = {"3\r\nabcd\r\n", "3\r\nab\r\n0\r\n", "3\r\nabc\n", "3\r\nabc0\r\n",
                                      "3\r\nabc\r0"};
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(bad); i++)
        expect_fault(bad[i], FG_H1_FAULT_CHUNK_END);
}

/* ---- extensions ---- */

/* TIMES chunks of one byte whose size line has SKIPPED bytes behind the digit. */
static enum fg_h1_fault with_extensions(size_t skipped, size_t times)
{
    size_t len = 1 + skipped + 2 + 3;
    char *chunk = fg_alloc(len);
    struct reader r;

    chunk[0] = '1';
    memset(chunk + 1, 'e', skipped);
    if (skipped > 0)
        chunk[1] = ';';
    memcpy(chunk + 1 + skipped, "\r\nx\r\n", 5);
    begin(&r, FG_H1_BODY_CHUNKED, 0);
    for (size_t i = 0; i < times; i++)
        feed(&r, chunk, len, len);
    enum fg_h1_fault fault = r.fault;
    if (!fault)
        assert_int_equal(r.content_len, times);
    end(&r);
    free(chunk);
    return fault;
}

static void each_byte_of_content_pays_for_one_of_extensions(void **state)
{
    (void)state;

    assert_int_equal(with_extensions(1, 100000), FG_H1_FAULT_NONE);
    assert_int_equal(with_extensions(2, FG_H1_CHUNK_EXTENSION_MAX - 1), FG_H1_FAULT_NONE); /* one too many in each */
    assert_int_equal(with_extensions(2, FG_H1_CHUNK_EXTENSION_MAX), FG_H1_FAULT_CHUNK_EXTENSION);
    assert_int_equal(with_extensions(FG_H1_CHUNK_EXTENSION_MAX, 1), FG_H1_FAULT_NONE);
    assert_int_equal(with_extensions(FG_H1_CHUNK_EXTENSION_MAX + 1, 1), FG_H1_FAULT_CHUNK_EXTENSION);
}

static void white_space_behind_a_size_counts_as_an_extension(void **state)
{
    char text[FG_H1_CHUNK_EXTENSION_MAX + 8] = "5";
    struct reader r;
    (void)state;

    memset(text + 1, ' ', FG_H1_CHUNK_EXTENSION_MAX + 1);
    read_chunked(&r, text, 100);
    assert_int_equal(r.fault, FG_H1_FAULT_CHUNK_EXTENSION);
    end(&r);
}

static void content_pays_for_extensions_before_it_once(void **state)
{
    struct reader r;
    char text[5000];
    (void)state;

    begin(&r, FG_H1_BODY_CHUNKED, 0);
    int len = snprintf(text, sizeof text, "1000\r\n%4096s\r\n", ""); /* a chunk without any: nothing is saved up */
    feed(&r, text, (size_t)len, 1000);
    len = snprintf(text, sizeof text, "1;%4096s", "");
    feed(&r, text, (size_t)len, 1000);
    assert_int_equal(r.fault, FG_H1_FAULT_CHUNK_EXTENSION);
    end(&r);
}

static void the_last_chunk_pays_for_nothing(void **state)
{
    struct reader r;
    char text[8192];
    (void)state;

    for (size_t more = 0; more < 2; more++) {
        snprintf(text, sizeof text, "0;%*s\r\n\r\n", FG_H1_CHUNK_EXTENSION_MAX - 1 + (int)more, "");
        read_chunked(&r, text, sizeof text);
        assert_int_equal(r.fault, more ? FG_H1_FAULT_CHUNK_EXTENSION : FG_H1_FAULT_NONE);
        assert_int_equal(r.body.done, more == 0);
        end(&r);
    }
}

static void extensions_have_nothing_that_looks_like_the_end_of_a_line(void **state)
{
    static const char *const bad[] = {"5;a\nb\r\n", "5;a\rb\r\n", "5;a\r\r\n", "5;\x01\r\n", "5;\x7f\r\n", "5 \n"};
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(bad); i++)
        expect_fault(bad[i], FG_H1_FAULT_CHUNK_SIZE);
}

/* ---- trailers ---- */

static void trailers_say_nothing_about_the_message_or_the_connection(void **state)
{
    static const char *const forbidden[] = {"content-length: 5",
                                            "Transfer-Encoding: chunked",
                                            "HOST: b",
                                            "te: trailers",
                                            "trailer: x",
                                            "connection: close",
                                            "proxy-connection: x",
                                            "keep-alive: timeout=5",
                                            "upgrade: h2c",
                                            "http2-settings: AAMAA",
                                            "expect: 100-continue",
                                            "Authorization: x"};
    char text[128];
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(forbidden); i++) {
        snprintf(text, sizeof text, "0\r\nx: 1\r\n%s\r\n\r\n", forbidden[i]);
        expect_fault(text, FG_H1_FAULT_TRAILER);
    }
}

static void trailers_are_well_formed(void **state)
{
    static const char *const bad[] = {"0\r\n:x\r\n\r\n",      "0\r\nx\r\n\r\n",  "0\r\nx : 1\r\n\r\n",
                                      "0\r\n x: 1\r\n\r\n",   "0\r\nx: 1\n\r\n", "0\r\nx: 1\r\n y\r\n\r\n",
                                      "0\r\nx: a\rb\r\n\r\n", "0\r\n\n",         "0\r\nx: \x01\r\n\r\n"};
    (void)state;

    for (size_t i = 0; i < FG_ARRAY_LEN(bad); i++)
        expect_fault(bad[i], FG_H1_FAULT_TRAILER);
}

static void trailers_are_within_the_limits_of_a_head(void **state)
{
    char text[600];
    (void)state;

    expect_fault("0\r\na:\r\nb:\r\nc:\r\nd:\r\ne:\r\n\r\n", FG_H1_FAULT_TOO_MANY_FIELDS);
    snprintf(text, sizeof text, "0\r\nx: %300s\r\n\r\n", "y");
    expect_fault(text, FG_H1_FAULT_HEAD_TOO_LARGE);
    snprintf(text, sizeof text, "0\r\nx: %300s", "y"); /* nor is the rest waited for */
    expect_fault(text, FG_H1_FAULT_HEAD_TOO_LARGE);
    snprintf(text, sizeof text, "0\r\na: %100s\r\nb: %150s\r\n\r\n", "y", "y"); /* all of them together */
    expect_fault(text, FG_H1_FAULT_HEAD_TOO_LARGE);
}

/* ---- the other framings ---- */

static void content_of_a_length_ends_there(void **state)
{
    struct reader r;
    (void)state;

    begin(&r, FG_H1_BODY_LENGTH, 5);
    feed(&r, "hel", 3, 1);
    assert_false(r.body.done);
    assert_false(fg_h1_body_eof(&r.body));
    feed(&r, "loGET", 5, 5);
    assert_true(r.body.done);
    assert_int_equal(r.taken, 5);
    assert_string_equal(r.content, "hello");
    end(&r);
    begin(&r, FG_H1_BODY_LENGTH, 0);
    assert_true(r.body.done);
    end(&r);
}

static void content_until_the_end_of_the_connection_ends_there(void **state)
{
    struct reader r;
    (void)state;

    begin(&r, FG_H1_BODY_UNTIL_CLOSE, 0);
    feed(&r, "0\r\n\r\n", 5, 2);
    assert_false(r.body.done);
    assert_true(fg_h1_body_eof(&r.body));
    assert_true(r.body.done);
    assert_string_equal(r.content, "0\r\n\r\n");
    end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_and_trailers_are_read_however_they_are_cut),
        cmocka_unit_test(an_unfinished_message_is_not_done),
        cmocka_unit_test(a_chunk_size_is_one_hexadecimal_number),
        cmocka_unit_test(zeros_before_a_chunk_size_have_an_end),
        cmocka_unit_test(a_chunk_size_cannot_overflow),
        cmocka_unit_test(a_chunk_ends_where_it_said),
        cmocka_unit_test(each_byte_of_content_pays_for_one_of_extensions),
        cmocka_unit_test(white_space_behind_a_size_counts_as_an_extension),
        cmocka_unit_test(content_pays_for_extensions_before_it_once),
        cmocka_unit_test(the_last_chunk_pays_for_nothing),
        cmocka_unit_test(extensions_have_nothing_that_looks_like_the_end_of_a_line),
        cmocka_unit_test(trailers_say_nothing_about_the_message_or_the_connection),
        cmocka_unit_test(trailers_are_well_formed),
        cmocka_unit_test(trailers_are_within_the_limits_of_a_head),
        cmocka_unit_test(content_of_a_length_ends_there),
        cmocka_unit_test(content_until_the_end_of_the_connection_ends_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
