#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "rpc/reflection.h"

#include "descriptor_build.h"

/* A file of NAME that imports IMPORT and has one message. */
static void build_file(struct built *to, const char *name, const char *import, const char *package)
{
    struct built message = {0};

    to->len = 0;
    build_text(to, 1, name);
    build_text(to, 2, package);
    if (import)
        build_text(to, 3, import);
    build_text(&message, 1, "M");
    build_in(to, 4, &message);
}

static void answer_file(struct fg_reflection *r, const struct built *file)
{
    struct built files = {0}, answer = {0};
    const char *error;

    build_in(&files, 1, file);
    build_in(&answer, 4, &files);
    assert_int_equal(fg_reflection_take(r, (struct fg_str){(char *)answer.bytes, answer.len}, &error), 0);
}

static void answer_services(struct fg_reflection *r, const char *const *names)
{
    struct built list = {0}, answer = {0};
    const char *error;

    for (; *names; names++) {
        struct built service = {0};
        build_text(&service, 1, *names);
        build_in(&list, 1, &service);
    }
    build_in(&answer, 6, &list);
    assert_int_equal(fg_reflection_take(r, (struct fg_str){(char *)answer.bytes, answer.len}, &error), 0);
}

static void assert_asks(struct fg_reflection *r, uint32_t field, const char *name)
{
    struct built expected = {0};
    struct fg_str request;

    build_text(&expected, field, name);
    assert_true(fg_reflection_next(r, &request));
    assert_int_equal(request.len, expected.len);
    assert_memory_equal(request.p, expected.bytes, expected.len);
}

static void asks_for_services_their_files_and_what_those_import(void **state)
{
    struct fg_reflection *r = fg_reflection_new(1);
    struct fg_descriptors_error error;
    struct fg_descriptors *set;
    struct built file;
    struct fg_str request;
    (void)state;

    assert_asks(r, 7, "");
    answer_services(r, (const char *const[]){"a.S", "grpc.reflection.v1.ServerReflection", "b.S", NULL});
    assert_asks(r, 4, "a.S");
    build_file(&file, "a.proto", "c.proto", "a");
    answer_file(r, &file);
    assert_asks(r, 4, "b.S");
    build_file(&file, "b.proto", "a.proto", "b");
    answer_file(r, &file);
    assert_asks(r, 3, "c.proto");
    build_file(&file, "c.proto", NULL, "c");
    answer_file(r, &file);
    answer_file(r, &file); /* twice is once */
    assert_false(fg_reflection_next(r, &request));
    assert_int_equal(fg_reflection_finish(r, &set, &error), 0);
    assert_non_null(fg_descriptors_message(set, FG_STR("a.M")));
    assert_non_null(fg_descriptors_message(set, FG_STR("c.M")));
    fg_descriptors_unref(set);
    fg_reflection_free(r);
}

static void any_bytes_are_handled(void **state)
{
    struct built file, files = {0}, answer = {0};
    (void)state;

    build_file(&file, "a.proto", "c.proto", "a");
    build_in(&files, 1, &file);
    build_in(&answer, 4, &files);
    for (size_t len = 0; len <= answer.len; len++) {
        for (unsigned flip = 0; flip < 256; flip += 15) {
            struct fg_reflection *r = fg_reflection_new(1);
            struct fg_str request;
            const char *error = NULL;
            uint8_t *bytes = malloc(len + 1);
            memcpy(bytes, answer.bytes, len);
            if (len > 0)
                bytes[len - 1] ^= (uint8_t)flip;
            assert_true(fg_reflection_next(r, &request));
            if (fg_reflection_take(r, (struct fg_str){(char *)bytes, len}, &error) != 0)
                assert_non_null(error);
            free(bytes);
            fg_reflection_free(r);
        }
    }
}

