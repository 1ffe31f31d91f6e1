#include "gateway/gateway.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/crash.h"
#include "base/log.h"

#define MAX_BREAKERS     16384
#define MAX_LIMITER_KEYS 65536
#define MAX_LEARNED      4096
#define ASK_TIMEOUT_S    2

/* ---- TLS ---- */

static const char *const downstream_alpn[] = {"h2", "http/1.1", NULL};
static const char *const upstream_alpn[][3] = {
    [FG_PROTOCOL_H2] = {"h2"}, [FG_PROTOCOL_H1] = {"http/1.1"}, [FG_PROTOCOL_AUTO] = {"h2", "http/1.1"}};

static struct fg_tls_context *listener_context(const struct fg_config_listener *config, char *error, size_t error_len)
{
    const struct fg_config_tls_server *tls = &config->tls;
    struct fg_tls_certificate *certificates = fg_alloc_zero(tls->certificates_len * sizeof *certificates);

    for (size_t i = 0; i < tls->certificates_len; i++)
        certificates[i] = (struct fg_tls_certificate){tls->certificates[i].certificate, tls->certificates[i].key};
    struct fg_tls_server_options options = {
        .certificates = certificates,
        .certificates_len = tls->certificates_len,
        .client_ca = tls->client_ca,
        .require_client_certificate = tls->require_client_certificate,
        .min_version = tls->min_version,
        .session_resumption = tls->session_resumption,
        .alpn = downstream_alpn,
    };
    struct fg_tls_context *context = fg_tls_server_new(&options, error, error_len);
    free(certificates);
    return context;
}

static struct fg_tls_context *cluster_context(const struct fg_config_cluster *config, char *error, size_t error_len)
{
    struct fg_tls_client_options options = {
        .ca = config->tls.ca,
        .certificate = config->tls.certificate,
        .key = config->tls.key,
        .verify = config->tls.verify,
        .min_version = config->tls.min_version,
        .alpn = upstream_alpn[config->protocol],
    };
    return fg_tls_client_new(&options, error, error_len);
}

static int init_tls(struct fg_gateway *gateway, char *error, size_t error_len)
{
    const struct fg_config *config = gateway->config;
    char why[256];

    gateway->listener_tls = fg_alloc_zero(config->listeners_len * sizeof(struct fg_tls_context *));
    gateway->cluster_tls = fg_alloc_zero(config->clusters_len * sizeof(struct fg_tls_context *));
    for (size_t i = 0; i < config->listeners_len; i++) {
        if (!config->listeners[i].tls.enabled)
            continue;
        gateway->listener_tls[i] = listener_context(&config->listeners[i], why, sizeof why);
        if (!gateway->listener_tls[i]) {
            snprintf(error, error_len, "listener %s: %s", config->listeners[i].address, why);
            return -1;
        }
    }
    for (size_t i = 0; i < config->clusters_len; i++) {
        if (!config->clusters[i].tls.enabled)
            continue;
        gateway->cluster_tls[i] = cluster_context(&config->clusters[i], why, sizeof why);
        if (!gateway->cluster_tls[i]) {
            snprintf(error, error_len, "cluster %s: %s", config->clusters[i].name, why);
            return -1;
        }
    }
    return 0;
}

/* ---- life ---- */

static int init_log(struct fg_gateway *gateway, char *error, size_t error_len)
{
    const char *path = gateway->config->access_log.path;

    if (!path || strcmp(path, "off") == 0)
        return 0;
    gateway->access_log = fg_access_log_new(&gateway->config->access_log, gateway->config->workers, error, error_len);
    return gateway->access_log ? 0 : -1;
}

static void wake(void *context, unsigned to, unsigned from)
{
    const struct fg_gateway_gate *gate = context;

    if (__atomic_load_n(&gate->gateway->started, __ATOMIC_ACQUIRE) == 0)
        return; /* the workers have ended: what is left of their calls is being cleaned up */
    fg_worker_wake_gate(&gate->gateway->workers[to], gate->cluster, to == from);
}

