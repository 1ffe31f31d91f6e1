"""Row B3: a storm of connections that are told apart, upgraded, reset, half-closed and cut. Each is opened once and closed
once, and when it is over every gauge is 0."""
import asyncio
import base64
import collections
import hashlib
import os
import random
import socket
import ssl
import struct

import hpack
import pytest

from certificates import Authority
from gateway import free_port, wait_for
from test_http_service import Service
from wire import (DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PREFACE, RST_STREAM, Client, frame, message, request,
                  settings)

CONNECTIONS = 20_000
AT_ONCE = 250

GRPC = hpack.Encoder().encode(request())
CALL = frame(HEADERS, END_HEADERS, 1, GRPC) + frame(DATA, END_STREAM, 1, message(b"x"))
H2 = PREFACE + settings()
UPGRADE = b"GET /web HTTP/1.1\r\nhost: a\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAQAAP__\r\n\r\n"
GET = b"GET /web HTTP/1.1\r\nhost: a\r\n\r\n"
POST = b"POST /web HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nhalf of it"
WEBSOCKET = b"GET /socket HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n" \
            b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
PING, CLOSE = b"\x89\x80\0\0\0\0", b"\x88\x80\0\0\0\0"

# What a client says, and how many bytes of an answer it waits for before it goes on to how it ends.
KINDS = {
    "h2 call": (H2 + CALL, 60),
    "h2 call and GOAWAY": (H2 + CALL + frame(GOAWAY, 0, 0, b"\0" * 8), 60),
    "h2 reset": (H2 + frame(HEADERS, END_HEADERS, 1, GRPC) + frame(RST_STREAM, 0, 1, struct.pack(">I", 8)), 30),
    "h2 open": (H2 + frame(HEADERS, END_HEADERS, 1, GRPC), 30),
    "h1": (GET, 20),
    "h1 pipelined": (GET * 3, 20),
    "h1 half a body": (POST, 0),
    "h2c upgrade": (UPGRADE + H2, 100),
    "h2c upgrade, then nonsense": (UPGRADE + b"nonsense, and more of it than a preface has\r\n", 60),
    "h2c upgrade, then nothing": (UPGRADE, 60),
    "websocket": (WEBSOCKET + PING, 100),
    "websocket, closed in order": (WEBSOCKET + PING + CLOSE, 100),
    "nonsense": (b"\x00\x01 this is no protocol \r\n\r\n", 0),
    "nothing": (b"", 0),
    "half a preface": (PREFACE[:11], 0),
}
ENDS = ["close", "half-close", "reset", "half-close and reset", "cut"]
ALPN = [["h2"], ["http/1.1"], ["h2", "http/1.1"], ["unknown"], []]


async def echo(reader, writer):
    """An endpoint for WebSocket: agrees, sends back what comes, and ends when the other side does."""
    with suppress():
        head = await reader.readuntil(b"\r\n\r\n")
        key = next(line.split(b": ")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
        proof = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
                     b"sec-websocket-accept: " + proof + b"\r\n\r\n")
        while data := await reader.read(1 << 16):
            writer.write(data)
            if data.startswith(b"\x88") or data.endswith(CLOSE):
                break
    writer.close()


class suppress:
    """What peers of a storm do to each other."""
    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        return kind is not None and issubclass(kind, (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError,
                                                      ssl.SSLError))


async def read_some(reader, count, patience=2):
    got = b""
    while len(got) < count:
        data = await asyncio.wait_for(reader.read(1 << 14), patience)
        if not data:
            break
        got += data
    return got


def reset(writer):
    sock = writer.get_extra_info("socket")
    if sock:  # else the gateway was faster
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def end(how, reader, writer, tls):
    if how in ("half-close", "half-close and reset") and not tls:
        writer.write_eof()
        if how == "half-close":
            await asyncio.wait_for(reader.read(), 5)
    if how in ("reset", "half-close and reset", "cut"):
        reset(writer)
    else:
        writer.close()


