/* Everything that an HTTP/1 peer can do wrong: one row each, with the status that a server answers and the reason that
 * logs and counters give. After any of them the connection is closed: its framing cannot be trusted any more. */
#ifndef FG_H1_FAULT_H
#define FG_H1_FAULT_H

/* X(NAME, status, reason). Status 0: no answer, it would not be understood. Sections are those of RFC 9112. */
#define FG_H1_FAULTS(X)                                                                                                \
    X(NONE, 0, "")                                                                                                     \
    X(LINE, 400, "a line does not end with CRLF, or has a control character")                                          \
    X(REQUEST_LINE, 400, "the request line is not METHOD TARGET VERSION")                                              \
    X(PROTOCOL, 0, "the first line is neither HTTP/1's nor HTTP/2's")                                                  \
    X(METHOD, 400, "the method is not a token")                                                                        \
    X(TARGET, 400, "the request target is empty, or has a byte that must be percent-encoded")                          \
    X(TARGET_FORM, 400, "the request target is neither a path nor an http URI of this host")                           \
    X(STATUS_LINE, 400, "the status line is not VERSION STATUS REASON")                                                \
    X(VERSION, 505, "the version is not HTTP/1.0 or HTTP/1.1")                                                         \
    X(FOLDED_FIELD, 400, "a header field is folded over lines")                                                        \
    X(FIELD_NAME, 400, "a header field has no proper name")                                                            \
    X(FIELD_VALUE, 400, "a header field has a control character")                                                      \
    X(HEAD_TOO_LARGE, 431, "the head is larger than max_header_list allows")                                           \
    X(TOO_MANY_FIELDS, 431, "there are more header fields than max_header_fields allows")                              \
    X(HOST, 400, "there is not exactly one host field, or it differs from the target's")                               \
    X(LENGTH_TWICE, 400, "content-length is given twice")                                                              \
    X(LENGTH, 400, "content-length is not a number")                                                                   \
    X(TRANSFER_ENCODING, 400, "transfer-encoding is doubled, or in HTTP/1.0")                                          \
    X(TRANSFER_CODING, 501, "the only transfer-encoding that is known is chunked")                                     \
    X(LENGTH_AND_CHUNKED, 400, "content-length and transfer-encoding exclude each other")                              \
    X(CHUNK_SIZE, 400, "a chunk size is not a hexadecimal number")                                                     \
    X(CHUNK_EXTENSION, 400, "a chunk extension is too long")                                                           \
    X(CHUNK_END, 400, "a chunk does not end with CRLF")                                                                \
    X(TRAILER, 400, "a trailer field is malformed or not allowed")                                                     \
    X(EXPECTATION, 417, "the only expectation that is known is 100-continue")                                          \
    X(CUT, 400, "the connection ended in the middle of a message")                                                     \
    X(HEADER_TIMEOUT, 408, "the head did not arrive within header_timeout")                                            \
    X(UNEXPECTED, 400, "bytes came that no request asked for")                                                         \
    X(SWITCH, 400, "the endpoint switched protocols although it was not asked to, or without sec-websocket-accept")    \
    X(NO_SWITCH, 400, "the endpoint was asked to switch protocols and answered as if it was not")

enum fg_h1_fault {
#define X(name, status, reason) FG_H1_FAULT_##name,
    FG_H1_FAULTS(X)
#undef X
        FG_H1_FAULT_LEN
};

struct fg_h1_fault_info {
    const char *name; /* "CHUNK_SIZE" */
    unsigned status;
    const char *reason;
};

const struct fg_h1_fault_info *fg_h1_fault_info(enum fg_h1_fault fault);

#endif
