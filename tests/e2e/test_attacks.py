"""Attacks on one connection: each ends with the answer that the RFC or our limits name and with a counter, and costs a
client beside it nothing. All are bounded in count."""
import contextlib
import socket
import struct
import threading
import time

import pytest

from gateway import SCALE, TIMEOUT, wait_for
from scripted import requests
from wire import (CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS, INITIAL_WINDOW, PING,
                  PREFACE, PRIORITY, PROTOCOL_ERROR, RST_STREAM, SETTINGS, Client, Closed, frame, message, request, rst,
                  settings, window_update)

HOLD = "/t.Echo/Hold"  # never answered
DOWNLOADS = {"/t.Echo/Download": 4, "/t.Echo/Large": 15}  # messages of 16 KB, within a stream's window in all


def backend(wire, _):
    wire.send(settings((3, 1000)))
    for stream, fields, content in requests(wire):
        if fields[":path"] in DOWNLOADS:
            wire.send(wire.headers(stream, [(":status", "200"), ("content-type", "application/grpc")]),
                      *[frame(DATA, 0, stream, message(b"d" * 16000)) for _ in range(DOWNLOADS[fields[":path"]])],
                      wire.headers(stream, [("grpc-status", "0")], end=True))
        elif fields[":path"] != HOLD:
            wire.send(wire.answer(stream, content[5:]))


class Bystander:
    """A client that calls all the time and must always be answered."""

    def __init__(self, gate):
        self.client = Client(gate)
        self.calls, self.problem, self.stop = 0, None, threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        try:
            while not self.stop.is_set():
                assert self.client.call(b"%d" % self.calls) == b"%d" % self.calls
                self.calls += 1
        except Exception as error:
            self.problem = error

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        calls = self.calls
        wait_for("calls after the attack", lambda: self.problem or self.calls >= calls + 10)
        self.stop.set()
        self.thread.join(TIMEOUT)
        if self.problem:
            raise AssertionError(f"the client beside it suffered after {self.calls} calls") from self.problem


@pytest.fixture
def gate(gateway, scripted):
    return gateway("""
listeners:
- address: $listen
  http2: {preface_timeout: 300ms, header_timeout: 300ms, write_stall_timeout: 300ms}
clusters: {c: {endpoints: [$service], limits: {streams_per_connection: 1000}}}
""", service=scripted(backend).address)


@contextlib.contextmanager
def attack(gate, cause, *pairs):
    """A client whose misdeeds end in CAUSE, beside one that suffers nothing."""
    with Bystander(gate):
        client = Client(gate, *pairs)
        yield client
    found = {key[1]: value for key, value in gate.metrics().items() if "faults" in key[0] and value}
    assert gate.faults(cause) == 1, found


def repeat(client, limit, send, batch=20):
    """Sends SEND(0), SEND(1) ... in batches until GOAWAY comes, at most LIMIT: how many were sent, and the GOAWAY."""
    for i in range(0, limit, batch):
        client.send(*[part for k in range(i, i + batch) for part in send(k)])
        mark = struct.pack(">Q", i)
        client.send(frame(PING, 0, 0, mark))
        got = client.until(lambda got: got.kind == GOAWAY or (got.kind == PING and got.payload == mark))
        if got.kind == GOAWAY:
            return i + batch, got
    raise AssertionError(f"no GOAWAY after {limit}: {client.seen[-5:]}")


def open_and_reset(client):
    return lambda i: (client.headers(1 + 2 * i, request(HOLD), end=True), rst(1 + 2 * i))


def test_rapid_reset(gate):
    """CVE-2023-44487: streams that are opened and reset at once."""
    with attack(gate, "reset_ratio") as client:
        count, got = repeat(client, 1000, open_and_reset(client))
        assert got.code == ENHANCE_YOUR_CALM
        assert 480 < count < 560, "the share counts from 500 streams on"


