"""Rows D4 and the safety of retries (gRFC A6): what is tried again, what never is, and how often."""
import collections
import random
import threading
import time

import grpc
import pytest

from backends import Echo, error_of
from details import decode_status
from gateway import SCALE, TIMEOUT, wait_for
from scripted import requests
from wire import ANSWER, CANCEL, DATA, HEADERS, RST_STREAM, frame, goaway, message, rst, settings

INTERNAL, REFUSED = 2, 7
RETRY = """
listeners: [{address: $listen}]
routes:
- match: {method: t.Echo/Unary}
  cluster: c
  retry: {$retry}
- {match: {path_prefix: /}, cluster: c}
clusters: {c: {endpoints: [$endpoints], breaker: {enabled: false}, balance: round_robin}}
"""
FAST = "backoff: {initial: 10ms, max: 20ms}"
PLAIN = """
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$endpoints], breaker: {enabled: false}}}
"""


def trailers_only(wire, stream, code, *more):
    return wire.headers(stream, [*ANSWER, ("grpc-status", str(code)), *more], end=True)


class Service:
    """Answers the n-th request by the n-th of STEPS (the last one again and again) and keeps what came. A step is a
    function (wire, stream, content) -> bytes to send, or None to say nothing."""

    def __init__(self, scripted, *steps):
        self.steps, self.seen, self.lock = steps, [], threading.Lock()
        self.server = scripted(self.script)
        self.address = self.server.address

    def script(self, wire, _):
        wire.send(settings())
        for stream, fields, content in requests(wire):
            with self.lock:
                step = self.steps[min(len(self.seen), len(self.steps) - 1)]
                self.seen.append((time.monotonic(), fields, content))
            out = step(wire, stream, content)
            if out is not None:
                wire.send(out)

    def resets(self):
        return [got for wire in self.server.wires for got in wire.seen if got.kind == RST_STREAM]


def ok(wire, stream, content):
    return wire.answer(stream, content[5:1005])  # in one frame


def fails(code, *more):
    return lambda wire, stream, content: trailers_only(wire, stream, code, *more)


def fails_behind_headers(code):
    return lambda wire, stream, content: wire.answer(stream, None, code)


def fails_behind_a_message(code):
    return lambda wire, stream, content: wire.answer(stream, b"first", code)


def resets(code):
    return lambda wire, stream, content: rst(stream, code)


def hangs(wire, stream, content):
    return None


def reason_of(error):
    details = dict(error.trailing_metadata()).get("grpc-status-details-bin")
    return decode_status(details)["ErrorInfo"]["reason"] if details else None


# ---- what is repeated ----

@pytest.mark.parametrize("failure", [fails(14), fails_behind_headers(14)], ids=["trailers-only", "trailers"])
def test_an_error_in_trailers_is_repeated_where_the_route_says_idempotent(gateway, scripted, failure):
    service = Service(scripted, failure, failure, ok)
    gate = gateway(RETRY, endpoints=service.address, retry=f"attempts: 3, idempotent: true, {FAST}")
    assert Echo(gate.channel()).unary(b"hello", timeout=TIMEOUT) == b"hello"
    assert [content for _, _, content in service.seen] == [message(b"hello")] * 3
    assert [fields.get("grpc-previous-rpc-attempts") for _, fields, _ in service.seen] == [None, "1", "2"]
    assert gate.metric("retries_total") == 2
    line = gate.log_lines(1)[0]
    assert line["code"] == "OK" and line["attempt"] == 3


@pytest.mark.parametrize("failure", [fails(14), fails_behind_headers(14), resets(INTERNAL)],
                         ids=["trailers-only", "trailers", "reset"])
def test_what_may_have_been_processed_is_not_repeated(gateway, scripted, failure):
    service = Service(scripted, failure, ok)
    gate = gateway(RETRY, endpoints=service.address, retry=f"attempts: 5, 'on': [UNAVAILABLE, INTERNAL], {FAST}")
    error_of(lambda: Echo(gate.channel()).unary(b"", timeout=TIMEOUT))
    assert len(service.seen) == 1
    assert gate.metric("retries_total") == 0


def test_a_call_is_committed_by_its_first_message(gateway, scripted):
    service = Service(scripted, fails_behind_a_message(14), ok)
    gate = gateway("""
listeners: [{address: $listen}]
routes: [{cluster: c, retry: {attempts: 3, idempotent: true}}]
clusters: {c: {endpoints: [$endpoints], breaker: {enabled: false}}}
""", endpoints=service.address)
    call = Echo(gate.channel()).server_stream(b"", timeout=TIMEOUT)
    assert next(call) == b"first"
    assert error_of(lambda: next(call)).code() == grpc.StatusCode.UNAVAILABLE
    assert len(service.seen) == 1


