#include "gateway/descriptors.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/log.h"
#include "gateway/gateway.h"
#include "gateway/inspect_int.h"
#include "rpc/http_rule.h"
#include "rpc/message.h"
#include "rpc/reflection.h"

#define ANSWER_NS     (10 * FG_S)  /* for one answer */
#define EXCHANGE_NS   (120 * FG_S) /* for all of them */
#define FIRST_PAUSE   (200 * FG_MS)
#define LONGEST_PAUSE (10 * FG_S)
#define MAX_ANSWER    (FG_DESCRIPTORS_MAX_BYTES)

struct fg_descriptor_source {
    struct fg_gateway *gateway;
    struct fg_worker *worker; /* the first, which asks */
    size_t cluster;
    /* What follows belongs to that worker. */
    struct fg_timer timer;
    struct fg_slot_wait slot;
    struct fg_stream *stream;
    struct fg_reflection *exchange; /* NULL: none is going on */
    struct fg_outq in;
    size_t endpoint; /* that is asked: the same one until it fails */
    bool alpha;      /* it has v1alpha only */
    uint64_t pause_ns, began_ns;
    struct fg_str last; /* the set as it came, malloc: what has not changed is not compiled again */
    bool stopped;
    /* What can be seen, under the lock. */
    pthread_mutex_t lock;
    struct fg_descriptors *latest; /* one reference */
    uint64_t loaded_ns, failures;
    char error[256]; /* of the last attempt; "": it succeeded */
};

static const struct fg_config_cluster *config_of(const struct fg_descriptor_source *source)
{
    return &source->gateway->config->clusters[source->cluster];
}

static bool is_reflection(const struct fg_config_cluster *config)
{
    return strcmp(config->descriptors, "reflection") == 0;
}

/* ---- delivery ---- */

struct delivery {
    struct fg_mail mail;
    struct fg_worker *worker;
    size_t cluster;
    struct fg_descriptors *set; /* one reference */
};

static void swap(struct fg_worker *worker, size_t cluster, struct fg_descriptors *set)
{
    if (worker->clusters_len == 0) { /* it has ended */
        fg_descriptors_unref(set);
        return;
    }
    fg_descriptors_unref(worker->clusters[cluster].descriptors);
    worker->clusters[cluster].descriptors = set;
}

static void deliver(struct fg_mail *mail)
{
    struct delivery *delivery = FG_CONTAINER_OF(mail, struct delivery, mail);

    swap(delivery->worker, delivery->cluster, delivery->set);
    free(delivery);
}

/* On the first worker's thread, or before it runs. */
static void note_success(struct fg_descriptor_source *source)
{
    pthread_mutex_lock(&source->lock);
    source->loaded_ns = fg_clock_now_ns();
    source->error[0] = '\0';
    pthread_mutex_unlock(&source->lock);
    FG_COUNT(&source->worker->stats, descriptors_loaded);
}

/* The same. Takes the reference. RUNNING: the workers may. */
static void publish(struct fg_descriptor_source *source, struct fg_descriptors *set, bool running)
{
    struct fg_gateway *gateway = source->gateway;
    size_t methods;

    (void)fg_descriptors_methods(set, &methods);
    fg_log(FG_LOG_INFO, "cluster %s: descriptors of %zu methods", config_of(source)->name, methods);
    if (fg_descriptors_http_problem(set)[0])
        fg_log(FG_LOG_WARN, "cluster %s: a rule is left out: %s", config_of(source)->name,
               fg_descriptors_http_problem(set));
    pthread_mutex_lock(&source->lock);
    fg_descriptors_unref(source->latest);
    source->latest = set;
    pthread_mutex_unlock(&source->lock);
    for (unsigned i = 0; i < gateway->workers_len; i++) {
        if (!running) {
            swap(&gateway->workers[i], source->cluster, fg_descriptors_ref(set));
            continue;
        }
        struct delivery *delivery = fg_alloc(sizeof *delivery);
        *delivery =
            (struct delivery){.mail.run = deliver, &gateway->workers[i], source->cluster, fg_descriptors_ref(set)};
        fg_mailbox_post(&gateway->workers[i].loop, &delivery->mail);
    }
    note_success(source);
}

static void note_failure(struct fg_descriptor_source *source, const char *why)
{
    pthread_mutex_lock(&source->lock);
    bool news = strcmp(source->error, why) != 0;
    snprintf(source->error, sizeof source->error, "%s", why);
    source->failures++;
    pthread_mutex_unlock(&source->lock);
    FG_COUNT(&source->worker->stats, descriptors_failed);
    if (news)
        fg_log(FG_LOG_WARN, "cluster %s: no new descriptors: %s", config_of(source)->name, why);
}

