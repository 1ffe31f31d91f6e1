/* Calls as a capture: each client's connection is one of TCP, with the calls on it as gRPC over HTTP/2, whatever was
 * spoken on it. */
#include <stdlib.h>

#include "base/mem.h"
#include "cli/ask.h"
#include "cli/tap_output.h"
#include "cli/tap_packet.h"
#include "h2/frame.h"
#include "rpc/status.h"

#define FRAME_MAX 16384u

struct connection {
    struct fg_tap_tcp tcp;
    uint32_t last_stream;
};

struct stream {
    size_t connection;
    uint32_t id;
    bool request_ended, headers_sent, answer_ended;
    char *comment; /* of its first packet; NULL: written */
};

struct pcap {
    struct fg_tap_output output;
    FILE *file;
    json_t *calls; /* id -> index of a stream */
    json_t *names; /* of connections -> index */
    struct connection *connections;
    struct stream *streams; /* slots of calls that have ended are used again */
    size_t connections_len, streams_len;
    size_t *free_streams, free_len;
};

/* ---- frames ---- */

/* A part of an event: frames that are collected and then sent. */
struct frames {
    FILE *out;
    char *bytes;
    size_t len;
};

static bool begin(struct frames *frames)
{
    *frames = (struct frames){0};
    frames->out = open_memstream(&frames->bytes, &frames->len);
    return frames->out != NULL;
}

static void put_frame(FILE *out, uint8_t type, uint8_t flags, uint32_t stream, const void *payload, size_t len)
{
    uint8_t head[9];

    fg_store_u24(head, (uint32_t)len);
    head[3] = type;
    head[4] = flags;
    fg_store_u32(head + 5, stream);
    fwrite(head, 1, sizeof head, out);
    if (len > 0)
        fwrite(payload, 1, len, out);
}

/* An integer of HPACK with a prefix of 7 bits (RFC 7541 section 5.1). */
static void put_integer(FILE *out, size_t value)
{
    if (value < 127) {
        fputc((int)value, out);
        return;
    }
    fputc(127, out);
    for (value -= 127; value >= 128; value /= 128)
        fputc((int)(value % 128 + 128), out);
    fputc((int)value, out);
}

/* A literal field without indexing, its name as it is (section 6.2.2): both sides' tables stay empty. */
static void put_field(FILE *out, const char *name, const char *value)
{
    fputc(0, out);
    put_integer(out, strlen(name));
    fputs(name, out);
    put_integer(out, strlen(value));
    fputs(value, out);
}

/* RFC 9113 section 6.2, 6.10. */
static void put_block(FILE *out, uint32_t stream, bool end, const char *block, size_t len)
{
    uint8_t type = FG_H2_HEADERS, flags = end ? FG_H2_FLAG_END_STREAM : 0;

    do {
        size_t part = FG_MIN(len, (size_t)FRAME_MAX);
        put_frame(out, type, (uint8_t)(flags | (part == len ? FG_H2_FLAG_END_HEADERS : 0)), stream, block, part);
        block += part;
        len -= part;
        type = FG_H2_CONTINUATION;
        flags = 0;
    } while (len > 0);
}

static void put_data(FILE *out, uint32_t stream, bool end, const char *bytes, size_t len)
{
    do {
        size_t part = FG_MIN(len, (size_t)FRAME_MAX);
        put_frame(out, FG_H2_DATA, end && part == len ? FG_H2_FLAG_END_STREAM : 0, stream, bytes, part);
        bytes += part;
        len -= part;
    } while (len > 0);
}

/* Fields that begin with ":" come first, as they must. */
static void put_headers(FILE *out, uint32_t stream, bool end, const json_t *event)
{
    struct frames block;

    if (!begin(&block))
        return;
    for (int pseudo = 1; pseudo >= 0; pseudo--) {
        json_t *field;
        size_t i;
        json_array_foreach(json_object_get(event, "headers"), i, field)
        {
            json_t *pair = json_pack("{s:O, s:O}", "name", json_array_get(field, 0), "value", json_array_get(field, 1));
            char *name = fg_answer_name(pair, "name"), *value = fg_answer_name(pair, "value");
            if ((name[0] == ':') == pseudo)
                put_field(block.out, name, value);
            free(name);
            free(value);
            json_decref(pair);
        }
    }
    fclose(block.out);
    put_block(out, stream, end, block.bytes, block.len);
    free(block.bytes);
}

/* ---- what is sent ---- */

static uint64_t time_of(const json_t *event)
{
    double us = fg_answer_number(event, "time_us");
    return us > 0 && us < 1e18 ? (uint64_t)us : 0;
}

static void send_frames(struct pcap *pcap, struct stream *stream, bool from_client, struct frames *frames,
                        const json_t *event, const char *comment)
{
    fclose(frames->out);
    fg_tap_tcp_send(&pcap->connections[stream->connection].tcp, from_client, frames->bytes, frames->len, time_of(event),
                    stream->comment ? stream->comment : comment, pcap->file);
    free(frames->bytes);
    free(stream->comment);
    stream->comment = NULL;
}