static void init_gates(struct fg_gateway *gateway)
{
    const struct fg_config *config = gateway->config;

    gateway->gates = fg_alloc_zero(config->clusters_len * sizeof *gateway->gates);
    for (size_t i = 0; i < config->clusters_len; i++) {
        struct fg_gateway_gate *gate = &gateway->gates[i];
        *gate = (struct fg_gateway_gate){
            .gateway = gateway, .cluster = i, .gate = fg_gate_new(config->workers, wake, gate)};
    }
}

int fg_gateway_init(struct fg_gateway *gateway, struct fg_config *config, char *error, size_t error_len)
{
    *gateway = (struct fg_gateway){.config = config,
                                   .config_generation = 1,
                                   .config_loaded_ns = fg_clock_wall_ns(),
                                   .started_ns = fg_clock_now_ns(),
                                   .started_wall_ns = fg_clock_wall_ns()};
    gateway->breakers = fg_breaker_registry_new(MAX_BREAKERS);
    gateway->learned = fg_learned_table_new(MAX_LEARNED);
    gateway->limiter = fg_rate_limiter_new(MAX_LIMITER_KEYS);
    gateway->connections = fg_alloc_zero(config->listeners_len * sizeof *gateway->connections);
    gateway->workers = fg_alloc_zero(config->workers * sizeof *gateway->workers);
    init_gates(gateway);
    int result = init_tls(gateway, error, error_len);
    if (result == 0)
        result = init_log(gateway, error, error_len);
    while (result == 0 && gateway->workers_len < config->workers) {
        struct fg_worker *worker = &gateway->workers[gateway->workers_len];
        result = fg_worker_init(worker, gateway, gateway->workers_len, error, error_len);
        if (result == 0)
            gateway->workers_len++;
    }
    if (result == 0)
        result = fg_descriptor_sources_init(gateway, error, error_len);
    if (result == 0 && gateway->access_log)
        for (unsigned i = 0; i < gateway->workers_len; i++)
            fg_access_log_set_stats(gateway->access_log, i, &gateway->workers[i].stats);
    if (result != 0) {
        fg_config_ref(config); /* still the caller's */
        fg_gateway_cleanup(gateway);
    }
    return result;
}

static void *run(void *argument)
{
    struct fg_worker *worker = argument;
    char name[16];

    snprintf(name, sizeof name, "worker %u", worker->index);
    fg_crash_thread_begin(name);
    fg_loop_run(&worker->loop);
    fg_crash_thread_end();
    return NULL;
}

/* Without an admin address nobody can ask. */
static int start_overview(struct fg_gateway *gateway, char *error, size_t error_len)
{
    const char *address = gateway->config->admin.address;

    if (!address || strcmp(address, "off") == 0)
        return 0;
    struct fg_overview *overview = fg_overview_start(gateway, error, error_len);
    __atomic_store_n(&gateway->overview, overview, __ATOMIC_RELEASE); /* the admin thread may ask already */
    return overview ? 0 : -1;
}

int fg_gateway_start(struct fg_gateway *gateway, char *error, size_t error_len)
{
    for (unsigned i = 0; i < gateway->workers_len; i++) {
        int result = pthread_create(&gateway->workers[i].thread, NULL, run, &gateway->workers[i]);
        if (result != 0) {
            snprintf(error, error_len, "worker %u cannot be started: %s", i, strerror(result));
            fg_gateway_drain(gateway);
            fg_gateway_join(gateway);
            return -1;
        }
        __atomic_store_n(&gateway->started, i + 1, __ATOMIC_RELEASE); /* the admin thread may ask already */
    }
    if (start_overview(gateway, error, error_len) != 0) {
        fg_gateway_drain(gateway);
        fg_gateway_join(gateway);
        return -1;
    }
    __atomic_store_n(&gateway->ready, true, __ATOMIC_RELEASE);
    return 0;
}

struct worker_mail {
    struct fg_mail mail;
    struct fg_worker *worker;
};

