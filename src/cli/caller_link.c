#include "cli/caller_link.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/cli.h"
#include "http/server.h"

#define MAX_HEADER_BYTES (1u << 20)
#define MAX_FIELDS       1000
#define WINDOW_BYTES     (4u << 20)

static struct fg_caller_link *link_of(struct fg_conn *conn)
{
    return conn->side->owner;
}

static void finish(struct fg_caller_link *link, enum fg_caller_end end)
{
    if (link->end == FG_CALLER_GOES_ON)
        link->end = end;
}

/* ---- the connection ---- */

static void no_request(struct fg_stream *stream, struct fg_headers *headers, unsigned flags)
{
    (void)headers;
    (void)flags;
    fg_stream_reset(stream, FG_H2_REFUSED_STREAM); /* servers cannot open streams: the engine refuses push */
}

static void on_slots(struct fg_conn *conn)
{
    struct fg_caller_link *link = link_of(conn);

    if (fg_conn_free_slots(conn) > 0)
        link->is_ready = true;
}

static void on_closed(struct fg_conn *conn, const char *why)
{
    struct fg_caller_link *link = link_of(conn);

    if (conn != link->conn)
        return; /* it was given up for another one */
    link->conn = NULL;
    snprintf(link->why, sizeof link->why, "%s", why);
}

static const struct fg_conn_events events = {no_request, NULL, on_slots, on_closed};

/* ---- time and signals ---- */

static void on_deadline(struct fg_timer *timer, uint64_t now_ns)
{
    struct fg_caller_link *link = FG_CONTAINER_OF(timer, struct fg_caller_link, deadline);
    (void)now_ns;

    snprintf(link->why, sizeof link->why, "--timeout, %.6g s, has run out",
             (double)link->options->timeout_ns / (double)FG_S);
    finish(link, FG_CALLER_TIMED_OUT);
}

static void on_connecting(struct fg_timer *timer, uint64_t now_ns)
{
    struct fg_caller_link *link = FG_CONTAINER_OF(timer, struct fg_caller_link, connecting);
    const struct fg_conn *conn = link->conn;
    (void)now_ns;

    snprintf(link->why, sizeof link->why, "%s within %.6g s",
             !conn || conn->state <= FG_CONN_CONNECTING ? "no connection"
             : conn->state == FG_CONN_HANDSHAKE         ? "no TLS handshake"
                                                        : "connected, but no sign of HTTP/2",
             (double)link->options->connect_timeout_ns / (double)FG_S);
    finish(link, FG_CALLER_LOST);
}

static void on_signal(struct fg_watch *watch, unsigned ready)
{
    struct fg_caller_link *link = FG_CONTAINER_OF(watch, struct fg_caller_link, signals);
    struct signalfd_siginfo info;
    (void)ready;

    if (read(watch->fd, &info, sizeof info) == sizeof info)
        finish(link, FG_CALLER_INTERRUPTED);
}

static bool watch_signals(struct fg_caller_link *link)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    link->signals = (struct fg_watch){signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), FG_READABLE, on_signal};
    if (link->signals.fd < 0 || fg_watch_add(&link->loop, &link->signals) != 0)
        return false;
    sigprocmask(SIG_BLOCK, &set, NULL);
    return true;
}

/* ---- life ---- */

/* What is offered by ALPN depends on what is to be spoken. */
static bool init_tls(struct fg_caller_link *link, bool http1)
{
    const struct fg_caller_options *options = link->options;
    static const char *const h2[] = {"h2", NULL}, *const h1[] = {"http/1.1", NULL};
    struct fg_tls_client_options tls = {.ca = options->ca,
                                        .certificate = options->certificate,
                                        .key = options->key,
                                        .verify = !options->insecure,
                                        .min_version = 12,
                                        .alpn = http1 ? h1 : h2};

    fg_tls_context_unref(link->side.tls);
    link->side.tls = fg_tls_client_new(&tls, link->why, sizeof link->why);
    return link->side.tls != NULL;
}

int fg_caller_link_init(struct fg_caller_link *link, const struct fg_caller_options *options)
{
    struct fg_h2_options limits = fg_h2_server_defaults();
    char why[256];

    *link = (struct fg_caller_link){.options = options, .deadline_ns = FG_NEVER, .signals.fd = -1};
    int error = fg_loop_init(&link->loop);
    if (error != 0) {
        fg_caller_say("no event loop: %s", strerror(-error));
        return FG_EXIT_FAILED;
    }
    limits.role = FG_H2_CLIENT;
    limits.max_header_list = MAX_HEADER_BYTES;
    limits.max_header_fields = MAX_FIELDS;
    limits.max_continuations = MAX_FIELDS;
    limits.stream_window = limits.connection_window = WINDOW_BYTES;
    fg_conn_side_init(&link->side, &link->loop, &link->stats, &limits, &events, link);
    fg_timer_init(&link->deadline, on_deadline);
    fg_timer_init(&link->connecting, on_connecting);
    link->began_ns = fg_clock_now_ns();
    if (options->timeout_ns)
        link->deadline_ns = link->began_ns + options->timeout_ns;
    if (!options->has_url)
        return -1;
    if (fg_address_resolve(&link->address, options->url.host, options->url.port, why, sizeof why) != 0) {
        fg_caller_say("%.*s: %s", (int)options->url.authority.len, options->url.authority.p, why);
        return FG_EXIT_FAILED;
    }
    if (!watch_signals(link)) {
        fg_caller_say("signals cannot be awaited");
        return FG_EXIT_FAILED;
    }
    fg_timer_arm(&link->loop.timers, &link->deadline, link->deadline_ns);
    return -1;
}