/* ---- reflection ---- */

static void ask_later(struct fg_descriptor_source *source, uint64_t pause_ns)
{
    if (!source->stopped && pause_ns > 0)
        fg_timer_arm(&source->worker->loop.timers, &source->timer, source->worker->loop.now_ns + pause_ns);
}

static void end_exchange(struct fg_descriptor_source *source)
{
    struct fg_stream *stream = source->stream;

    source->stream = NULL;
    fg_timer_cancel(&source->worker->loop.timers, &source->timer);
    fg_endpoint_cancel(&source->slot);
    fg_outq_cleanup(&source->in);
    fg_reflection_free(source->exchange);
    source->exchange = NULL;
    if (stream)
        fg_stream_reset(stream, FG_H2_CANCEL);
}

static void fail(struct fg_descriptor_source *source, const char *why)
{
    char text[256];

    snprintf(text, sizeof text, "%s", why);
    end_exchange(source);
    if (source->stopped)
        return;
    source->endpoint++;
    source->alpha = false;
    note_failure(source, text);
    ask_later(source, source->pause_ns);
    source->pause_ns = FG_MIN(2 * source->pause_ns, (uint64_t)LONGEST_PAUSE);
}

static void keep_last(struct fg_descriptor_source *source, struct fg_str set)
{
    char *copy = fg_alloc(set.len);

    memcpy(copy, set.p, set.len);
    free((char *)(uintptr_t)source->last.p);
    source->last = (struct fg_str){copy, set.len};
}

static void finish(struct fg_descriptor_source *source)
{
    struct fg_str bytes = fg_reflection_set(source->exchange);
    bool is_known = source->last.p && fg_str_eq(bytes, source->last);
    struct fg_descriptors_error error;
    struct fg_descriptors *set = NULL;

    if (!is_known && fg_reflection_finish(source->exchange, &set, &error) != 0) {
        fail(source, error.text);
        return;
    }
    if (!is_known)
        keep_last(source, bytes);
    end_exchange(source);
    if (is_known)
        note_success(source);
    else
        publish(source, set, true);
    source->pause_ns = FIRST_PAUSE;
    ask_later(source, config_of(source)->descriptors_refresh_ns);
}

/* The next question, or the end. */
static void go_on(struct fg_descriptor_source *source)
{
    struct fg_str request;
    struct fg_outq message;

    if (!fg_reflection_next(source->exchange, &request)) {
        finish(source);
        return;
    }
    fg_timer_arm(&source->worker->loop.timers, &source->timer,
                 FG_MIN(source->worker->loop.now_ns + ANSWER_NS, source->began_ns + EXCHANGE_NS));
    fg_outq_init(&message, &source->worker->loop.mem);
    fg_message_put_prefix(&message, 0, request.len);
    fg_outq_copy(&message, request.p, request.len);
    while (message.bytes > 0)
        fg_stream_send_data(source->stream, fg_outq_take(&message), false);
}

static void on_ended(struct fg_descriptor_source *source, const struct fg_headers *fields)
{
    const struct fg_header *field = fg_headers_get(fields, FG_TOKEN_GRPC_STATUS);
    enum fg_status code = FG_STATUS_UNKNOWN;
    char text[128];

    if (field)
        fg_status_parse(field->value, &code);
    if (code == FG_STATUS_UNIMPLEMENTED && !source->alpha) {
        source->alpha = true;
        end_exchange(source);
        ask_later(source, FG_MS);
        return;
    }
    snprintf(text, sizeof text, "the reflection service answered %s%s",
             field ? fg_status_name(code) : "without a status",
             code == FG_STATUS_UNIMPLEMENTED ? ": the endpoint has none" : "");
    fail(source, text);
}

static void on_headers(struct fg_stream *stream, struct fg_headers *headers, unsigned flags)
{
    struct fg_descriptor_source *source = stream->user;

    if (!(flags & FG_H2_INFORMATIONAL) && flags & FG_H2_END_STREAM)
        on_ended(source, headers);
}

static void take_answer(struct fg_descriptor_source *source, const struct fg_outq *content)
{
    char *bytes = fg_alloc(content->bytes + 1);
    const char *error;

    fg_outq_read(content, bytes, content->bytes);
    int rc = fg_reflection_take(source->exchange, (struct fg_str){bytes, content->bytes}, &error);
    free(bytes);
    if (rc != 0)
        fail(source, error);
    else
        go_on(source);
}

