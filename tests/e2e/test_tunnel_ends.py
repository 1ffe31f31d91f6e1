"""How tunnels end: each direction by itself, at a bad moment, and when the gateway itself goes."""
import base64
import hashlib
import socket
import struct
import threading

import pytest

from gateway import TIMEOUT, wait_for

HTTP = """
listeners: [{address: $listen}]
routes: [{cluster: web}]
clusters: {web: {endpoints: [$service], service: http, protocol: h1, breaker: {enabled: false}, http2: {stream_window: 64KiB}}}
"""
ASK = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n" \
      b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
ESTABLISHED, FIN_WAIT2, TIME_WAIT, CLOSE = 1, 5, 6, 7


def accept_of(head):
    key = next(line.split(b": ")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
    return base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())


def read_head(sock):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        assert byte, head
        head += byte
    return head


def read_all(sock):
    got = b""
    while data := sock.recv(1 << 16):
        got += data
    return got


class Endpoint:
    """Accepts one connection, agrees to the tunnel, and goes on with SCRIPT(sock)."""

    def __init__(self, script):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.problem = None
        self.thread = threading.Thread(target=self.play, args=(script,))
        self.thread.start()

    def play(self, script):
        try:
            sock, _ = self.listener.accept()
            with sock:
                sock.settimeout(TIMEOUT)
                sock.sendall(b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
                             b"sec-websocket-accept: %s\r\n\r\n" % accept_of(read_head(sock)))
                script(sock)
        except Exception as error:  # told by close(), in the test's own thread
            self.problem = error

    def close(self):
        self.thread.join(2 * TIMEOUT)
        self.listener.close()
        if self.problem:
            raise self.problem


def connect(gate, room=None):
    """ROOM: bytes that the kernel takes for us, about."""
    host, port = gate.address.rsplit(":", 1)
    sock = socket.socket()
    sock.settimeout(TIMEOUT)
    if room:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    sock.connect((host, int(port)))
    sock.sendall(ASK)
    assert read_head(sock).startswith(b"HTTP/1.1 101 ")
    return sock


def state_of(sock):
    return struct.unpack("B", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1))[0]


@pytest.mark.parametrize("kib", [200, 400])
def test_what_the_endpoint_said_before_its_end_waits_for_a_slow_client(gateway, kib):
    """Both directions of its connection are over, and the kernel says so, while much of it is not read yet."""
    content = bytes(i % 251 for i in range(kib << 10))
    ended = threading.Event()

    def script(sock):
        assert read_all(sock) == b"go"
        sock.sendall(content)
        sock.shutdown(socket.SHUT_WR)
        wait_for("everything to be taken", lambda: state_of(sock) in (FIN_WAIT2, TIME_WAIT, CLOSE))
        ended.set()

    endpoint = Endpoint(script)
    gate = gateway(HTTP, service=endpoint.address)
    with connect(gate, room=32 << 10) as client:
        client.sendall(b"go")
        client.shutdown(socket.SHUT_WR)
        assert ended.wait(TIMEOUT)
        got = read_all(client)
    endpoint.close()
    assert got == content
    gate.assert_rest()


@pytest.mark.parametrize("kib", range(64, 320, 32))
def test_a_client_that_ends_first_reads_on(gateway, kib):
    """What is left for it when both have said everything waits in the gateway, however much the kernel has taken."""
    content = bytes(i % 251 for i in range(kib << 10))
    ended = threading.Event()

    def script(sock):
        sock.sendall(content)
        sock.shutdown(socket.SHUT_WR)
        wait_for("everything to be taken", lambda: state_of(sock) != ESTABLISHED)
        ended.set()

    endpoint = Endpoint(script)
    gate = gateway(HTTP, service=endpoint.address)
    with connect(gate, room=16 << 10) as client:
        assert ended.wait(TIMEOUT)
        client.shutdown(socket.SHUT_WR)
        gate.metrics()  # by now it has read our end
        got = read_all(client)
    endpoint.close()
    assert got == content
    gate.assert_rest()
