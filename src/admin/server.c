#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin/server_int.h"
#include "base/crash.h"
#include "base/log.h"

#define MAX_CONNECTIONS 64
#define TIMEOUT_NS      (10 * FG_S)
#define FOLLOW_EVERY_NS (100 * FG_MS)

static void destroy(struct fg_admin_connection *connection)
{
    struct fg_admin *admin = connection->admin;

    fg_watch_remove(&admin->loop, &connection->watch);
    fg_timer_cancel(&admin->loop.timers, &connection->timer);
    fg_list_remove(&connection->node);
    close(connection->watch.fd);
    free(connection->out);
    fg_admin_end_following(connection);
    free(connection);
    admin->open--;
}

/* ---- bytes ---- */

static void arm(struct fg_admin_connection *connection, uint64_t in_ns)
{
    fg_timer_arm(&connection->admin->loop.timers, &connection->timer, fg_clock_now_ns() + in_ns);
}

/* False: the connection is gone. */
static bool write_out(struct fg_admin_connection *connection)
{
    struct fg_loop *loop = &connection->admin->loop;

    while (connection->out_at < connection->out_len) {
        ssize_t n = send(connection->watch.fd, connection->out + connection->out_at,
                         connection->out_len - connection->out_at, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            fg_watch_set_interest(loop, &connection->watch, FG_WRITABLE);
            if (!fg_timer_armed(&connection->timer)) /* what is said to a follower has as much time as an answer */
                arm(connection, TIMEOUT_NS);
            return true;
        }
        if (n < 0) {
            destroy(connection);
            return false;
        }
        connection->out_at += (size_t)n;
    }
    free(connection->out);
    connection->out = NULL;
    connection->out_len = connection->out_at = 0;
    if (connection->close_after && !connection->follow) {
        shutdown(connection->watch.fd, SHUT_WR);
        destroy(connection);
        return false;
    }
    fg_watch_set_interest(loop, &connection->watch, FG_READABLE);
    if (connection->follow)
        arm(connection, FOLLOW_EVERY_NS);
    return true;
}

/* Either the peer takes or sends nothing, or it is time to look for something new for a follower. */
static void on_timer(struct fg_timer *timer, uint64_t now_ns)
{
    struct fg_admin_connection *connection = FG_CONTAINER_OF(timer, struct fg_admin_connection, timer);

    if (!connection->follow || connection->out) {
        destroy(connection);
        return;
    }
    fg_admin_follow_on(connection, now_ns);
    (void)write_out(connection);
}

/* Requests in the buffer, one answer at a time. Behind one without end there is none. */
static void go_on(struct fg_admin_connection *connection)
{
    while (!connection->out && !connection->follow) {
        if (!fg_admin_take_request(connection))
            return;
        arm(connection, TIMEOUT_NS);
        if (!write_out(connection))
            return;
    }
}

static void on_ready(struct fg_watch *watch, unsigned ready)
{
    struct fg_admin_connection *connection = FG_CONTAINER_OF(watch, struct fg_admin_connection, watch);

    if (connection->out) {
        if ((ready & FG_HANGUP) && !(ready & FG_WRITABLE))
            destroy(connection);
        else if (write_out(connection))
            go_on(connection);
        return;
    }
    if (connection->follow)
        connection->in_len = 0; /* nothing that it says is of interest any more, only that it leaves */
    ssize_t n = recv(watch->fd, connection->in + connection->in_len, FG_ADMIN_HEAD_BYTES - connection->in_len, 0);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (n <= 0) {
        destroy(connection);
        return;
    }
    connection->in_len += (size_t)n;
    go_on(connection);
}