async def one(rng, plain, secure, contexts, seen):
    kind, how = rng.choice(list(KINDS)), rng.choice(ENDS)
    tls = rng.random() < 0.1
    said, wanted = KINDS[kind]
    if how == "cut":
        said, wanted = said[:rng.randrange(len(said) + 1)], 0
    host, port = (secure if tls else plain).rsplit(":", 1)
    if tls and rng.random() < 0.2:  # a handshake that is broken off
        reader, writer = await asyncio.open_connection(host, int(port))
        seen["connected"] += 1
        seen["broken handshake"] += 1
        writer.write(rng.randbytes(rng.randrange(60)) if rng.random() < 0.5 else b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        with suppress():
            await end(how, reader, writer, True)
        return
    sock = socket.socket()
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, (host, int(port)))
    seen["connected"] += 1
    seen[kind] += 1
    seen[how] += 1
    writer = None
    with suppress():
        context = rng.choice(contexts) if tls else None
        reader, writer = await asyncio.wait_for(asyncio.open_connection(
            sock=sock, ssl=context, server_hostname="127.0.0.1" if tls else None), 10)
        if tls:
            seen[f"ALPN {writer.get_extra_info('ssl_object').selected_alpn_protocol()}"] += 1
        for at in (rng.randrange(len(said) + 1),) if rng.random() < 0.2 else (len(said),):
            writer.write(said[:at])
            await asyncio.sleep(0)  # in two pieces, now and then
            writer.write(said[at:])
        answer = await read_some(reader, wanted) if wanted else b""
        seen["101"] += b" 101 " in answer
        await end(how, reader, writer, tls)
        return
    if writer:
        writer.transport.abort()
    else:
        sock.close()


async def storm(seed, count, plain, secure, authority):
    rng, seen, contexts = random.Random(seed), collections.Counter(), []
    for protocols in ALPN:
        context = ssl.create_default_context(cafile=authority)
        if protocols:
            context.set_alpn_protocols(protocols)
        contexts.append(context)
    room = asyncio.Semaphore(AT_ONCE)

    async def go():
        try:
            await one(rng, plain, secure, contexts, seen)
        finally:
            room.release()
    tasks = set()
    for _ in range(count):
        await room.acquire()
        task = asyncio.create_task(go())
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    return seen


@pytest.mark.parametrize("seed", [int(os.environ.get("STORM_SEED", 1))])
def test_every_connection_is_opened_once_and_closed_once(gateway, backend, tmp_path, seed):
    authority = Authority(tmp_path)
    certificate, key = authority.issue("server", "127.0.0.1")
    service = Service()
    loop = asyncio.new_event_loop()

    async def run():
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        gate = gateway("""
workers: 2
listeners:
- address: $listen
  http2: {preface_timeout: 2s, header_timeout: 2s, idle_timeout: 3s}
- address: 127.0.0.1:$secure
  tls: {certificate: $certificate, key: $key, handshake_timeout: 2s}
  http2: {preface_timeout: 2s, header_timeout: 2s, idle_timeout: 3s}
routes:
- {match: {path_prefix: /web}, cluster: web}
- {match: {path_prefix: /socket}, cluster: socket}
- {cluster: grpc}
clusters:
  grpc: {endpoints: [$backend], breaker: {enabled: false}}
  web: {endpoints: [$web], service: http, protocol: h1, breaker: {enabled: false}}
  socket: {endpoints: [$socket], service: http, protocol: h1, breaker: {enabled: false}}
""", backend=backend.address, web=service.address, certificate=certificate, key=key, secure=str(free_port()),
                       socket="127.0.0.1:%d" % server.sockets[0].getsockname()[1])
        secure = next(line.split()[-2] for line in gate.errors().splitlines() if line.endswith("(TLS)"))
        seen = await storm(seed, CONNECTIONS, gate.address, secure, authority.certificate)
        # While the endpoints still serve: what is left is for the gateway to end.
        await loop.run_in_executor(None, lambda: wait_for("rest", lambda: not gate.unrest(), 30))
        server.close()
        return gate, seen

    try:
        gate, seen = loop.run_until_complete(run())
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        service.close()
    assert seen["connected"] == CONNECTIONS, seen
    for what in [*KINDS, *ENDS, "ALPN h2", "ALPN http/1.1", "ALPN None", "broken handshake", "101"]:
        assert seen[what] > 20, (what, seen)
    opened, closed = gate.metric("downstream_connections_opened_total"), gate.metric("downstream_connections_closed_total")
    assert opened == closed and opened <= CONNECTIONS
    assert opened > CONNECTIONS * 0.99, "what was reset before it was accepted is no connection"
    assert gate.metric("tls_handshakes_failed_total") > 100 and gate.metric("protocol_faults_total") > 1000
    for side in ("downstream", "upstream"):
        assert gate.metric(f"{side}_streams_opened_total") == gate.metric(f"{side}_streams_closed_total") > 1000
    codes = {code for code in ("OK", "CANCELLED") if gate.metric("calls_total", code=code) > 100}
    assert codes == {"OK", "CANCELLED"}
    client = Client(gate)
    assert client.call(b"still there") == b"still there"
