"""What breaks HTTP/2 or gRPC is answered on its own scope: the message, the stream, or the connection (RFC 9113
sections 5.4 and 8.1.1). Nothing malformed reaches a backend, everything else goes on."""
import struct

import pytest

from gateway import TIMEOUT
from wire import (ACK, COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM, FLOW_CONTROL_ERROR,
                  FRAME_SIZE_ERROR, GOAWAY, HEADERS, PADDED, PING, PRIORITY, PRIORITY_FLAG, PROTOCOL_ERROR,
                  PUSH_PROMISE, RST_STREAM, SETTINGS, STREAM_CLOSED, WINDOW_UPDATE, Client, frame, message, request,
                  settings)

BASE = request()


def without(*names):
    return [pair for pair in BASE if pair[0] not in names]


MALFORMED_REQUESTS = {
    "no method": without(":method"),
    "no path": without(":path"),
    "no scheme": without(":scheme"),
    "empty path": [(":path", ""), *without(":path")],
    "method twice": [(":method", "POST"), *BASE],
    "unknown pseudo-header": [(":proto", "x"), *BASE],
    "response pseudo-header": [(":status", "200"), *BASE],
    "pseudo-header after a field": [*without(":authority"), (":authority", "a")],
    "upper case": [*BASE, ("X-Upper", "1")],
    "connection": [*BASE, ("connection", "close")],
    "keep-alive": [*BASE, ("keep-alive", "1")],
    "proxy-connection": [*BASE, ("proxy-connection", "close")],
    "transfer-encoding": [*BASE, ("transfer-encoding", "chunked")],
    "upgrade": [*BASE, ("upgrade", "h2c")],
    "te": [*without("te"), ("te", "gzip")],
    "line feed in a value": [*BASE, ("x-value", "a\nb")],
    "carriage return in a value": [*BASE, ("x-value", "a\rb")],
    "nul in a value": [*BASE, ("x-value", "a\0b")],
    "space before a value": [*BASE, ("x-value", " a")],
    "space after a value": [*BASE, ("x-value", "a ")],
    "space in a name": [*BASE, ("x value", "a")],
    "colon in a name": [*BASE, ("x:value", "a")],
    "host that differs": [*BASE, ("host", "other.test")],
    "content-length that is no number": [*BASE, ("content-length", "x")],
    "two content-lengths": [*BASE, ("content-length", "5"), ("content-length", "6")],
}


@pytest.mark.parametrize("name", MALFORMED_REQUESTS)
def test_malformed_request_is_reset_alone(plain, backend, name):
    client = Client(plain)
    fields = MALFORMED_REQUESTS[name]
    # The library would lower names and refuse line feeds: literal fields by hand.
    block = b"".join(b"\0" + bytes([len(key)]) + key.encode() + bytes([len(value)]) + value.encode()
                     for key, value in fields)
    client.send(frame(HEADERS, END_HEADERS, 1, block), frame(DATA, END_STREAM, 1, message(b"")))
    assert client.until_kind(RST_STREAM, 1).code == PROTOCOL_ERROR
    client.next = 3
    assert client.call(b"next") == b"next"
    assert len(backend.wait_seen()) == 1


def test_content_length_that_lies(plain):
    client = Client(plain)
    for declared, content in (("10", message(b"")), ("3", message(b""))):
        stream = client.start("/t.Echo/Unary", ("content-length", declared))
        client.send(frame(DATA, END_STREAM, stream, content))
        assert client.until_kind(RST_STREAM, stream).code == PROTOCOL_ERROR
    assert client.call(b"next", "/t.Echo/Unary", ("content-length", "9")) == b"next"


@pytest.mark.parametrize("field", [("content-length", "5"), ("host", "test"), (":path", "/")])
def test_framing_and_routing_fields_in_trailers(plain, field):
    client = Client(plain)
    stream = client.start()
    client.send(frame(DATA, 0, stream, message(b"")), client.headers(stream, [field], end=True))
    assert client.until_kind(RST_STREAM, stream).code == PROTOCOL_ERROR
    assert client.call(b"next") == b"next"


def test_second_header_block_must_end_the_stream(plain):
    client = Client(plain)
    stream = client.start()
    client.send(client.headers(stream, [("x-late", "1")]))
    assert client.until_kind(RST_STREAM, stream).code == PROTOCOL_ERROR
    assert client.call(b"next") == b"next"


