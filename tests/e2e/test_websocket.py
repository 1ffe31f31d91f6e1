"""WebSocket to services that speak HTTP: a client and a server that people use, over HTTP/1.1 and HTTP/2 (RFC 8441)."""
import asyncio
import http
import socket
import threading

import pytest
import websockets

from gateway import TIMEOUT, wait_for
from wire import DATA, HEADERS, RST_STREAM, Client, frame


class Service:
    """Echoes; ends after the text "bye", breaks off after "break"."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.seen, self.closed = [], []
        started = threading.Event()
        self.thread = threading.Thread(target=self.run, args=(started,))
        self.thread.start()
        assert started.wait(TIMEOUT)

    def run(self, started):
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(
            websockets.serve(self.handle, "127.0.0.1", 0, max_size=None, subprotocols=["chat"],
                             process_request=self.on_request))
        self.address = "127.0.0.1:%d" % server.sockets[0].getsockname()[1]
        started.set()
        self.loop.run_forever()
        server.close()
        self.loop.run_until_complete(server.wait_closed())
        self.loop.close()

    async def on_request(self, path, headers):
        self.seen.append((path, headers))
        if path == "/forbidden":
            return http.HTTPStatus.FORBIDDEN, [("x-why", "no")], b"not you"
        return None

    async def handle(self, socket_, _path):
        try:
            async for message in socket_:
                if message == "bye":
                    await socket_.close(4001, "as you say")
                elif message == "break":
                    socket_.transport.abort()
                else:
                    await socket_.send(message)
        except websockets.ConnectionClosed:
            pass
        self.closed.append(socket_.close_code)

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()


@pytest.fixture
def service():
    service = Service()
    yield service
    service.close()


HTTP = """
listeners: [{address: $listen}]
routes: [{cluster: web, timeout: 300ms}]
clusters: {web: {endpoints: [$service], service: http, protocol: %s, breaker: {enabled: false}}}
"""


@pytest.fixture(params=["h1", "through h2"])
def gate(request, gateway, service):
    """To the service at once, or by a second gateway that is spoken to in HTTP/2."""
    gate = gateway(HTTP % "h1", service=service.address)
    return gate if request.param == "h1" else gateway(HTTP % "h2", service=gate.address)


def run(scenario):
    return asyncio.run(asyncio.wait_for(scenario, TIMEOUT))


def test_messages_of_all_sizes_go_both_ways_for_longer_than_the_timeout(gate, service):
    async def scenario():
        async with websockets.connect(f"ws://{gate.address}/chat?x=1", subprotocols=["chat"], max_size=None) as client:
            assert client.subprotocol == "chat"
            for size in (0, 1, 125, 126, 65536, 3_000_000):
                await client.send(b"m" * size)
                assert await client.recv() == b"m" * size
            await asyncio.gather(*(client.send(f"{i}") for i in range(500)))
            assert [await client.recv() for _ in range(500)] == [f"{i}" for i in range(500)]
            await asyncio.sleep(0.5)  # past the route's timeout, which is for the handshake
            assert await (await client.ping()) is not None
    run(scenario())
    path, headers = service.seen[-1]
    assert path == "/chat?x=1" and headers["host"] == gate.address
    assert len(headers.get_all("sec-websocket-key")) == 1 and headers["sec-websocket-version"] == "13"
    wait_for("the close code", lambda: service.closed == [1000])
    gate.assert_rest()
    assert gate.metric("calls_total", code="OK") == 1


def test_the_service_ends_it(gate):
    async def scenario():
        async with websockets.connect(f"ws://{gate.address}/") as client:
            await client.send("bye")
            with pytest.raises(websockets.ConnectionClosedError) as error:
                await client.recv()
            assert (error.value.rcvd.code, error.value.rcvd.reason) == (4001, "as you say")
    run(scenario())
    gate.assert_rest()


def test_the_service_breaks_off(gate):
    async def scenario():
        async with websockets.connect(f"ws://{gate.address}/") as client:
            await client.send("break")
            with pytest.raises(websockets.ConnectionClosedError) as error:
                await client.recv()
            assert error.value.rcvd is None
    run(scenario())
    gate.assert_rest()


def test_the_client_breaks_off(gate, service):
    async def scenario():
        client = await websockets.connect(f"ws://{gate.address}/")
        await client.send("x")
        await client.recv()
        client.transport.abort()
    run(scenario())
    wait_for("the service to see it", lambda: service.closed == [1006])
    gate.assert_rest()


def test_a_refusal_is_passed_on(gate):
    async def scenario():
        with pytest.raises(websockets.InvalidStatusCode) as error:
            await websockets.connect(f"ws://{gate.address}/forbidden")
        assert error.value.status_code == 403 and error.value.headers["x-why"] == "no"
    run(scenario())
    gate.assert_rest()


def test_bytes_that_come_before_the_answer(gate):
    """A client need not be polite: what it sends too early is for the service, behind the handshake."""
    host, port = gate.address.rsplit(":", 1)
    hello = b"\x81\x85\0\0\0\0hello"
    with socket.create_connection((host, int(port)), timeout=TIMEOUT) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
                     b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" + hello)
        answer = b""
        while b"hello" not in answer:
            answer += sock.recv(1 << 16)
        sock.sendall(b"\x88\x80\0\0\0\0")
        sock.shutdown(socket.SHUT_WR)
        while data := sock.recv(1 << 16):
            answer += data
    head, content = answer.split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 101 ") and b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head  # RFC 6455's
    assert content == b"\x81\x05hello\x88\x00"
    gate.assert_rest()


def extended(path="/", protocol="websocket"):
    return [(":method", "CONNECT"), (":protocol", protocol), (":scheme", "http"), (":authority", "a"), (":path", path),
            ("sec-websocket-version", "13")]


def test_over_http2(gateway, service):
    gate = gateway(HTTP % "h1", service=service.address)
    client = Client(gate)
    assert dict(client.until_kind(4).settings())[8] == 1
    client.send(client.headers(1, extended()))
    answer = client.until_kind(HEADERS, 1)
    assert (":status", "200") in answer.fields and not any("sec-websocket-accept" in name for name, _ in answer.fields)
    client.send(frame(DATA, 0, 1, b"\x81\x82\0\0\0\0hi"))
    assert client.until_kind(DATA, 1).payload == b"\x81\x02hi"
    client.send(frame(DATA, 1, 1, b"\x88\x82\0\0\0\0\x03\xe8"))
    client.until_end(1)
    wait_for("the close code", lambda: service.closed == [1000])
    client.send(client.headers(3, extended("/forbidden")))
    assert (":status", "403") in client.until_kind(HEADERS, 3).fields
    client.close()
    gate.assert_rest()


@pytest.mark.parametrize("fields", [
    [(name, "GET" if name == ":method" else value) for name, value in extended()],
    [field for field in extended() if field[0] != ":path"],
    [field for field in extended() if field[0] != ":scheme"],
    [field for field in extended() if field[0] != ":authority"],
    extended(protocol=""),
])
def test_malformed_connects_are_reset(gateway, service, fields):
    gate = gateway(HTTP % "h1", service=service.address)
    client = Client(gate)
    client.send(client.headers(1, fields))
    assert client.until_kind(RST_STREAM, 1).code == 1
    client.close()
    gate.assert_rest()


@pytest.mark.parametrize("fields, code", [
    (extended(protocol="connect-udp"), "501"),
    ([(":method", "CONNECT"), (":authority", "a:80")], "501"),
])
def test_other_tunnels_are_refused(gateway, service, fields, code):
    gate = gateway(HTTP % "h1", service=service.address)
    client = Client(gate)
    client.send(client.headers(1, fields))
    assert (":status", code) in client.until_kind(HEADERS, 1).fields
    client.close()
    gate.assert_rest()


def test_clusters_that_take_none(gateway, service, backend):
    gate = gateway("""