def test_attempts_are_used_up_and_the_caller_gets_the_last_error(gateway, scripted):
    service = Service(scripted, fails(14, ("grpc-message", "one")), fails(14, ("grpc-message", "two")),
                      fails(14, ("grpc-message", "three"), ("x-third", "yes")))
    gate = gateway(RETRY, endpoints=service.address, retry=f"attempts: 3, idempotent: true, {FAST}")
    error = error_of(lambda: Echo(gate.channel()).unary(b"", timeout=TIMEOUT))
    assert error.details() == "three"
    assert dict(error.trailing_metadata())["x-third"] == "yes"
    assert len(service.seen) == 3


def test_other_codes_are_not_repeated(gateway, scripted):
    service = Service(scripted, fails(5), ok)
    gate = gateway(RETRY, endpoints=service.address, retry=f"attempts: 3, idempotent: true, {FAST}")
    assert error_of(lambda: Echo(gate.channel()).unary(b"", timeout=TIMEOUT)).code() == grpc.StatusCode.NOT_FOUND
    assert len(service.seen) == 1


def test_another_endpoint_is_tried_first(gateway, scripted):
    bad, good = Service(scripted, fails(14)), Service(scripted, ok)
    gate = gateway(RETRY, endpoints=f"{bad.address}, {good.address}",
                   retry=f"attempts: 2, idempotent: true, {FAST}")
    echo = Echo(gate.channel())
    for _ in range(20):
        assert echo.unary(b"x", timeout=TIMEOUT) == b"x"
    assert len(bad.seen) <= 20


# ---- transparent retries: no configuration ----

@pytest.mark.parametrize("content", [b"", b"x" * 20000], ids=["empty", "large"])
def test_a_refused_stream_is_tried_again_once(gateway, scripted, content):
    service = Service(scripted, resets(REFUSED), ok)
    gate = gateway(PLAIN, endpoints=service.address)
    assert Echo(gate.channel()).unary(content, timeout=TIMEOUT) == content[:1000]
    assert [whole for _, _, whole in service.seen] == [message(content)] * 2
    assert gate.metric("transparent_retries_total") == 1
    assert "grpc-previous-rpc-attempts" not in service.seen[1][1]


def test_a_stream_refused_twice_is_refused(gateway, scripted):
    service = Service(scripted, resets(REFUSED), resets(REFUSED), ok)
    gate = gateway(PLAIN, endpoints=service.address)
    error = error_of(lambda: Echo(gate.channel()).unary(b"", timeout=TIMEOUT))
    assert (error.code(), reason_of(error)) == (grpc.StatusCode.UNAVAILABLE, "UPSTREAM_RESET")
    assert len(service.seen) == 2


def test_a_call_above_the_last_id_of_goaway_is_tried_again(gateway, scripted):
    service = Service(scripted, lambda wire, stream, content: goaway(max(stream - 2, 0)), ok)
    gate = gateway(PLAIN, endpoints=service.address)
    assert Echo(gate.channel()).unary(b"x", timeout=TIMEOUT) == b"x"
    assert len(service.seen) == 2 and len(service.server.wires) == 2


def test_a_dead_endpoint_costs_no_call(gateway, scripted):
    service = Service(scripted, ok)
    gate = gateway(PLAIN, endpoints=f"127.0.0.1:1, {service.address}")
    echo = Echo(gate.channel())
    for _ in range(20):
        assert echo.unary(b"x", timeout=TIMEOUT) == b"x"


# ---- pauses ----

def test_pushback_says_when(gateway, scripted):
    service = Service(scripted, fails(14, ("grpc-retry-pushback-ms", "300")), ok)
    gate = gateway(RETRY, endpoints=service.address, retry=f"attempts: 2, idempotent: true, {FAST}")
    Echo(gate.channel()).unary(b"", timeout=TIMEOUT)
    assert 0.295 <= service.seen[1][0] - service.seen[0][0] <= 0.5 * SCALE


@pytest.mark.parametrize("value", ["-1", "soon", ""])
def test_pushback_that_forbids(gateway, scripted, value):
    service = Service(scripted, fails(14, ("grpc-retry-pushback-ms", value)), ok)
    gate = gateway(RETRY, endpoints=service.address, retry=f"attempts: 3, idempotent: true, {FAST}")
    error_of(lambda: Echo(gate.channel()).unary(b"", timeout=TIMEOUT))
    assert len(service.seen) == 1
    assert gate.metric("malformed_pushbacks_total") == (value != "-1")