/* Wireshark looks for HTTP/2 on a few ports alone, but anywhere for HTTP/1.1 and what it is upgraded to (RFC 7540
 * section 3.2). The upgrade uses up stream 1. */
static void put_upgrade(struct pcap *pcap, struct fg_tap_tcp *tcp, uint64_t at_us)
{
    static const char made_up[] = "made up by fusegate tap: what is on this connection is known as HTTP/2 by it";
    static const char request[] = "OPTIONS * HTTP/1.1\r\nHost: fusegate\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                                  "Upgrade: h2c\r\nHTTP2-Settings: \r\n\r\n";
    static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";

    fg_tap_tcp_send(tcp, true, request, sizeof request - 1, at_us, made_up, pcap->file);
    fg_tap_tcp_send(tcp, false, answer, sizeof answer - 1, at_us, made_up, pcap->file);
}

static void put_settings(struct pcap *pcap, struct fg_tap_tcp *tcp, bool from_client, uint64_t at_us)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    struct frames frames;

    if (!begin(&frames))
        return;
    if (from_client)
        fputs(preface, frames.out);
    put_frame(frames.out, FG_H2_SETTINGS, 0, 0, NULL, 0);
    fclose(frames.out);
    fg_tap_tcp_send(tcp, from_client, frames.bytes, frames.len, at_us, NULL, pcap->file);
    free(frames.bytes);
}

static size_t find_connection(struct pcap *pcap, const json_t *event)
{
    const char *peer = fg_answer_text(event, "peer"), *local = fg_answer_text(event, "local");
    uint64_t at_us = time_of(event);
    char name[300];

    snprintf(name, sizeof name, "%s %s", peer, local);
    const json_t *known = json_object_get(pcap->names, name);
    if (known)
        return (size_t)json_integer_value(known);
    size_t i = pcap->connections_len++;
    pcap->connections = fg_realloc(pcap->connections, pcap->connections_len * sizeof *pcap->connections);
    pcap->connections[i] = (struct connection){.last_stream = 1};
    json_object_set_new(pcap->names, name, json_integer((json_int_t)i));
    struct fg_tap_tcp *tcp = &pcap->connections[i].tcp;
    fg_tap_tcp_open(tcp, peer, local, at_us, pcap->file);
    put_upgrade(pcap, tcp, at_us);
    put_settings(pcap, tcp, true, at_us);
    put_settings(pcap, tcp, false, at_us);
    return i;
}

static struct stream *stream_new(struct pcap *pcap, const json_t *event)
{
    const char *id = fg_answer_text(event, "call");
    char comment[128];
    size_t i = pcap->free_len > 0 ? pcap->free_streams[--pcap->free_len] : pcap->streams_len++;

    if (i + 1 == pcap->streams_len) {
        pcap->streams = fg_realloc(pcap->streams, pcap->streams_len * sizeof *pcap->streams);
        pcap->free_streams = fg_realloc(pcap->free_streams, pcap->streams_len * sizeof *pcap->free_streams);
    }
    struct stream *stream = &pcap->streams[i];
    *stream = (struct stream){.connection = find_connection(pcap, event)};
    struct connection *connection = &pcap->connections[stream->connection];
    stream->id = connection->last_stream += 2;
    snprintf(comment, sizeof comment, "call %s of the gateway, a client of %s", id, fg_answer_text(event, "dialect"));
    stream->comment = fg_strdup(comment);
    json_object_set_new(pcap->calls, id, json_integer((json_int_t)i));
    return stream;
}

/* ---- events ---- */

static void put_begin(struct pcap *pcap, const json_t *event)
{
    struct stream *stream = stream_new(pcap, event);
    struct frames frames;

    stream->request_ended = json_is_true(json_object_get(event, "end"));
    if (!begin(&frames))
        return;
    put_headers(frames.out, stream->id, stream->request_ended, event);
    send_frames(pcap, stream, true, &frames, event, NULL);
}

static void put_message(struct pcap *pcap, struct stream *stream, const json_t *event)
{
    bool request = strcmp(fg_answer_text(event, "direction"), "request") == 0;
    const json_t *cut = json_object_get(event, "cut");
    char prefix[5] = {json_is_true(json_object_get(event, "compressed"))}, comment[96];
    struct frames frames, content;
    size_t len;

    char *bytes = fg_tap_bytes(event, &len);
    if (!bytes || !begin(&content)) {
        free(bytes);
        return;
    }
    if (strcmp(fg_answer_text(event, "event"), "message") == 0) {
        fg_store_u32((uint8_t *)prefix + 1, (uint32_t)len);
        fwrite(prefix, 1, sizeof prefix, content.out);
    }
    fwrite(bytes, 1, len, content.out);
    fclose(content.out);
    free(bytes);
    snprintf(comment, sizeof comment, "the first %zu of %.0f bytes", len, fg_answer_number(event, "bytes"));
    if (begin(&frames)) {
        put_data(frames.out, stream->id, false, content.bytes, content.len);
        send_frames(pcap, stream, request, &frames, event, cut ? comment : NULL);
    }
    free(content.bytes);
}

