#include "cli/tap_packet.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "base/mem.h"

#define SEGMENT_MAX 16384u
#define HEAD_MAX    60u /* of IPv6 and TCP */

/* Of pcapng (draft-ietf-opsawg-pcapng): numbers are in the byte order that the magic says, here little-endian. */
enum { BLOCK_INTERFACE = 1, BLOCK_PACKET = 6, BLOCK_SECTION = 0x0A0D0D0A, MAGIC = 0x1A2B3C4D };
enum { LINKTYPE_RAW = 101, OPTION_END = 0, OPTION_COMMENT = 1, OPTION_APPLICATION = 4 };
enum { TCP_SYN = 0x02, TCP_PUSH = 0x08, TCP_ACK = 0x10 };

/* ---- blocks ---- */

static void put_u16(FILE *out, uint32_t value)
{
    fputc((int)(value & 0xff), out);
    fputc((int)(value >> 8 & 0xff), out);
}

static void put_u32(FILE *out, uint32_t value)
{
    put_u16(out, value & 0xffff);
    put_u16(out, value >> 16);
}

static size_t padded(size_t len)
{
    return (len + 3) & ~(size_t)3;
}

static void put_padded(FILE *out, const void *bytes, size_t len)
{
    fwrite(bytes, 1, len, out);
    for (size_t i = len; i < padded(len); i++)
        fputc(0, out);
}

static void put_option(FILE *out, unsigned code, const char *text)
{
    size_t len = strlen(text);

    put_u16(out, code);
    put_u16(out, (uint32_t)len);
    put_padded(out, text, len);
    put_u32(out, OPTION_END);
}

static size_t option_len(const char *text)
{
    return text ? 4 + padded(strlen(text)) + 4 : 0;
}

void fg_tap_pcapng_begin(FILE *out)
{
    static const char application[] = "fusegate " FG_VERSION;
    uint32_t len = (uint32_t)(28 + option_len(application));

    put_u32(out, BLOCK_SECTION);
    put_u32(out, len);
    put_u32(out, MAGIC);
    put_u16(out, 1); /* version 1.0 */
    put_u16(out, 0);
    put_u32(out, UINT32_MAX); /* the section's length is not known */
    put_u32(out, UINT32_MAX);
    put_option(out, OPTION_APPLICATION, application);
    put_u32(out, len);
    put_u32(out, BLOCK_INTERFACE);
    put_u32(out, 20);
    put_u16(out, LINKTYPE_RAW);
    put_u16(out, 0);
    put_u32(out, 0); /* packets of any length */
    put_u32(out, 20);
}

static void put_packet(FILE *out, const uint8_t *packet, size_t packet_len, uint64_t at_us, const char *comment)
{
    uint32_t len = (uint32_t)(32 + padded(packet_len) + option_len(comment));

    put_u32(out, BLOCK_PACKET);
    put_u32(out, len);
    put_u32(out, 0); /* the interface */
    put_u32(out, (uint32_t)(at_us >> 32));
    put_u32(out, (uint32_t)at_us);
    put_u32(out, (uint32_t)packet_len);
    put_u32(out, (uint32_t)packet_len);
    put_padded(out, packet, packet_len);
    if (comment)
        put_option(out, OPTION_COMMENT, comment);
    put_u32(out, len);
}

/* ---- IP and TCP ---- */

/* RFC 1071. */
static uint32_t add_words(uint32_t sum, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i + 1 < len; i += 2)
        sum += fg_load_u16(bytes + i);
    return len % 2 ? sum + ((uint32_t)bytes[len - 1] << 8) : sum;
}

