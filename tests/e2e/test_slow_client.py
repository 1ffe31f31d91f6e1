"""Clients that take their time to read the end of an answer."""
import socket
import time

import pytest

from gateway import SCALE, TIMEOUT
from test_http_service import Service


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


def connect(gate, room):
    host, port = gate.address.rsplit(":", 1)
    sock = socket.socket()
    sock.settimeout(TIMEOUT)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    sock.connect((host, int(port)))
    return sock


@pytest.mark.parametrize("kib", [100, 200, 300])
def test_the_end_of_an_answer_waits_for_a_client_that_reads_later(gate, kib):
    """Nothing comes behind the answer, so that the connection is to close; not before all of it is taken."""
    with connect(gate, 16 << 10) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ndo-size: %d\r\n\r\n" % (kib << 10))
        head = sock.recv(1)
        time.sleep(SCALE)
        while data := sock.recv(1 << 16):
            head += data
    assert len(head.split(b"\r\n\r\n", 1)[1]) == kib << 10
    gate.assert_rest()