static void put_request_end(struct pcap *pcap, struct stream *stream, const json_t *event)
{
    struct frames frames;

    if (stream->request_ended || stream->answer_ended || !begin(&frames))
        return;
    stream->request_ended = true;
    put_data(frames.out, stream->id, true, "", 0);
    send_frames(pcap, stream, true, &frames, event, NULL);
}

static void put_answer(struct pcap *pcap, struct stream *stream, const json_t *event)
{
    bool end = json_is_true(json_object_get(event, "end"));
    struct frames frames;

    if (stream->answer_ended || !begin(&frames))
        return;
    if (json_array_size(json_object_get(event, "headers")) > 0)
        put_headers(frames.out, stream->id, end, event);
    else
        put_data(frames.out, stream->id, end, "", 0);
    stream->headers_sent = true;
    stream->answer_ended = end;
    send_frames(pcap, stream, false, &frames, event, NULL);
}

/* A status of the gateway's own, as gRPC has it. */
static void put_reply(struct pcap *pcap, struct stream *stream, const json_t *event)
{
    char code[8] = "2";
    json_t *fields = json_array(), *answer;

    for (int i = FG_STATUS_OK; i <= FG_STATUS_UNAUTHENTICATED; i++)
        if (strcmp(fg_status_name((enum fg_status)i), fg_answer_text(event, "code")) == 0)
            snprintf(code, sizeof code, "%d", i);
    if (!stream->headers_sent) {
        json_array_append_new(fields, json_pack("[s, s]", ":status", "200"));
        json_array_append_new(fields, json_pack("[s, s]", "content-type", "application/grpc"));
    }
    json_array_append_new(fields, json_pack("[s, s]", "grpc-status", code));
    json_array_append_new(fields, json_pack("[s, O]", "grpc-message", json_object_get(event, "message")));
    answer = json_pack("{s:O, s:b, s:o}", "time_us", json_object_get(event, "time_us"), "end", 1, "headers", fields);
    put_answer(pcap, stream, answer);
    json_decref(answer);
}

/* What has no end is reset, by whom it was. */
static void put_end(struct pcap *pcap, struct stream *stream, const json_t *event)
{
    bool by_client = strncmp(fg_answer_text(event, "source"), "client_", 7) == 0;
    double code = fg_answer_number(event, "rst_code");
    struct frames frames;
    uint8_t payload[4];

    if (stream->answer_ended || !begin(&frames))
        return;
    fg_store_u32(payload, code > 0 && code < UINT32_MAX ? (uint32_t)code : 8); /* CANCEL */
    put_frame(frames.out, FG_H2_RST_STREAM, 0, stream->id, payload, sizeof payload);
    send_frames(pcap, stream, by_client, &frames, event, fg_answer_text(event, "source"));
}

static void forget(struct pcap *pcap, const char *id, struct stream *stream)
{
    free(stream->comment);
    stream->comment = NULL;
    pcap->free_streams[pcap->free_len++] = (size_t)(stream - pcap->streams);
    json_object_del(pcap->calls, id);
}

static bool on_event(struct fg_tap_output *output, const char *kind, const json_t *event)
{
    struct pcap *pcap = (struct pcap *)(void *)output;
    const char *id = fg_answer_text(event, "call");
    const json_t *known = json_object_get(pcap->calls, id);
    struct stream *stream = known ? &pcap->streams[json_integer_value(known)] : NULL;

    if (!stream && strcmp(kind, "begin") == 0)
        put_begin(pcap, event);
    else if (!stream)
        return true;
    else if (strcmp(kind, "message") == 0 || strcmp(kind, "data") == 0)
        put_message(pcap, stream, event);
    else if (strcmp(kind, "request_end") == 0)
        put_request_end(pcap, stream, event);
    else if (strcmp(kind, "headers") == 0 || strcmp(kind, "trailers") == 0)
        put_answer(pcap, stream, event);
    else if (strcmp(kind, "reply") == 0)
        put_reply(pcap, stream, event);
    else if (strcmp(kind, "end") == 0) {
        put_end(pcap, stream, event);
        forget(pcap, id, stream);
    }
    return fflush(pcap->file) == 0 && !ferror(pcap->file);
}

static void pcap_free(struct fg_tap_output *output)
{
    struct pcap *pcap = (struct pcap *)(void *)output;

    for (size_t i = 0; i < pcap->streams_len; i++)
        free(pcap->streams[i].comment);
    free(pcap->streams);
    free(pcap->free_streams);
    free(pcap->connections);
    json_decref(pcap->calls);
    json_decref(pcap->names);
    free(pcap);
}

struct fg_tap_output *fg_tap_pcap_new(FILE *file)
{
    struct pcap *pcap = fg_alloc_zero(sizeof *pcap);

    pcap->output = (struct fg_tap_output){on_event, pcap_free};
    pcap->file = file;
    pcap->calls = json_object();
    pcap->names = json_object();
    fg_tap_pcapng_begin(file);
    if (fflush(file) == 0)
        return &pcap->output;
    pcap_free(&pcap->output);
    return NULL;
}
