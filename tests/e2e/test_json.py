"""JSON clients in front of protobuf services: descriptors from a file or by reflection, Connect with JSON."""
import base64
import gzip
import json
import urllib.parse

import grpc
import pytest

from backends import Backend
from faces import VERSIONS, envelope, envelopes, request
from gateway import run_command, wait_for
from reflection import Reflection, compile_set

STREAM = "application/connect+json"
ORDER = {"id": "9007199254740993", "customerName": "Ä", "items": [{"name": "soup", "price": 2.5, "kind": "FOOD"}],
         "labels": {"a": "b"}, "blob": "AAH/"}


@pytest.fixture
def gate(gateway, backend, tmp_path):
    return gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$backend], descriptors: $set, breaker: {enabled: false}}}
""", backend=backend.address, set=compile_set(tmp_path))


def post(gate, version, body, path="/t.Echo/Unary", headers=()):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return request(gate, version, path, "application/json", body, headers=headers)


@pytest.mark.parametrize("version", VERSIONS)
def test_unary(gate, version):
    answer = post(gate, version, ORDER)
    assert answer.status == 200 and answer["content-type"] == "application/json" and json.loads(answer.body) == ORDER
    assert json.loads(post(gate, version, {}).body) == {}
    assert json.loads(post(gate, version, {"customer_name": "b", "id": 7}).body) == {"id": "7", "customerName": "b"}
    many = {"items": [{"name": f"dish {i}", "price": i} for i in range(1, 20_000)]}
    assert json.loads(post(gate, version, many).body) == many


@pytest.mark.parametrize("version", VERSIONS)
def test_streams(gate, version):
    orders = [{"id": str(i)} for i in range(1, 200)]
    answer = request(gate, version, "/t.Echo/Bidi", STREAM, b"".join(envelope(json.dumps(o).encode()) for o in orders))
    *data, (flags, end) = envelopes(answer.body)
    assert answer["content-type"] == STREAM and flags == 2 and json.loads(end) == {}
    assert [json.loads(content) for _, content in data] == orders


@pytest.mark.parametrize("version", VERSIONS)
def test_get(gate, version):
    """For methods without side effects all of a request may stand in its query."""
    def get(path, **parameters):
        return request(gate, version, f"{path}?{urllib.parse.urlencode(parameters)}", "text/plain", method="GET")
    text = json.dumps(ORDER)
    packed = base64.urlsafe_b64encode(gzip.compress(text.encode())).decode().rstrip("=")
    for answer in (get("/t.Echo/Look", connect="v1", encoding="json", message=text),
                   get("/t.Echo/Look", encoding="json", base64="1", compression="gzip", message=packed)):
        assert answer.status == 200 and json.loads(answer.body) == ORDER, answer.body
    answer = get("/t.Echo/Look", connect="v1", encoding="proto", base64="1", message="CAc")
    assert answer.status == 200 and answer["content-type"] == "application/proto" and answer.body == b"\x08\x07"
    refused = get("/t.Echo/Unary", connect="v1", encoding="json", message="{}")
    assert refused.status == 405 and refused["allow"] == "POST"
    assert get("/t.Echo/Look", connect="v2", encoding="json", message="{}").status == 400
    assert get("/t.Echo/Look", encoding="xml", message="{}").status == 415
    assert get("/t.Echo/Look", encoding="proto", base64="1", message="!").status == 400


@pytest.mark.parametrize("version", VERSIONS)
def test_gzip_is_undone(gate, version):
    answer = post(gate, version, gzip.compress(json.dumps(ORDER).encode()), headers=[("content-encoding", "gzip")])
    assert answer.status == 200 and json.loads(answer.body) == ORDER
    answer = post(gate, version, b"no gzip", headers=[("content-encoding", "gzip")])
    assert answer.status == 400 and "gzip" in json.loads(answer.body)["message"]
    bomb = gzip.compress(b'{"customerName":"' + b"x" * 20_000_000 + b'"}')
    answer = post(gate, version, bomb, headers=[("content-encoding", "gzip")])
    assert answer.status == 429 and "max_message" in json.loads(answer.body)["message"]
    answer = post(gate, version, b"{}", headers=[("content-encoding", "br")])
    assert answer.status == 501 and "gzip" in json.loads(answer.body)["message"]


@pytest.mark.parametrize("version", VERSIONS)
def test_gzip_for_those_who_take_it(gate, version):
    big, small = {"customerName": "n" * 5000}, {"customerName": "n"}
    for accepts, packed in (("br, gzip", True), ("gzip;q=0", False), ("identity", False)):
        answer = post(gate, version, big, headers=[("accept-encoding", accepts)])
        assert (answer["content-encoding"], len(answer.body) < 1000) == (("gzip", True) if packed else (None, False))
        assert json.loads(gzip.decompress(answer.body) if packed else answer.body) == big
    assert post(gate, version, small, headers=[("accept-encoding", "gzip")])["content-encoding"] is None
    body = b"".join(envelope(json.dumps(o).encode()) for o in (big, small, big))
    for kind, accept, encoding in ((STREAM, "connect-accept-encoding", "connect-content-encoding"),
                                   ("application/grpc-web+json", "grpc-accept-encoding", "grpc-encoding")):
        answer = request(gate, version, "/t.Echo/Bidi", kind, body, headers=[(accept, "gzip")])
        *data, _ = envelopes(answer.body)
        assert answer[encoding] == "gzip" and [flags for flags, _ in data] == [1, 0, 1]
        assert [json.loads(gzip.decompress(c) if f else c) for f, c in data] == [big, small, big]


@pytest.mark.parametrize("body, where", [
    (b'{"id": "x"}', "line 1, column 8, id"),
    (b'{"items": [{}, {"price": true}]}', "items[1].price"),
    (b'{"nope": 1}', "nope"),
    (b'{"id": 1, "id": 2}', "id"),
    (b'{"id": 1', "line 1"),
    (b'', "line 1"),
    (b'\xff', "line 1"),
    (b'{"customerName": "\xff"}', "customerName"),
    (b'{"id": 1e400}', "id"),
    (b'[' * 10_000, "line 1"),
], ids=["number", "bool", "unknown", "twice", "cut", "empty", "byte", "utf8", "huge", "deep"])
def test_bad_json_says_where_and_nothing_is_sent(gate, backend, body, where):
    answer = post(gate, "h1", body)
    error = json.loads(answer.body)
    assert answer.status == 400 and error["code"] == "invalid_argument" and where in error["message"], error
    assert not backend.seen and gate.metric("attempts_started_total") == 0


def test_an_unknown_method_is_unimplemented(gate):
    answer = post(gate, "h1", {}, "/t.Echo/Nope")
    assert answer.status == 404 and json.loads(answer.body)["code"] == "unimplemented"


def test_errors_of_the_endpoint(gate):
    answer = post(gate, "h1", {}, headers=[("do-code", "NOT_FOUND")])
    assert answer.status == 404 and json.loads(answer.body) == {"code": "not_found", "message": "asked for"}


def test_an_answer_that_is_no_message_is_internal(gate):
    answer = post(gate, "h1", {}, "/t.Echo/ServerStream", [("do-size", "100")])
    assert answer.status == 500 and json.loads(answer.body)["code"] == "internal"


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_descriptors_by_reflection(gateway, tmp_path, version):
    backend = Backend()
    reflection = Reflection(compile_set(tmp_path), version)
    backend.server.add_generic_rpc_handlers((reflection,))
    gate = gateway("""
