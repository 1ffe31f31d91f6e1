/* A restaurant's kitchen: the gRPC service of the demo and of the end-to-end tests, on fusegate's own HTTP/2 engine.
 * Read it as an example of a server on that engine: grpc_service.h is the layer between, kitchen.c the business. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "control.h"
#include "echo.h"
#include "kitchen.h"

#define DRAIN_NS (5 * FG_S) /* for calls in progress after SIGTERM */

struct options {
    char host[64];
    uint16_t port;
    const char *name;
    struct fault fault;
    const char *certificate, *key; /* NULL: no TLS */
    uint32_t max_streams;
};

struct restaurant {
    struct fg_loop loop;
    struct grpc_server server;
    struct kitchen kitchen;
    struct echo echo;
    struct control control;
    struct fg_watch signals;
    struct fg_timer drain_timer;
};

/* ---- command line ---- */

static void usage(FILE *to)
{
    fprintf(to, "usage: restaurant --listen HOST:PORT [--name NAME] [--fault KIND[=VALUE]] [--max-streams N]\n"
                "                  [--tls-cert FILE --tls-key FILE]\n\n"
                "Port 0 takes a free one. The first line on standard output says where it listens.\n"
                "Faults, that every call of the order and echo services gets:\n");
    for (int kind = 0; kind < FAULT_LEN; kind++)
        fprintf(to, "  %-14s %s\n", fault_name((enum fault_kind)kind), fault_text((enum fault_kind)kind));
}

/* A decimal number up to MOST; -1: it is not. */
static int parse_number(const char *text, unsigned long most, unsigned long *out)
{
    char *end;

    if (text[0] < '0' || text[0] > '9')
        return -1;
    *out = strtoul(text, &end, 10);
    return *end == '\0' && *out <= most ? 0 : -1;
}

static int parse_listen(const char *text, struct options *options)
{
    const char *colon = strrchr(text, ':');
    unsigned long port;

    if (!colon || (size_t)(colon - text) >= sizeof options->host || parse_number(colon + 1, UINT16_MAX, &port) != 0)
        return -1;
    memcpy(options->host, text, (size_t)(colon - text));
    options->host[colon - text] = '\0';
    options->port = (uint16_t)port;
    return 0;
}

static int parse_option(const char *name, const char *value, struct options *options)
{
    unsigned long number;

    if (strcmp(name, "--listen") == 0)
        return parse_listen(value, options);
    if (strcmp(name, "--fault") == 0)
        return fault_parse(value, &options->fault);
    if (strcmp(name, "--name") == 0) {
        options->name = value;
        return kitchen_name_is_valid(value) ? 0 : -1;
    }
    if (strcmp(name, "--max-streams") == 0) {
        if (parse_number(value, 1000000, &number) != 0 || number == 0)
            return -1;
        options->max_streams = (uint32_t)number;
        return 0;
    }
    if (strcmp(name, "--tls-cert") == 0)
        options->certificate = value;
    else if (strcmp(name, "--tls-key") == 0)
        options->key = value;
    else
        return -1;
    return 0;
}

static int parse(int argc, char **argv, struct options *options)
{
    *options = (struct options){.name = "kitchen", .max_streams = 1000};
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc || parse_option(argv[i], argv[i + 1], options) != 0) {
            fprintf(stderr, "restaurant: cannot use %s %s\n", argv[i], i + 1 < argc ? argv[i + 1] : "without a value");
            return -1;
        }
    }
    if (options->host[0] == '\0' || !options->certificate != !options->key) {
        fprintf(stderr, "restaurant: --listen is needed, and --tls-cert and --tls-key only together\n");
        return -1;
    }
    return 0;
}

/* ---- the end ---- */

static void on_drain_timeout(struct fg_timer *timer, uint64_t now_ns)
{
    struct restaurant *restaurant = FG_CONTAINER_OF(timer, struct restaurant, drain_timer);
    (void)now_ns;
    fg_loop_stop(&restaurant->loop);
}

/* The first signal drains, the second one ends at once. */
static void on_signal(struct fg_watch *watch, unsigned ready)
{
    struct restaurant *restaurant = FG_CONTAINER_OF(watch, struct restaurant, signals);
    struct signalfd_siginfo info;
    (void)ready;

    if (read(watch->fd, &info, sizeof info) != (ssize_t)sizeof info)
        return;
    if (restaurant->server.draining) {
        fg_loop_stop(&restaurant->loop);
        return;
    }
    grpc_server_drain(&restaurant->server);
    fg_timer_arm(&restaurant->loop.timers, &restaurant->drain_timer, restaurant->loop.now_ns + DRAIN_NS);
}

