/* The admin server from inside: server.c has the sockets and bytes, answer.c the requests and what is said to them. */
#ifndef FG_ADMIN_SERVER_INT_H
#define FG_ADMIN_SERVER_INT_H

#include <pthread.h>

#include "admin/server.h"

#define FG_ADMIN_HEAD_BYTES 16384u
#define FG_ADMIN_FOLLOWERS  8 /* of all connections, so that the others find room */

struct fg_admin {
    struct fg_admin_options options;
    struct fg_loop loop;
    struct fg_watch listener;
    struct fg_list connections;
    unsigned open, followers;
    pthread_t thread;
    char unix_path[sizeof(struct sockaddr_storage)];
};

struct fg_admin_connection {
    struct fg_list node;
    struct fg_admin *admin;
    struct fg_watch watch;
    struct fg_timer timer;
    struct fg_address peer;
    char in[FG_ADMIN_HEAD_BYTES];
    size_t in_len;
    char *out; /* what is left to be sent; NULL: nothing */
    size_t out_len, out_at;
    bool close_after; /* when it is sent */
    /* An answer without end. */
    fg_admin_follow *follow; /* NULL: none is being given */
    void *state;             /* of `follow` */
    void (*ended)(void *context, void *state);
    uint64_t said_ns; /* when something was last sent */
    bool chunked;
};

/* Takes one request from the input and answers it. False: there is no whole one. */
bool fg_admin_take_request(struct fg_admin_connection *connection);

/* Nobody follows any more. */
void fg_admin_end_following(struct fg_admin_connection *connection);

/* What has come for a follower is put into `out`; a sign of life when nothing has for long. */
void fg_admin_follow_on(struct fg_admin_connection *connection, uint64_t now_ns);

#endif