static void on_connection(struct fg_watch *watch, unsigned ready)
{
    struct fg_admin *admin = FG_CONTAINER_OF(watch, struct fg_admin, listener);
    struct fg_address peer;
    int fd = fg_socket_accept(watch->fd, &peer);
    (void)ready;

    if (fd < 0)
        return;
    if (admin->open >= MAX_CONNECTIONS) {
        close(fd);
        return;
    }
    struct fg_admin_connection *connection = fg_alloc_zero(sizeof *connection);
    connection->admin = admin;
    connection->peer = peer;
    connection->watch = (struct fg_watch){.fd = fd, .interest = FG_READABLE, .on_ready = on_ready};
    fg_timer_init(&connection->timer, on_timer);
    if (fg_watch_add(&admin->loop, &connection->watch) != 0) {
        close(fd);
        free(connection);
        return;
    }
    admin->open++;
    fg_list_append(&admin->connections, &connection->node);
    fg_timer_arm(&admin->loop.timers, &connection->timer, admin->loop.now_ns + TIMEOUT_NS);
}

/* ---- life ---- */

static void *run(void *argument)
{
    struct fg_admin *admin = argument;
    fg_crash_thread_begin("admin");
    fg_loop_run(&admin->loop);
    fg_crash_thread_end();
    return NULL;
}

static void cleanup(struct fg_admin *admin)
{
    while (!fg_list_empty(&admin->connections))
        destroy(FG_LIST_FIRST(&admin->connections, struct fg_admin_connection, node));
    if (admin->listener.fd >= 0) {
        fg_watch_remove(&admin->loop, &admin->listener);
        close(admin->listener.fd);
    }
    if (admin->unix_path[0])
        unlink(admin->unix_path);
    fg_admin_audit_free(admin->options.audit);
    fg_loop_cleanup(&admin->loop);
    free(admin);
}

static int listen_on(struct fg_admin *admin, char *error, size_t error_len)
{
    const struct fg_address *address = &admin->options.address;
    char text[FG_ADDRESS_TEXT_BYTES];

    if (address->storage.ss_family == AF_UNIX) {
        fg_address_format(address, text, sizeof text);
        const char *path = text + strlen("unix:");
        int fd = fg_socket_listen_unix(path, error, error_len);
        if (fd >= 0)
            snprintf(admin->unix_path, sizeof admin->unix_path, "%s", path);
        return fd;
    }
    if (fg_socket_probe_free(address, error, error_len) != 0)
        return -1;
    return fg_socket_listen(address, error, error_len);
}

struct fg_admin *fg_admin_new(const struct fg_admin_options *options, char *error, size_t error_len)
{
    struct fg_admin *admin = fg_alloc_zero(sizeof *admin);

    admin->options = *options;
    admin->listener.fd = -1;
    fg_list_init(&admin->connections);
    int result = fg_loop_init(&admin->loop);
    if (result != 0) {
        snprintf(error, error_len, "the admin server cannot make its event loop: %s", strerror(-result));
        fg_admin_audit_free(options->audit);
        free(admin);
        return NULL;
    }
    int fd = listen_on(admin, error, error_len);
    if (fd < 0) {
        cleanup(admin);
        return NULL;
    }
    admin->listener = (struct fg_watch){.fd = fd, .interest = FG_READABLE, .on_ready = on_connection};
    result = fg_watch_add(&admin->loop, &admin->listener);
    if (result == 0)
        result = -pthread_create(&admin->thread, NULL, run, admin);
    if (result == 0)
        return admin;
    snprintf(error, error_len, "the admin server cannot be started: %s", strerror(-result));
    cleanup(admin);
    return NULL;
}

struct stop_mail {
    struct fg_mail mail;
    struct fg_admin *admin;
};

static void run_stop(struct fg_mail *mail)
{
    struct stop_mail *stop = FG_CONTAINER_OF(mail, struct stop_mail, mail);
    fg_loop_stop(&stop->admin->loop);
    free(stop);
}

void fg_admin_stop(struct fg_admin *admin)
{
    if (!admin)
        return;
    struct stop_mail *stop = fg_alloc(sizeof *stop);
    *stop = (struct stop_mail){.mail.run = run_stop, .admin = admin};
    fg_mailbox_post(&admin->loop, &stop->mail);
    pthread_join(admin->thread, NULL);
    cleanup(admin);
}

void fg_admin_refresh(struct fg_admin *admin)
{
    if (admin)
        fg_admin_audit_reopen(admin->options.audit);
}
