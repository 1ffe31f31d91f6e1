/* The floor of the benchmark: a TCP forwarder that looks at no byte. One thread, one epoll, level-triggered; one
 * upstream connection per client. What it costs is what the kernel costs for moving the same bytes twice.
 *
 *     forwarder LISTEN_PORT TARGET_PORT        both on 127.0.0.1; ends on SIGTERM */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_BUFFER_BYTES = 256 * 1024, EVENTS_PER_TURN = 256 };

/* One direction's end. Bytes read here that the other end's socket did not take yet wait in `pending`. */
struct end {
    struct end *other;
    struct end *next_dead;
    char *pending;
    size_t pending_len, pending_at;
    int fd;
    bool dead;
    bool reading;      /* no: the other end is behind */
    bool peer_is_done; /* read returned 0 */
};

static struct end listener;
static char read_buffer[READ_BUFFER_BYTES];

static void watch(int epoll_fd, struct end *e, int operation)
{
    struct epoll_event event = {.data.ptr = e};
    event.events = (e->reading ? EPOLLIN : 0) | (e->other != NULL && e->other->pending != NULL ? EPOLLOUT : 0);
    if (epoll_ctl(epoll_fd, operation, e->fd, &event) != 0) {
        perror("epoll_ctl");
        exit(1);
    }
}

static void kill_pair(struct end *e, struct end **dead)
{
    struct end *pair[2] = {e, e->other};
    for (int i = 0; i < 2; i++) {
        if (pair[i]->dead) {
            continue;
        }
        pair[i]->dead = true;
        close(pair[i]->fd);
        pair[i]->next_dead = *dead;
        *dead = pair[i];
    }
}

/* Passes on that E's peer sends nothing more; with both directions done the pair is over. Nothing is pending in a
 * direction that ends: an end with pending bytes is not read, so its end of file waits. */
static void finish_direction(struct end *e, struct end **dead)
{
    if (e->other->peer_is_done) {
        kill_pair(e, dead);
        return;
    }
    shutdown(e->other->fd, SHUT_WR);
}

static void on_readable(int epoll_fd, struct end *e, struct end **dead)
{
    ssize_t got = read(e->fd, read_buffer, sizeof read_buffer);
    if (got < 0 && errno == EAGAIN) {
        return;
    }
    if (got < 0) {
        kill_pair(e, dead);
        return;
    }
    if (got == 0) {
        e->peer_is_done = true;
        e->reading = false;
        watch(epoll_fd, e, EPOLL_CTL_MOD);
        finish_direction(e, dead);
        return;
    }
    ssize_t sent = send(e->other->fd, read_buffer, (size_t)got, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
        kill_pair(e, dead);
        return;
    }
    size_t done = sent < 0 ? 0 : (size_t)sent;
    if (done == (size_t)got) {
        return;
    }
    e->pending_len = (size_t)got - done;
    e->pending_at = 0;
    e->pending = malloc(e->pending_len);
    if (e->pending == NULL) {
        perror("malloc");
        exit(1);
    }
    memcpy(e->pending, read_buffer + done, e->pending_len);
    e->reading = false;
    watch(epoll_fd, e, EPOLL_CTL_MOD);
    watch(epoll_fd, e->other, EPOLL_CTL_MOD);
}

static void on_writable(int epoll_fd, struct end *e, struct end **dead)
{
    struct end *source = e->other;
    if (source->pending == NULL) {
        return;
    }
    ssize_t sent =
        send(e->fd, source->pending + source->pending_at, source->pending_len - source->pending_at, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN) {
            kill_pair(e, dead);
        }
        return;
    }
    source->pending_at += (size_t)sent;
    if (source->pending_at < source->pending_len) {
        return;
    }
    free(source->pending);
    source->pending = NULL;
    source->reading = true;
    watch(epoll_fd, source, EPOLL_CTL_MOD);
    watch(epoll_fd, e, EPOLL_CTL_MOD);
}

static void prepare(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void on_client(int epoll_fd, const struct sockaddr_in *target)
{
    int fds[2];
    fds[0] = accept4(listener.fd, NULL, NULL, SOCK_NONBLOCK);
    if (fds[0] < 0) {
        return;
    }
    /* Connecting blocks: on loopback it is done before the call returns, and the floor stays simple. */
    fds[1] = socket(AF_INET, SOCK_STREAM, 0);
    if (fds[1] < 0 || connect(fds[1], (const struct sockaddr *)target, sizeof *target) != 0) {
        perror("connect");
        close(fds[0]);
        if (fds[1] >= 0) {
            close(fds[1]);
        }
        return;
    }
    struct end *pair[2] = {calloc(1, sizeof(struct end)), calloc(1, sizeof(struct end))};
    if (pair[0] == NULL || pair[1] == NULL) {
        perror("calloc");
        exit(1);
    }
    for (int i = 0; i < 2; i++) {
        prepare(fds[i]);
        *pair[i] = (struct end){.fd = fds[i], .other = pair[1 - i], .reading = true};
    }
    watch(epoll_fd, pair[0], EPOLL_CTL_ADD);
    watch(epoll_fd, pair[1], EPOLL_CTL_ADD);
}

static void turn(int epoll_fd, const struct sockaddr_in *target)
{
    struct epoll_event events[EVENTS_PER_TURN];
    struct end *dead = NULL; /* freed after the turn: a later event of this turn may still name them */
    int count = epoll_wait(epoll_fd, events, EVENTS_PER_TURN, -1);
    for (int i = 0; i < count; i++) {
        struct end *e = events[i].data.ptr;
        if (e == &listener) {
            on_client(epoll_fd, target);
            continue;
        }
        if (!e->dead && (events[i].events & EPOLLOUT) != 0) {
            on_writable(epoll_fd, e, &dead);
        }
        if (!e->dead && e->reading && (events[i].events & EPOLLIN) != 0) {
            on_readable(epoll_fd, e, &dead);
        }
        if (!e->dead && !e->reading && (events[i].events & (EPOLLERR | EPOLLHUP)) != 0) {
            kill_pair(e, &dead);
        }
    }
    while (dead != NULL) {
        struct end *next = dead->next_dead;
        free(dead->pending);
        free(dead);
        dead = next;
    }
}

static bool parse_port(const char *text, in_port_t *port)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    *port = htons((uint16_t)value);
    return *end == '\0' && value > 0 && value <= UINT16_MAX;
}

int main(int argc, char **argv)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in target = at;
    if (argc != 3 || !parse_port(argv[1], &at.sin_port) || !parse_port(argv[2], &target.sin_port)) {
        fprintf(stderr, "usage: forwarder LISTEN_PORT TARGET_PORT\n");
        return 2;
    }
    int on = 1;
    listener = (struct end){.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), .reading = true};
    int epoll_fd = epoll_create1(0);
    if (listener.fd < 0 || epoll_fd < 0 || setsockopt(listener.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(listener.fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(listener.fd, 4096) != 0) {
        perror("forwarder");
        return 1;
    }
    watch(epoll_fd, &listener, EPOLL_CTL_ADD);
    for (;;) {
        turn(epoll_fd, &target);
    }
}