def test_rapid_reset_of_streams_without_a_ratio(gateway, scripted):
    gate = gateway("""
listeners: [{address: $listen, guard: {reset_ratio: 100%, reset_burst: 100, reset_rate: 10/s}}]
clusters: {c: {endpoints: [$service]}}
""", service=scripted(backend).address)
    with attack(gate, "reset_flood") as client:
        count, got = repeat(client, 500, open_and_reset(client))
        assert got.code == ENHANCE_YOUR_CALM
        assert 90 < count < 200


def made_you_reset(name):
    """What makes the server reset stream S itself (CVE-2025-8671)."""
    return {
        "window update of zero": lambda client, s: window_update(s, 0),
        "window overflow": lambda client, s: window_update(s, (1 << 31) - 1),
        "data on a half-closed stream": lambda client, s: frame(DATA, 0, s, b"x"),
        "headers on a half-closed stream": lambda client, s: client.headers(s, request(HOLD), end=True),
        "priority of a wrong length": lambda client, s: frame(PRIORITY, 0, s, b"\0\0\0"),
        "dependency on itself": lambda client, s: frame(PRIORITY, 0, s, struct.pack(">IB", s, 15)),
    }[name]


@pytest.mark.parametrize("name", ["window update of zero", "window overflow", "data on a half-closed stream",
                                  "headers on a half-closed stream", "priority of a wrong length",
                                  "dependency on itself"])
def test_made_you_reset(gate, name):
    primitive = made_you_reset(name)
    with attack(gate, "anomaly_flood") as client:
        def send(i):
            stream = 1 + 2 * i
            return client.headers(stream, request(HOLD), end=True), primitive(client, stream)
        count, got = repeat(client, 200, send, batch=1)
        assert got.code == ENHANCE_YOUR_CALM
        assert any(got.kind == RST_STREAM for got in client.seen), "the first ones are answered on their stream"
        assert 10 < count < 150
    wait_for("the endpoint was told", lambda: gate.metric("upstream_streams") == 0)


def test_more_streams_at_once_than_any_client_opens(gate):
    with attack(gate, "stream_flood") as client:
        client.send(*[client.headers(1 + 2 * i, request(HOLD), end=True) for i in range(1000)])
        assert client.until_goaway().code == ENHANCE_YOUR_CALM


@pytest.mark.parametrize("content", [b"", b"x"])
def test_continuation_flood(gate, content):
    """CVE-2024-27316: a header block without an end."""
    with attack(gate, "header_flood") as client:
        client.send(frame(HEADERS, 0, 1, client.encoder.encode(request())),
                    *[frame(CONTINUATION, 0, 1, content) for _ in range(1000)])
        assert client.until_goaway().code == ENHANCE_YOUR_CALM


def test_header_block_over_the_limit_in_bytes(gate):
    with attack(gate, "header_flood") as client:
        block = b"\0\1a\x7f\xd0\x7d" + b"v" * 16127  # a literal field of 16 KiB
        client.send(frame(HEADERS, 0, 1, client.encoder.encode(request())),
                    *[frame(CONTINUATION, 0, 1, block) for _ in range(6)])
        assert client.until_goaway().code == ENHANCE_YOUR_CALM


def test_settings_flood(gate):
    with attack(gate, "settings_flood") as client:
        client.send(settings() * 1000)
        assert client.until_goaway().code == ENHANCE_YOUR_CALM


def test_ping_flood(gate):
    with attack(gate, "ping_flood") as client:
        client.send(frame(PING, 0, 0, b"12345678") * 1000)
        assert client.until_goaway().code == ENHANCE_YOUR_CALM


@pytest.mark.parametrize("empty", [frame(DATA, 0, 1), frame(DATA, 8, 1, b"\0"), frame(DATA, 8, 1, b"\3\0\0\0")])
def test_empty_data_flood(gate, empty):
    with attack(gate, "empty_data_flood") as client:
        client.send(client.headers(1, request(HOLD)), empty * 1000)
        assert client.until_goaway().code == ENHANCE_YOUR_CALM