def test_no_pause_that_the_deadline_does_not_allow(gateway, scripted):
    service = Service(scripted, fails(14), ok)
    gate = gateway(RETRY, endpoints=service.address,
                   retry="attempts: 3, idempotent: true, backoff: {initial: 5s, max: 5s}")
    begin = time.monotonic()
    error = error_of(lambda: Echo(gate.channel()).unary(b"", timeout=2 * SCALE))
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    assert time.monotonic() - begin < SCALE


def test_the_pause_is_a_wait_that_can_be_seen(gateway, scripted):
    service = Service(scripted, fails(14), ok)
    gate = gateway(RETRY, endpoints=service.address,
                   retry="attempts: 2, idempotent: true, backoff: {initial: 600ms, max: 600ms, jitter: 0%}")
    call = Echo(gate.channel()).unary.future(b"", timeout=TIMEOUT)
    wait_for("the wait", lambda: any(one["wait"]["cause"] == "retry" for one in gate.json("/streams")["streams"]))
    assert call.result() == b""
    assert 0.59 <= service.seen[1][0] - service.seen[0][0] <= 0.9 * SCALE


def test_a_cancel_during_the_pause_ends_the_call(gateway, scripted):
    service = Service(scripted, fails(14), ok)
    gate = gateway(RETRY, endpoints=service.address,
                   retry="attempts: 2, idempotent: true, backoff: {initial: 5s, max: 5s}")
    call = Echo(gate.channel()).unary.future(b"", timeout=TIMEOUT)
    wait_for("the pause", lambda: len(service.seen) == 1 and gate.metric("attempts_active") == 0)
    call.cancel()
    wait_for("the end", lambda: gate.metric("calls_active") == 0, SCALE)


def test_an_attempt_that_takes_too_long(gateway, scripted):
    service = Service(scripted, hangs, ok)
    gate = gateway(RETRY, endpoints=service.address,
                   retry=f"attempts: 2, idempotent: true, attempt_timeout: 200ms, {FAST}")
    assert Echo(gate.channel()).unary(b"x", timeout=TIMEOUT) == b"x"
    assert service.seen[0][1]["grpc-timeout"].endswith(("m", "u", "n"))
    assert gate.metric("wasted_work_total") == 1


# ---- limits of retrying ----

def test_a_request_beyond_the_buffer_is_sent_once(gateway, scripted):
    service = Service(scripted, fails(14), ok)
    gate = gateway(RETRY, endpoints=service.address, retry=f"attempts: 3, idempotent: true, buffer: 1KiB, {FAST}")
    echo = Echo(gate.channel())
    assert error_of(lambda: echo.unary(b"x" * 5000, timeout=TIMEOUT)).code() == grpc.StatusCode.UNAVAILABLE
    assert len(service.seen) == 1


def test_a_request_that_fills_the_buffer_is_repeated_whole(gateway, scripted):
    content = random.Random(1).randbytes(60000)
    service = Service(scripted, fails(14), ok)
    gate = gateway(RETRY, endpoints=service.address, retry=f"attempts: 3, idempotent: true, {FAST}")
    assert Echo(gate.channel()).unary(content, timeout=TIMEOUT) == content[:1000]
    assert [whole for _, _, whole in service.seen] == [message(content)] * 2


def test_the_throttle_stops_retries_when_most_calls_fail(gateway, scripted):
    service = Service(scripted, fails(14))
    gate = gateway(RETRY.replace("balance", "retry_throttle: {max_tokens: 10, token_ratio: 10%}, balance"),
                   endpoints=service.address, retry=f"attempts: 5, idempotent: true, {FAST}")
    echo = Echo(gate.channel())
    for _ in range(20):
        error_of(lambda: echo.unary(b"", timeout=TIMEOUT))
    # Ten tokens: the fifth failure leaves half of them.
    assert len(service.seen) == 20 + 4
    assert gate.metric("retries_suppressed_total") > 0


# ---- hedging ----

def test_hedging_takes_the_first_answer(gateway, scripted):
    slow, quick = Service(scripted, hangs), Service(scripted, ok)
    gate = gateway(RETRY, endpoints=f"{slow.address}, {quick.address}",
                   retry="attempts: 2, idempotent: true, hedge_delay: 50ms")
    echo = Echo(gate.channel())
    begin = time.monotonic()
    for _ in range(4):
        assert echo.unary(b"x", timeout=TIMEOUT) == b"x"
    assert time.monotonic() - begin < 4 * SCALE
    wait_for("the losers are reset", lambda: len(slow.resets()) == len(slow.seen), 2 * SCALE)
    assert {got.code for got in slow.resets()} <= {CANCEL}
    assert gate.metric("hedges_total") == len(slow.seen) > 0