def test_request_trailers_with_pseudo_headers(plain):
    client = Client(plain)
    stream = client.start()
    client.send(client.headers(stream, [(":path", "/other")], end=True))
    assert client.until_kind(RST_STREAM, stream).code == PROTOCOL_ERROR
    assert client.call(b"next") == b"next"


def u32(value):
    return struct.pack(">I", value)


CONNECTION_ERRORS = {
    "frame larger than allowed": (frame(DATA, 0, 1, b"x" * 16385), FRAME_SIZE_ERROR),
    "PING of 7 bytes": (frame(PING, 0, 0, b"1234567"), FRAME_SIZE_ERROR),
    "PING on a stream": (frame(PING, 0, 1, b"12345678"), PROTOCOL_ERROR),
    "SETTINGS of 5 bytes": (frame(SETTINGS, 0, 0, b"12345"), FRAME_SIZE_ERROR),
    "SETTINGS on a stream": (frame(SETTINGS, 0, 1), PROTOCOL_ERROR),
    "SETTINGS ACK with content": (frame(SETTINGS, ACK, 0, b"123456"), FRAME_SIZE_ERROR),
    "RST_STREAM of 3 bytes": (frame(RST_STREAM, 0, 1, b"123"), FRAME_SIZE_ERROR),
    "RST_STREAM on an idle stream": (frame(RST_STREAM, 0, 9, u32(8)), PROTOCOL_ERROR),
    "RST_STREAM on the connection": (frame(RST_STREAM, 0, 0, u32(8)), PROTOCOL_ERROR),
    "WINDOW_UPDATE of 3 bytes": (frame(WINDOW_UPDATE, 0, 0, b"123"), FRAME_SIZE_ERROR),
    "WINDOW_UPDATE of zero": (frame(WINDOW_UPDATE, 0, 0, u32(0)), PROTOCOL_ERROR),
    "WINDOW_UPDATE on an idle stream": (frame(WINDOW_UPDATE, 0, 9, u32(1)), PROTOCOL_ERROR),
    "window overflow": (frame(WINDOW_UPDATE, 0, 0, u32((1 << 31) - 1)), FLOW_CONTROL_ERROR),
    "DATA on an idle stream": (frame(DATA, 0, 9, b"x"), PROTOCOL_ERROR),
    "DATA on the connection": (frame(DATA, 0, 0, b"x"), PROTOCOL_ERROR),
    "padding longer than DATA": (frame(DATA, PADDED, 1, b"\x05abc"), PROTOCOL_ERROR),
    "padding longer than HEADERS": (frame(HEADERS, PADDED | END_HEADERS, 5, b"\x05abc"), PROTOCOL_ERROR),
    "HEADERS on an even stream": (frame(HEADERS, END_HEADERS, 2, b"\x83"), PROTOCOL_ERROR),
    "HEADERS with a lower stream id": (frame(HEADERS, END_HEADERS, 0, b"\x83"), PROTOCOL_ERROR),
    "HEADERS too short for its priority": (frame(HEADERS, PRIORITY_FLAG | END_HEADERS, 5, b"1"), FRAME_SIZE_ERROR),
    "CONTINUATION without HEADERS": (frame(CONTINUATION, END_HEADERS, 1, b"\x83"), PROTOCOL_ERROR),
    "a frame within a header block": (frame(HEADERS, 0, 5, b"\x83") + frame(PING, 0, 0, b"12345678"), PROTOCOL_ERROR),
    "CONTINUATION of another stream": (frame(HEADERS, 0, 5, b"\x83") + frame(CONTINUATION, 4, 7, b""), PROTOCOL_ERROR),
    "PUSH_PROMISE": (frame(PUSH_PROMISE, END_HEADERS, 1, u32(2) + b"\x83"), PROTOCOL_ERROR),
    "PRIORITY on the connection": (frame(PRIORITY, 0, 0, b"\0\0\0\0\x10"), PROTOCOL_ERROR),
    "GOAWAY on a stream": (frame(GOAWAY, 0, 1, u32(0) * 2), PROTOCOL_ERROR),
    "GOAWAY of 4 bytes": (frame(GOAWAY, 0, 0, u32(0)), FRAME_SIZE_ERROR),
    "HPACK index out of range": (frame(HEADERS, END_HEADERS, 5, b"\xff\x7f"), COMPRESSION_ERROR),
    "HPACK index zero": (frame(HEADERS, END_HEADERS, 5, b"\x80"), COMPRESSION_ERROR),
    "HPACK integer without an end": (frame(HEADERS, END_HEADERS, 5, b"\xff" * 12), COMPRESSION_ERROR),
    "HPACK string cut off": (frame(HEADERS, END_HEADERS, 5, b"\0\x0aabc"), COMPRESSION_ERROR),
    "HPACK bad Huffman code": (frame(HEADERS, END_HEADERS, 5, b"\0\x84\xff\xff\xff\xff\0"), COMPRESSION_ERROR),
    "HPACK table size over the limit": (frame(HEADERS, END_HEADERS, 5, b"\x3f\xe2\x1f"), COMPRESSION_ERROR),
    "HPACK table size in the middle": (frame(HEADERS, END_HEADERS, 5, b"\x83\x20"), COMPRESSION_ERROR),
}


