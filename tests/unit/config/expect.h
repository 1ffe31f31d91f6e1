/* Parsing in one line, and comparing all messages of a file with what they must be. */
#ifndef TESTS_UNIT_CONFIG_EXPECT_H
#define TESTS_UNIT_CONFIG_EXPECT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"

/* The text of all errors, for free(); "" if the file is good. */
static inline char *errors_of(const char *text, size_t len)
{
    struct fg_config *config = NULL;
    struct fg_config_errors errors;
    char *out = NULL;
    size_t out_len = 0;
    FILE *memory = open_memstream(&out, &out_len);

    if (fg_config_parse("f", text, len, &config, &errors) != 0) {
        assert_null(config);
        assert_true(errors.len > 0);
        fg_config_errors_print(&errors, "f", memory);
    } else {
        assert_non_null(config);
        assert_int_equal(errors.len, 0);
    }
    fclose(memory);
    fg_config_errors_cleanup(&errors);
    fg_config_unref(config);
    return out;
}

static inline void expect_errors(const char *text, const char *expected)
{
    char *found = errors_of(text, strlen(text));
    if (strcmp(found, expected) != 0)
        fail_msg("for\n%s\nfound\n%sexpected\n%s", text, found, expected);
    free(found);
}

/* A snapshot that must exist. */
static inline struct fg_config *must_parse(const char *file_name, const char *text)
{
    struct fg_config *config = NULL;
    struct fg_config_errors errors;
    if (fg_config_parse(file_name, text, strlen(text), &config, &errors) != 0) {
        fg_config_errors_print(&errors, file_name, stderr);
        fail_msg("must parse:\n%s", text);
    }
    return config;
}

/* A file below the root of the sources, for free(). */
static inline char *read_source(const char *name)
{
    char path[4096];
    const char *root = getenv("FG_SOURCE_ROOT");
    snprintf(path, sizeof path, "%s/%s", root ? root : ".", name);
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("cannot open %s", path);
    fseek(file, 0, SEEK_END);
    long len = ftell(file);
    rewind(file);
    char *text = calloc(1, (size_t)len + 1);
    assert_int_equal(fread(text, 1, (size_t)len, file), (size_t)len);
    fclose(file);
    return text;
}

#endif
