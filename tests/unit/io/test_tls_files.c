#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include <openssl/err.h>

#include "io/tls_int.h"

#include "certificates.h"

struct world {
    char folder[40];
    struct issued ca, a, b;
};

static int make_world(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    make_folder(w->folder);
    w->ca = issue(w->folder, "ca", NULL, NULL, false);
    w->a = issue(w->folder, "a", "DNS:a.test", &w->ca, false);
    w->b = issue(w->folder, "b", "DNS:b.test", &w->ca, false);
    *state = w;
    return 0;
}

static int end_world(void **state)
{
    struct world *w = *state;
    issued_free(&w->ca);
    issued_free(&w->a);
    issued_free(&w->b);
    remove_folder(w->folder);
    free(w);
    return 0;
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* The server is refused with this sentence. */
static void assert_refused(const struct fg_tls_server_options *options, const char *format, ...)
{
    char error[300] = "", expected[300];
    va_list args;
    va_start(args, format);
    vsnprintf(expected, sizeof(expected), format, args);
    va_end(args);
    struct fg_tls_context *context = fg_tls_server_new(options, error, sizeof(error));
    assert_null(context);
    assert_string_equal(error, expected);
    assert_int_equal(ERR_peek_error(), 0); /* nothing is left for the next one to stumble over */
}

static void a_missing_file_is_named(void **state)
{
    struct world *w = *state;
    struct fg_tls_certificate files = {"/no/edge.pem", w->a.key_path};
    struct fg_tls_server_options options = {.certificates = &files, .certificates_len = 1, .min_version = 12};
    assert_refused(&options, "certificate file /no/edge.pem cannot be read: No such file or directory");
    files = (struct fg_tls_certificate){w->a.pem_path, "/no/k.pem"};
    assert_refused(&options, "key file /no/k.pem cannot be read: No such file or directory");
    files = (struct fg_tls_certificate){w->a.pem_path, NULL};
    assert_refused(&options, "a certificate and its key are both needed, but the key is missing");
    files = (struct fg_tls_certificate){w->a.pem_path, w->a.key_path};
    options.client_ca = "/no/ca.pem";
    assert_refused(&options, "CA file /no/ca.pem cannot be read: No such file or directory");
}

static void a_wrong_file_is_explained(void **state)
{
    struct world *w = *state;
    struct fg_tls_certificate files = {w->a.pem_path, w->b.key_path};
    struct fg_tls_server_options options = {.certificates = &files, .certificates_len = 1, .min_version = 12};
    assert_refused(&options, "key %s does not belong to certificate %s", w->b.key_path, w->a.pem_path);
    files = (struct fg_tls_certificate){w->a.key_path, w->a.key_path};
    assert_refused(&options, "certificate file %s holds no PEM certificate (-----BEGIN CERTIFICATE-----)",
                   w->a.key_path);
    files = (struct fg_tls_certificate){w->a.pem_path, w->a.pem_path};
    assert_refused(&options, "key file %s holds no PEM private key: unsupported", w->a.pem_path);
    char path[80];
    snprintf(path, sizeof(path), "%s/damaged.pem", w->folder);
    write_text(path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    files = (struct fg_tls_certificate){path, w->a.key_path};
    char error[300] = "";
    assert_null(fg_tls_server_new(&options, error, sizeof(error)));
    assert_non_null(strstr(error, "damaged.pem is damaged: "));
}

static void a_key_with_a_passphrase_is_refused_without_asking(void **state)
{
    struct world *w = *state;
    char path[80], word[] = "secret";
    snprintf(path, sizeof(path), "%s/locked.key", w->folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_PrivateKey(file, w->a.key, EVP_aes_128_cbc(), NULL, 0, NULL, word), 1);
    fclose(file);
    struct fg_tls_certificate files = {w->a.pem_path, path};
    struct fg_tls_server_options options = {.certificates = &files, .certificates_len = 1, .min_version = 12};
    assert_refused(&options, "key file %s is protected by a passphrase; store the key without one", path);
}

static void impossible_options_are_explained(void **state)
{
    struct world *w = *state;
    struct fg_tls_certificate files = {w->a.pem_path, w->a.key_path};
    struct fg_tls_server_options options = {.certificates = &files, .certificates_len = 1, .min_version = 11};
    assert_refused(&options, "TLS version 11 is not supported; choose 1.2 or 1.3");
    options.min_version = 13;
    options.require_client_certificate = true;
    assert_refused(&options, "a client certificate is required, but no CA to verify it with is given");
    options.require_client_certificate = false;
    options.certificates_len = 0;
    assert_refused(&options, "TLS needs a certificate and its key");
    options.certificates_len = 1;
    const char *const alpn[] = {"h2", "", NULL};
    options.alpn = alpn;
    assert_refused(&options, "ALPN name \"\" must have 1 to 255 bytes");
    struct fg_tls_client_options client = {.ca = "/no/ca.pem", .min_version = 12, .verify = true};
    char error[300] = "";
    assert_null(fg_tls_client_new(&client, error, sizeof(error)));
    assert_string_equal(error, "CA file /no/ca.pem cannot be read: No such file or directory");
}

static void a_reload_of_broken_files_leaves_the_old_context(void **state)
{
    struct world *w = *state;
    char path[80], error[300] = "", expected[300];
    snprintf(path, sizeof(path), "%s/edge.pem", w->folder);
    assert_int_equal(link(w->a.pem_path, path), 0);
    struct fg_tls_certificate files = {path, w->a.key_path};
    struct fg_tls_server_options options = {.certificates = &files, .certificates_len = 1, .min_version = 12};
    struct fg_tls_context *context = fg_tls_server_new(&options, error, sizeof(error));
    assert_non_null(context);
    unlink(path);
    assert_null(fg_tls_context_reload(context, error, sizeof(error)));
    snprintf(expected, sizeof(expected), "certificate file %s cannot be read: No such file or directory", path);
    assert_string_equal(error, expected);
    assert_int_equal(link(w->a.pem_path, path), 0);
    struct fg_tls_context *fresh = fg_tls_context_reload(context, error, sizeof(error));
    assert_non_null(fresh);
    fg_tls_context_unref(context);
    fg_tls_context_unref(fresh);
    fg_tls_context_unref(NULL);
}

static void ticket_keys_live_for_two_periods(void **state)
{
    (void)state;
    const uint64_t period_ns = FG_TLS_TICKET_KEY_ROTATE_NS;
    struct fg_tls_tickets *tickets = fg_tls_tickets_new(FG_S);
    struct fg_tls_ticket_key first, second, found;
    assert_int_equal(fg_tls_tickets_current(tickets, FG_S, &first), 0);
    assert_int_equal(fg_tls_tickets_current(tickets, period_ns, &second), 0);
    assert_memory_equal(&first, &second, sizeof(first));
    assert_int_equal(fg_tls_tickets_find(tickets, period_ns, first.name, &found), 1);
    assert_memory_equal(&first, &found, sizeof(first));
    assert_int_equal(fg_tls_tickets_current(tickets, FG_S + period_ns, &second), 0);
    assert_memory_not_equal(&first, &second, sizeof(first));
    assert_int_equal(fg_tls_tickets_find(tickets, FG_S + period_ns, first.name, &found), 2);
    assert_memory_equal(&first, &found, sizeof(first));
    assert_int_equal(fg_tls_tickets_find(tickets, FG_S + 2 * period_ns, first.name, &found), 0);
    assert_int_equal(fg_tls_tickets_find(tickets, FG_S + 2 * period_ns, second.name, &found), 2);
    assert_int_equal(fg_tls_tickets_find(tickets, FG_S + 9 * period_ns, second.name, &found), 0); /* a long silence */
    fg_tls_tickets_unref(tickets);
}

static void the_table_of_sessions_forgets_the_oldest(void **state)
{
    (void)state;
    struct fg_tls_sessions *sessions = calloc(1, sizeof(*sessions));
    fg_tls_sessions_init(sessions);
    char key[20];
    for (unsigned i = 0; i <= FG_TLS_SESSIONS_LEN; i++) {
        SSL_SESSION *session = SSL_SESSION_new();
        SSL_SESSION_set_timeout(session, 1000 + i);
        snprintf(key, sizeof(key), "peer %u", i);
        fg_tls_sessions_put(sessions, key, session);
        fg_tls_sessions_put(sessions, key, session); /* takes the place of the first, not one more */
        SSL_SESSION_free(session);
    }
    assert_null(fg_tls_sessions_get(sessions, "peer 0"));
    SSL_SESSION *found = fg_tls_sessions_get(sessions, "peer 1");
    assert_non_null(found);
    assert_int_equal(SSL_SESSION_get_timeout(found), 1001);
    SSL_SESSION_free(found);
    found = fg_tls_sessions_get(sessions, key);
    assert_non_null(found);
    SSL_SESSION_free(found);
    fg_tls_sessions_cleanup(sessions);
    free(sessions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_file_is_named),
        cmocka_unit_test(a_wrong_file_is_explained),
        cmocka_unit_test(a_key_with_a_passphrase_is_refused_without_asking),
        cmocka_unit_test(impossible_options_are_explained),
        cmocka_unit_test(a_reload_of_broken_files_leaves_the_old_context),
        cmocka_unit_test(ticket_keys_live_for_two_periods),
        cmocka_unit_test(the_table_of_sessions_forgets_the_oldest),
    };
    return cmocka_run_group_tests(tests, make_world, end_world);
}
