/* The admin address: a small HTTP/1.1 server on a thread of its own, for people, scripts and Prometheus. Bounded in
 * connections, bytes and time; GET and HEAD, and POST without content for what acts. Handlers may block: they hold up
 * nobody but other admin requests. */
#ifndef FG_ADMIN_SERVER_H
#define FG_ADMIN_SERVER_H

#include <stdio.h>

#include "admin/audit.h"
#include "h1/head.h"
#include "io/loop.h"
#include "io/socket.h"

struct fg_admin_request {
    struct fg_str path;  /* without query */
    struct fg_str rest;  /* of the path, behind that of a route that ends with "/" */
    struct fg_str query; /* behind "?", or empty */
    const struct fg_headers *headers;
};

/* Writes what has come since the last time, which STATE remembers. False: that was all, and the answer ends. */
typedef bool fg_admin_follow(void *context, void *state, FILE *out);

struct fg_admin_response {
    unsigned status; /* 200 unless set */
    const char *content_type;
    const char *allow;         /* of status 405: the whole field; NULL: GET and HEAD */
    const char *cache_control; /* NULL: no-store */
    const char *policy;        /* content-security-policy; NULL: it may load nothing */
    char fields[192];          /* further ones, each with CRLF */
    fg_admin_follow *follow;   /* set by the handler: the body goes on with what this writes, until the peer goes */
    void *state;               /* of `follow` */
    void (*ended)(void *context, void *state); /* nobody follows any more; NULL: the server gives `state` to free() */
};

struct fg_admin_route {
    const char *path;  /* "/metrics"; "/breakers/" takes all paths that begin with it */
    const char *about; /* shown on "/" */
    void (*handle)(void *context, const struct fg_admin_request *request, struct fg_admin_response *response,
                   FILE *body);
    /* It changes something: by POST alone, only where a token is configured, and the audit log tells of it. */
    bool acts;
    bool shows; /* what calls carry: only where a token is configured */
};

struct fg_admin_options {
    struct fg_address address;           /* TCP or unix */
    const char *token;                   /* "Authorization: Bearer TOKEN" is required; NULL: not */
    bool loopback;                       /* only Host names of this machine are answered (DNS rebinding) */
    const char *page;                    /* the route that a browser which asks for "/" is sent to; NULL: none */
    struct fg_admin_audit *audit;        /* taken, also when the server cannot be started */
    const struct fg_admin_route *routes; /* ends with {NULL} */
    void *context;
};

struct fg_admin;

/* Binds and starts the thread. OPTIONS is copied, what it points to must outlive the server. NULL with a sentence in
 * ERROR. */
struct fg_admin *fg_admin_new(const struct fg_admin_options *options, char *error, size_t error_len);
void fg_admin_stop(struct fg_admin *admin); /* ends and frees it; NULL is allowed */

/* Opens the audit log anew, after it was moved away (SIGHUP). Any thread; NULL is allowed. */
void fg_admin_refresh(struct fg_admin *admin);

#endif
