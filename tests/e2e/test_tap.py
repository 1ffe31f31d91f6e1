"""/tap: calls as they happen, in every dialect, redacted, bounded; the data path never waits for it."""
import grpc
import pytest

from backends import Echo
from gateway import TIMEOUT, wait_for
from reflection import compile_set
from tap import Tap, headers

CONFIG = """
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$backend], descriptors: $set, breaker: {enabled: false}}}
admin: {address: $admin, token: s3cret}
"""


@pytest.fixture
def gate(gateway, backend, tmp_path):
    return gateway(CONFIG, backend=backend.address, set=compile_set(tmp_path))


def test_a_unary_call_is_shown_from_its_beginning_to_its_end(gate, backend):
    tap = Tap(gate)
    assert Echo(gate.channel()).unary(b"\x08\x07", metadata=[("x-mine", "1")]) == b"\x08\x07"
    begin, end = tap.one("begin"), tap.one("end")
    assert begin["method"] == "/t.Echo/Unary" and begin["cluster"] == "c" and begin["dialect"] == "grpc"
    assert begin["local"] == gate.address and begin["peer"].startswith("127.0.0.1:")
    assert headers(begin)["x-mine"] == "1" and headers(begin)[":path"] == "/t.Echo/Unary"
    assert tap.one("attempt")["endpoint"] == backend.address
    assert tap.one("message", direction="request")["json"] == {"id": "7"}
    assert tap.one("message", direction="response")["json"] == {"id": "7"}
    assert headers(tap.one("headers"))[":status"] == "200" and headers(tap.one("trailers"))["grpc-status"] == "0"
    assert end["code"] == "OK" and end["endpoint"] == backend.address and end["messages_down"] == 1
    assert all(event["call"] == begin["call"] for event in tap.events)
    assert [e["event"] for e in tap.events][0] == "begin" and tap.events[-1]["event"] == "end"
    tap.close()
    wait_for("nobody taps", lambda: gate.metric("taps_active") == 0)
