/* A capture file (pcapng) with made-up TCP connections: whole from the first block on, wherever it ends.
 *
 * Packets are raw IP. Their addresses and ports are those that are given; sequence numbers count the bytes. */
#ifndef FG_CLI_TAP_PACKET_H
#define FG_CLI_TAP_PACKET_H

#include <stdio.h>

#include "base/bytes.h"

/* One side of a connection. */
struct fg_tap_side {
    uint8_t address[16]; /* the first 4 bytes of it, if not v6 */
    uint16_t port;
    uint32_t sequence;
};

struct fg_tap_tcp {
    bool v6;
    struct fg_tap_side client, server;
};

/* The blocks before all packets. */
void fg_tap_pcapng_begin(FILE *out);

/* CLIENT and SERVER are "10.0.0.1:50051" or "[::1]:80"; what is no such address gets a made-up one. Writes the
 * handshake. */
void fg_tap_tcp_open(struct fg_tap_tcp *tcp, const char *client, const char *server, uint64_t at_us, FILE *out);

/* Bytes from one side to the other. COMMENT is shown beside the first packet; NULL: none. */
void fg_tap_tcp_send(struct fg_tap_tcp *tcp, bool from_client, const void *bytes, size_t len, uint64_t at_us,
                     const char *comment, FILE *out);

#endif