static void on_data(struct fg_stream *stream, struct fg_buf buf, bool end)
{
    struct fg_descriptor_source *source = stream->user;
    enum fg_message_result result = FG_MESSAGE_NONE;
    struct fg_outq content;
    uint8_t flags;

    fg_outq_keep(&source->in, buf);
    fg_stream_consume(stream, buf.len);
    fg_outq_init(&content, &source->worker->loop.mem);
    while (source->exchange &&
           (result = fg_message_take(&source->in, MAX_ANSWER, &flags, &content)) == FG_MESSAGE_WHOLE) {
        if (flags & FG_MESSAGE_COMPRESSED)
            fail(source, "the reflection service compresses although it was not asked to");
        else
            take_answer(source, &content);
        fg_outq_cleanup(&content);
    }
    if (source->exchange && result == FG_MESSAGE_TOO_LARGE)
        fail(source, "an answer of the reflection service is over 32 MiB");
    else if (source->exchange && end)
        fail(source, "the reflection service ended without a status");
}

static void on_sent(struct fg_stream *stream, size_t bytes)
{
    (void)stream;
    (void)bytes;
}

static void on_close(struct fg_stream *stream, const struct fg_h2_close *why)
{
    struct fg_descriptor_source *source = stream->user;

    source->stream = NULL;
    if (source->exchange)
        fail(source, why->reason && why->reason[0] ? why->reason : "the reflection service reset the stream");
}

static const struct fg_stream_events events = {on_headers, on_data, on_sent, on_close};

