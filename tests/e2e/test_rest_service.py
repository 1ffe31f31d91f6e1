"""Services that speak REST behind callers who speak gRPC, gRPC-Web, Connect and REST."""
import gzip
import http.server
import json
import os
import subprocess
import threading

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

from faces import CODES, VERSIONS, request
from gateway import TIMEOUT
from rest_proto import HTTP, compile_set

SERVICE = """
syntax = "proto3";
package shop;
import "http.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/empty.proto";
message Item { string name = 1; double price = 2; int64 parts = 3; }
enum Kind { UNKNOWN = 0; FOOD = 1; }
message Order {
  int64 id = 1;
  string shelf = 2;
  Item item = 3;
  repeated string tags = 4;
  Kind kind = 5;
  google.protobuf.Timestamp made_at = 6;
  map<string, string> labels = 7;
  google.api.HttpBody file = 8;
  bool urgent = 9;
  repeated Item items = 10;
  repeated double numbers = 11;
}
service Shop {
  rpc Get(Order) returns (Order) { option (google.api.http) = { get: "/v1/orders/{id}" }; }
  rpc Make(Order) returns (Order) { option (google.api.http) = { post: "/v1/{shelf=shelves/*}/orders" body: "*" }; }
  rpc Change(Order) returns (Order) {
    option (google.api.http) = { patch: "/v1/orders/{id}/item" body: "item" response_body: "item" };
  }
  rpc Cancel(Order) returns (google.protobuf.Empty) {
    option (google.api.http) = { delete: "/v1/orders/{id}/{item.name}:cancel" };
  }
  rpc Nested(Order) returns (Order) { option (google.api.http) = { post: "/v1/nested/{item.name}" body: "*" }; }
  rpc File(Order) returns (google.api.HttpBody) { option (google.api.http) = { get: "/v1/files/{kind}/{urgent}" }; }
  rpc Watch(Order) returns (stream Order) { option (google.api.http) = { get: "/v1/watch" }; }
  rpc Upload(stream Order) returns (Order) { option (google.api.http) = { post: "/v1/upload" body: "*" }; }
  rpc Silent(Order) returns (Order);
}
"""


def compile_shop(folder):
    for name, text in (("http.proto", HTTP), ("shop.proto", SERVICE)):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)
    out = os.path.join(folder, "shop.pb")
    subprocess.run(["protoc", f"-I{folder}", "-I/usr/include", "--include_imports", f"--descriptor_set_out={out}",
                    "shop.proto"], check=True)
    return out


class Types:
    def __init__(self, path):
        files = descriptor_pb2.FileDescriptorSet()
        with open(path, "rb") as file:
            files.ParseFromString(file.read())
        self.pool = descriptor_pool.DescriptorPool()
        for file in files.file:
            self.pool.Add(file)

    def __getitem__(self, name):
        found = self.pool.FindMessageTypeByName(name)
        factory = message_factory.MessageFactory(self.pool)
        return factory.GetPrototype(found)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self):
        content = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.seen.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, content))
        status, headers, body = self.server.say
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if not any(name == "transfer-encoding" for name, _ in headers):
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = answer


