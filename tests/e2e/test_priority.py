"""Row B2: RFC 9218 priorities and the priority of a route decide whose DATA goes first."""
import pytest

from gateway import wait_for
from scripted import requests
from wire import ANSWER, DATA, INITIAL_WINDOW, Client, frame, message, settings, window_update

BULK, URGENT = "/t.Echo/Bulk", "/t.Echo/Urgent"
BYTES = 100_000


def service(wire, _):
    """Answers each call with BYTES, the urgent one with 1 KB."""
    wire.send(settings())
    for stream, fields, _ in requests(wire):
        content = message(b"u" * 1024 if fields[":path"] == URGENT else b"b" * BYTES)
        wire.send(wire.headers(stream, ANSWER), *[frame(DATA, 0, stream, content[at:at + 16384])
                                                  for at in range(0, len(content), 16384)],
                  wire.headers(stream, [("grpc-status", "0")], end=True))


def order_of_answers(gate, urgent_headers, bulk_headers=()):
    """Ten bulk answers use up the connection's window, an urgent one comes last; then the window is given. The streams
    of the DATA frames that follow, and the urgent stream."""
    client = Client(gate, (INITIAL_WINDOW, 1 << 20))
    client.answer_windows = False
    for _ in range(10):
        client.start(BULK, *bulk_headers, end=True)
    wait_for("the bulk answers wait", lambda: gate.metric("upstream_read_bytes_total") > 10 * BYTES)
    urgent = client.start(URGENT, *urgent_headers, end=True)

    def held(path):
        return sum(call["bytes_down"] for call in gate.json("/streams")["streams"] if call["method"] == path)
    wait_for("the urgent answer is there", lambda: held(URGENT) == 1029)
    client.ping()
    before = len(client.seen)
    client.send(window_update(0, 1 << 22))
    client.until(lambda got: got.stream == urgent and got.ended)
    return [got.stream for got in client.seen[before:] if got.kind == DATA], urgent


@pytest.mark.parametrize("urgent, bulk", [([("priority", "u=0")], []), ([], [("priority", "u=6")]),
                                          ([("priority", "u=1, i")], [("priority", "u=5, i")])])
def test_b2_urgent_answer_overtakes_bulk_answers(gateway, scripted, urgent, bulk):
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$service]}}
""", service=scripted(service).address)
    order, stream = order_of_answers(gate, urgent, bulk)
    assert order == [stream], order


def test_b2_priority_of_a_route(gateway, scripted):
    gate = gateway("""
listeners: [{address: $listen}]
routes: [{match: {path: /t.Echo/Urgent}, cluster: c, priority: 2}, {cluster: c, priority: 0}]
clusters: {c: {endpoints: [$service]}}
""", service=scripted(service).address)
    order, stream = order_of_answers(gate, [])
    assert order == [stream], order


def test_b2_equals_take_turns(gateway, scripted):
    """Without a signal nobody waits for ten others to end: the small answer ends after about one frame of each."""
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$service]}}
""", service=scripted(service).address)
    order, stream = order_of_answers(gate, [])
    assert len(order) <= 25 and order[-1] == stream, order


def test_b2_priority_update_frame(gateway, scripted):
    """RFC 9218 section 7.1: it may come before the stream it names."""
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$service]}}
""", service=scripted(service).address)
    client = Client(gate, (INITIAL_WINDOW, 1 << 20))
    client.answer_windows = False
    for _ in range(10):
        client.start(BULK, end=True)
    wait_for("the bulk answers wait", lambda: gate.metric("upstream_read_bytes_total") > 10 * BYTES)
    client.send(frame(16, 0, 0, (21).to_bytes(4, "big") + b"u=0"))
    assert client.start(URGENT, end=True) == 21
    wait_for("the urgent answer is there", lambda: any(call["method"] == URGENT and call["bytes_down"] == 1029
                                                       for call in gate.json("/streams")["streams"]))
    client.ping()
    before = len(client.seen)
    client.send(window_update(0, 1 << 22))
    client.until(lambda got: got.stream == 21 and got.ended)
    assert [got.stream for got in client.seen[before:] if got.kind == DATA] == [21]