static void a_service_without_end_is_refused(void **state)
{
    struct fg_reflection *r = fg_reflection_new(1);
    const char *error = NULL;
    struct fg_str request;
    int rc = 0;
    (void)state;

    assert_true(fg_reflection_next(r, &request));
    for (int i = 0; i <= FG_REFLECTION_MAX_FILES && rc == 0; i++) {
        struct built service = {0}, list = {0}, answer = {0};
        char name[32];
        snprintf(name, sizeof name, "s%d", i);
        build_text(&service, 1, name);
        build_in(&list, 1, &service);
        build_in(&answer, 6, &list);
        rc = fg_reflection_take(r, (struct fg_str){(char *)answer.bytes, answer.len}, &error);
    }
    assert_int_equal(rc, -1);
    assert_non_null(strstr(error, "too many services"));
    fg_reflection_free(r);
}

static void nothing_found_is_an_error(void **state)
{
    static const char *const none[] = {NULL}, *const one[] = {"a.S", NULL};
    struct fg_descriptors_error why;
    struct fg_descriptors *set;
    struct fg_str request;
    const char *error;
    (void)state;

    for (int i = 0; i < 2; i++) {
        struct fg_reflection *r = fg_reflection_new(1);
        assert_asks(r, 7, "");
        answer_services(r, i ? one : none);
        if (i) {
            assert_asks(r, 4, "a.S");
            assert_int_equal(fg_reflection_take(r, FG_STR("\x3a\x02\x08\x05"), &error), 0); /* NOT_FOUND */
        }
        assert_false(fg_reflection_next(r, &request));
        assert_int_equal(fg_reflection_finish(r, &set, &why), -1);
        assert_non_null(strstr(why.text, i ? "describes none" : "no service"));
        fg_reflection_free(r);
    }
}

static void a_list_that_is_refused_is_an_error(void **state)
{
    struct fg_reflection *r = fg_reflection_new(1);
    const char *error = NULL;
    (void)state;

    assert_asks(r, 7, "");
    assert_int_equal(fg_reflection_take(r, FG_STR("\x3a\x02\x08\x05"), &error), -1);
    assert_non_null(strstr(error, "does not list"));
    fg_reflection_free(r);
}

/* Looking through a list for each of them took minutes of the worker's time. */
static void names_that_come_a_million_times_are_found_fast(void **state)
{
    enum { NAMES = FG_REFLECTION_MAX_FILES - 1, TIMES = 1000000 };
    struct fg_reflection *r = fg_reflection_new(1);
    uint8_t *file = malloc(16 + 8 * (size_t)(NAMES + TIMES));
    char *answer = malloc(64 + 8 * (size_t)(NAMES + TIMES));
    const char *error = NULL;
    size_t len = 3;
    (void)state;

    memcpy(file, "\x0a\x01x", 3);
    for (int i = 0; i < NAMES + TIMES; i++, len += 7)
        snprintf((char *)file + len, 8, "\x1a\x05%05d", FG_MIN(i, NAMES - 1));
    answer_services(r, (const char *const[]){"a.S", NULL});
    size_t in_files = 6 + len; /* tag, a length of five bytes, the file */
    char *at = answer;
    *at++ = 0x22;
    for (int i = 0; i < 5; i++)
        *at++ = (char)((in_files >> 7 * i & 0x7f) | (i < 4 ? 0x80 : 0));
    *at++ = 0x0a;
    for (int i = 0; i < 5; i++)
        *at++ = (char)((len >> 7 * i & 0x7f) | (i < 4 ? 0x80 : 0));
    memcpy(at, file, len);
    clock_t begin = clock();
    assert_int_equal(fg_reflection_take(r, (struct fg_str){answer, 6 + in_files}, &error), 0);
    assert_true((double)(clock() - begin) / CLOCKS_PER_SEC < 3); /* 0.1 s; it was 25 */
    free(file);
    free(answer);
    fg_reflection_free(r);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_for_services_their_files_and_what_those_import),
        cmocka_unit_test(any_bytes_are_handled),
        cmocka_unit_test(a_service_without_end_is_refused),
        cmocka_unit_test(nothing_found_is_an_error),
        cmocka_unit_test(a_list_that_is_refused_is_an_error),
        cmocka_unit_test(names_that_come_a_million_times_are_found_fast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
