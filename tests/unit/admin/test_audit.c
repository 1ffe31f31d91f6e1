#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/audit.h"
#include "base/time.h"

static char folder[] = "/tmp/fusegate-audit-XXXXXX";
static char path[64], moved[64];

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/audit.log", folder);
    snprintf(moved, sizeof moved, "%s/audit.log.1", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    unlink(moved);
    return rmdir(folder);
}

static struct fg_admin_audit *open_log(const char *name)
{
    char error[256] = "";
    struct fg_admin_audit *audit = fg_admin_audit_new(name, error, sizeof error);

    if (!audit)
        fail_msg("%s", error);
    return audit;
}

/* The lines of a file, each valid JSON, as a list. */
static json_t *lines_of(const char *name)
{
    FILE *file = fopen(name, "r");
    json_t *lines = json_array();
    char line[4096];

    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        json_error_t error;
        json_t *value = json_loads(line, 0, &error);
        if (!value)
            fail_msg("%s: %s", error.text, line);
        json_array_append_new(lines, value);
    }
    fclose(file);
    return lines;
}

static const char *field(json_t *lines, size_t i, const char *name)
{
    return json_string_value(json_object_get(json_array_get(lines, i), name));
}

static void a_line_says_who_did_what(void **state)
{
    struct fg_admin_audit *audit = open_log(path);
    struct fg_admin_act act = {"10.0.0.1:5", FG_STR("al\"ice\n"), "/streams/kill", FG_STR("id=0-17")};
    struct stat info;
    (void)state;

    assert_true(fg_admin_audit_write(audit, &act, "done"));
    act.user = FG_STR("\xff\xfe\x00x");
    assert_true(fg_admin_audit_write(audit, &act, "done"));
    char long_name[300];
    memset(long_name, '\xc3', sizeof long_name);
    act.user = act.target = (struct fg_str){long_name, sizeof long_name};
    act.target.len = 0;
    assert_true(fg_admin_audit_write(audit, &act, "done"));
    fg_admin_audit_free(audit);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07137, 0); /* 0640, or less */
    json_t *lines = lines_of(path);
    assert_int_equal(json_array_size(lines), 3);
    assert_string_equal(field(lines, 0, "peer"), "10.0.0.1:5");
    assert_string_equal(field(lines, 0, "user"), "al\"ice\n");
    assert_string_equal(field(lines, 0, "action"), "/streams/kill");
    assert_string_equal(field(lines, 0, "target"), "id=0-17");
    assert_string_equal(field(lines, 0, "result"), "done");
    assert_int_equal(strlen(field(lines, 0, "time")), strlen("2026-01-01T00:00:00.000Z"));
    json_decref(lines);
}

static void what_cannot_be_written_is_said(void **state)
{
    struct fg_admin_act act = {"p", FG_STR(""), "/streams/kill", FG_STR("")};
    char error[256];
    (void)state;

    struct fg_admin_audit *audit = open_log("/dev/full");
    assert_false(fg_admin_audit_write(audit, &act, "begun"));
    fg_admin_audit_free(audit);
    assert_null(fg_admin_audit_new("/nonexistent/audit.log", error, sizeof error));
    assert_non_null(strstr(error, "/nonexistent/audit.log"));
    audit = open_log(NULL); /* the error log */
    assert_true(fg_admin_audit_write(audit, &act, "begun"));
    fg_admin_audit_free(audit);
}

static void a_file_that_was_moved_is_left_alone(void **state)
{
    struct fg_admin_act act = {"p", FG_STR(""), "/streams/kill", FG_STR("")};
    struct fg_admin_audit *audit = open_log(path);
    (void)state;

    assert_int_equal(rename(path, moved), 0);
    fg_admin_audit_reopen(audit);
    assert_true(fg_admin_audit_write(audit, &act, "done"));
    json_t *lines = lines_of(path);
    assert_int_equal(json_array_size(lines), 1);
    json_decref(lines);
    fg_admin_audit_free(audit);
}

/* 20 at once, five each second after that; the next line tells of the others. */
static void refusals_do_not_fill_the_disk(void **state)
{
    struct fg_admin_act act = {"p", FG_STR(""), "/streams/kill", FG_STR("")};
    struct fg_admin_audit *audit = open_log(path);
    (void)state;

    assert_int_equal(truncate(path, 0), 0);
    for (int i = 0; i < 1000; i++)
        fg_admin_audit_refused(audit, &act, "refused: no token", 100 * FG_S);
    json_t *lines = lines_of(path);
    assert_int_equal(json_array_size(lines), 20);
    json_decref(lines);
    for (int i = 0; i < 10; i++)
        fg_admin_audit_refused(audit, &act, "refused: no token", 101 * FG_S);
    lines = lines_of(path);
    assert_int_equal(json_array_size(lines), 25);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(lines, 20), "left_out")), 980);
    assert_null(json_object_get(json_array_get(lines, 21), "left_out"));
    json_decref(lines);
    assert_true(fg_admin_audit_write(audit, &act, "done")); /* never left out */
    fg_admin_audit_free(audit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_says_who_did_what),
        cmocka_unit_test(what_cannot_be_written_is_said),
        cmocka_unit_test(a_file_that_was_moved_is_left_alone),
        cmocka_unit_test(refusals_do_not_fill_the_disk),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
