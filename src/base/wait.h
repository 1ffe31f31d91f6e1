/* Why a stream makes no progress, and since when. Set wherever progress stops; read by the live tables. */
#ifndef FG_BASE_WAIT_H
#define FG_BASE_WAIT_H

#include <stdint.h>

/* X(cause, name, text) */
#define FG_WAITS(X)                                                                                                    \
    X(NONE, "none", "makes progress")                                                                                  \
    X(PEER_HEADERS, "peer_headers", "the peer has not sent its headers")                                               \
    X(PEER_DATA, "peer_data", "the peer has not sent more data")                                                       \
    X(CLIENT_DATA, "client_data", "the client has not sent more of its request")                                       \
    X(STREAM_WINDOW, "stream_window", "the peer's flow control window of this stream is used up")                      \
    X(CONNECTION_WINDOW, "connection_window", "the peer's flow control window of the connection is used up")           \
    X(SOCKET, "socket", "the socket takes no more bytes")                                                              \
    X(STREAM_SLOT, "stream_slot", "no connection to the endpoint has a free stream slot")                              \
    X(CONNECT, "connect", "a connection to the endpoint is being made")                                                \
    X(TLS, "tls", "the TLS handshake with the endpoint is not over")                                                   \
    X(SETTINGS, "settings", "the endpoint has not sent its SETTINGS")                                                  \
    X(GATE, "gate", "as many calls as the limits allow are in progress")                                               \
    X(RETRY, "retry", "the pause before the next attempt")                                                             \
    X(MESSAGE_RATE, "message_rate", "the client sends more messages than message_limit allows")

enum fg_wait_cause {
#define X(cause, name, text) FG_WAIT_##cause,
    FG_WAITS(X)
#undef X
        FG_WAIT_LEN
};

struct fg_wait {
    uint64_t since_ns;
    enum fg_wait_cause cause;
};

/* A wait of so long is kept with its call, and told to whoever looks for what holds calls up. */
#define FG_LONG_WAIT_NS (100 * 1000000ull)

/* Who holds what others wait for: streams of the same connection, those that hold most first. */
#define FG_WAIT_HOLDERS 4

struct fg_wait_holders {
    uint64_t at_ns; /* when that was so; 0: nobody has looked */
    struct {
        uint32_t stream;
        uint32_t bytes; /* of the window that the peer has not given back */
    } top[FG_WAIT_HOLDERS];
    uint32_t len, more;  /* in `top`; others */
    uint64_t gone_bytes; /* of streams that have ended, or that the peer forgot */
};

/* A wait that is over. */
struct fg_waited {
    enum fg_wait_cause cause;
    uint64_t since_ns, until_ns;
    const struct fg_wait_holders *holders; /* NULL: not known; valid until the callback returns */
};

const char *fg_wait_name(enum fg_wait_cause cause);

/* What is slow is the peer itself, not something in its way. */
static inline int fg_wait_is_for_peer(enum fg_wait_cause cause)
{
    return cause == FG_WAIT_PEER_HEADERS || cause == FG_WAIT_PEER_DATA || cause == FG_WAIT_CLIENT_DATA;
}

/* Keeps `since_ns` while the cause stays the same. */
static inline void fg_wait_set(struct fg_wait *wait, enum fg_wait_cause cause, uint64_t now_ns)
{
    if (wait->cause == cause)
        return;
    wait->cause = cause;
    wait->since_ns = now_ns;
}

#endif