static void run_drain(struct fg_mail *mail)
{
    struct worker_mail *message = FG_CONTAINER_OF(mail, struct worker_mail, mail);
    fg_worker_drain(message->worker);
    free(message);
}

static void tell_all(struct fg_gateway *gateway, void (*run_on_worker)(struct fg_mail *mail))
{
    for (unsigned i = 0; i < gateway->started; i++) {
        struct worker_mail *message = fg_alloc(sizeof *message);
        *message = (struct worker_mail){.mail.run = run_on_worker, .worker = &gateway->workers[i]};
        fg_mailbox_post(&gateway->workers[i].loop, &message->mail);
    }
}

void fg_gateway_drain(struct fg_gateway *gateway)
{
    __atomic_store_n(&gateway->draining, true, __ATOMIC_RELEASE);
    tell_all(gateway, run_drain);
}

void fg_gateway_join(struct fg_gateway *gateway)
{
    for (unsigned i = 0; i < gateway->started; i++)
        pthread_join(gateway->workers[i].thread, NULL);
    __atomic_store_n(&gateway->started, 0, __ATOMIC_RELEASE);
}

void fg_gateway_cleanup(struct fg_gateway *gateway)
{
    size_t listeners = gateway->config->listeners_len, clusters = gateway->config->clusters_len;

    fg_overview_stop(gateway->overview);
    fg_descriptor_sources_stop(gateway);
    for (unsigned i = 0; i < gateway->workers_len; i++)
        fg_worker_cleanup(&gateway->workers[i]);
    for (size_t i = 0; i < clusters; i++)
        fg_gate_free(gateway->gates[i].gate);
    free(gateway->gates);
    fg_descriptor_sources_cleanup(gateway);
    if (gateway->access_log)
        fg_access_log_free(gateway->access_log);
    for (size_t i = 0; gateway->listener_tls && i < listeners; i++)
        if (gateway->listener_tls[i])
            fg_tls_context_unref(gateway->listener_tls[i]);
    for (size_t i = 0; gateway->cluster_tls && i < clusters; i++)
        if (gateway->cluster_tls[i])
            fg_tls_context_unref(gateway->cluster_tls[i]);
    for (size_t i = 0; i < gateway->retired_len; i++)
        fg_tls_context_unref(gateway->retired[i]);
    free(gateway->retired);
    free(gateway->listener_tls);
    free(gateway->cluster_tls);
    free(gateway->connections);
    free(gateway->workers);
    fg_breaker_registry_free(gateway->breakers);
    fg_learned_table_free(gateway->learned);
    fg_rate_limiter_free(gateway->limiter);
    fg_config_unref(gateway->config);
}

/* ---- refresh ---- */

static void run_refresh(struct fg_mail *mail)
{
    struct worker_mail *message = FG_CONTAINER_OF(mail, struct worker_mail, mail);
    struct fg_worker *worker = message->worker;

    for (size_t i = 0; i < worker->servers_len; i++) {
        struct fg_tls_context *now = __atomic_load_n(&worker->gateway->listener_tls[i], __ATOMIC_ACQUIRE);
        struct fg_tls_context *before = worker->servers[i].side.tls;
        if (now == before)
            continue;
        worker->servers[i].side.tls = fg_tls_context_ref(now);
        fg_tls_context_unref(before);
    }
    free(message);
}

void fg_gateway_refresh(struct fg_gateway *gateway)
{
    char error[256];

    if (gateway->access_log)
        fg_access_log_reopen(gateway->access_log);
    for (size_t i = 0; i < gateway->config->listeners_len; i++) {
        struct fg_tls_context *before = gateway->listener_tls[i];
        if (!before)
            continue;
        struct fg_tls_context *now = fg_tls_context_reload(before, error, sizeof error);
        if (!now) {
            fg_log(FG_LOG_ERROR, "listener %s keeps its certificates: %s", gateway->config->listeners[i].address,
                   error);
            continue;
        }
        gateway->retired = fg_realloc(gateway->retired, (gateway->retired_len + 1) * sizeof *gateway->retired);
        gateway->retired[gateway->retired_len++] = before;
        __atomic_store_n(&gateway->listener_tls[i], now, __ATOMIC_RELEASE);
        fg_log(FG_LOG_INFO, "listener %s: certificates reloaded", gateway->config->listeners[i].address);
    }
    fg_descriptor_sources_refresh(gateway);
    tell_all(gateway, run_refresh);
}

