"""HTTP/1.1 on the same port: what is spoken is told from the first bytes, and what is no HTTP is answered and closed."""
import socket

import pytest

from gateway import TIMEOUT
from wire import PREFACE, Client


def talk(gate, *pieces, pause=None):
    """Sends PIECES one by one; everything that comes until the gateway closes."""
    host, port = gate.address.rsplit(":", 1)
    answer = b""
    with socket.create_connection((host, int(port)), timeout=TIMEOUT) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            sock.sendall(piece)
        while True:
            try:
                data = sock.recv(1 << 16)
            except ConnectionError:
                return answer
            if not data:
                return answer
            answer += data


REQUEST = b"GET /x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"


def test_http1_is_told_from_http2_by_its_first_bytes(plain):
    assert talk(plain, REQUEST).startswith(b"HTTP/1.1 415 ")
    assert talk(plain, *[REQUEST[i:i + 1] for i in range(len(REQUEST))]).startswith(b"HTTP/1.1 415 ")
    client = Client(plain, preface=b"")
    for i in range(len(PREFACE)):
        client.send(PREFACE[i:i + 1])
    client.send(b"\0\0\0\4\0\0\0\0\0")
    assert client.call(b"x") == b"x"


def test_grpc_over_http1_is_told_what_it_needs(plain):
    request = b"POST /t.Echo/Unary HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\nconnection: close\r\n" \
              b"content-length: 5\r\n\r\n\0\0\0\0\0"
    answer = talk(plain, request)
    assert answer.startswith(b"HTTP/1.1 505 ") and b"HTTP/2" in answer


def test_requests_on_one_connection_and_pipelined(plain):
    keep = b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n"
    assert talk(plain, keep + keep, keep, REQUEST).count(b"HTTP/1.1 415 ") == 4


def test_content_that_nobody_reads_is_no_next_request(plain):
    chunked = b"POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nGET /\r\n0\r\n\r\n"
    assert talk(plain, chunked, REQUEST).count(b"HTTP/1.1 415 ") == 2


@pytest.mark.parametrize("first, status", [
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n", 400),
    (b"\0" * 100 + b"\r\n", 400),
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", 400),
    (b"GET / HTTP/1.1\nhost: a\n\n", 400),
    (b"GET / HTTP/2.0\r\nhost: a\r\n\r\n", 505),
    (b"GET / HTTP/1.1\r\nhost: a\r\n folded\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n", 501),
    (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"a" * (70 << 10) + b"\r\n\r\n", 431),
    (b"GET / HTTP/1.1\r\nhost: a\r\n" + b"x: y\r\n" * 200 + b"\r\n", 431),
    (b"GET http://b/ HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nhost: a\r\nexpect: tea\r\n\r\n", 417),
])
def test_what_can_be_read_in_two_ways_is_refused(plain, first, status):
    answer = talk(plain, first)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer
    assert b"connection: close" in answer
    assert plain.metric("protocol_faults_total", protocol="h1") == 1
    assert Client(plain).call(b"x") == b"x"


def test_what_is_neither_version_is_closed_without_an_answer(plain):
    """An HTTP/2 client whose preface is wrong would read an answer of HTTP/1 as a frame."""
    assert talk(plain, b"INVALID CONNECTION PREFACE\r\n\r\n") == b""
    assert talk(plain, b"EHLO a b\r\n") == b""


def test_silence_ends(gateway, backend):
    gate = gateway("""
listeners: [{address: $listen, http2: {preface_timeout: 300ms, header_timeout: 300ms}}]
clusters: {c: {endpoints: [$backend]}}
""", backend=backend.address)
    assert talk(gate) == b""
    assert talk(gate, b"PRI") == b""
    assert talk(gate, b"GET / HTTP/1.1\r\nho").startswith(b"HTTP/1.1 408 ")