static uint16_t checksum(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

/* RFC 791, RFC 8200; the length. PAYLOAD: with the TCP header. */
static size_t put_ip(uint8_t *at, bool v6, const struct fg_tap_side *from, const struct fg_tap_side *to, size_t payload)
{
    if (v6) {
        memset(at, 0, 40);
        at[0] = 0x60;
        fg_store_u16(at + 4, (uint16_t)payload);
        at[6] = IPPROTO_TCP;
        at[7] = 64;
        memcpy(at + 8, from->address, 16);
        memcpy(at + 24, to->address, 16);
        return 40;
    }
    memset(at, 0, 20);
    at[0] = 0x45;
    fg_store_u16(at + 2, (uint16_t)(20 + payload));
    fg_store_u16(at + 6, 0x4000); /* do not fragment */
    at[8] = 64;
    at[9] = IPPROTO_TCP;
    memcpy(at + 12, from->address, 4);
    memcpy(at + 16, to->address, 4);
    fg_store_u16(at + 10, checksum(add_words(0, at, 20)));
    return 20;
}

static void put_segment(struct fg_tap_tcp *tcp, bool from_client, uint8_t flags, const void *bytes, size_t len,
                        uint64_t at_us, const char *comment, FILE *out)
{
    struct fg_tap_side *from = from_client ? &tcp->client : &tcp->server;
    const struct fg_tap_side *to = from_client ? &tcp->server : &tcp->client;
    uint8_t packet[HEAD_MAX + SEGMENT_MAX], *at = packet + put_ip(packet, tcp->v6, from, to, 20 + len);
    size_t address_len = tcp->v6 ? 16 : 4;

    memset(at, 0, 20);
    fg_store_u16(at, from->port);
    fg_store_u16(at + 2, to->port);
    fg_store_u32(at + 4, from->sequence);
    fg_store_u32(at + 8, flags & TCP_ACK ? to->sequence : 0);
    at[12] = 5 << 4;
    at[13] = flags;
    fg_store_u16(at + 14, UINT16_MAX); /* the window */
    if (len > 0)
        memcpy(at + 20, bytes, len);
    uint32_t sum = add_words(add_words(0, from->address, address_len), to->address, address_len);
    fg_store_u16(at + 16, checksum(add_words(sum + IPPROTO_TCP + (uint32_t)(20 + len), at, 20 + len)));
    put_packet(out, packet, (size_t)(at - packet) + 20 + len, at_us, comment);
    from->sequence += (uint32_t)len + ((flags & TCP_SYN) != 0);
}

/* ---- connections ---- */

static bool read_side(const char *text, bool v6, struct fg_tap_side *side)
{
    const char *colon = strrchr(text, ':');
    char host[64];

    if (!colon || colon == text || (size_t)(colon - text) >= sizeof host)
        return false;
    size_t skip = text[0] == '[', len = (size_t)(colon - text) - 2 * skip;
    memcpy(host, text + skip, len);
    host[len] = '\0';
    side->port = (uint16_t)strtoul(colon + 1, NULL, 10);
    return inet_pton(v6 ? AF_INET6 : AF_INET, host, side->address) == 1;
}

/* 127.0.0.1 or ::1, and a port. */
static void make_up(bool v6, uint16_t port, struct fg_tap_side *side)
{
    static const uint8_t loopback[16] = {[15] = 1};

    memcpy(side->address, v6 ? loopback : (const uint8_t *)"\x7f\0\0\1", v6 ? 16 : 4);
    side->port = port;
}

void fg_tap_tcp_open(struct fg_tap_tcp *tcp, const char *client, const char *server, uint64_t at_us, FILE *out)
{
    *tcp = (struct fg_tap_tcp){.v6 = client[0] == '['};
    if (!read_side(client, tcp->v6, &tcp->client))
        make_up(tcp->v6, 49152, &tcp->client);
    if (!read_side(server, tcp->v6, &tcp->server))
        make_up(tcp->v6, 80, &tcp->server);
    put_segment(tcp, true, TCP_SYN, NULL, 0, at_us, NULL, out);
    put_segment(tcp, false, TCP_SYN | TCP_ACK, NULL, 0, at_us, NULL, out);
    put_segment(tcp, true, TCP_ACK, NULL, 0, at_us, NULL, out);
}

void fg_tap_tcp_send(struct fg_tap_tcp *tcp, bool from_client, const void *bytes, size_t len, uint64_t at_us,
                     const char *comment, FILE *out)
{
    const uint8_t *at = bytes;

    while (len > 0) {
        size_t part = FG_MIN(len, (size_t)SEGMENT_MAX);
        put_segment(tcp, from_client, TCP_PUSH | TCP_ACK, at, part, at_us, comment, out);
        comment = NULL;
        at += part;
        len -= part;
    }
}