workers: 2
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$backend], descriptors: reflection, descriptors_refresh: 300ms}}
""", backend=backend.address)
    try:
        known = lambda: gate.json("/clusters")["clusters"][0]["descriptors"]
        wait_for("the descriptors", lambda: known()["methods"] == 5)
        assert known()["source"] == "reflection" and known()["error"] == ""
        for _ in range(10):
            assert json.loads(post(gate, "h1", ORDER).body) == ORDER
        wait_for("another look", lambda: reflection.asked > 2)
        assert gate.metric("calls_total") == 10, "reflection is no call"
    finally:
        gate.finish()
        backend.close()


def test_reflection_goes_on_until_the_service_is_there(gateway, tmp_path):
    backend = Backend()
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$backend], descriptors: reflection}}
""", backend=backend.address)
    known = lambda: gate.json("/clusters")["clusters"][0]["descriptors"]
    wait_for("an error", lambda: "has none" in known()["error"])
    answer = post(gate, "h1", {})
    assert answer.status == 415 and "descriptors" in json.loads(answer.body)["message"]
    backend.server.add_generic_rpc_handlers((Reflection(compile_set(tmp_path)),))
    wait_for("the descriptors", lambda: known()["methods"] == 5)
    assert known()["failures"] >= 1 and json.loads(post(gate, "h1", ORDER).body) == ORDER
    gate.finish()
    backend.close()


@pytest.mark.parametrize("content, message", [(None, "No such file"), (b"\xff\xff", "no file of descriptors")],
                         ids=["missing", "garbage"])
def test_a_bad_file_is_refused(tmp_path, content, message):
    if content:
        (tmp_path / "x.pb").write_bytes(content)
    path = tmp_path / "gateway.yaml"
    path.write_text("""listeners: [{address: 127.0.0.1:1}]
clusters: {c: {endpoints: [127.0.0.1:2], descriptors: x.pb}}
""")
    done = run_command("check", "-c", str(path))
    assert done.returncode == 3 and message in done.stderr and ":2:" in done.stderr, done.stderr


def test_grpc_is_not_touched_by_descriptors(gate):
    with gate.channel() as channel:
        assert channel.unary_unary("/t.Echo/Unary")(b"\xff no message", timeout=5) == b"\xff no message"
        with pytest.raises(grpc.RpcError):
            channel.unary_unary("/t.Echo/Nope")(b"", timeout=5)
