#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>

#include "io/tls_int.h"

static FILE *open_file(const char *path, const char *what, char *error, size_t error_len)
{
    FILE *file = fopen(path, "re");
    if (!file)
        snprintf(error, error_len, "%s %s cannot be read: %s", what, path, strerror(errno));
    return file;
}

STACK_OF(X509) * fg_tls_load_certificates(const char *path, const char *what, char *error, size_t error_len)
{
    FILE *file = open_file(path, what, error, error_len);
    if (!file)
        return NULL;
    ERR_clear_error();
    STACK_OF(X509) *certificates = sk_X509_new_null();
    X509 *certificate;
    while (certificates && (certificate = PEM_read_X509(file, NULL, NULL, NULL))) {
        if (!sk_X509_push(certificates, certificate)) {
            X509_free(certificate);
            break;
        }
    }
    fclose(file);
    bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    if (certificates && sk_X509_num(certificates) > 0 && at_end) {
        ERR_clear_error();
        return certificates;
    }
    char text[120];
    fg_tls_error_text(text, sizeof(text));
    if (at_end)
        snprintf(error, error_len, "%s %s holds no PEM certificate (-----BEGIN CERTIFICATE-----)", what, path);
    else
        snprintf(error, error_len, "%s %s is damaged: %s", what, path, text);
    sk_X509_pop_free(certificates, X509_free);
    return NULL;
}

/* Instead of OpenSSL's own, which would ask on the terminal. */
static int refuse_passphrase(char *out, int len, int writing, void *asked)
{
    (void)out, (void)len, (void)writing;
    *(bool *)asked = true;
    return -1;
}

static EVP_PKEY *load_key(const char *path, char *error, size_t error_len)
{
    FILE *file = open_file(path, "key file", error, error_len);
    if (!file)
        return NULL;
    bool asked = false;
    ERR_clear_error();
    EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, refuse_passphrase, &asked);
    fclose(file);
    if (key) {
        ERR_clear_error();
        return key;
    }
    char text[120];
    fg_tls_error_text(text, sizeof(text));
    if (asked)
        snprintf(error, error_len, "key file %s is protected by a passphrase; store the key without one", path);
    else
        snprintf(error, error_len, "key file %s holds no PEM private key: %s", path, text);
    return NULL;
}

int fg_tls_identity_load(struct fg_tls_identity *identity, const struct fg_tls_certificate *files, char *error,
                         size_t error_len)
{
    *identity = (struct fg_tls_identity){0};
    if (!files->certificate || !files->key) {
        snprintf(error, error_len, "a certificate and its key are both needed, but the %s is missing",
                 files->certificate ? "key" : "certificate");
        return -1;
    }
    identity->chain = fg_tls_load_certificates(files->certificate, "certificate file", error, error_len);
    if (!identity->chain)
        return -1;
    identity->leaf = sk_X509_shift(identity->chain);
    identity->key = load_key(files->key, error, error_len);
    if (identity->key && X509_check_private_key(identity->leaf, identity->key) == 1)
        return 0;
    if (identity->key)
        snprintf(error, error_len, "key %s does not belong to certificate %s", files->key, files->certificate);
    ERR_clear_error();
    fg_tls_identity_cleanup(identity);
    return -1;
}

void fg_tls_identity_cleanup(struct fg_tls_identity *identity)
{
    X509_free(identity->leaf);
    sk_X509_pop_free(identity->chain, X509_free);
    EVP_PKEY_free(identity->key);
    *identity = (struct fg_tls_identity){0};
}
