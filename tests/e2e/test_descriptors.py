"""Where a cluster's descriptors come from: a file of protoc, or reflection; what happens when that goes wrong."""
import os
import signal
import time

import grpc
import pytest

from backends import Backend
from details import fields
from gateway import SCALE, wait_for
from reflection import PROTO, Reflection, compile_set, field

METHODS = PROTO.count("rpc ")
BY_REFLECTION = """
workers: 2
listeners: [{address: $listen}]
clusters: {c: {endpoints: $endpoints, descriptors: reflection, descriptors_refresh: 200ms}}
"""
FROM_FILE = """
workers: 2
listeners: [{address: $listen}]
clusters: {c: {endpoints: ["127.0.0.1:9"], descriptors: $set}}
"""
NOT_FOUND = field(7, b"\x08\x05" + field(2, b"not found"))


class Moody(Reflection):
    """Answers with `mood(number, value)` where that gives bytes."""

    mood = staticmethod(lambda number, value: None)

    def answer(self, request):
        (number, value), = [(n, v) for n, v in fields(request) if n != 1]
        given = self.mood(number, value)
        return super().answer(request) if given is None else given


class Aborting(Moody):
    """Ends the exchange with a status while `code` is set."""

    code = None

    def info(self, requests, context):
        if self.code:
            context.abort(self.code, "not now")
        yield from super().info(requests, context)


def known(gate):
    return gate.json("/clusters")["clusters"][0]["descriptors"]


@pytest.fixture
def serve(tmp_path):
    """serve(CLASS, VERSION) -> a backend with reflection, and that reflection."""
    backends = []
    path = compile_set(tmp_path)

    def start(kind=Moody, version="v1"):
        backend, reflection = Backend(), kind(path, version)
        backend.server.add_generic_rpc_handlers((reflection,))
        backends.append(backend)
        return backend, reflection

    yield start
    for backend in backends:
        backend.close()


@pytest.mark.parametrize("mood", [
    lambda number, value: NOT_FOUND if number == 7 else None,
    lambda number, value: NOT_FOUND if number == 4 else None,
    lambda number, value: NOT_FOUND if number == 3 else None,
    lambda number, value: b"" if number == 7 else None,
    lambda number, value: field(4, field(1, b"\xff")) if number == 4 else None,
], ids=["no list", "no service", "no import", "nothing", "garbage"])
def test_a_refresh_that_fails_keeps_the_last_set(gateway, serve, mood):
    backend, reflection = serve()
    gate = gateway(BY_REFLECTION, endpoints=f"[{backend.address}]")
    wait_for("the descriptors", lambda: known(gate)["methods"] == METHODS)
    reflection.mood = mood
    wait_for("a failure", lambda: known(gate)["failures"] > 0)
    now = known(gate)
    assert now["methods"] == METHODS and now["error"], now
    reflection.mood = Moody.mood
    wait_for("a success", lambda: known(gate)["error"] == "")
    assert known(gate)["methods"] == METHODS


def test_a_service_without_descriptors_is_left_out(gateway, serve):
    backend, reflection = serve()
    reflection.mood = lambda number, value: \
        field(6, field(1, field(1, b"t.Echo")) + field(1, field(1, b"t.Secret"))) if number == 7 else None
    gate = gateway(BY_REFLECTION, endpoints=f"[{backend.address}]")
    wait_for("the descriptors", lambda: known(gate)["methods"] == METHODS)
    assert known(gate)["error"] == ""


@pytest.mark.parametrize("versions", [("v1alpha", "v1"), ("v1", "v1alpha"), ("v1alpha", "v1alpha")], ids="-".join)
def test_endpoints_may_have_either_version(gateway, serve, versions):
    addresses = [serve(version=version)[0].address for version in versions]
    gate = gateway(BY_REFLECTION, endpoints=f"[{', '.join(addresses)}]")
    wait_for("the descriptors", lambda: known(gate)["methods"] == METHODS)
    time.sleep(1.5 * SCALE)
    assert known(gate)["failures"] == 0, known(gate)


def test_a_status_is_told_and_asked_again_after(gateway, serve):
    backend, reflection = serve(Aborting)
    reflection.code = grpc.StatusCode.UNAVAILABLE
    gate = gateway(BY_REFLECTION, endpoints=f"[{backend.address}]")
    wait_for("an error", lambda: "UNAVAILABLE" in known(gate)["error"])
    assert known(gate)["methods"] == 0 and known(gate)["age_ms"] is None
    reflection.code = None
    wait_for("the descriptors", lambda: known(gate)["methods"] == METHODS)
    assert known(gate)["error"] == ""


def test_failures_are_in_the_metrics(gateway, serve):
    backend, reflection = serve(Aborting)
    reflection.code = grpc.StatusCode.UNAVAILABLE
    gate = gateway(BY_REFLECTION, endpoints=f"[{backend.address}]")
    wait_for("failures", lambda: gate.metric("descriptors_failed_total") >= 2)
    reflection.code = None
    wait_for("a success", lambda: gate.metric("descriptors_loaded_total") >= 1)
    assert gate.metric("calls_total") == gate.metric("attempts_total") == 0


def test_sets_that_do_not_change_are_said_once(gateway, serve):
    backend, reflection = serve()
    gate = gateway(BY_REFLECTION, endpoints=f"[{backend.address}]")
    wait_for("a few looks", lambda: reflection.asked > 4)
    assert gate.errors().count(f"descriptors of {METHODS} methods") == 1


def test_a_file_is_read_again_on_sighup(gateway, tmp_path):
    path = compile_set(tmp_path)
    gate = gateway(FROM_FILE, set=path)
    assert known(gate)["methods"] == METHODS and known(gate)["source"] == path
    with open(path, "rb") as file:
        good = file.read()
    with open(path, "wb") as file:
        file.write(b"\xff")
    gate.process.send_signal(signal.SIGHUP)
    wait_for("an error", lambda: known(gate)["error"])
    assert known(gate)["methods"] == METHODS
    with open(path, "wb") as file:
        file.write(good)
    os.utime(path)
    gate.process.send_signal(signal.SIGHUP)
    wait_for("a success", lambda: known(gate)["error"] == "")
