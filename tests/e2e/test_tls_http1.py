"""HTTP/1.1 over TLS: bytes that wait inside of the TLS layer while nothing may be read."""
import contextlib
import signal
import socket
import ssl

import pytest

from certificates import Authority
from gateway import TIMEOUT
from test_http_service import Service


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def service():
    service = Service()
    yield service
    service.close()


@pytest.fixture
def gate(gateway, service, authority):
    pem, key = authority.issue("edge", "edge.test")
    return gateway("""
listeners: [{address: $listen, tls: {certificate: $pem, key: $key}, http2: {stream_window: 64KiB}}]
clusters: {web: {endpoints: [$service], service: http, protocol: h1, breaker: {enabled: false}}}
""", service=service.address, pem=pem, key=key)


def connect(gate, authority):
    host, port = gate.address.rsplit(":", 1)
    context = ssl.create_default_context(cafile=authority.certificate)
    context.set_alpn_protocols(["http/1.1"])
    sock = socket.create_connection((host, int(port)), timeout=TIMEOUT)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
    return context.wrap_socket(sock, server_hostname="edge.test")


@contextlib.contextmanager
def at_once(gate):
    """What is sent meanwhile comes in one piece."""
    gate.process.send_signal(signal.SIGSTOP)
    yield
    gate.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("kib", [260, 280, 300])
def test_pipelined_requests_are_all_answered(gate, authority, kib):
    request = b"GET /%s HTTP/1.1\r\nhost: a\r\n\r\n" % (b"p" * 20000)
    count, got = kib * 1024 // len(request), b""
    with connect(gate, authority) as sock:
        with at_once(gate):
            sock.sendall(request * count)
        while got.count(b"\r\n\r\nhello") < count:
            data = sock.recv(1 << 16)
            assert data, got[-1000:]
            got += data
    gate.assert_rest()


@pytest.mark.parametrize("kib", [260, 280, 300])
def test_content_arrives_to_its_end(gate, authority, service, kib):
    content = bytes(i % 251 for i in range(kib << 10))
    with connect(gate, authority) as sock:
        with at_once(gate):
            sock.sendall(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % len(content) + content)
        got = b""
        while len(got.split(b"\r\n\r\n", 1)[-1]) < len(content):
            data = sock.recv(1 << 16)
            assert data
            got += data
    assert service.seen[-1][3] == content
    gate.assert_rest()