def test_hedging_stops_at_a_fatal_answer(gateway, scripted):
    slow, wrong = Service(scripted, hangs), Service(scripted, fails(3))
    gate = gateway(RETRY, endpoints=f"{slow.address}, {wrong.address}",
                   retry="attempts: 3, idempotent: true, hedge_delay: 50ms")
    echo = Echo(gate.channel())
    for _ in range(2):
        error = error_of(lambda: echo.unary(b"", timeout=TIMEOUT))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_hedging_goes_on_at_once_after_a_failure(gateway, scripted):
    bad, good = Service(scripted, fails(14)), Service(scripted, ok)
    gate = gateway(RETRY, endpoints=f"{bad.address}, {good.address}",
                   retry="attempts: 3, idempotent: true, hedge_delay: 5s")
    echo = Echo(gate.channel())
    begin = time.monotonic()
    for _ in range(4):
        assert echo.unary(b"x", timeout=TIMEOUT) == b"x"
    assert time.monotonic() - begin < 3 * SCALE


# ---- the storm ----

class Storm:
    """An endpoint that does the work of a call (an effect), or not, and then answers, or not, at random."""

    def __init__(self, scripted, seed, faults):
        self.random, self.faults, self.lock = random.Random(seed), faults, threading.Lock()
        self.effects = collections.Counter()
        self.server = scripted(self.script)
        self.address = self.server.address

    def script(self, wire, _):
        wire.send(settings())
        for stream, _, content in requests(wire):
            with self.lock:
                kind = self.random.choices(list(self.faults), list(self.faults.values()))[0]
            if kind in ("answer", "effect, reset", "effect, kill", "effect, error"):
                with self.lock:
                    self.effects[content[5:]] += 1
            if kind == "answer":
                wire.send(wire.answer(stream, b"done"))
            elif kind in ("effect, reset", "reset"):
                wire.send(rst(stream, INTERNAL))
            elif kind in ("effect, kill", "kill"):
                return
            elif kind in ("effect, error", "error"):
                wire.send(wire.answer(stream, None, 14))
            elif kind == "refuse":
                wire.send(rst(stream, REFUSED))
            elif kind == "goaway":
                wire.send(goaway(max(stream - 2, 0)))
                wire.until_closed()
                return


FAULTS = {"answer": 170, "effect, reset": 4, "reset": 3, "effect, kill": 3, "kill": 2, "effect, error": 5, "error": 5,
          "refuse": 5, "goaway": 3}


def run_storm(gate, method, calls, callers):
    """Every call has a name of its own; returns how many succeeded."""
    channel = gate.channel()
    todo, done, lock = list(range(calls)), [], threading.Lock()

    def caller():
        call = channel.unary_unary(method)
        while True:
            with lock:
                if not todo:
                    return
                name = b"%s-%d" % (method.encode(), todo.pop())
            try:
                call(name, timeout=5 * SCALE)
                with lock:
                    done.append(name)
            except grpc.RpcError:
                pass

    threads = [threading.Thread(target=caller) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(done)


STORM = """
listeners: [{address: $listen}]
routes:
- match: {method: t.Storm/Idempotent}
  cluster: c
  retry: {attempts: 5, 'on': [UNAVAILABLE, INTERNAL], idempotent: true, backoff: {initial: 2ms, max: 10ms}}
- match: {method: t.Storm/Once}
  cluster: c
  retry: {attempts: 5, 'on': [UNAVAILABLE, INTERNAL], backoff: {initial: 2ms, max: 10ms}}
clusters:
  c:
    endpoints: [$endpoints]
    breaker: {enabled: false}
    retry_budget: {minimum: 100}
"""


@pytest.mark.parametrize("seed", [1, 2])
def test_a_storm_never_does_the_work_of_a_call_twice(gateway, scripted, seed):
    """Connection kills, resets, GOAWAYs and refusals at random: a call that is not declared idempotent has at most one
    effect; of those that are, at least 99.9 % succeed."""
    endpoints = [Storm(scripted, seed * 10 + i, FAULTS) for i in range(3)]
    gate = gateway(STORM, endpoints=", ".join(one.address for one in endpoints))
    calls = 1000
    once = run_storm(gate, "/t.Storm/Once", calls, 8)
    idempotent = run_storm(gate, "/t.Storm/Idempotent", calls, 8)
    effects = sum((one.effects for one in endpoints), collections.Counter())
    twice = {name: n for name, n in effects.items() if n > 1 and b"Once" in name}
    assert not twice
    assert idempotent >= 0.999 * calls, idempotent
    assert 0.8 * calls <= once <= 0.99 * calls  # so that the storm was one, and not the end of everything
    assert any(n > 1 for name, n in effects.items() if b"Idempotent" in name)
