#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <stdlib.h>

#include "io/tls_int.h"

/* ---- ticket keys ---- */

static int make_key(struct fg_tls_ticket_key *key)
{
    return RAND_bytes(key->name, sizeof(key->name)) == 1 && RAND_priv_bytes(key->hmac, sizeof(key->hmac)) == 1 &&
                   RAND_priv_bytes(key->aes, sizeof(key->aes)) == 1
               ? 0
               : -1;
}

struct fg_tls_tickets *fg_tls_tickets_new(uint64_t now_ns)
{
    struct fg_tls_tickets *tickets = fg_alloc_zero(sizeof(*tickets));
    atomic_init(&tickets->refs, 1);
    pthread_mutex_init(&tickets->lock, NULL);
    tickets->rotated_ns = now_ns;
    tickets->keys_len = 1;
    if (make_key(&tickets->keys[0]) == 0)
        return tickets;
    fg_tls_tickets_unref(tickets);
    return NULL;
}

struct fg_tls_tickets *fg_tls_tickets_ref(struct fg_tls_tickets *tickets)
{
    atomic_fetch_add_explicit(&tickets->refs, 1, memory_order_relaxed);
    return tickets;
}

void fg_tls_tickets_unref(struct fg_tls_tickets *tickets)
{
    if (!tickets || atomic_fetch_sub_explicit(&tickets->refs, 1, memory_order_acq_rel) != 1)
        return;
    pthread_mutex_destroy(&tickets->lock);
    OPENSSL_cleanse(tickets->keys, sizeof(tickets->keys));
    free(tickets);
}

/* Under the lock. After two periods without a connection the predecessor is too old as well. */
static int rotate(struct fg_tls_tickets *tickets, uint64_t now_ns)
{
    if (now_ns < tickets->rotated_ns || now_ns - tickets->rotated_ns < FG_TLS_TICKET_KEY_ROTATE_NS)
        return 0;
    struct fg_tls_ticket_key fresh;
    if (make_key(&fresh) < 0)
        return -1;
    tickets->keys_len = now_ns - tickets->rotated_ns < 2 * FG_TLS_TICKET_KEY_ROTATE_NS ? 2 : 1;
    if (tickets->keys_len == 2)
        tickets->keys[1] = tickets->keys[0];
    else
        OPENSSL_cleanse(&tickets->keys[1], sizeof(tickets->keys[1]));
    tickets->keys[0] = fresh;
    tickets->rotated_ns = now_ns;
    OPENSSL_cleanse(&fresh, sizeof(fresh));
    return 0;
}

int fg_tls_tickets_current(struct fg_tls_tickets *tickets, uint64_t now_ns, struct fg_tls_ticket_key *out)
{
    pthread_mutex_lock(&tickets->lock);
    int rc = rotate(tickets, now_ns);
    *out = tickets->keys[0];
    pthread_mutex_unlock(&tickets->lock);
    return rc;
}

int fg_tls_tickets_find(struct fg_tls_tickets *tickets, uint64_t now_ns, const unsigned char name[16],
                        struct fg_tls_ticket_key *out)
{
    int found = 0;
    pthread_mutex_lock(&tickets->lock);
    if (rotate(tickets, now_ns) == 0) {
        for (unsigned i = 0; i < tickets->keys_len && !found; i++) {
            if (memcmp(tickets->keys[i].name, name, sizeof(tickets->keys[i].name)) != 0)
                continue;
            *out = tickets->keys[i];
            found = i == 0 ? 1 : 2;
        }
    }
    pthread_mutex_unlock(&tickets->lock);
    return found;
}

static int set_up_ciphers(const struct fg_tls_ticket_key *key, const unsigned char *iv, EVP_CIPHER_CTX *cipher,
                          EVP_MAC_CTX *mac, int encrypt)
{
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                 OSSL_PARAM_construct_end()};
    return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->aes, iv, encrypt) == 1 &&
                   EVP_MAC_init(mac, key->hmac, sizeof(key->hmac), params) == 1
               ? 0
               : -1;
}

/* OpenSSL's question for the keys of a ticket: -1 error, 0 not usable, 1 usable, 2 usable and to be renewed. */
static int on_ticket(SSL *ssl, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                     int encrypt)
{
    const struct fg_tls_context *context = SSL_get_app_data(ssl);
    struct fg_tls_ticket_key key;
    int rc;
    if (encrypt) {
        rc = fg_tls_tickets_current(context->tickets, fg_clock_now_ns(), &key) == 0 &&
                     RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) == 1
                 ? 1
                 : -1;
        if (rc == 1)
            memcpy(name, key.name, sizeof(key.name));
    } else {
        rc = fg_tls_tickets_find(context->tickets, fg_clock_now_ns(), name, &key);
    }
    if (rc > 0 && set_up_ciphers(&key, iv, cipher, mac, encrypt) < 0)
        rc = -1;
    OPENSSL_cleanse(&key, sizeof(key));
    return rc;
}

int fg_tls_tickets_install(SSL_CTX *ctx)
{
    return SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket) == 1 ? 0 : -1;
}

/* ---- sessions of a client ---- */

void fg_tls_sessions_init(struct fg_tls_sessions *sessions)
{
    pthread_mutex_init(&sessions->lock, NULL);
}

void fg_tls_sessions_cleanup(struct fg_tls_sessions *sessions)
{
    for (unsigned i = 0; i < sessions->len; i++) {
        free(sessions->items[i].key);
        SSL_SESSION_free(sessions->items[i].session);
    }
    sessions->len = 0;
    pthread_mutex_destroy(&sessions->lock);
}

static struct fg_tls_session *find(struct fg_tls_sessions *sessions, const char *key)
{
    for (unsigned i = 0; i < sessions->len; i++) {
        if (strcmp(sessions->items[i].key, key) == 0)
            return &sessions->items[i];
    }
    return NULL;
}

static struct fg_tls_session *add(struct fg_tls_sessions *sessions, const char *key)
{
    struct fg_tls_session *item;
    if (sessions->len < FG_TLS_SESSIONS_LEN) {
        item = &sessions->items[sessions->len++];
    } else {
        item = &sessions->items[sessions->oldest];
        sessions->oldest = (sessions->oldest + 1) % FG_TLS_SESSIONS_LEN;
        free(item->key);
        SSL_SESSION_free(item->session);
    }
    *item = (struct fg_tls_session){.key = fg_strdup(key)};
    return item;
}

/* Copies, because a connection writes into its session while another one, in another thread, may use it as well. */
void fg_tls_sessions_put(struct fg_tls_sessions *sessions, const char *key, SSL_SESSION *session)
{
    SSL_SESSION *copy = SSL_SESSION_dup(session);
    if (!copy)
        return;
    pthread_mutex_lock(&sessions->lock);
    struct fg_tls_session *item = find(sessions, key);
    if (!item)
        item = add(sessions, key);
    SSL_SESSION_free(item->session);
    item->session = copy;
    pthread_mutex_unlock(&sessions->lock);
}

SSL_SESSION *fg_tls_sessions_get(struct fg_tls_sessions *sessions, const char *key)
{
    pthread_mutex_lock(&sessions->lock);
    struct fg_tls_session *item = find(sessions, key);
    SSL_SESSION *copy = item ? SSL_SESSION_dup(item->session) : NULL;
    pthread_mutex_unlock(&sessions->lock);
    return copy;
}
