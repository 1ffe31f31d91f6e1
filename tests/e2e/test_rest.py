"""REST/JSON clients in front of gRPC services, by google.api.http rules."""
import base64
import gzip
import json
import os
import socket
import subprocess
import zlib

import pytest

from backends import Backend
from faces import CODES, VERSIONS, request
from gateway import TIMEOUT, free_port
from rest_proto import compile_set
from wire import DATA, INTERNAL_ERROR, RST_STREAM, Client

HTTP = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401]
EMPTY = {"id": "0", "shelf": "", "tags": [], "kind": "UNKNOWN", "labels": {}}


@pytest.fixture
def gate(gateway, backend, tmp_path):
    return gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$backend], descriptors: $set, breaker: {enabled: false}}}
""", backend=backend.address, set=compile_set(tmp_path))


def ask(gate, version, method, path, body=b"", headers=(), kind="application/json"):
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    return request(gate, version, path, kind, body, method, headers)


def unchunk(inflate, raw):
    """What has come of an answer's content, unpacked."""
    text, rest = b"", raw.partition(b"\r\n\r\n")[2]
    while b"\r\n" in rest:
        size, _, rest = rest.partition(b"\r\n")
        text += inflate.decompress(rest[:int(size, 16)])
        rest = rest[int(size, 16) + 2:]
    return text


def order(answer):
    assert answer.status == 200 and answer["content-type"] == "application/json", answer.body
    return {k: v for k, v in json.loads(answer.body).items() if EMPTY.get(k) != v}


@pytest.mark.parametrize("version", VERSIONS)
def test_paths_queries_and_bodies_become_fields(gate, version):
    for method, path, body, expected in [
            ("GET", "/v1/orders/17", b"", {"id": "17"}),
            ("GET", "/v1/orders/17?shelf=a%20b+c&tags=x&tags=y&item.name=soup&item.price=2.5&kind=FOOD", b"",
             {"id": "17", "shelf": "a b c", "tags": ["x", "y"], "kind": "FOOD", "item": {"name": "soup", "price": 2.5}}),
            ("GET", "/v1/orders/1?at=2026-01-02T03:04:05Z", b"", {"id": "1", "at": "2026-01-02T03:04:05Z"}),
            ("POST", "/v1/orders", {"id": 5, "labels": {"a": "b"}}, {"id": "5", "labels": {"a": "b"}}),
            ("POST", "/v1/orders", b"", {}),
            ("PUT", "/v1/orders/3/item?shelf=s", {"name": "n", "price": 1},
             {"id": "3", "shelf": "s", "item": {"name": "n", "price": 1}}),
            ("GET", "/v1/shelves/a/books/b/c%2Fd%20e", b"", {"shelf": "shelves/a/books/b/c%2Fd e"}),
            ("POST", "/v1/orders/9:cancel", {"shelf": "x"}, {"id": "9", "shelf": "x"}),
            ("HEADS", "/v1/custom?id=2", b"", {"id": "2"})]:
        assert order(ask(gate, version, method, path, body)) == expected, path


@pytest.mark.parametrize("version", VERSIONS)
def test_response_body_and_raw_content(gate, version):
    answer = ask(gate, version, "GET", "/v1/items/%C3%A4%2Fb")
    assert json.loads(answer.body) == {"name": "ä/b", "price": 0}
    answer = ask(gate, version, "POST", "/v1/files/1", b"\x00\xff any bytes", kind="image/png")
    assert answer.status == 200 and json.loads(answer.body)["contentType"] == "image/png"


@pytest.mark.parametrize("version", VERSIONS)
def test_streams(gate, version):
    answer = ask(gate, version, "GET", "/v1/watch/s", headers=[("do-count", "3"), ("do-size", "0")])
    assert answer.status == 200 and answer["content-type"] == "application/x-ndjson"
    assert [json.loads(line) for line in answer.body.splitlines()] == [EMPTY] * 3
    answer = ask(gate, version, "GET", "/v1/watch/s", headers=[("do-count", "2"), ("do-size", "0"),
                                                            ("accept", "text/event-stream")])
    assert answer["content-type"] == "text/event-stream"
    assert [json.loads(part[6:]) for part in answer.body.decode().split("\n\n")[:-1]] == [EMPTY] * 2
    orders = [{"id": str(i), "shelf": "x" * i} for i in range(1, 100)]
    for body in ("\n".join(map(json.dumps, orders)), json.dumps(orders), json.dumps(orders, indent=1)):
        answer = ask(gate, version, "POST", "/v1/chat", body.encode())
        assert [{k: v for k, v in json.loads(line).items() if EMPTY.get(k) != v}
                for line in answer.body.splitlines()] == orders


@pytest.mark.parametrize("version", VERSIONS)
def test_every_status(gate, version):
    for number, name in enumerate(CODES[1:], 1):
        answer = ask(gate, version, "GET", "/v1/orders/1", headers=[("do-code", name)])
        assert answer.status == HTTP[number] and answer["content-type"] == "application/json"
        assert json.loads(answer.body) == {"error": "asked for", "code": number, "status": name, "details": []}