def test_hpack_bomb(gate):
    """A 4 KB field in the table, named thousands of times by one byte each: the list's limit holds."""
    def resident():
        with open(f"/proc/{gate.process.pid}/statm") as file:
            return int(file.read().split()[1]) * 4096

    client = Client(gate)
    assert client.call(b"x") == b"x"
    before = resident()
    with Bystander(gate):
        field = b"\x40\4bomb\x7f\xe1\x1d" + b"b" * 3936  # with indexing: 0x7f + 3809 = 3936 bytes of value
        start = client.encoder.encode(request(HOLD))
        client.send(frame(HEADERS, END_HEADERS | END_STREAM, 3, start + field + b"\xbe" * 8000))
        _, _, trailers = client.until_end(3)[3]
        assert trailers["grpc-status"] == "8" and trailers["x-fusegate-origin"] == "local_limit"
    assert resident() - before < 16 << 20


def test_slow_preface(gate):
    with attack(gate, "preface_timeout") as client:
        idle = Client(gate, preface=b"")
        idle.answer_settings = False
        idle.send(PREFACE[:10])
        assert idle.until_goaway().code == PROTOCOL_ERROR
        assert client.call(b"x") == b"x"


def test_slow_headers(gate):
    with attack(gate, "header_timeout") as client:
        client.ping()
        client.send(frame(HEADERS, 0, 1, client.encoder.encode(request())))
        assert client.until_goaway().code == ENHANCE_YOUR_CALM


def test_slow_frame(gate):
    """A HEADERS frame byte by byte: each byte is no progress of the block."""
    with attack(gate, "header_timeout") as client:
        client.ping()
        whole = client.headers(1, request(), end=True)
        begin = time.monotonic()
        for i in range(len(whole)):
            try:
                client.send(whole[i:i + 1])
                client.read(timeout=0.1)
            except TimeoutError:
                continue
            except Closed:
                break
            if any(got.kind == GOAWAY for got in client.seen):
                break
        assert time.monotonic() - begin < 2 * SCALE
        assert [got.code for got in client.seen if got.kind == GOAWAY] == [ENHANCE_YOUR_CALM]


def test_zero_window_stall_of_a_stream(gate):
    """The stream alone is given up: the connection has others."""
    with attack(gate, "stream_stall", (INITIAL_WINDOW, 0)) as client:
        client.send(client.headers(1, request("/t.Echo/Download"), end=True))
        assert client.until_kind(RST_STREAM, 1).code == ENHANCE_YOUR_CALM
        client.ping()


def test_zero_window_stall_of_a_connection(gate):
    with attack(gate, "write_stall") as client:
        client.answer_windows = False
        client.send(*[client.headers(1 + 2 * i, request("/t.Echo/Download"), end=True) for i in range(4)])
        assert client.until_goaway().code == ENHANCE_YOUR_CALM


def test_client_that_does_not_read(gate):
    """23 MB for a socket that holds a few: the gateway gives up in the end."""
    with attack(gate, "write_stall", (INITIAL_WINDOW, 1 << 30)) as client:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.send(window_update(0, 1 << 30))
        client.send(*[client.headers(1 + 2 * i, request("/t.Echo/Large"), end=True) for i in range(95)])
        wait_for("the connection is given up", lambda: gate.metric("downstream_connections") == 1)


def test_max_connections(gateway, scripted):
    gate = gateway("""
workers: 2
listeners: [{address: $listen, max_connections: 5}]
clusters: {c: {endpoints: [$service]}}
""", service=scripted(backend).address)
    clients = [Client(gate) for _ in range(5)]
    assert [client.call(b"x") for client in clients] == [b"x"] * 5
    with pytest.raises(Closed):
        Client(gate).until_kind(SETTINGS)
    assert gate.metric("downstream_connections_refused_total") == 1
    clients[0].close()
    wait_for("a place is free", lambda: gate.metric("downstream_connections") == 4)
    assert Client(gate).call(b"x") == b"x"
