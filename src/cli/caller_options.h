/* What `fusegate call` was told: options, and the URL in its parts. */
#ifndef FG_CLI_CALLER_OPTIONS_H
#define FG_CLI_CALLER_OPTIONS_H

#include "cli/args.h"
#include "rpc/status.h"

/* Exit codes beside those of cli.h: a status other than OK that the other side gave is 64 and its code, as grpcurl has
 * it. */
enum { FG_EXIT_STATUS = 64, FG_EXIT_INTERRUPTED = 130 };

struct fg_caller_dialect;

#define FG_CALLER_HOST_BYTES 256

struct fg_caller_url {
    bool tls;
    char host[FG_CALLER_HOST_BYTES]; /* without brackets */
    uint16_t port;
    struct fg_str authority; /* host and port as they stand there; borrowed from the URL, as are the next */
    struct fg_str path;      /* "/pkg.Service/Method", with the query; "/" if there is none */
};

/* Strings are borrowed from the command line. */
struct fg_caller_options {
    struct fg_caller_url url;
    bool has_url;
    const struct fg_caller_dialect *dialect;
    const char *data;        /* the message, @FILE or -; NULL: none was given */
    const char *verb;        /* -X; NULL: POST with a message, else GET */
    const char *describe;    /* --describe; NULL: a call is made */
    const char *descriptors; /* a file; NULL: the server is asked */
    const char *ca, *certificate, *key;
    struct fg_arg_values fields; /* -H */
    bool list, http1, insecure, get, json, pretty, verbose, emit_defaults;
    uint64_t timeout_ns; /* of everything; 0: none */
    uint64_t connect_timeout_ns;
};

/* ARGV[0] is the command's name. -1: go on; else the exit code, and all has been said. */
int fg_caller_options_parse(struct fg_caller_options *options, int argc, char **argv);
void fg_caller_options_cleanup(struct fg_caller_options *options);

/* NULL, or what is wrong with TEXT. "http://" may be left out. */
const char *fg_caller_url_parse(const char *text, struct fg_caller_url *url) __attribute__((warn_unused_result));

/* Says what is wrong, as every part of the command does. */
void fg_caller_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One field of -H: name and value without white space around them. False: it is none. NAME is in lower case in
 * BUFFER. */
#define FG_CALLER_NAME_BYTES 256
bool fg_caller_field_parse(const char *text, char buffer[FG_CALLER_NAME_BYTES], struct fg_str *name,
                           struct fg_str *value);

#endif
