"""SIGTERM: GOAWAY in two steps, open streams finish, new work goes elsewhere, the process ends by itself."""
import signal
import threading
import time

import pytest

from backends import Echo
from gateway import SCALE, TIMEOUT, accepts, wait_for
from scripted import requests
from wire import (DATA, END_STREAM, GOAWAY, HEADERS, NO_ERROR, PING, REFUSED_STREAM, RST_STREAM, Client, frame, message,
                  settings)

SLOW = """
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$service]}}
drain_timeout: $timeout
"""


class Held:
    """A backend whose answers wait for `release`."""

    def __init__(self):
        self.release = threading.Event()
        self.arrived = threading.Semaphore(0)

    def script(self, wire, _):
        wire.send(settings())
        for stream, _, _ in requests(wire):
            self.arrived.release()
            self.release.wait(TIMEOUT)
            wire.send(wire.answer(stream, b"held"))


@pytest.fixture
def held(scripted):
    one = Held()
    one.service = scripted(one.script)
    return one


def begin(client, content=b""):
    stream = client.start()
    client.send(frame(DATA, END_STREAM, stream, message(content)))
    return stream


def test_goaway_comes_in_two_steps_and_open_streams_finish(gateway, held):
    gate = gateway(SLOW, service=held.service.address, timeout="10s")
    client = Client(gate)
    client.answer_pings = False
    first = begin(client)
    assert held.arrived.acquire(timeout=TIMEOUT)
    gate.process.send_signal(signal.SIGTERM)
    notice = client.until_kind(GOAWAY)
    assert (notice.last, notice.code) == ((1 << 31) - 1, NO_ERROR)
    ping = client.until_kind(PING)
    # A request that was on its way when the client heard of it is still served.
    crossing = begin(client)
    client.send(frame(PING, 1, 0, ping.payload))
    final = client.until_kind(GOAWAY)
    assert (final.last, final.code) == (crossing, NO_ERROR)
    late = begin(client)
    got = client.until_kind(RST_STREAM, late)
    assert got.code == REFUSED_STREAM, "safe to retry elsewhere"
    held.release.set()
    ends = client.until_end(first, crossing)
    assert [end[1][5:] for end in ends.values()] == [b"held", b"held"]
    assert [end[2]["grpc-status"] for end in ends.values()] == ["0", "0"]
    client.until_closed()
    assert gate.join() == 0


def test_client_that_does_not_answer_the_ping_gets_the_second_goaway_anyway(gateway, held):
    gate = gateway(SLOW, service=held.service.address, timeout="10s")
    client = Client(gate)
    client.answer_pings = False
    stream = begin(client)
    assert held.arrived.acquire(timeout=TIMEOUT)
    gate.process.send_signal(signal.SIGTERM)
    client.until_kind(GOAWAY)
    assert client.until(lambda got: got.kind == GOAWAY and got.last == stream, 3 * SCALE)
    held.release.set()
    assert client.until_end(stream)[stream][2]["grpc-status"] == "0"
    assert gate.join() == 0


def test_new_connections_are_refused_at_once(gateway, held):
    gate = gateway(SLOW, service=held.service.address, timeout="10s")
    client = Client(gate)
    stream = begin(client)
    assert held.arrived.acquire(timeout=TIMEOUT)
    gate.process.send_signal(signal.SIGTERM)
    client.until_kind(GOAWAY)
    assert not accepts(gate.address)
    assert gate.get("/readyz")[0] == 503, "the admin address still answers, and says that it drains"
    assert gate.get("/healthz")[0] == 200
    held.release.set()
    client.until_end(stream)
    assert gate.join() == 0


def test_drain_timeout_ends_what_is_left_with_a_status(gateway, held):
    gate = gateway(SLOW, service=held.service.address, timeout="500ms")
    client = Client(gate)
    stream = begin(client)
    assert held.arrived.acquire(timeout=TIMEOUT)
    begin_drain = time.monotonic()
    gate.process.send_signal(signal.SIGTERM)
    _, _, trailers = client.until_end(stream)[stream]
    assert trailers["grpc-status"] == "14" and trailers["x-fusegate-origin"] == "local_drain", trailers
    assert gate.join() == 0
    assert 0.5 <= time.monotonic() - begin_drain < 0.5 + SCALE
    held.release.set()


def test_drain_timeout_ends_connections_of_clients_that_do_not_read(gateway, backend):
    gate = gateway(SLOW, service=backend.address, timeout="500ms")
    client = Client(gate, (4, 1 << 30))
    client.answer_windows = False
    client.send(frame(8, 0, 0, (1 << 30).to_bytes(4, "big")))
    stream = client.start("/t.Echo/ServerStream", ("do-count", "1000"), ("do-size", "100000"))
    client.send(frame(DATA, END_STREAM, stream, message(b"")))
    client.until_kind(HEADERS)
    wait_for("the socket is full", lambda: any(call["wait"]["cause"] == "socket"
                                               for call in gate.json("/streams")["streams"]))
    gate.process.send_signal(signal.SIGTERM)
    assert gate.join() == 0


def test_idle_gateway_ends_at_once(gateway, backend):
    gate = gateway(SLOW, service=backend.address, timeout="60s")
    channel = gate.channel()
    assert Echo(channel).unary(b"x", timeout=TIMEOUT) == b"x"
    begin_drain = time.monotonic()
    assert gate.stop() == 0
    assert time.monotonic() - begin_drain < 2 * SCALE


@pytest.mark.parametrize("workers", [1, 2])
def test_drain_under_load_loses_no_call(gateway, backend, workers):
    """Calls end with OK or, where the client's library had to move, never reached the backend."""
    gate = gateway("workers: $workers\n" + SLOW, workers=workers, service=backend.address, timeout="10s")
    answered, stop = [], threading.Event()

    def caller():
        client = Client(gate)
        client.call(b"warm")
        answered.append(0)
        index = len(answered) - 1
        try:
            while not stop.is_set():
                if any(got.kind == GOAWAY for got in client.seen):
                    break
                assert client.call(b"x") == b"x"
                answered[index] += 1
        except AssertionError as error:
            answered[index] = error

    callers = [threading.Thread(target=caller) for _ in range(4)]
    for thread in callers:
        thread.start()
    wait_for("load", lambda: len(answered) == 4 and all(answered))
    gate.process.send_signal(signal.SIGTERM)
    for thread in callers:
        thread.join(TIMEOUT)
    stop.set()
    assert all(isinstance(count, int) for count in answered), answered
    gate.close_clients()
    assert gate.join() == 0


def test_second_signal_ends_at_once(gateway, held):
    gate = gateway(SLOW, service=held.service.address, timeout="60s")
    client = Client(gate)
    begin(client)
    assert held.arrived.acquire(timeout=TIMEOUT)
    gate.process.send_signal(signal.SIGTERM)
    client.until_kind(GOAWAY)
    gate.process.send_signal(signal.SIGTERM)
    assert gate.process.wait(timeout=TIMEOUT) == -signal.SIGTERM
    gate.expected_status = -signal.SIGTERM
    held.release.set()
