/* Certificates for tests, made on the spot in a temporary folder. Included by the tests that need them. */
#ifndef FG_TESTS_IO_CERTIFICATES_H
#define FG_TESTS_IO_CERTIFICATES_H

#include <dirent.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <unistd.h>

/* A certificate in memory and as NAME.pem and NAME.key. */
struct issued {
    X509 *certificate;
    EVP_PKEY *key;
    char pem_path[80], key_path[80];
};

static void issued_free(struct issued *issued)
{
    X509_free(issued->certificate);
    EVP_PKEY_free(issued->key);
}

static void add_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static void write_files(struct issued *issued, const char *folder, const char *name)
{
    snprintf(issued->pem_path, sizeof(issued->pem_path), "%s/%s.pem", folder, name);
    snprintf(issued->key_path, sizeof(issued->key_path), "%s/%s.key", folder, name);
    FILE *file = fopen(issued->pem_path, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, issued->certificate), 1);
    fclose(file);
    file = fopen(issued->key_path, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_PrivateKey(file, issued->key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(file);
}

/* SAN: "DNS:a.test,IP:127.0.0.1", or NULL for a CA. BY: the issuer, or NULL for one that signs itself. RSA: else P-256.
 */
static struct issued issue(const char *folder, const char *name, const char *san, const struct issued *by, bool rsa)
{
    static long serial = 1; /* a CA never gives the same one twice */
    struct issued issued = {.key = rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256"), .certificate = X509_new()};
    assert_non_null(issued.key);
    X509 *certificate = issued.certificate;
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, issued.key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8, (const unsigned char *)name, -1,
                               -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(by ? by->certificate : certificate));
    if (san)
        add_extension(certificate, NID_subject_alt_name, san);
    else
        add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE");
    assert_true(X509_sign(certificate, by ? by->key : issued.key, EVP_sha256()) > 0);
    write_files(&issued, folder, name);
    return issued;
}

static void make_folder(char folder[40])
{
    snprintf(folder, 40, "/tmp/fusegate-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
}

static void remove_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        char path[400];
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.')
            unlink(path);
    }
    closedir(dir);
    assert_int_equal(rmdir(folder), 0);
}

#endif
