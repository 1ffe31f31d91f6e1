/* A listening socket of one worker: accepts connections for a fg_conn_side. Also the way to build an HTTP/2 server on
 * fusegate's engine (see demo/restaurant). */
#ifndef FG_HTTP_SERVER_H
#define FG_HTTP_SERVER_H

#include "http/conn.h"

struct fg_server {
    struct fg_conn_side side;
    struct fg_watch watch;
    struct fg_timer retry;    /* accept again after the process ran out of descriptors */
    uint32_t max_connections; /* 0: no limit */
    uint32_t *connections;    /* open ones, counted over all servers that share the counter; atomic */
};

/* Takes LISTEN_FD (see fg_socket_listen) and begins to accept on LOOP. SERVER->side must have been initialised by
 * fg_conn_side_init with the user's events, its on_closed included. 0, or -errno. */
int fg_server_start(struct fg_server *server, int listen_fd) __attribute__((warn_unused_result));
void fg_server_on_closed(struct fg_server *server);      /* to be called by the user's on_closed */
void fg_server_stop_accepting(struct fg_server *server); /* closes the listening socket; connections go on */

/* Limits with the defaults of a listener, for programs without a configuration file. */
struct fg_h2_options fg_h2_server_defaults(void);

#endif
