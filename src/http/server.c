#include "http/server.h"

#include <errno.h>
#include <unistd.h>

#include "base/log.h"

#define ACCEPTS_PER_TURN 64
#define RETRY_NS         (100 * FG_MS)

static bool admit(struct fg_server *server)
{
    uint32_t open = __atomic_add_fetch(server->connections, 1, __ATOMIC_RELAXED);

    if (server->max_connections == 0 || open <= server->max_connections)
        return true;
    __atomic_sub_fetch(server->connections, 1, __ATOMIC_RELAXED);
    FG_COUNT(server->side.stats, downstream_connections_refused);
    return false;
}

/* Out of descriptors or memory: stop asking for a moment, or the loop would spin on a socket that stays readable. */
static void pause_accepting(struct fg_server *server, int error)
{
    struct fg_loop *loop = server->side.loop;

    FG_COUNT(server->side.stats, accept_errors);
    fg_log(FG_LOG_WARN, "cannot accept a connection: %s; trying again in 100 ms (raise the limit of open files?)",
           strerror(-error));
    fg_watch_set_interest(loop, &server->watch, 0);
    fg_timer_arm(&loop->timers, &server->retry, loop->now_ns + RETRY_NS);
}

static void on_retry(struct fg_timer *timer, uint64_t now_ns)
{
    struct fg_server *server = FG_CONTAINER_OF(timer, struct fg_server, retry);
    (void)now_ns;
    fg_watch_set_interest(server->side.loop, &server->watch, FG_READABLE);
}

static void on_ready(struct fg_watch *watch, unsigned ready)
{
    struct fg_server *server = FG_CONTAINER_OF(watch, struct fg_server, watch);
    (void)ready;

    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct fg_address peer;
        int fd = fg_socket_accept(watch->fd, &peer);
        if (fd == -EAGAIN || fd == -EWOULDBLOCK)
            return;
        if (fd == -ECONNABORTED || fd == -EINTR)
            continue;
        if (fd < 0) {
            pause_accepting(server, fd);
            return;
        }
        if (!admit(server)) {
            close(fd);
            continue;
        }
        if (!fg_conn_accept(&server->side, fd, &peer))
            __atomic_sub_fetch(server->connections, 1, __ATOMIC_RELAXED);
    }
}

int fg_server_start(struct fg_server *server, int listen_fd)
{
    server->watch = (struct fg_watch){.fd = listen_fd, .interest = FG_READABLE, .on_ready = on_ready};
    fg_timer_init(&server->retry, on_retry);
    return fg_watch_add(server->side.loop, &server->watch);
}

void fg_server_on_closed(struct fg_server *server)
{
    __atomic_sub_fetch(server->connections, 1, __ATOMIC_RELAXED);
}

void fg_server_stop_accepting(struct fg_server *server)
{
    if (server->watch.fd < 0)
        return;
    fg_timer_cancel(&server->side.loop->timers, &server->retry);
    fg_watch_remove(server->side.loop, &server->watch);
    close(server->watch.fd);
    server->watch.fd = -1;
}

struct fg_h2_options fg_h2_server_defaults(void)
{
    return (struct fg_h2_options){
        .role = FG_H2_SERVER,
        .max_concurrent_streams = 100,
        .stream_window = 256u << 10,
        .connection_window = 100 * (256u << 10),
        .max_frame_size = FG_H2_MIN_MAX_FRAME,
        .header_table_size = 4096,
        .max_header_list = 64u << 10,
        .max_header_fields = 100,
        .max_continuations = 8,
        .header_timeout_ns = 5 * FG_S,
        .preface_timeout_ns = 10 * FG_S,
        .settings_timeout_ns = 10 * FG_S,
        .idle_timeout_ns = 300 * FG_S,
        .keepalive_interval_ns = 60 * FG_S,
        .keepalive_timeout_ns = 20 * FG_S,
        .write_stall_timeout_ns = 300 * FG_S,
        .reset_burst = 1000,
        .reset_rate = 33,
        .reset_ratio = 0.5,
        .reset_ratio_minimum = 500,
        .ping_rate = 10,
        .settings_rate = 10,
        .queued_control_frames = 1000,
        .empty_data_frames = 1,
        .error_burst = 100,
        .error_rate = 10,
    };
}
