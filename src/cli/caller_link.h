/* The way of `fusegate call` to the server: one event loop, one connection at a time, the deadline, and Ctrl-C. */
#ifndef FG_CLI_CALLER_LINK_H
#define FG_CLI_CALLER_LINK_H

#include "base/stats.h"
#include "cli/caller_options.h"
#include "http/conn.h"

/* Why nothing more can come of it. */
enum fg_caller_end {
    FG_CALLER_GOES_ON,
    FG_CALLER_LOST,        /* no connection, or none any more; said in `why` */
    FG_CALLER_TIMED_OUT,   /* --timeout, or --connect-timeout */
    FG_CALLER_INTERRUPTED, /* SIGINT or SIGTERM */
};

struct fg_caller_link {
    const struct fg_caller_options *options;
    struct fg_loop loop;
    struct fg_stats stats;
    struct fg_conn_side side;
    struct fg_address address;
    struct fg_conn *conn; /* NULL: none */
    struct fg_timer deadline, connecting;
    struct fg_watch signals;
    uint64_t began_ns;
    uint64_t deadline_ns; /* of everything; FG_NEVER: none */
    enum fg_caller_end end;
    bool is_ready; /* a request may be made, or could be */
    char why[256]; /* of LOST and TIMED_OUT */
};

/* Resolves the host. -1: go on; else the exit code, and all has been said; cleanup is needed
 * either way. */
int fg_caller_link_init(struct fg_caller_link *link, const struct fg_caller_options *options);
void fg_caller_link_cleanup(struct fg_caller_link *link);

/* Connects, and waits until a request may be made; what is open already stays if it speaks the right version. */
bool fg_caller_link_open(struct fg_caller_link *link, bool http1) __attribute__((warn_unused_result));

/* Waits until something has happened (0: looks whether something has), and does what follows. False: END says why
 * nothing more will. */
bool fg_caller_link_turn(struct fg_caller_link *link, int timeout_ms);

/* Waits until standard output takes a few KiB. False: it has ended. */
bool fg_caller_link_wait_output(struct fg_caller_link *link) __attribute__((warn_unused_result));

/* Says why it has ended. The exit code. */
int fg_caller_link_complain(const struct fg_caller_link *link);

#endif
