/* Why a stream makes no progress, and since when. Set wherever progress stops; read by the live tables. */
#ifndef FG_BASE_WAIT_H
#define FG_BASE_WAIT_H

#include <stdint.h>

/* X(cause, name, text) */
#define FG_WAITS(X)                                                                                                    \
    X(NONE, "none", "makes progress")                                                                                  \
    X(PEER_HEADERS, "peer_headers", "the peer has not sent its headers")                                               \
    X(PEER_DATA, "peer_data", "the peer has not sent more data")                                                       \
    X(OTHER_SIDE, "other_side", "the other side of the call has nothing to pass on")                                   \
    X(STREAM_WINDOW, "stream_window", "the peer's flow control window of this stream is used up")                      \
    X(CONNECTION_WINDOW, "connection_window", "the peer's flow control window of the connection is used up")           \
    X(SOCKET, "socket", "the socket takes no more bytes")                                                              \
    X(STREAM_SLOT, "stream_slot", "no connection to the endpoint has a free stream slot")                              \
    X(CONNECT, "connect", "a connection to the endpoint is being made")                                                \
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

const char *fg_wait_name(enum fg_wait_cause cause);

/* Keeps `since_ns` while the cause stays the same. */
static inline void fg_wait_set(struct fg_wait *wait, enum fg_wait_cause cause, uint64_t now_ns)
{
    if (wait->cause == cause)
        return;
    wait->cause = cause;
    wait->since_ns = now_ns;
}

#endif
