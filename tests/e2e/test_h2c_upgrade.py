"""Upgrade: h2c (RFC 7540 section 3.2): HTTP/2 for clients that do not know before that it is spoken here."""
import base64
import signal
import socket
import subprocess

import pytest

from gateway import TIMEOUT, wait_for
from test_http_service import Service
from wire import DATA, GOAWAY, HEADERS, PREFACE, SETTINGS, Wire, settings


@pytest.fixture
def service():
    service = Service()
    yield service
    service.close()


@pytest.fixture
def gate(gateway, service):
    return gateway("""
listeners: [{address: $listen}]
clusters: {web: {endpoints: [$service], service: http, protocol: h1, breaker: {enabled: false}}}
""", service=service.address)


def upgrade(path="/x", settings_=None, method="GET", more=b""):
    value = base64.urlsafe_b64encode(settings()[9:] if settings_ is None else settings_).rstrip(b"=")
    return b"%s %s HTTP/1.1\r\nhost: a\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: %s\r\n" \
           b"%s\r\n" % (method.encode(), path.encode(), value, more)


def connect(gate):
    host, port = gate.address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=TIMEOUT)


def read_head(sock):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        assert byte, head
        head += byte
    return head


def test_curl_and_nghttp(gate):
    done = subprocess.run(["curl", "-sS", "-i", "--http2", f"http://{gate.address}/a?b"], capture_output=True,
                          timeout=TIMEOUT, check=True)
    assert done.stdout.startswith(b"HTTP/1.1 101 ") and b"HTTP/2 200" in done.stdout and done.stdout.endswith(b"hello")
    done = subprocess.run(["curl", "-sS", "-i", "--http2", "-d", "content", f"http://{gate.address}/"],
                          capture_output=True, timeout=TIMEOUT, check=True)
    assert done.stdout.endswith(b"content") and b" 200" in done.stdout
    done = subprocess.run(["nghttp", "-u", "-v", f"http://{gate.address}/1", f"http://{gate.address}/2"],
                          capture_output=True, timeout=TIMEOUT, check=True)
    assert done.stdout.count(b":status: 200") == 2, done.stdout
    gate.assert_rest()


@pytest.mark.parametrize("together", [True, False])
def test_the_request_is_stream_1_and_more_follow(gate, service, together):
    sock = connect(gate)
    request, preface = upgrade("/first", settings((4, 70000))[9:]), PREFACE + settings((4, 70000))
    sock.sendall(request + preface if together else request)
    assert b"HTTP/1.1 101 Switching Protocols\r\n" in read_head(sock)
    if not together:
        sock.sendall(preface)
    wire = Wire(sock)
    assert wire.until_kind(SETTINGS).stream == 0
    fields, content, _ = wire.until_end(1)[1]
    assert fields[":status"] == "200" and fields["x-path"] == "/first" and content == b"hello"
    wire.send(wire.headers(3, [(":method", "GET"), (":scheme", "http"), (":path", "/second"), (":authority", "a")], end=True))
    assert wire.until_end(3)[3][0]["x-path"] == "/second"
    wire.close()
    names = [name for name in service.seen[0][2] if name in ("upgrade", "http2-settings")]
    assert names == []
    gate.assert_rest()
    assert 0 < gate.metric("downstream_connections_opened_total") == gate.metric("downstream_connections_closed_total")


def test_its_settings_count(gate):
    """A window of 0 in HTTP2-Settings holds the first answer back."""
    sock = connect(gate)
    sock.sendall(upgrade(settings_=settings((4, 0))[9:]) + PREFACE + settings((4, 0)))
    read_head(sock)
    wire = Wire(sock)
    wire.until_kind(HEADERS, 1)
    with pytest.raises(TimeoutError):
        wire.until_kind(DATA, 1, timeout=0.3)
    wire.send(settings((4, 100)))
    assert wire.until_kind(DATA, 1).payload == b"hello"
    wire.close()
    gate.assert_rest()


@pytest.mark.parametrize("request_", [
    upgrade(settings_=b"12345"),
    upgrade().replace(b"http2-settings: ", b"http2-settings: !"),
    upgrade().replace(b"connection: Upgrade, HTTP2-Settings", b"connection: Upgrade"),
    upgrade(more=b"http2-settings: \r\n"),
    upgrade().replace(b"HTTP/1.1", b"HTTP/1.0"),
    upgrade(method="POST", more=b"content-length: 2\r\n") + b"ab",
], ids=["length", "base64", "connection", "twice", "http/1.0", "content"])
def test_what_is_no_upgrade_is_answered_in_http1(gate, request_):
    with connect(gate) as sock:
        sock.sendall(request_)
        assert b" 200 OK\r\n" in read_head(sock)
    gate.assert_rest()


def test_not_for_the_second_request(gate):
    with connect(gate) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n" + upgrade())
        head = read_head(sock)
        assert b"HTTP/1.1 200" in head
        assert sock.recv(5, socket.MSG_WAITALL) == b"hello"
        assert b"HTTP/1.1 200" in read_head(sock)
    gate.assert_rest()


def test_settings_out_of_range_end_it_with_a_goaway(gate):
    with connect(gate) as sock:
        sock.sendall(upgrade(settings_=settings((4, 1 << 31))[9:]))
        assert b" 101 " in read_head(sock)
        wire = Wire(sock)
        assert wire.until_goaway().code == 3
        wire.until_closed()
    gate.assert_rest()


def test_a_client_that_never_speaks_http2(gate):
    """It has asked for it, and was told yes: its next bytes are the preface or the end."""
    with connect(gate) as sock:
        sock.sendall(upgrade() + b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert b" 101 " in read_head(sock)
        wire = Wire(sock)
        assert wire.until_goaway().code == 1
        wire.until_closed()
    gate.assert_rest()


def test_a_drain_that_begins_in_the_middle_of_the_request(gate):
    """It is answered in HTTP/2, and is the last one of its connection."""
    request = upgrade("/last")
    with connect(gate) as sock:
        sock.sendall(request[:-2])
        wait_for("it is read", lambda: gate.metric("downstream_read_bytes_total") >= len(request) - 2)
        gate.process.send_signal(signal.SIGTERM)
        wait_for("the drain", lambda: gate.get("/readyz")[0] == 503)
        sock.sendall(request[-2:] + PREFACE + settings())
        assert b" 101 " in read_head(sock)
        wire = Wire(sock)
        fields, content, _ = wire.until_end(1)[1]
        assert fields[":status"] == "200" and content == b"hello"
        wire.until_closed()
        assert any(got.kind == GOAWAY for got in wire.seen)
    assert gate.join() == 0