class Service(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen, self.say = [], (200, [("content-type", "application/json")], b"{}")
        self.address = f"127.0.0.1:{self.server_address[1]}"
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        self.thread.start()

    def answers(self, value, status=200, headers=()):
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.say = (status, [("content-type", "application/json"), *headers], body)

    def close(self):
        self.shutdown()
        self.thread.join()
        self.server_close()


@pytest.fixture
def service():
    service = Service()
    yield service
    service.close()


@pytest.fixture
def shop(tmp_path):
    return compile_shop(tmp_path)


CONFIG = """
listeners: [{address: $listen}]
clusters:
  shop: {endpoints: [$service], service: rest, protocol: h1, descriptors: $set, breaker: {enabled: false}%s}
"""


@pytest.fixture
def gate(gateway, service, shop):
    return gateway(CONFIG % "", service=service.address, set=shop)


def call(gate, shop, method, message, answer="shop.Order", stream=False, **options):
    types = Types(shop)
    channel = gate.channel()
    kind = channel.unary_stream if stream else channel.unary_unary
    function = kind(f"/shop.Shop/{method}", lambda m: m.SerializeToString(), types[answer].FromString)
    return function(json_format.ParseDict(message, types["shop.Order"]()), timeout=TIMEOUT, **options)


def as_dict(message):
    return json_format.MessageToDict(message)


ORDER = {"id": "17", "shelf": "shelves/ä b", "item": {"name": "a/b?c", "price": 2.5, "parts": "9007199254740993"},
         "tags": ["x", "y&z"], "kind": "FOOD", "madeAt": "2026-01-02T03:04:05Z", "labels": {"a\"b": "c"}, "urgent": True}


@pytest.mark.parametrize("method, verb, path, body", [
    ("Make", "POST", "/v1/shelves/%C3%A4%20b/orders", {k: v for k, v in ORDER.items() if k != "shelf"}),
    ("Change", "PATCH",
     "/v1/orders/17/item?shelf=shelves%2F%C3%A4%20b&tags=x&tags=y%26z&kind=FOOD&madeAt=2026-01-02T03%3A04%3A05Z&"
     "labels.a%22b=c&urgent=true", ORDER["item"]),
    ("Nested", "POST", "/v1/nested/a%2Fb%3Fc",
     {k: {"price": 2.5, "parts": "9007199254740993"} if k == "item" else v for k, v in ORDER.items()}),
    ("Get", "GET",
     "/v1/orders/17?shelf=shelves%2F%C3%A4%20b&item.name=a%2Fb%3Fc&item.price=2.5&item.parts=9007199254740993&tags=x&"
     "tags=y%26z&kind=FOOD&madeAt=2026-01-02T03%3A04%3A05Z&labels.a%22b=c&urgent=true", None)])
def test_a_message_becomes_path_query_and_content(gate, service, shop, method, verb, path, body):
    answer = ORDER["item"] if method == "Change" else ORDER
    service.answers({**answer, "unheardOf": [1]})
    got = call(gate, shop, method, ORDER, metadata=[("x-mine", "1"), ("x-raw-bin", b"\x00\xff")])
    assert as_dict(got) == ({"item": answer} if method == "Change" else answer)
    seen = service.seen[0]
    assert seen[:2] == (verb, path)
    assert (json.loads(seen[3]) if body is not None else seen[3]) == (body if body is not None else b"")
    assert seen[2]["x-mine"] == "1" and seen[2]["x-raw-bin"] == "AP8" and seen[2]["accept"] == "application/json"
    assert not any(name.startswith("grpc-") or name == "te" for name in seen[2]), seen[2]
    assert ("content-type" in seen[2]) == (body is not None)


def test_defaults_in_paths_and_empty_answers(gate, service, shop):
    service.answers(b"", 204)
    got = call(gate, shop, "Cancel", {"item": {"name": "x"}}, "google.protobuf.Empty")
    assert as_dict(got) == {} and service.seen[-1][:2] == ("DELETE", "/v1/orders/0/x:cancel")
    service.answers(b"\x00 bytes", headers=[("x-more", "1")])
    got = call(gate, shop, "File", {}, "google.api.HttpBody")
    assert (got.content_type, got.data) == ("application/json", b"\x00 bytes")
    assert service.seen[-1][1] == "/v1/files/UNKNOWN/false" and service.seen[-1][2]["accept"] == "*/*"


def test_what_has_no_path_is_told_and_not_asked(gate, service, shop):
    for method, message, code, what in [
            ("Cancel", {"id": 1}, "INVALID_ARGUMENT", "item.name"),
            ("Get", {"items": [{"name": "x"}]}, "INVALID_ARGUMENT", "items"),
            ("Silent", {}, "UNIMPLEMENTED", "google.api.http"),
            ("Nothing", {}, "UNIMPLEMENTED", "descriptors")]:
        with pytest.raises(grpc.RpcError) as error:
            call(gate, shop, method, message)
        assert (error.value.code().name, what in error.value.details()) == (code, True), error.value
    with pytest.raises(grpc.RpcError) as error:
        gate.channel().stream_unary("/shop.Shop/Upload")(iter([b"", b""]), timeout=TIMEOUT)
    assert error.value.code().name == "UNIMPLEMENTED"
    with pytest.raises(grpc.RpcError) as error:
        gate.channel().unary_unary("/shop.Shop/Get")(b"\xff\xff", timeout=TIMEOUT)
    assert error.value.code().name == "INVALID_ARGUMENT"
    assert not service.seen


def test_statuses(gate, service, shop):
    table = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ABORTED",
             418: "FAILED_PRECONDITION", 429: "RESOURCE_EXHAUSTED", 499: "CANCELLED", 500: "INTERNAL",
             501: "UNIMPLEMENTED", 502: "UNAVAILABLE", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED", 302: "UNKNOWN"}
    for status, code in table.items():
        service.answers(b"<html>", status, [("retry-after", "7")])
        with pytest.raises(grpc.RpcError) as error:
            call(gate, shop, "Get", {"id": 1})
        assert error.value.code().name == code and str(status) in error.value.details()
        details = dict(error.value.trailing_metadata())["grpc-status-details-bin"]
        assert b"google.rpc.RetryInfo" in details and b"\x08\x07" in details


@pytest.mark.parametrize("body, code, message", [
    ({"error": {"code": 404, "status": "ALREADY_EXISTS", "message": "as Google says"}}, "ALREADY_EXISTS", "as Google says"),
    ({"code": 11, "message": "as grpc-gateway says", "details": []}, "OUT_OF_RANGE", "as grpc-gateway says"),
    ({"error": "as this gateway says", "code": 10, "status": "ABORTED"}, "ABORTED", "as this gateway says"),
    ({"type": "about:blank", "title": "Short", "status": 404, "detail": "RFC 9457 \u00e4"}, "NOT_FOUND", "RFC 9457 \u00e4"),
    ({"code": 404, "status": 404}, "NOT_FOUND", "the endpoint answered with HTTP status 404"),
    (["no", "object"], "NOT_FOUND", "the endpoint answered with HTTP status 404"),
    (b"{" * 100_000, "NOT_FOUND", "the endpoint answered with HTTP status 404")],
                         ids=["google", "grpc-gateway", "fusegate", "rfc9457", "numbers", "list", "deep"])
def test_what_services_say_of_errors(gate, service, shop, body, code, message):
    service.answers(body, 404)
    with pytest.raises(grpc.RpcError) as error:
        call(gate, shop, "Get", {"id": 1})
    assert (error.value.code().name, error.value.details()) == (code, message)


def test_errors_are_compressed_too(gate, service, shop):
    """The request says that gzip is taken, and servers compress whatever they answer."""
    text = json.dumps({"error": {"status": "ALREADY_EXISTS", "message": "in gzip"}}).encode()
    service.answers(gzip.compress(text), 404, [("content-encoding", "gzip")])
    with pytest.raises(grpc.RpcError) as error:
        call(gate, shop, "Get", {"id": 1})
    assert (error.value.code().name, error.value.details()) == ("ALREADY_EXISTS", "in gzip")
    bomb = gzip.compress(b'{"message": "' + b"x" * (64 << 20) + b'"}')
    for body in (b"no gzip", gzip.compress(text)[:-9], bomb):
        service.answers(body, 404, [("content-encoding", "gzip")])
        with pytest.raises(grpc.RpcError) as error:
            call(gate, shop, "Get", {"id": 1})
        assert (error.value.code().name, error.value.details()) == (
            "NOT_FOUND", "the endpoint answered with HTTP status 404")


def test_long_messages_of_errors_fit_into_what_clients_take(gate, service, shop):
    """Some take no more than 8 KiB of metadata, and would see another error instead of this one."""
    service.answers({"code": 5, "message": "x" + "\u00e4" * 5_000}, 404)
    with grpc.insecure_channel(gate.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        with pytest.raises(grpc.RpcError) as error:
            channel.unary_unary("/shop.Shop/Get")(b"", timeout=TIMEOUT)
    assert (error.value.code().name, error.value.details()) == ("NOT_FOUND", "x" + "\u00e4" * 499 + "...")


def test_statuses_of_ones_own(gateway, service, shop):
    gate = gateway(CONFIG % ", http_statuses: {404: OK, 4xx: ABORTED, 503: OUT_OF_RANGE}", service=service.address, set=shop)
    for status, code in ((400, "ABORTED"), (499, "ABORTED"), (503, "OUT_OF_RANGE"), (500, "INTERNAL")):
        service.answers({}, status)
        with pytest.raises(grpc.RpcError) as error:
            call(gate, shop, "Get", {"id": 1})
        assert error.value.code().name == code
    service.answers(b"not there", 404)
    assert as_dict(call(gate, shop, "Get", {"id": 1})) == {}


@pytest.mark.parametrize("body, headers, what", [
    (b"{\"id\": 1", [], "line 1, column"),
    (b"{\"item\": {\"price\": \"x\"}}", [], "item.price"),
    (b"[]", [], "line 1"),
    (b"\x1f\x8b no gzip", [("content-encoding", "gzip")], "gzip"),
    (b"{}", [("content-encoding", "br")], "br")])
def test_answers_that_are_none(gate, service, shop, body, headers, what):
    service.answers(body, headers=headers)
    with pytest.raises(grpc.RpcError) as error:
        call(gate, shop, "Get", {"id": 1})
    assert error.value.code().name == "INTERNAL" and what in error.value.details()


def test_gzip_and_sizes(gate, service, shop):
    big = {"shelf": "shelves/1", "tags": ["t" * 1000] * 3000}
    service.answers(gzip.compress(json.dumps(big).encode()), headers=[("content-encoding", "gzip")])
    got = call(gate, shop, "Make", big, compression=grpc.Compression.Gzip)
    assert as_dict(got) == big and json.loads(service.seen[0][3]) == {"tags": big["tags"]}
    service.answers({"tags": ["t" * 1000] * 5000})
    with pytest.raises(grpc.RpcError) as error:
        call(gate, shop, "Get", {"id": 1})
    assert error.value.code().name == "RESOURCE_EXHAUSTED" and "max_message" in error.value.details()
    service.answers(b'{"numbers":[%s]}' % b",".join([b"1"] * 600_000))  # larger in protobuf
    with pytest.raises(grpc.RpcError) as error:
        call(gate, shop, "Get", {"id": 1})
    assert error.value.code().name == "RESOURCE_EXHAUSTED" and "max_message" in error.value.details()
    with pytest.raises(grpc.RpcError) as error:
        call(gate, shop, "Make", {"shelf": "shelves/1", "tags": ["t" * 1000] * 5000})
    assert error.value.code().name == "RESOURCE_EXHAUSTED"


@pytest.mark.parametrize("body, count", [(b"", 0), (b'{"id":"1"}\n{"id":"2"}\n\n{"id":"3"}', 3),
                                         (b'[{"id":1}, {"id":2}]', 2), (b"[]", 0),
                                         (b"\n".join(b'{"shelf":"%s"}' % (b"s" * 100_000) for _ in range(100)), 100)],
                         ids=["none", "ndjson", "array", "empty array", "large"])
def test_streams_of_values(gate, service, shop, body, count):
    service.answers(body)
    got = list(call(gate, shop, "Watch", {}, stream=True))
    assert len(got) == count and service.seen[-1][2]["accept"].startswith("application/x-ndjson")


@pytest.mark.parametrize("body, before", [(b'{"id":"1"}\n{"id"', 1), (b'{"id":"1"}\n{"id":"x"}\n{}', 1), (b"{} nonsense", 1)])
def test_streams_that_break(gate, service, shop, body, before):
    service.answers(body)
    got = []
    with pytest.raises(grpc.RpcError) as error:
        for message in call(gate, shop, "Watch", {}, stream=True):
            got.append(message)
    assert len(got) == before and error.value.code().name == "INTERNAL"


@pytest.mark.parametrize("version", VERSIONS)
def test_other_callers(gate, service, version):
    service.answers({"id": "3", "shelf": "s"})
    answer = request(gate, version, "/shop.Shop/Get", "application/json", b'{"id": 3}')  # Connect
    assert answer.status == 200 and json.loads(answer.body) == {"id": "3", "shelf": "s"}
    answer = request(gate, version, "/v1/orders/3?shelf=x", "application/json", b"", "GET")
    assert answer.status == 200 and json.loads(answer.body)["shelf"] == "s"
    assert service.seen[-1][1] == "/v1/orders/3?shelf=x"
    service.answers({"message": "no such order"}, 404)
    answer = request(gate, version, "/v1/orders/3", "application/json", b"", "GET")
    assert answer.status == 404 and json.loads(answer.body)["error"] == "no such order"


def test_retries_and_breakers_see_the_code(gateway, service, shop):
    gate = gateway("""
listeners: [{address: $listen}]
routes: [{cluster: shop, retry: {attempts: 3, on: [UNAVAILABLE], idempotent: true, backoff: {initial: 1ms}}}]
clusters:
  shop: {endpoints: [$service], service: rest, protocol: h1, descriptors: $set,
         breaker: {consecutive_failures: 6, open_for: 60s, max_ejected: 100%}}
""", service=service.address, set=shop)
    service.answers({}, 503)
    for _ in range(2):
        with pytest.raises(grpc.RpcError):
            call(gate, shop, "Get", {"id": 1})
    assert len(service.seen) == 6 and len({seen[:2] for seen in service.seen}) == 1
    with pytest.raises(grpc.RpcError) as error:
        call(gate, shop, "Get", {"id": 1})
    assert dict(error.value.trailing_metadata())["x-fusegate-origin"] == "local_breaker" and len(service.seen) == 6


def test_an_endpoint_that_is_gone(gate, service, shop):
    service.close()
    with pytest.raises(grpc.RpcError) as error:
        call(gate, shop, "Get", {"id": 1})
    assert error.value.code().name == "UNAVAILABLE"
    service.__init__()


def test_grpc_through_rest_and_back(gateway, backend, tmp_path):
    """Two gateways: gRPC becomes REST, which becomes gRPC; over HTTP/2 and HTTP/1.1."""
    path = compile_set(tmp_path)
    types = Types(path)
    inner = gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$backend], descriptors: $set, breaker: {enabled: false}}}
""", backend=backend.address, set=path)
    for protocol in ("h1", "h2"):
        outer = gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$inner], service: rest, protocol: $protocol, descriptors: $set, breaker: {enabled: false}}}
""", inner=inner.address, set=path, protocol=protocol)
        order = json_format.ParseDict({"id": "7", "shelf": "s", "tags": ["a"], "item": {"name": "n", "price": 0.1},
                                       "at": "2026-01-02T03:04:05.000000006Z"}, types["t.Order"]())
        channel = outer.channel()
        got = channel.unary_unary("/t.Echo/Unary", lambda m: m.SerializeToString(), types["t.Order"].FromString)(
            order, timeout=TIMEOUT)
        assert got == order
        for code in range(1, 17):
            with pytest.raises(grpc.RpcError) as error:
                channel.unary_unary("/t.Echo/Unary", lambda m: m.SerializeToString())(
                    order, metadata=[("do-code", CODES[code]), ("do-message", "why")], timeout=TIMEOUT)
            assert (error.value.code().name, error.value.details()) == (CODES[code], "why")
