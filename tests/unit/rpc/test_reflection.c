#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

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
    struct fg_reflection *r = fg_reflection_new();
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
            struct fg_reflection *r = fg_reflection_new();
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
    struct fg_reflection *r = fg_reflection_new();
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

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_for_services_their_files_and_what_those_import),
        cmocka_unit_test(any_bytes_are_handled),
        cmocka_unit_test(a_service_without_end_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
