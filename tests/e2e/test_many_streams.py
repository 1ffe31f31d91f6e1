"""10,000 streams open at once."""
import collections
import threading

from gateway import SCALE, wait_for
from wire import (DATA, END_HEADERS, END_STREAM, HEADERS, MAX_STREAMS, Client, frame, message, request, settings,
                  window_update)

STREAMS = 10_000
PATIENCE = 60 * SCALE


class Watch:
    """A backend that answers each call with one message and leaves it open until `finish`."""

    def __init__(self):
        self.finish = threading.Event()
        self.lock = threading.Lock()
        self.open = 0

    def script(self, wire, _):
        wire.send(settings((MAX_STREAMS, STREAMS)))
        streams = []
        head = b"\x88" + b"\0\x0ccontent-type\x10application/grpc"  # without the table: the same for every stream
        tail = b"\0\x0bgrpc-status\x010"
        wire.sock.settimeout(PATIENCE)
        while not self.finish.is_set():
            try:
                got = wire.read(timeout=0.05)
            except TimeoutError:
                continue
            if got.kind == HEADERS:
                streams.append(got.stream)
                wire.send(frame(HEADERS, END_HEADERS, got.stream, head), frame(DATA, 0, got.stream, message(b"open")))
                with self.lock:
                    self.open += 1
        for stream in streams:
            wire.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, tail))
        wire.until_closed(PATIENCE)


def run(gateway, scripted, connections, text):
    watch = Watch()
    gate = gateway(text, service=scripted(watch.script).address)
    clients = [Client(gate) for _ in range(connections)]
    each = STREAMS // connections
    for client in clients:
        client.answer_windows = False
        client.send(window_update(0, 1 << 20))
        client.ping()  # SETTINGS are through
        for at in range(0, each, 100):
            client.send(*[client.headers(1 + 2 * i, request("/t.Watch/Open"), end=True) for i in range(at, at + 100)])
            client.ping()
    wait_for("all are open", lambda: watch.open == STREAMS, PATIENCE)
    assert gate.metric("downstream_streams") == gate.metric("upstream_streams") == STREAMS
    assert len(gate.json("/streams")["streams"]) > 0
    watch.finish.set()
    for client in clients:
        assert answers(client, each) == {(message(b"open"), (("grpc-status", "0"),)): each}
    wait_for("all have ended", lambda: gate.metric("calls_ended_total") == STREAMS)


def answers(client, count):
    """Reads until COUNT streams have ended: how often each pair of (content, trailers) came, over all frames seen."""
    ended = sum(got.ended for got in client.seen)
    while ended < count:
        ended += client.read(PATIENCE).ended
    contents, tally = {}, collections.Counter()
    for got in client.seen:
        if got.kind == DATA:
            contents[got.stream] = contents.get(got.stream, b"") + got.payload
        if got.ended:
            tally[contents.get(got.stream), tuple(got.fields or ())] += 1
    return tally


def test_over_100_connections(gateway, scripted):
    run(gateway, scripted, 100, """
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$service], limits: {streams_per_connection: 1000}}}
""")


def test_over_one_connection(gateway, scripted):
    run(gateway, scripted, 1, """
listeners: [{address: $listen, http2: {max_concurrent_streams: 10000, connection_window: 16MiB}}]
clusters: {c: {endpoints: [$service], limits: {streams_per_connection: 1000}, http2: {connection_window: 16MiB}}}
""")


def test_answers_that_are_read_do_not_add_up(plain):
    """gRPC clients PING once a round trip, as long as they live: only answers that wait to be written are too many."""
    client = Client(plain)
    for i in range(1200):
        assert client.call(b"x") == b"x", i
        client.ping()
    assert plain.faults("control_flood") == 0
