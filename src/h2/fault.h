/* Everything that a peer can do wrong: one row each, with the scope and code of the answer (RFC 9113 section 5.4), its
 * weight in the guard's budget of anomalies, and the reason that logs, counters and GOAWAY debug data give. */
#ifndef FG_H2_FAULT_H
#define FG_H2_FAULT_H

#include "h2/frame.h"

/* X(NAME, scope, error code, weight, reason). Weight 0: not charged (the connection ends anyway, or it is no offence).
 */
#define FG_H2_FAULTS(X)                                                                                                \
    X(NONE, NOTHING, NO_ERROR, 0, "")                                                                                  \
    X(BAD_PREFACE, CONNECTION, PROTOCOL_ERROR, 0, "the connection preface is not HTTP/2's")                            \
    X(FIRST_FRAME, CONNECTION, PROTOCOL_ERROR, 0, "the first frame is not SETTINGS")                                   \
    X(FRAME_TOO_LARGE, CONNECTION, FRAME_SIZE_ERROR, 0, "a frame is larger than SETTINGS_MAX_FRAME_SIZE")              \
    X(FRAME_LENGTH, CONNECTION, FRAME_SIZE_ERROR, 0, "a frame has the wrong length for its type")                      \
    X(PRIORITY_LENGTH, STREAM, FRAME_SIZE_ERROR, 5, "a PRIORITY frame is not 5 bytes long")                            \
    X(FRAME_STREAM_ID, CONNECTION, PROTOCOL_ERROR, 0, "a frame is on a stream id that its type does not allow")        \
    X(PAD_LENGTH, CONNECTION, FRAME_SIZE_ERROR, 0, "a padded frame has no room for its pad length")                    \
    X(PADDING, CONNECTION, PROTOCOL_ERROR, 0, "the padding is longer than the frame")                                  \
    X(IDLE_STREAM, CONNECTION, PROTOCOL_ERROR, 0, "a frame is on an idle stream")                                      \
    X(STREAM_ID_ORDER, CONNECTION, PROTOCOL_ERROR, 0, "a new stream id is not higher than the ones before")            \
    X(STREAM_ID_PARITY, CONNECTION, PROTOCOL_ERROR, 0, "a new stream id is not the peer's to open")                    \
    X(CLOSED_CONNECTION, CONNECTION, STREAM_CLOSED, 0, "HEADERS on a closed stream")                                   \
    X(CLOSED_STREAM, STREAM, STREAM_CLOSED, 1, "a frame on a closed or half-closed stream")                            \
    X(CONTINUATION, CONNECTION, PROTOCOL_ERROR, 0, "a header block is interrupted, or CONTINUATION without one")       \
    X(PUSH_PROMISE, CONNECTION, PROTOCOL_ERROR, 0, "PUSH_PROMISE although push is disabled")                           \
    X(HPACK, CONNECTION, COMPRESSION_ERROR, 0, "a header block cannot be decoded")                                     \
    X(MALFORMED, STREAM, PROTOCOL_ERROR, 2, "a header field is malformed")                                             \
    X(PSEUDO_HEADER, STREAM, PROTOCOL_ERROR, 2, "pseudo-headers are missing, doubled, unknown or misplaced")           \
    X(CONNECTION_HEADER, STREAM, PROTOCOL_ERROR, 2, "a connection-specific header field is not allowed in HTTP/2")     \
    X(HOST_MISMATCH, STREAM, PROTOCOL_ERROR, 2, "host and :authority differ")                                          \
    X(CONTENT_LENGTH, STREAM, PROTOCOL_ERROR, 2, "content-length is malformed or not the length of the content")       \
    X(TRAILER_FIELD, STREAM, PROTOCOL_ERROR, 2, "a framing or routing field in the trailers")                          \
    X(TRAILERS_OPEN, STREAM, PROTOCOL_ERROR, 2, "a second header block does not end the stream")                       \
    X(DATA_BEFORE_HEADERS, STREAM, PROTOCOL_ERROR, 2, "DATA before the response headers")                              \
    X(IDLE_DEPENDENCY, CONNECTION, PROTOCOL_ERROR, 0, "an idle stream depends on itself")                              \
    X(SELF_DEPENDENCY, STREAM, PROTOCOL_ERROR, 5, "a stream depends on itself")                                        \
    X(PRIORITY_UPDATE, CONNECTION, PROTOCOL_ERROR, 0, "PRIORITY_UPDATE is malformed or names a wrong stream")          \
    X(SETTINGS_ACK, CONNECTION, FRAME_SIZE_ERROR, 0, "a SETTINGS acknowledgement has a payload")                       \
    X(SETTINGS_VALUE, CONNECTION, PROTOCOL_ERROR, 0, "a SETTINGS value is out of its range")                           \
    X(SETTINGS_WINDOW, CONNECTION, FLOW_CONTROL_ERROR, 0, "SETTINGS_INITIAL_WINDOW_SIZE is over 2^31-1")               \
    X(SETTINGS_TIMEOUT, CONNECTION, SETTINGS_TIMEOUT, 0, "the peer did not acknowledge SETTINGS in time")              \
    X(CONNECTION_WINDOW, CONNECTION, FLOW_CONTROL_ERROR, 0, "the connection's flow control window is overrun")         \
    X(STREAM_WINDOW, STREAM, FLOW_CONTROL_ERROR, 5, "the stream's flow control window is overrun")                     \
    X(WINDOW_OVERFLOW, CONNECTION, FLOW_CONTROL_ERROR, 0, "WINDOW_UPDATE raises the connection window over 2^31-1")    \
    X(STREAM_WINDOW_OVERFLOW, STREAM, FLOW_CONTROL_ERROR, 5, "WINDOW_UPDATE raises a stream's window over 2^31-1")     \
    X(WINDOW_ZERO, CONNECTION, PROTOCOL_ERROR, 0, "WINDOW_UPDATE of 0 on the connection")                              \
    X(STREAM_WINDOW_ZERO, STREAM, PROTOCOL_ERROR, 5, "WINDOW_UPDATE of 0 on a stream")                                 \
    X(TOO_MANY_STREAMS, STREAM, REFUSED_STREAM, 0, "more streams than SETTINGS_MAX_CONCURRENT_STREAMS allows")         \
    X(DRAINING, STREAM, REFUSED_STREAM, 0, "the connection is being drained")                                          \
    X(STREAM_FLOOD, CONNECTION, ENHANCE_YOUR_CALM, 0, "too many new streams at once")                                  \
    X(RESET_FLOOD, CONNECTION, ENHANCE_YOUR_CALM, 0, "too many stream resets")                                         \
    X(RESET_RATIO, CONNECTION, ENHANCE_YOUR_CALM, 0, "too large a share of the streams was reset")                     \
    X(PING_FLOOD, CONNECTION, ENHANCE_YOUR_CALM, 0, "too many PING frames")                                            \
    X(SETTINGS_FLOOD, CONNECTION, ENHANCE_YOUR_CALM, 0, "too many SETTINGS frames")                                    \
    X(CONTROL_FLOOD, CONNECTION, ENHANCE_YOUR_CALM, 0, "too many answers queued for a peer that does not read")        \
    X(EMPTY_DATA_FLOOD, CONNECTION, ENHANCE_YOUR_CALM, 0, "too many empty DATA frames in a row")                       \
    X(HEADER_FLOOD, CONNECTION, ENHANCE_YOUR_CALM, 0, "a header block is larger or has more frames than allowed")      \
    X(ANOMALY_FLOOD, CONNECTION, ENHANCE_YOUR_CALM, 0, "too many protocol anomalies")                                  \
    X(PREFACE_TIMEOUT, CONNECTION, PROTOCOL_ERROR, 0, "the peer did not send its preface and SETTINGS in time")        \
    X(HEADER_TIMEOUT, CONNECTION, ENHANCE_YOUR_CALM, 0, "a header block was not finished in time")                     \
    X(KEEPALIVE_TIMEOUT, CONNECTION, NO_ERROR, 0, "the peer did not answer a keepalive PING in time")                  \
    X(WRITE_STALL, CONNECTION, ENHANCE_YOUR_CALM, 0, "the peer took no bytes for too long")                            \
    X(STREAM_STALL, STREAM, ENHANCE_YOUR_CALM, 0, "the peer gave no stream window for too long")                       \
    X(STREAM_IDS_SPENT, CONNECTION, NO_ERROR, 0, "all stream ids of the connection are used")

enum fg_h2_fault {
#define X(name, scope, code, weight, reason) FG_H2_FAULT_##name,
    FG_H2_FAULTS(X)
#undef X
        FG_H2_FAULT_LEN
};

enum fg_h2_scope { FG_H2_SCOPE_NOTHING, FG_H2_SCOPE_STREAM, FG_H2_SCOPE_CONNECTION };

struct fg_h2_fault_info {
    const char *name; /* "RESET_FLOOD", for labels and logs */
    const char *reason;
    uint8_t scope, weight;
    uint32_t code;
};

const struct fg_h2_fault_info *fg_h2_fault_info(enum fg_h2_fault fault);

#endif
