"""Row A1: an endpoint whose failures stand in the trailers under :status 200 is found and avoided; row C2: what the
gateway refuses itself says so."""
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from backends import Echo, error_of
from details import decode_status
from gateway import SCALE, TIMEOUT, wait_for
from scripted import answering, requests
from wire import INTERNAL_ERROR, settings

CALLS = 4000
TWO = """
workers: $workers
listeners: [{address: $listen}]
clusters:
  c: {endpoints: ["$good", "$bad"], breaker: {consecutive_failures: 5, open_for: 60s}}
"""


@pytest.mark.parametrize("callers", [1, 10])
@pytest.mark.parametrize("workers", [1, 2])
def test_a1_at_most_10_of_4000_calls_fail_beside_an_endpoint_that_fails_in_trailers(gateway, scripted, workers,
                                                                                    callers):
    good, bad = scripted(answering(content=b"ok")), scripted(answering(content=b"half", code=14))
    gate = gateway(TWO, workers=workers, good=good.address, bad=bad.address)
    # Each caller has a connection of its own, so that they spread over the workers.
    echoes = [Echo(gate.channel()) for _ in range(callers)]

    def run(echo):
        return sum(failed(echo) for _ in range(CALLS // callers))

    with ThreadPoolExecutor(callers) as pool:
        failures = sum(pool.map(run, echoes))
    assert failures <= 10, failures
    assert failures >= 1, "the bad endpoint was never asked: the test shows nothing"


def failed(echo):
    try:
        echo.unary(b"", timeout=TIMEOUT)
        return False
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNAVAILABLE, error
        return True


@pytest.mark.parametrize("how", [{"code": 14}, {"code": 14, "trailers_only": True}, {"reset": INTERNAL_ERROR},
                                 {"code": 2}, {"code": 13}, {"code": 15}])
def test_every_kind_of_failure_opens_the_breaker(gateway, scripted, how):
    good, bad = scripted(answering(content=b"ok")), scripted(answering(**how))
    gate = gateway(TWO, workers=1, good=good.address, bad=bad.address)
    echo = Echo(gate.channel())
    failures = 0
    for _ in range(200):
        try:
            echo.unary(b"", timeout=TIMEOUT)
        except grpc.RpcError:
            failures += 1
    assert failures == 5


@pytest.mark.parametrize("code", [3, 5, 7, 9, 12, 16])
def test_answers_that_blame_the_caller_open_no_breaker(gateway, scripted, code):
    bad = scripted(answering(code=code))
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$bad], breaker: {consecutive_failures: 2, minimum_calls: 2}}}
""", bad=bad.address)
    echo = Echo(gate.channel())
    for _ in range(50):
        assert error_of(lambda: echo.unary(b"", timeout=TIMEOUT)).code().value[0] == code


def test_c2_a_refusal_says_who_refused_and_why(gateway, scripted):
    bad = scripted(answering(code=14))
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$bad], breaker: {consecutive_failures: 3, open_for: 60s}}}
""", bad=bad.address)
    echo = Echo(gate.channel())
    for _ in range(3):
        error = error_of(lambda: echo.unary(b"", timeout=TIMEOUT))
        assert "x-fusegate-origin" not in dict(error.trailing_metadata()), "these are the service's own"
    error = error_of(lambda: echo.unary(b"", timeout=TIMEOUT))
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    trailers = dict(error.trailing_metadata())
    assert trailers["x-fusegate-origin"] == "local_breaker"
    status = decode_status(trailers["grpc-status-details-bin"])
    assert (status["code"], status["message"]) == (14, error.details())
    info = status["ErrorInfo"]
    assert (info["reason"], info["domain"]) == ("BREAKER_OPEN", "fusegate")
    assert info["metadata"]["cluster"] == "c"
    assert info["metadata"]["endpoint"] == bad.address
    assert info["metadata"]["method"] == "/t.Echo/Unary"
    assert (info["metadata"]["observed"], info["metadata"]["threshold"]) == ("3", "3")
    assert 50 < status["RetryInfo"]["seconds"] <= 60


def test_an_open_breaker_probes_after_open_for_and_closes(gateway, scripted):
    healthy = threading.Event()

    def script(wire, _):
        wire.send(settings())
        for stream, _, _ in requests(wire):
            wire.send(wire.answer(stream, b"", 0 if healthy.is_set() else 14))

    service = scripted(script)
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$service], breaker: {consecutive_failures: 5, open_for: 200ms, half_open_calls: 3}}}
""", service=service.address)
    echo = Echo(gate.channel())
    assert [failed(echo) for _ in range(5)] == [True] * 5
    refused = error_of(lambda: echo.unary(b"", timeout=TIMEOUT))
    assert dict(refused.trailing_metadata())["x-fusegate-origin"] == "local_breaker"
    healthy.set()
    wait_for("the breaker closes", lambda: not failed(echo), 5 * SCALE)
    assert [failed(echo) for _ in range(50)] == [False] * 50
    breaker = gate.json("/clusters")["clusters"][0]["endpoints"][0]["breaker"]
    assert breaker["state"] == "closed" and breaker["permits_out"] == 0


def test_a_failing_method_is_refused_while_others_pass(gateway, backend):
    """On the only endpoint: consecutive failures of one method do not take the endpoint's other methods along."""
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$backend], breaker: {consecutive_failures: 5, open_for: 60s}}}
""", backend=backend.address)
    echo = Echo(gate.channel())
    origins = []
    for _ in range(20):
        error = error_of(lambda: echo.unary(b"", metadata=[("do-code", "INTERNAL")], timeout=TIMEOUT))
        assert echo.client_stream(iter([b"x"]), timeout=TIMEOUT) == b"1"
        origins.append(dict(error.trailing_metadata()).get("x-fusegate-origin"))
    assert origins == [None] * 5 + ["local_breaker"] * 15


def test_a_deadline_that_ran_out_in_the_backends_hands_counts(gateway, backend):
    gate = gateway("""
listeners: [{address: $listen}]
routes: [{cluster: c, timeout: 30ms}]
clusters: {c: {endpoints: [$backend], breaker: {consecutive_failures: 3, open_for: 60s}}}
""", backend=backend.address)
    echo = Echo(gate.channel())
    hang = [("do-hang", "1")]
    codes = [error_of(lambda: echo.unary(b"", metadata=hang, timeout=TIMEOUT)).code().name for _ in range(4)]
    assert codes == ["DEADLINE_EXCEEDED"] * 3 + ["UNAVAILABLE"]


def test_calls_that_the_client_cancels_never_count(gateway, backend):
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$backend], breaker: {consecutive_failures: 2, minimum_calls: 2}}}
""", backend=backend.address)
    echo = Echo(gate.channel())
    for i in range(10):
        call = echo.unary.future(b"", metadata=[("do-hang", "1")], timeout=TIMEOUT)
        backend.wait_seen(i + 1)
        call.cancel()
    assert echo.unary(b"fine", timeout=TIMEOUT) == b"fine"
