/* Socket addresses, listening, accepting and connecting. All descriptors are non-blocking and close-on-exec. */
#ifndef FG_IO_SOCKET_H
#define FG_IO_SOCKET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/bytes.h"

struct fg_address {
    struct sockaddr_storage storage; /* AF_INET, AF_INET6 or AF_UNIX */
    socklen_t len;                   /* 0: none */
};

#define FG_ADDRESS_TEXT_BYTES 128 /* the longest text of an address: "unix:" and a path of 107 bytes */

/* HOST is numeric ("10.0.0.1", "::1", "[::1]"), "unix:" and a path (the port is not used), or a name that the system's
 * resolver knows (blocking: start-up only). 0, or -1 with a sentence in ERROR. */
int fg_address_resolve(struct fg_address *out, const char *host, uint16_t port, char *error, size_t error_len)
    __attribute__((warn_unused_result));

/* "10.0.0.1:50051", "[::1]:80", "unix:/run/fusegate.sock" */
void fg_address_format(const struct fg_address *address, char *out, size_t out_len);

/* The bytes of the host, without the port: the same for all connections of one client. Borrowed; "" for a unix socket.
 */
struct fg_str fg_address_host_bytes(const struct fg_address *address);

/* A listening socket with SO_REUSEPORT and SO_REUSEADDR, so that each worker has its own. The fd, or -1 with a sentence
 * in ERROR that names the address. Other processes of the same user can listen there as well, unnoticed: ask
 * fg_socket_probe_free once before. */
int fg_socket_listen(const struct fg_address *address, char *error, size_t error_len)
    __attribute__((warn_unused_result));

/* 0 if nobody listens on the address: it is bound once without SO_REUSEPORT and given back. -1 with a sentence in
 * ERROR: "address 127.0.0.1:8080 is already in use; ...". */
int fg_socket_probe_free(const struct fg_address *address, char *error, size_t error_len)
    __attribute__((warn_unused_result));

/* A listening socket in the file system that only this user can connect to. A socket file that nobody answers on is
 * removed. The caller unlinks the path when it stops listening. The fd, or -1 with a sentence in ERROR. */
int fg_socket_listen_unix(const char *path, char *error, size_t error_len) __attribute__((warn_unused_result));

/* The fd, or -errno. -EAGAIN: none waits. -EMFILE, -ENFILE, -ENOBUFS, -ENOMEM: the connection goes on waiting and the
 * listener stays readable, so stop watching it for a while. PEER may be NULL. */
int fg_socket_accept(int listen_fd, struct fg_address *peer);

/* The fd, or -errno. Ends when the fd is writable; fg_socket_connect_result then says how. */
int fg_socket_connect(const struct fg_address *address);
int fg_socket_connect_result(int fd); /* 0, or -errno of the finished connect */

#endif