def last_record(content):
    lines = [json.loads(line) for line in content.splitlines() if line]
    assert lines[:2] == [EMPTY] * 2 and lines[2]["error"]["status"] == "ABORTED"


def test_a_stream_that_fails_says_so_and_is_cut(gate):
    done = subprocess.run(["curl", "-sS", "-H", "do-count: 2", "-H", "do-size: 0", "-H", "do-last-code: ABORTED",
                           f"http://{gate.address}/v1/watch/s"], capture_output=True, check=False, timeout=TIMEOUT)
    assert done.returncode == 18, done
    last_record(done.stdout)
    client = Client(gate)
    client.send(client.headers(1, [(":method", "GET"), (":scheme", "http"), (":path", "/v1/watch/s"),
                                   (":authority", "a"), ("do-count", "2"), ("do-size", "0"),
                                   ("do-last-code", "ABORTED")], end=True))
    content = b""
    while True:
        got = client.until(lambda f: f.stream == 1)
        if got.kind == RST_STREAM:
            break
        assert not got.ended
        content += got.payload if got.kind == DATA else b""
    assert got.code == INTERNAL_ERROR
    last_record(content)


def test_one_status_for_all_failures(gateway, backend, tmp_path):
    gate = gateway("""
listeners: [{address: $listen}]
routes: [{cluster: c, unify: 503}]
clusters: {c: {endpoints: [$backend], descriptors: $set, breaker: {enabled: false}}}
""", backend=backend.address, set=compile_set(tmp_path))
    for number, name in enumerate(CODES[1:], 1):
        answer = ask(gate, "h1", "GET", "/v1/orders/1", headers=[("do-code", name)])
        counts = name in ("UNKNOWN", "DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "RESOURCE_EXHAUSTED")
        assert answer.status == (503 if counts else HTTP[number]) and json.loads(answer.body)["status"] == name


@pytest.mark.parametrize("method, path, body, kind, status, message", [
    ("GET", "/v1/nothing", b"", "application/json", 404, "no method has a rule"),
    ("DELETE", "/v1/orders/1", b"", "application/json", 405, "GET"),
    ("POST", "/v1/orders", b"{}", "text/xml", 415, "text/xml"),
    ("GET", "/v1/orders/x", b"", "application/json", 400, "id"),
    ("GET", "/v1/orders/1?nope=1", b"", "application/json", 400, "nope"),
    ("GET", "/v1/orders/1?id=2", b"", "application/json", 400, "already"),
    ("GET", "/v1/orders/1?labels=2", b"", "application/json", 400, "map"),
    ("GET", "/v1/orders/1?shelf=%zz", b"", "application/json", 400, "escape"),
    ("GET", "/v1/items/%f", b"", "application/json", 400, "escape"),
    ("GET", "/v1/orders/1?" + "tags=x&" * 300, b"", "application/json", 400, "too many"),
    ("POST", "/v1/orders", b'{"id": "x"}', "application/json", 400, "line 1, column 8, id"),
    ("POST", "/v1/orders", b"{", "application/json", 400, "line 1"),
    ("POST", "/v1/upload", b'{"id": 1}, {"id": 2}', "application/json", 400, "neither"),
    ("POST", "/v1/upload", b'[{"id": 1}', "application/json", 400, "ends inside"),
], ids=lambda value: None)
def test_bad_requests(gate, method, path, body, kind, status, message):
    answer = ask(gate, "h1", method, path, body, kind=kind)
    error = json.loads(answer.body)
    assert answer.status == status and message in error["error"], answer.body
    assert answer["x-fusegate-origin"].startswith("local_") and error["details"][0]["domain"] == "fusegate"
    if status == 405:
        assert answer["allow"] == "GET"


def test_gzip_both_ways(gate):
    big = {"shelf": "s" * 5000}
    answer = ask(gate, "h1", "POST", "/v1/orders", gzip.compress(json.dumps(big).encode()),
                 [("content-encoding", "gzip"), ("accept-encoding", "gzip")])
    assert answer["content-encoding"] == "gzip" and json.loads(gzip.decompress(answer.body))["shelf"] == "s" * 5000
    assert ask(gate, "h1", "POST", "/v1/orders", b"{}", [("content-encoding", "br")]).status == 415


def test_unknown_fields(gateway, backend, tmp_path):
    text = """
listeners: [{address: $listen}]
routes: [{cluster: c, unknown_fields: %s, max_message: 100MiB}]
clusters: {c: {endpoints: [$backend], descriptors: $set}}
"""
    for policy, status in (("reject", 400), ("ignore", 200)):
        gate = gateway(text % policy, backend=backend.address, set=compile_set(tmp_path))
        for method, path, body in (("POST", "/v1/orders", {"id": 1, "unheardOf": {"x": [1]}, "kind": "FOOD"}),
                                   ("GET", "/v1/orders/1?unheard.of=1&kind=FOOD", b"")):
            answer = ask(gate, "h1", method, path, body)
            assert answer.status == status, answer.body
            if policy == "ignore":
                assert order(answer) == {"id": "1", "kind": "FOOD"}
            else:
                assert "unheard" in json.loads(answer.body)["error"]
        # Connect asks in the same words
        answer = request(gate, "h1", "/t.Echo/Unary", "application/json", b'{"unheardOf": 1}')
        assert answer.status == status


def test_a_message_is_kept_in_two_forms_at_most(gateway, tmp_path, monkeypatch):
    """32 MiB of JSON become 32 MiB of protobuf and come back: no tree, and no third copy."""
    monkeypatch.setenv("ASAN_OPTIONS", os.environ.get("ASAN_OPTIONS", "") +  # what was freed does not count
                       ":quarantine_size_mb=0:thread_local_quarantine_size_kb=0")
    backend = Backend(max_message=64 << 20)
    gate = gateway("""
workers: 1
listeners: [{address: $listen}]
routes: [{cluster: c, max_message: 100MiB}]
clusters: {c: {endpoints: [$backend], descriptors: $set}}
""", backend=backend.address, set=compile_set(tmp_path))

    def peak():
        with open(f"/proc/{gate.process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmHWM:"))
    before, body = peak(), json.dumps({"tags": ["t" * 1000] * 33_000}).encode()
    answer = ask(gate, "h2", "POST", "/v1/orders", body)
    assert answer.status == 200 and len(answer.body) > 33_000_000
    used = peak() - before
    backend.close()
    assert used < 2.9 * len(body), f"{used / len(body):.2f} times the message"