@pytest.mark.parametrize("name", CONNECTION_ERRORS)
def test_bad_frame_ends_its_connection_alone(plain, name):
    content, code = CONNECTION_ERRORS[name]
    other, client = Client(plain), Client(plain)
    assert other.call(b"before") == b"before"
    client.start("/t.Echo/Unary", ("do-hang", "1"))
    client.ping()
    client.send(content)
    got = client.until_goaway()
    assert got.code == code, got
    assert len(got.payload) > 8, "the reason stands in the debug data"
    assert other.call(b"after") == b"after"


def test_headers_on_a_stream_that_was_closed(plain):
    client = Client(plain)
    assert client.call(b"x") == b"x"
    client.send(client.headers(1, request(), end=True))
    assert client.until_goaway().code in (STREAM_CLOSED, PROTOCOL_ERROR)


@pytest.mark.parametrize("first", [b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", b"PRI /" + b"x" * 100])
def test_bad_preface(plain, first):
    client = Client(plain, preface=b"")
    client.answer_settings = False
    client.send(first)
    client.until_closed()
    assert plain.faults("bad_preface") == 1
    assert Client(plain).call(b"x") == b"x"


def test_first_frame_must_be_settings(plain):
    client = Client(plain, preface=b"")
    client.answer_settings = False
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", frame(PING, 0, 0, b"12345678"))
    assert client.until_goaway().code == PROTOCOL_ERROR


def test_unknown_frames_and_flags_are_ignored(plain):
    client = Client(plain)
    client.send(frame(0x42, 0xff, 0, b"?" * 100), frame(0x42, 0xff, 77, b"?"), frame(PING, 0xfe, 0, b"12345678"),
                settings())
    assert client.call(b"x") == b"x"


# ---- gRPC ----

def answer_to(client, fields, content=b""):
    stream, client.next = client.next, client.next + 2
    client.send(client.headers(stream, fields), frame(DATA, END_STREAM, stream, content))
    headers, _, trailers = client.until_end(stream)[stream]
    return headers, trailers


def test_request_that_is_not_grpc_is_415(plain):
    client = Client(plain)
    for kind in ("text/plain", "application/json", "application/grp"):
        headers, _ = answer_to(client, [*without("content-type", "te"), ("content-type", kind)])
        assert headers[":status"] == "415"
    assert client.call(b"x") == b"x"


def test_request_that_is_not_post(plain):
    client = Client(plain)
    headers, trailers = answer_to(client, [(":method", "GET"), *without(":method")])
    assert headers[":status"] in ("200", "405") and trailers["x-fusegate-origin"] == "local_bad_request"


def test_compression_flag_that_does_not_exist(plain):
    client = Client(plain)
    _, trailers = answer_to(client, BASE, b"\2\0\0\0\1x")
    assert trailers["grpc-status"] == "13" and trailers["x-fusegate-origin"] == "local_bad_request"
    assert client.call(b"x") == b"x"


@pytest.mark.parametrize("split", [1, 7, 100])
def test_bytes_may_come_in_any_pieces(plain, split):
    client = Client(plain)
    client.ping()
    whole = client.headers(1, request(), end=False) + frame(DATA, END_STREAM, 1, message(b"piecemeal" * 10))
    for at in range(0, len(whole), split):
        client.send(whole[at:at + split])
    assert client.until_end(1, timeout=TIMEOUT)[1][1][5:] == b"piecemeal" * 10
