/* Input that nobody would write by accident: whatever it is, the answer is a snapshot or an error, never a crash, and
 * it comes soon. Sanitizers watch. */
#include "expect.h"

#include "config/tree.h"

struct text {
    char *p;
    size_t len, cap;
};

static void put(struct text *t, const char *piece)
{
    size_t len = strlen(piece);
    if (t->len + len + 1 > t->cap) {
        t->cap = 2 * (t->len + len + 1);
        t->p = realloc(t->p, t->cap);
        assert_non_null(t->p);
    }
    memcpy(t->p + t->len, piece, len + 1);
    t->len += len;
}

static void repeat(struct text *t, const char *piece, size_t times)
{
    for (size_t i = 0; i < times; i++)
        put(t, piece);
}

/* Takes the text; its errors must hold WANTED. */
static void expect_refused(struct text *t, const char *wanted)
{
    char *found = errors_of(t->p, t->len);
    if (!strstr(found, wanted))
        fail_msg("found\n%sexpected\n%s", found, wanted);
    free(found);
    free(t->p);
    *t = (struct text){0};
}

static void deep_nesting_is_cut(void **state)
{
    (void)state;
    static const char *const openings[] = {"[", "{a: ", "{a: [", "- - - ", "? "};
    for (size_t i = 0; i < sizeof openings / sizeof openings[0]; i++) {
        struct text t = {0};
        repeat(&t, openings[i], 100000);
        expect_refused(&t, "f:1:");
    }
    struct text t = {0};
    repeat(&t, "[", 33);
    repeat(&t, "]", 33);
    expect_refused(&t, "f:1:33: nested more than 32 deep\n");
    repeat(&t, "[", 32);
    repeat(&t, "]", 32);
    expect_refused(&t, "f:1:1: found a list, expected a mapping\n");
}

static void an_alias_bomb_does_not_go_off(void **state)
{
    (void)state;
    struct text t = {0};
    put(&t, "a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 12; i++) {
        char line[160];
        snprintf(line, sizeof line, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i, i - 1,
                 i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
        put(&t, line);
    }
    expect_refused(&t, "the file has more than 100000 values, counting what aliases repeat\n");
}

static void large_files_are_refused(void **state)
{
    (void)state;
    struct text t = {0};
    repeat(&t, "# a comment of exactly thirty-two.\n", FG_TREE_MAX_BYTES / 35 + 1);
    expect_refused(&t, "f: the file is larger than 4 MiB\n");
    repeat(&t, "- a\n", 100001);
    expect_refused(&t, "the file has more than 100000 values, counting what aliases repeat\n");
    repeat(&t, "- &a x\n", 257);
    expect_refused(&t, "f:257:3: the file has more than 256 anchors\n");
    put(&t, "listeners:\n");
    repeat(&t, "- {}\n", 257);
    expect_refused(&t, "f:2:1: listeners: found 257 entries, expected 1 to 256\n");
}

static void long_words_are_cut_in_messages(void **state)
{
    (void)state;
    struct text t = {0};
    repeat(&t, "x", 100000);
    expect_refused(&t, "f:1:1: found \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...\", expected a "
                       "mapping\n");
    put(&t, "workers: ");
    repeat(&t, "9", 100000);
    put(&t, "\n");
    expect_refused(&t, "expected auto or a whole number from 1 to 256\n");
    repeat(&t, "\xc3\xa9", 500);
    put(&t, ": 1\n");
    expect_refused(&t, "unknown key, expected one of: ");
    put(&t, "\"");
    repeat(&t, "\\a", 500);
    put(&t, "\": 1\n");
    expect_refused(&t, "unknown key, expected one of: ");
}

static void odd_texts_are_answered(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "\xef\xbb\xbf",
        "\xff\xfel\0i\0",
        "%YAML 1.1\n---\n",
        "%YAML 9.9\n---\na: 1\n",
        "%TAG ! !\n",
        "...",
        "? \n: \n",
        ": :",
        "- \n-",
        "!!binary x",
        "&a",
        "*a",
        "&a &b c",
        "a: *",
        "\"",
        "'",
        "\"\\x\"",
        "\"\\ud800\"",
        "|\n a",
        ">\n",
        "a: |9\n b",
        "{",
        "}",
        "]",
        "{a",
        "{a:",
        "{a: b",
        "{,}",
        "[,]",
        "{a: 1, a: 1}",
        "\r",
        "\r\n\t",
        "\t",
        "@",
        "`",
        "null",
        "~",
        "listeners:\n",
        "listeners: ~\n",
        "clusters: ~\n",
        "listeners: [~]\n",
        "listeners: [[]]",
        "routes: [~]",
        "clusters: {~: ~}",
        "clusters: {a: ~}",
        "clusters: {'': {}}",
        "clusters: {a: {endpoints: [~]}}",
        "clusters: {a: {endpoints: [[]]}}",
        "routes: [{match: ~}]",
        "routes: [{match: {headers: {a: ~}}}]",
        "routes: [{match: {method: ''}}]",
        "routes: [{match: {method: '/'}}]",
        "routes: [{match: {path: ''}}]",
        "routes: [{match: {headers: {'': ''}}}]",
        "admin: {address: ''}",
        "admin: {address: 'unix:relative'}",
        "admin: {token: [a]}",
        "listeners: [{address: ''}]",
        "listeners: [{address: '['}]",
        "listeners: [{address: ']:1'}]",
        "listeners: [{address: '[]'}]",
        "listeners: [{tls: {certificates: [{}]}}]",
        "\"a\\0b\": 1\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char *found = errors_of(texts[i], strlen(texts[i]));
        if (found[0] == '\0')
            fail_msg("\"%s\" is no configuration", texts[i]);
        free(found);
    }
    free(errors_of("a\0b", 3));
    free(errors_of(NULL, 0));
}

/* Each beginning of a good file. */
static void truncated_files_are_answered(void **state)
{
    (void)state;
    char *text = read_source("packaging/gateway.yaml");
    size_t len = strlen(text), good = 0;
    for (size_t i = 0; i <= len; i++) {
        char *copy = malloc(i + 1); /* of this size, so that reading on is seen */
        memcpy(copy, text, i);
        char *found = errors_of(copy, i);
        good += found[0] == '\0';
        free(found);
        free(copy);
    }
    assert_in_range(good, 1, len - 1);
    free(text);
}

static uint64_t next(uint64_t *seed) /* xorshift64 */
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void damaged_files_are_answered(void **state)
{
    (void)state;
    static const char alphabet[] = "\n\t :-[]{}&*!|>'\"%#,?0aZ\xff\x80";
    char *text = read_source("packaging/gateway.yaml");
    size_t len = strlen(text), refused = 0;
    uint64_t seed = 20240607;
    for (int round = 0; round < 3000; round++) {
        char *copy = malloc(len);
        memcpy(copy, text, len);
        for (uint64_t changes = 1 + next(&seed) % 4; changes > 0; changes--)
            copy[next(&seed) % len] = alphabet[next(&seed) % (sizeof alphabet - 1)];
        char *found = errors_of(copy, len);
        refused += found[0] != '\0';
        free(found);
        free(copy);
    }
    assert_in_range(refused, 1000, 3000);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deep_nesting_is_cut),        cmocka_unit_test(an_alias_bomb_does_not_go_off),
        cmocka_unit_test(large_files_are_refused),    cmocka_unit_test(long_words_are_cut_in_messages),
        cmocka_unit_test(odd_texts_are_answered),     cmocka_unit_test(truncated_files_are_answered),
        cmocka_unit_test(damaged_files_are_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