static int watch_signals(struct restaurant *restaurant)
{
    sigset_t set;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    restaurant->signals = (struct fg_watch){.fd = fd, .interest = FG_READABLE, .on_ready = on_signal};
    return fd < 0 ? -1 : fg_watch_add(&restaurant->loop, &restaurant->signals);
}

/* ---- the beginning ---- */

static int load_certificate(const struct options *options, struct fg_tls_context **out, char *error, size_t error_len)
{
    static const char *const alpn[] = {"h2", NULL};
    struct fg_tls_certificate certificate = {options->certificate, options->key};
    struct fg_tls_server_options tls = {.certificates = &certificate,
                                        .certificates_len = 1,
                                        .min_version = 12,
                                        .session_resumption = true,
                                        .alpn = alpn};

    *out = NULL;
    if (!options->certificate)
        return 0;
    *out = fg_tls_server_new(&tls, error, error_len);
    return *out ? 0 : -1;
}

/* Listens and tells where. */
static int open_door(struct restaurant *restaurant, const struct options *options, char *error, size_t error_len)
{
    struct fg_address address;
    char text[FG_ADDRESS_TEXT_BYTES];

    if (fg_address_resolve(&address, options->host, options->port, error, error_len) != 0)
        return -1;
    if (options->port != 0 && fg_socket_probe_free(&address, error, error_len) != 0)
        return -1;
    int fd = fg_socket_listen(&address, error, error_len);
    if (fd < 0)
        return -1;
    if (fg_server_start(&restaurant->server.http, fd) != 0) {
        snprintf(error, error_len, "cannot watch the listening socket");
        close(fd);
        return -1;
    }
    address.len = sizeof address.storage;
    if (getsockname(fd, (struct sockaddr *)&address.storage, &address.len) != 0)
        return -1;
    fg_address_format(&address, text, sizeof text);
    printf("listening on %s\n", text);
    fflush(stdout);
    return 0;
}

static void set_up(struct restaurant *restaurant, const struct options *options, struct fg_tls_context *tls)
{
    struct fg_h2_options limits = fg_h2_server_defaults();

    limits.max_concurrent_streams = options->max_streams;
    limits.stream_window = 1u << 20;
    limits.connection_window = 64u << 20;
    /* Tests reset and time out on purpose. */
    limits.reset_ratio = 1;
    grpc_server_init(&restaurant->server, &restaurant->loop, &limits);
    restaurant->server.http.watch.fd = -1; /* the door is closed yet */
    restaurant->server.http.side.tls = tls;
    restaurant->server.http.side.handshake_timeout_ns = 10 * FG_S;

    kitchen_init(&restaurant->kitchen, options->name);
    restaurant->echo.kitchen = restaurant->kitchen.book.kitchen;
    restaurant->control = (struct control){options->fault, &restaurant->kitchen.book};
    kitchen_add_to(&restaurant->kitchen, &restaurant->server);
    echo_add_to(&restaurant->echo, &restaurant->server);
    control_add_to(&restaurant->control, &restaurant->server);
    fg_timer_init(&restaurant->drain_timer, on_drain_timeout);
}

static void tear_down(struct restaurant *restaurant)
{
    grpc_server_cleanup(&restaurant->server);
    kitchen_cleanup(&restaurant->kitchen);
    fg_timer_cancel(&restaurant->loop.timers, &restaurant->drain_timer);
    fg_watch_remove(&restaurant->loop, &restaurant->signals);
    close(restaurant->signals.fd);
    fg_loop_cleanup(&restaurant->loop);
}

int main(int argc, char **argv)
{
    static struct restaurant restaurant;
    struct options options;
    struct fg_tls_context *tls;
    char error[512] = "";

    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        usage(stdout);
        return 0;
    }
    if (parse(argc, argv, &options) != 0) {
        usage(stderr);
        return 2;
    }
    if (load_certificate(&options, &tls, error, sizeof error) != 0) {
        fprintf(stderr, "restaurant: %s\n", error);
        return 1;
    }
    if (fg_loop_init(&restaurant.loop) != 0 || watch_signals(&restaurant) != 0) {
        fprintf(stderr, "restaurant: the system refuses file descriptors\n");
        return 1;
    }
    set_up(&restaurant, &options, tls);
    int result = open_door(&restaurant, &options, error, sizeof error) == 0 ? 0 : 1;
    if (result == 0)
        fg_loop_run(&restaurant.loop);
    else
        fprintf(stderr, "restaurant: %s\n", error);
    tear_down(&restaurant);
    return result;
}