void fg_caller_link_cleanup(struct fg_caller_link *link)
{
    if (!link->side.loop)
        return;
    link->conn = NULL;
    fg_conn_side_cleanup(&link->side);
    fg_timer_cancel(&link->loop.timers, &link->deadline);
    fg_timer_cancel(&link->loop.timers, &link->connecting);
    if (link->signals.fd >= 0) {
        fg_watch_remove(&link->loop, &link->signals);
        close(link->signals.fd);
    }
    fg_loop_cleanup(&link->loop);
}

bool fg_caller_link_turn(struct fg_caller_link *link, int timeout_ms)
{
    fg_loop_turn(&link->loop, timeout_ms);
    if (!link->conn)
        finish(link, FG_CALLER_LOST);
    return link->end == FG_CALLER_GOES_ON;
}

bool fg_caller_link_open(struct fg_caller_link *link, bool http1)
{
    const struct fg_caller_options *options = link->options;
    struct fg_conn *earlier = link->conn;
    char address[FG_ADDRESS_TEXT_BYTES];
    int error = 0;

    if (earlier && fg_conn_free_slots(earlier) > 0 && fg_conn_is_h2(earlier) == !http1)
        return true;
    link->conn = NULL;
    if (earlier)
        fg_conn_close(earlier, "another one is opened");
    link->is_ready = false;
    link->side.speaks = http1 ? FG_SPEAKS_H1 : FG_SPEAKS_H2;
    uint64_t began_ns = fg_clock_now_ns();
    if (!options->url.tls || init_tls(link, http1)) {
        link->conn = fg_conn_connect(&link->side, &link->address, options->url.host, &error);
        if (!link->conn)
            snprintf(link->why, sizeof link->why, "%s", strerror(-error));
    }
    if (!link->conn) {
        finish(link, FG_CALLER_LOST);
        return false;
    }
    fg_timer_arm(&link->loop.timers, &link->connecting, began_ns + options->connect_timeout_ns);
    while (!link->is_ready)
        if (!fg_caller_link_turn(link, -1))
            return false;
    fg_timer_cancel(&link->loop.timers, &link->connecting);
    if (options->verbose) {
        fg_address_format(&link->address, address, sizeof address);
        fprintf(stderr, "* connected to %s with %s%s after %.1f ms\n", address, options->url.tls ? "TLS and " : "",
                http1 ? "HTTP/1.1" : "HTTP/2", (double)(fg_clock_now_ns() - began_ns) / FG_MS);
    }
    return true;
}

bool fg_caller_link_wait_output(struct fg_caller_link *link)
{
    struct pollfd fds[] = {{.fd = STDOUT_FILENO, .events = POLLOUT}, {.fd = link->signals.fd, .events = POLLIN}};

    while (link->end == FG_CALLER_GOES_ON) {
        uint64_t now_ns = fg_clock_now_ns();
        uint64_t left_ms = link->deadline_ns > now_ns ? (link->deadline_ns - now_ns) / FG_MS + 1 : 0;
        int n = poll(fds, FG_ARRAY_LEN(fds), link->deadline_ns == FG_NEVER ? -1 : (int)FG_MIN(left_ms, 1000000u));
        if (n > 0 && fds[1].revents)
            on_signal(&link->signals, FG_READABLE);
        else if (n > 0)
            return true;
        else if (n == 0 && left_ms == 0)
            on_deadline(&link->deadline, now_ns);
    }
    return false;
}

int fg_caller_link_complain(const struct fg_caller_link *link)
{
    const struct fg_caller_url *url = &link->options->url;
    bool was_h2 = link->side.speaks == FG_SPEAKS_H2;

    if (link->end == FG_CALLER_INTERRUPTED) {
        fg_caller_say("interrupted: the call was cancelled");
        return FG_EXIT_INTERRUPTED;
    }
    fg_caller_say("%.*s: %s%s", (int)url->authority.len, url->authority.p, link->why,
                  link->end == FG_CALLER_LOST && link->stats.upstream_read_bytes > 0 && !link->is_ready && was_h2
                      ? "; does it speak HTTP/2 here? (https:// and --http1 are other ways)"
                      : "");
    return FG_EXIT_FAILED;
}