static void on_slot(struct fg_slot_wait *slot, struct fg_conn *conn)
{
    struct fg_descriptor_source *source = FG_CONTAINER_OF(slot, struct fg_descriptor_source, slot);
    const struct fg_config_cluster *config = config_of(source);
    struct fg_headers headers;
    struct fg_arena arena;

    fg_arena_init(&arena, &source->worker->loop.mem);
    fg_headers_init(&headers);
    fg_headers_add_token(&headers, &arena, FG_TOKEN_METHOD, FG_STR("POST"));
    fg_headers_add_token(&headers, &arena, FG_TOKEN_SCHEME, config->tls.enabled ? FG_STR("https") : FG_STR("http"));
    fg_headers_add_token(&headers, &arena, FG_TOKEN_PATH,
                         source->alpha ? FG_STR("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
                                       : FG_STR("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"));
    fg_headers_add_token(&headers, &arena, FG_TOKEN_AUTHORITY,
                         config->tls.server_name ? fg_str_from(config->tls.server_name)
                                                 : ((struct fg_endpoint *)conn->user)->name);
    fg_headers_add_token(&headers, &arena, FG_TOKEN_CONTENT_TYPE, FG_STR("application/grpc"));
    fg_headers_add_token(&headers, &arena, FG_TOKEN_TE, FG_STR("trailers"));
    source->stream = fg_conn_request(conn, &headers, false, &events, source);
    fg_arena_cleanup(&arena);
    go_on(source);
}

static void on_failed(struct fg_slot_wait *slot, const char *why)
{
    struct fg_descriptor_source *source = FG_CONTAINER_OF(slot, struct fg_descriptor_source, slot);
    fail(source, why);
}

static void begin(struct fg_descriptor_source *source)
{
    struct fg_cluster *cluster = &source->worker->clusters[source->cluster];
    struct fg_endpoint *endpoint = &cluster->endpoints[source->endpoint % cluster->endpoints_len];
    const char *why;

    source->exchange = fg_reflection_new(source->worker->env.seed);
    source->began_ns = source->worker->loop.now_ns;
    source->slot = (struct fg_slot_wait){.on_slot = on_slot, .on_failed = on_failed};
    fg_timer_arm(&source->worker->loop.timers, &source->timer, source->began_ns + ANSWER_NS);
    struct fg_conn *conn = fg_endpoint_find_slot(endpoint);
    if (conn)
        on_slot(&source->slot, conn);
    else if (fg_endpoint_wait(endpoint, &source->slot, 1, 1, 0, &why) != 0)
        fail(source, why);
}

static void on_timer(struct fg_timer *timer, uint64_t now_ns)
{
    struct fg_descriptor_source *source = FG_CONTAINER_OF(timer, struct fg_descriptor_source, timer);
    (void)now_ns;

    if (source->stopped)
        return;
    if (source->exchange)
        fail(source, "the reflection service did not answer in time");
    else
        begin(source);
}

/* ---- files ---- */

static int load(struct fg_descriptor_source *source, char *error, size_t error_len)
{
    const struct fg_config_cluster *config = config_of(source);
    struct fg_descriptors_error why;
    struct fg_descriptors *set;

    if (fg_descriptors_load(config->descriptors, &set, &why) != 0) {
        snprintf(error, error_len, "cluster %s: descriptors %s: %s", config->name, config->descriptors, why.text);
        return -1;
    }
    publish(source, set, false);
    return 0;
}

/* A file that was read again, for the first worker, which counts. */
struct reread {
    struct fg_mail mail;
    struct fg_descriptor_source *source;
    struct fg_descriptors *set; /* one reference; NULL: it is no good */
    struct fg_descriptors_error error;
};

static void take_reread(struct fg_mail *mail)
{
    struct reread *reread = FG_CONTAINER_OF(mail, struct reread, mail);

    if (reread->source->stopped)
        fg_descriptors_unref(reread->set);
    else if (reread->set)
        publish(reread->source, reread->set, true);
    else
        note_failure(reread->source, reread->error.text);
    free(reread);
}

/* ---- life ---- */

int fg_descriptor_sources_init(struct fg_gateway *gateway, char *error, size_t error_len)
{
    const struct fg_config *config = gateway->config;

    gateway->descriptors = fg_alloc_zero(config->clusters_len * sizeof *gateway->descriptors);
    for (size_t i = 0; i < config->clusters_len; i++) {
        if (!config->clusters[i].descriptors)
            continue;
        struct fg_descriptor_source *source = fg_alloc_zero(sizeof *source);
        gateway->descriptors[i] = source;
        source->gateway = gateway;
        source->worker = &gateway->workers[0];
        source->cluster = i;
        source->pause_ns = FIRST_PAUSE;
        pthread_mutex_init(&source->lock, NULL);
        fg_timer_init(&source->timer, on_timer);
        fg_outq_init(&source->in, &source->worker->loop.mem);
        if (is_reflection(&config->clusters[i]))
            fg_timer_arm(&source->worker->loop.timers, &source->timer, source->worker->loop.now_ns + FG_MS);
        else if (load(source, error, error_len) != 0)
            return -1;
    }
    return 0;
}

void fg_descriptor_sources_stop(struct fg_gateway *gateway)
{
    for (size_t i = 0; gateway->descriptors && i < gateway->config->clusters_len; i++) {
        struct fg_descriptor_source *source = gateway->descriptors[i];
        if (!source)
            continue;
        source->stopped = true;
        end_exchange(source);
    }
}

void fg_descriptor_sources_cleanup(struct fg_gateway *gateway)
{
    for (size_t i = 0; gateway->descriptors && i < gateway->config->clusters_len; i++) {
        struct fg_descriptor_source *source = gateway->descriptors[i];
        if (!source)
            continue;
        fg_descriptors_unref(source->latest);
        free((char *)(uintptr_t)source->last.p);
        pthread_mutex_destroy(&source->lock);
        free(source);
    }
    free(gateway->descriptors);
}

void fg_descriptor_sources_refresh(struct fg_gateway *gateway)
{
    for (size_t i = 0; i < gateway->config->clusters_len; i++) {
        struct fg_descriptor_source *source = gateway->descriptors[i];
        if (!source || is_reflection(config_of(source)))
            continue;
        struct reread *reread = fg_alloc_zero(sizeof *reread);
        *reread = (struct reread){.mail.run = take_reread, .source = source};
        if (fg_descriptors_load(config_of(source)->descriptors, &reread->set, &reread->error) != 0)
            reread->set = NULL;
        fg_mailbox_post(&source->worker->loop, &reread->mail);
    }
}

struct fg_descriptors *fg_descriptor_source_latest(struct fg_gateway *gateway, size_t cluster)
{
    struct fg_descriptor_source *source = gateway->descriptors[cluster];
    struct fg_descriptors *set = NULL;

    if (!source)
        return NULL;
    pthread_mutex_lock(&source->lock);
    if (source->latest)
        set = fg_descriptors_ref(source->latest);
    pthread_mutex_unlock(&source->lock);
    return set;
}

void fg_descriptor_source_print(struct fg_gateway *gateway, size_t cluster, FILE *out)
{
    struct fg_descriptor_source *source = gateway->descriptors[cluster];
    size_t methods = 0;

    if (!source) {
        fputs("null", out);
        return;
    }
    pthread_mutex_lock(&source->lock);
    if (source->latest)
        (void)fg_descriptors_methods(source->latest, &methods);
    fputs("{\"source\": ", out);
    fg_inspect_put_string(out, fg_str_from(config_of(source)->descriptors));
    fprintf(out, ", \"methods\": %zu, \"age_ms\": ", methods);
    if (source->latest)
        fprintf(out, "%.0f", (double)(fg_clock_now_ns() - source->loaded_ns) / FG_MS);
    else
        fputs("null", out);
    fprintf(out, ", \"failures\": %llu, \"error\": ", (unsigned long long)source->failures);
    fg_inspect_put_string(out, fg_str_from(source->error));
    fputs("}", out);
    pthread_mutex_unlock(&source->lock);
}