listeners: [{address: $listen}]
routes: [{match: {method: grpc.Service/*}, cluster: grpc}, {cluster: web}]
clusters:
  web: {endpoints: [$backend], service: http, protocol: h2}
  grpc: {endpoints: [$backend]}
""", backend=backend.address)

    async def scenario(path):
        with pytest.raises(websockets.InvalidStatusCode) as error:
            await websockets.connect(f"ws://{gate.address}{path}")
        return error.value.status_code
    assert run(scenario("/grpc.Service/Call")) == 501
    assert run(scenario("/web")) == 501  # grpc-go's and grpcio's servers do not offer extended CONNECT
    gate.assert_rest()


def test_an_endpoint_that_does_not_switch(gateway):
    listener = socket.create_server(("127.0.0.1", 0))
    gate = gateway(HTTP % "h1", service="127.0.0.1:%d" % listener.getsockname()[1])
    answers = [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
               b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: AAAA\r\n\r\n",
               b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: other\r\n\r\n"]

    def serve():
        for answer in answers:
            conn, _ = listener.accept()
            with conn:
                conn.settimeout(TIMEOUT)
                while b"\r\n\r\n" not in conn.recv(1 << 16):
                    pass
                conn.sendall(answer)
                while conn.recv(1 << 16):
                    pass

    thread = threading.Thread(target=serve)
    thread.start()

    async def scenario():
        with pytest.raises(websockets.InvalidStatusCode) as error:
            await websockets.connect(f"ws://{gate.address}/")
        return error.value.status_code
    for _ in answers:
        assert run(scenario()) in (500, 502)
    thread.join(TIMEOUT)
    listener.close()
    gate.assert_rest()