@pytest.mark.parametrize("accept, form", [("*/*", "application/x-ndjson"), ("text/event-stream", "text/event-stream")])
def test_streams_in_gzip_arrive_message_by_message(gate, backend, accept, form):
    """The second half is only sent when the first one has been read."""
    host, port = gate.address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=TIMEOUT) as sock:
        sock.sendall(f"GET /v1/watch/a HTTP/1.1\r\nhost: a\r\naccept: {accept}\r\naccept-encoding: gzip\r\n"
                     "do-count: 3\r\ndo-size: 0\r\ndo-stay: 1\r\nconnection: close\r\n\r\n".encode())
        plain, raw = b"", b""
        while plain.count(b'"shelf"') < 3:
            data = sock.recv(1 << 16)
            assert data
            raw += data
            plain = unchunk(zlib.decompressobj(31), raw)
        backend.release.set()
        while data := sock.recv(1 << 16):
            raw += data
        whole = zlib.decompressobj(31)
        text = unchunk(whole, raw)
        assert whole.eof and text.count(b'"shelf"') == 3
    head = raw.split(b"\r\n\r\n")[0].decode().lower()
    assert f"content-type: {form}" in head and "content-encoding: gzip" in head and "vary: accept-encoding" in head


def field(number, content):
    assert len(content) < 128
    return bytes([number << 3 | 2, len(content)]) + content


@pytest.mark.parametrize("name, value, unpacked", [
    ("BadRequest", field(1, field(1, b"order.id") + field(2, b"too small")),
     {"fieldViolations": [{"field": "order.id", "description": "too small"}]}),
    ("RetryInfo", field(1, b"\x08\x02\x10\x80\xca\xb5\xee\x01"), {"retryDelay": "2.500s"}),
    ("ErrorInfo", field(1, b"WHY") + field(3, field(1, b"k") + field(2, b"v")), {"reason": "WHY", "metadata": {"k": "v"}}),
    ("QuotaFailure", field(1, field(6, field(1, b"zone") + field(2, b"eu")) + b"\x38\x05"),
     {"violations": [{"quotaDimensions": {"zone": "eu"}, "quotaValue": "5"}]}),
    ("BadRequest", b"\xff", {"value": "/w=="}),
    ("NeverHeardOf", b"\x01", {"value": "AQ=="})])
def test_details_that_everybody_knows_are_unpacked(gate, name, value, unpacked):
    """Although the service's descriptors do not have them."""
    url = f"type.googleapis.com/google.rpc.{name}"
    status = b"\x08\x03" + field(2, b"why") + field(3, field(1, url.encode()) + field(2, value))
    answer = ask(gate, "h1", "GET", "/v1/orders/1", headers=[
        ("do-code", "INVALID_ARGUMENT"), ("do-details-bin", base64.b64encode(status).decode())])
    assert answer.status == 400 and json.loads(answer.body)["details"] == [{"@type": url, **unpacked}]
    assert answer["retry-after"] == ("3" if name == "RetryInfo" else None)


def test_local_statuses_have_their_origin(gateway, tmp_path):
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$none], descriptors: $set}}
""", none=f"127.0.0.1:{free_port()}", set=compile_set(tmp_path))
    answer = ask(gate, "h1", "GET", "/v1/orders/1")
    error = json.loads(answer.body)
    assert answer.status == 503 and answer["x-fusegate-origin"] == "local_connect"
    assert error["details"][0]["reason"] == "CONNECT_FAILED" and error["details"][0]["metadata"]["cluster"] == "c"