/* ---- questions to all workers ---- */

struct question {
    pthread_mutex_t lock;
    pthread_cond_t answered;
    unsigned refs, missing;
    fg_gateway_fill *fill;
    void *context;
    char **texts; /* by worker */
    size_t *lens;
    unsigned workers;
};

struct question_mail {
    struct fg_mail mail;
    struct question *question;
    struct fg_worker *worker;
    void *state; /* of the fill */
    FILE *out;   /* over `text`; NULL: not begun, or there is no memory */
    char *text;
    size_t len;
};

static void drop(struct question *question)
{
    if (__atomic_sub_fetch(&question->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (unsigned i = 0; i < question->workers; i++)
        free(question->texts[i]);
    free(question->texts);
    free(question->lens);
    free(question->context);
    pthread_mutex_destroy(&question->lock);
    pthread_cond_destroy(&question->answered);
    free(question);
}

static void run_question(struct fg_mail *mail)
{
    struct question_mail *message = FG_CONTAINER_OF(mail, struct question_mail, mail);
    struct question *question = message->question;

    if (!message->out)
        message->out = open_memstream(&message->text, &message->len);
    if (message->out) {
        if (!question->fill(message->worker, question->context, &message->state, message->out)) {
            fg_mailbox_post(&message->worker->loop, mail);
            return;
        }
        fclose(message->out);
    }
    pthread_mutex_lock(&question->lock);
    question->texts[message->worker->index] = message->text;
    question->lens[message->worker->index] = message->len;
    question->missing--;
    pthread_cond_signal(&question->answered);
    pthread_mutex_unlock(&question->lock);
    drop(question);
    free(message);
}

static struct question *question_new(struct fg_gateway *gateway, const void *context, size_t context_len)
{
    struct question *question = fg_alloc_zero(sizeof *question);
    unsigned workers = __atomic_load_n(&gateway->started, __ATOMIC_ACQUIRE);
    pthread_condattr_t monotonic;

    question->workers = question->missing = workers;
    question->refs = workers + 1;
    question->texts = fg_alloc_zero(workers * sizeof *question->texts);
    question->lens = fg_alloc_zero(workers * sizeof *question->lens);
    question->context = fg_alloc(context_len);
    if (context_len > 0)
        memcpy(question->context, context, context_len);
    pthread_mutex_init(&question->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&question->answered, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return question;
}

bool fg_gateway_ask(struct fg_gateway *gateway, fg_gateway_fill *fill, const void *context, size_t context_len,
                    const char *separator, FILE *out)
{
    struct question *question = question_new(gateway, context, context_len);
    struct timespec until;
    bool first = true;

    question->fill = fill;
    for (unsigned i = 0; i < question->workers; i++) {
        struct question_mail *message = fg_alloc(sizeof *message);
        *message =
            (struct question_mail){.mail = {.run = run_question}, .question = question, .worker = &gateway->workers[i]};
        fg_mailbox_post(&gateway->workers[i].loop, &message->mail);
    }
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ASK_TIMEOUT_S;
    pthread_mutex_lock(&question->lock);
    while (question->missing > 0)
        if (pthread_cond_timedwait(&question->answered, &question->lock, &until) == ETIMEDOUT)
            break;
    bool complete = question->missing == 0;
    for (unsigned i = 0; i < question->workers; i++) {
        if (question->lens[i] == 0)
            continue;
        if (!first)
            fputs(separator, out);
        fwrite(question->texts[i], 1, question->lens[i], out);
        first = false;
    }
    pthread_mutex_unlock(&question->lock);
    drop(question);
    return complete;
}
