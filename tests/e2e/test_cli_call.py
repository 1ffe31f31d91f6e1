"""fusegate call: every dialect with JSON in and out, through the gateway and without it."""
import array
import fcntl
import json
import os
import re
import select
import signal
import subprocess
import termios

import pytest

from backends import Backend
from certificates import Authority
from gateway import BINARY, TIMEOUT, wait_for
from reflection import Reflection, compile_set
import rest_proto
from scripted import requests
from wire import ANSWER, DATA, END_STREAM, REFUSED_STREAM, frame, goaway, message, rst, settings

ORDER = {"id": "9007199254740993", "customerName": "Ä", "items": [{"name": "soup", "price": 2.5, "kind": "FOOD"}],
         "labels": {"a": "b"}, "blob": "AAH/"}
WIRES = [("grpc",), ("grpc-web",), ("grpc-web", "--http1"), ("grpc-web-text",), ("grpc-web-text", "--http1"),
         ("connect",), ("connect", "--http1")]


def call(*arguments, stdin=""):
    done = subprocess.run([BINARY, "call", *arguments], input=stdin.encode(), capture_output=True, timeout=TIMEOUT)
    done.out, done.err = done.stdout.decode(), done.stderr.decode()
    assert not re.search(r"Sanitizer|runtime error:", done.err), done.err
    return done


def unread(pipe):
    """Bytes that wait in it."""
    count = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return count[0]


def lines(done):
    assert done.returncode == 0, done.err
    return [json.loads(line) for line in done.out.splitlines()]


@pytest.fixture
def types(tmp_path):
    return compile_set(tmp_path)


@pytest.fixture
def gate(gateway, backend, types):
    return gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$backend], descriptors: $set, breaker: {enabled: false}}}
""", backend=backend.address, set=types)


def test_unary(gate, types):
    done = call("--descriptors", types, f"http://{gate.address}/t.Echo/Unary", json.dumps(ORDER))
    assert lines(done) == [ORDER]


@pytest.mark.parametrize("wire", WIRES, ids=" ".join)
@pytest.mark.parametrize("as_json", [(), ("--json",)], ids=["proto", "json"])
def test_all_kinds_in_all_dialects(gate, types, wire, as_json):
    def ask(method, *arguments, **more):
        if wire[0] == "grpc-web-text" and as_json:
            pytest.skip("there is no JSON in grpc-web-text")
        return call("--protocol", *wire, *as_json, "--descriptors", types, f"http://{gate.address}/t.Echo/{method}",
                    *arguments, **more)
    assert lines(ask("Unary", json.dumps(ORDER))) == [ORDER]
    assert lines(ask("Unary")) == [{}]
    assert lines(ask("ServerStream", '{"id": 7}', "-H", "do-count: 0")) == []
    orders = [{"id": str(i)} for i in range(1, 100)]
    assert lines(ask("Bidi", "-", stdin=" ".join(map(json.dumps, orders)))) == orders
    assert lines(ask("Bidi", json.dumps(orders))) == orders
    assert lines(ask("Bidi", "-")) == []
    failed = ask("Unary", "{}", "-H", "do-code: NOT_FOUND", "-H", "do-message: no such order")
    assert failed.returncode == 64 + 5 and failed.err == "fusegate call: NOT_FOUND (5): no such order\n", failed.err
    failed = ask("ServerStream", "{}", "-H", "do-size: 0", "-H", "do-count: 2", "-H", "do-last-code: ABORTED")
    assert failed.returncode == 64 + 10 and failed.out.splitlines() == ["{}", "{}"], failed.err
    assert failed.err == "fusegate call: ABORTED (10): after the messages\n"


def test_streams_are_printed_as_they_come(gate, types):
    process = subprocess.Popen([BINARY, "call", "--descriptors", types, f"http://{gate.address}/t.Echo/Bidi", "-"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for i in range(1, 4):
        process.stdin.write(b'{"id": %d} ' % i)
        process.stdin.flush()
        assert json.loads(process.stdout.readline()) == {"id": str(i)}
    process.stdin.close()
    assert process.stdout.read() == b"" and process.wait(TIMEOUT) == 0
    process.stdout.close()


def test_much_in_and_out(gate, types, tmp_path):
    orders = [{"id": str(i), "customerName": "x" * 10_000} for i in range(1, 1_000)]
    path = tmp_path / "orders.json"
    path.write_text("\n".join(map(json.dumps, orders)))
    for wire in (("grpc",), ("connect", "--http1"), ("grpc-web-text",)):
        done = call("--protocol", *wire, "--descriptors", types, f"http://{gate.address}/t.Echo/Bidi", f"@{path}")
        assert lines(done) == orders
    text = json.dumps({"customerName": "y" * 3_000_000})
    done = call("--descriptors", types, f"http://{gate.address}/t.Echo/Unary", "-d", "-", "-H", "do-gzip: 1", stdin=text)
    assert lines(done) == [json.loads(text)]


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_types_by_reflection(types, version):
    backend = Backend()
    backend.server.add_generic_rpc_handlers((Reflection(types, version),))
    url = f"http://{backend.address}"
    assert lines(call(f"{url}/t.Echo/Unary", json.dumps(ORDER))) == [ORDER]
    listed = call("--list", url)
    assert listed.returncode == 0 and listed.out == call("--list", "--descriptors", types).out
    assert listed.out.splitlines()[1] == "t.Echo/ServerStream  t.Order -> stream t.Order"
    described = call("--describe", "t.Echo/Look", url)
    assert "rpc Look(t.Order) returns (t.Order);" in described.out
    assert "  map<string, string> labels = 4;\n" in described.out
    assert call("--describe", "u.Kind", url).out == "enum u.Kind {\n  UNKNOWN = 0;\n  FOOD = 1;\n}\n"
    wrong = call("--describe", "u.Nope", url)
    assert wrong.returncode == 2 and "u.Nope" in wrong.err and wrong.out == ""
    backend.close()


def test_reflection_through_the_gateway_whatever_the_call_speaks(gateway, types, tmp_path):
    backend = Backend()
    backend.server.add_generic_rpc_handlers((Reflection(types),))
    authority = Authority(tmp_path)
    certificate, key = authority.issue("edge", "127.0.0.1")
    for tls in (False, True):
        gate = gateway("""
listeners: [{address: $listen $tls}]
clusters: {c: {endpoints: [$backend]}}
""", backend=backend.address, tls=f", tls: {{certificate: {certificate}, key: {key}}}" if tls else "")
        for wire in (("grpc",), ("grpc-web", "--http1"), ("grpc-web",)):
            done = call("--protocol", *wire, "--cacert", authority.certificate,
                        f"{'https' if tls else 'http'}://{gate.address}/t.Echo/Unary", json.dumps(ORDER))
            assert lines(done) == [ORDER]
    backend.close()


def test_without_reflection_it_says_what_to_do(backend):
    done = call(f"http://{backend.address}/t.Echo/Unary")
    assert done.returncode == 64 + 12 and "UNIMPLEMENTED" in done.err and "--descriptors" in done.err


def test_json_on_the_wire_needs_no_types(gate):
    done = call("--protocol", "connect", "--json", f"http://{gate.address}/t.Echo/Unary", '{"id": 5}')
    assert lines(done) == [{"id": "5"}]


def test_connect_by_get(gate, types):
    url = f"http://{gate.address}/t.Echo/Look"
    for more in ((), ("--json",), ("--http1",)):
        done = call("--protocol", "connect", "--get", *more, "--descriptors", types, url, json.dumps(ORDER), "-v")
        assert lines(done) == [ORDER] and "> :method: GET" in done.err, done.err
    refused = call("--protocol", "connect", "--get", "--descriptors", types, url.replace("Look", "Unary"), "{}")
    assert refused.returncode != 0


@pytest.fixture
def rest(gateway, backend, tmp_path):
    return gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$backend], descriptors: $set, breaker: {enabled: false}}}
""", backend=backend.address, set=rest_proto.compile_set(tmp_path))


@pytest.mark.parametrize("version", [(), ("--http1",)], ids=["h2", "h1"])
def test_rest(rest, version):
    def ask(path, *arguments, **more):
        return call("--protocol", "rest", *version, f"http://{rest.address}{path}", *arguments, **more)
    assert lines(ask("/v1/orders/17?shelf=a"))[0]["id"] == "17"
    assert lines(ask("/v1/orders", '{"id": 5}'))[0]["id"] == "5"
    assert lines(ask("/v1/orders/3/item", "-X", "PUT", '{"name": "n"}'))[0]["item"]["name"] == "n"
    assert lines(ask("/v1/watch/s", "-H", "do-count: 3", "-H", "do-size: 0")) == 3 * lines(ask(
        "/v1/watch/s", "-H", "do-size: 0"))
    chat = ask("/v1/chat", "-H", "content-type: application/x-ndjson", "-", stdin='{"id": 1} {"id": 2}')
    assert [one["id"] for one in lines(chat)] == ["1", "2"]
    raw = ask("/v1/files/1", "-H", "content-type: image/png", "-", stdin="any bytes")
    assert json.loads(raw.out)["contentType"] == "image/png"
    failed = ask("/v1/orders/1", "-H", "do-code: NOT_FOUND")
    assert failed.returncode == 64 + 5 and failed.err == "fusegate call: NOT_FOUND (5): asked for\n"
    failed = ask("/v1/watch/s", "-H", "do-count: 2", "-H", "do-size: 0", "-H", "do-last-code: ABORTED")
    assert failed.returncode == 64 + 10 and len(failed.out.splitlines()) == 2, failed.err
    assert ask("/nowhere").returncode == 64 + 12 and ask("/v1/orders/x").returncode == 64 + 3


def test_details_of_the_gateways_own_errors(gateway, types):
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: ["127.0.0.1:1"], descriptors: $set}}
""", set=types)
    for wire in (*WIRES, ("connect", "--json")):
        failed = call("--protocol", *wire, "--descriptors", types, f"http://{gate.address}/t.Echo/Unary")
        assert failed.returncode == 64 + 14 and failed.err.startswith("fusegate call: UNAVAILABLE (14): "), failed.err
        assert "\n  x-fusegate-origin: " in failed.err, failed.err
        info = re.search(r"\n  google.rpc.ErrorInfo: (.*)", failed.err)
        assert info and json.loads(info[1])["domain"] == "fusegate", failed.err
        failed = call("--protocol", *wire, "--descriptors", types, f"http://{gate.address}/t.Echo/Bidi", "{}")
        assert failed.returncode == 64 + 14 and "\n  x-fusegate-origin: " in failed.err, failed.err
        assert "\n  google.rpc.ErrorInfo: {" in failed.err, failed.err


def test_time_runs_out(gate, backend, types):
    for wire in WIRES:
        done = call("--protocol", *wire, "--descriptors", types, f"http://{gate.address}/t.Echo/Unary", "-H",
                    "do-hang: 1", "--timeout", "0.3")
        assert done.returncode == 64 + 4 and done.err.startswith("fusegate call: DEADLINE_EXCEEDED (4)"), done.err
    assert all(0 < seen.remaining <= 0.3 for seen in backend.wait_seen(len(WIRES)))


@pytest.mark.parametrize("wire", WIRES, ids=" ".join)
def test_an_interrupt_cancels_the_call(gate, backend, types, wire):
    process = subprocess.Popen([BINARY, "call", "--protocol", *wire, "--descriptors", types,
                                f"http://{gate.address}/t.Echo/Unary", "{}", "-H", "do-hang: 1"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    seen, = backend.wait_seen()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 130 and out == b"" and err == b"fusegate call: interrupted: the call was cancelled\n"
    assert seen.ended.wait(TIMEOUT)


def test_a_reader_that_stops_keeps_nothing_from_ending(gate, types):
    command = [BINARY, "call", "--descriptors", types, f"http://{gate.address}/t.Echo/ServerStream", "{}", "-H",
               "do-size: 0", "-H", "do-count: 100000"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.read(3) == b"{}\n"
    wait_for("a full pipe", lambda: select.select([process.stdout], [], [], 0)[0] and unread(process.stdout) > 60_000)
    process.send_signal(signal.SIGINT)
    assert process.wait(TIMEOUT) == 130 and b"interrupted" in process.stderr.read()
    process.stdout.close()
    process.stderr.close()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.wait(TIMEOUT) == 1 and process.stderr.read() == b""
    process.stderr.close()


HTML = [(":status", "404"), ("content-type", "text/html")]
ZIPPED = [*ANSWER, ("grpc-encoding", "br")]
BAD_ANSWERS = {
    "no answer": (lambda wire, stream: wire.headers(stream, [*ANSWER, ("grpc-status", "0")], end=True), 1,
                  "OK, but with 0 answers"),
    "two": (lambda wire, stream: wire.headers(stream, ANSWER) + frame(DATA, 0, stream, 2 * message(b"")) +
            wire.headers(stream, [("grpc-status", "0")], end=True), 1, "OK, but with 2 answers"),
    "no status": (lambda wire, stream: wire.headers(stream, ANSWER) + frame(DATA, END_STREAM, stream, message(b"")), 1,
                  "ended without a grpc-status"),
    "a status that is no number": (lambda wire, stream: wire.headers(stream, [*ANSWER, ("grpc-status", "x")], end=True),
                                   1, "grpc-status is no number: x"),
    "a page": (lambda wire, stream: wire.headers(stream, HTML) + frame(DATA, END_STREAM, stream, b"<h1>sorry\x1b[2J\n"),
               1, "answered HTTP 404 with text/html, which is no gRPC answer: <h1>sorry\\x1b[2J\n"),
    "no message of the type": (lambda wire, stream: wire.headers(stream, ANSWER) +
                               frame(DATA, END_STREAM, stream, message(b"\x08")), 1, "an answer is no t.Order"),
    "unknown flags": (lambda wire, stream: wire.headers(stream, ANSWER) + frame(DATA, 0, stream, b"\6\0\0\0\1x"), 1,
                      "unknown flags 0x06"),
    "too large": (lambda wire, stream: wire.headers(stream, ANSWER) + frame(DATA, 0, stream, b"\0\xff\0\0\1x"), 1,
                  "more than 256 MiB"),
    "unknown compression": (lambda wire, stream: wire.headers(stream, ZIPPED) +
                            frame(DATA, 0, stream, b"\1\0\0\0\1x"), 1, 'compressed with "br"'),
    "no gzip": (lambda wire, stream: wire.headers(stream, [*ANSWER, ("grpc-encoding", "gzip")]) +
                frame(DATA, 0, stream, b"\1\0\0\0\1x"), 1, "it is no gzip"),
    "reset": (lambda wire, stream: rst(stream, REFUSED_STREAM), 64 + 14, "UNAVAILABLE (14): the server reset the stream"),
    "goaway": (lambda wire, stream: goaway(0), 1, "GOAWAY"),
    "a message that steers terminals": (lambda wire, stream: wire.headers(
        stream, [*ANSWER, ("grpc-status", "5"), ("grpc-message", "a%1b[2J")], end=True), 64 + 5, "(5): a\\x1b[2J\n"),
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_bad_answers(types, scripted, name):
    answer, status, text = BAD_ANSWERS[name]

    def script(wire, _):
        wire.send(settings())
        for stream, _, _ in requests(wire):
            wire.send(answer(wire, stream))
    done = call("--descriptors", types, f"http://{scripted(script).address}/t.Echo/Unary", "{}")
    assert done.returncode == status and text in done.err, done.err


@pytest.mark.parametrize("text, where", [
    ('{"id": "x"}', "line 1, column 8, id"),
    ('{"id": 1,\n "items": [{}, {"prize": 1}]}', "line 2, column 17, items[1].prize"),
    ('{"id": 1', "line 1"), ('[', "line 1"), ('{} {}', "line 1, column 4")])
def test_bad_json_says_where_and_nothing_is_sent(gate, backend, types, text, where):
    done = call("--descriptors", types, f"http://{gate.address}/t.Echo/Unary", text)
    assert done.returncode == 2 and where in done.err and done.out == "" and not backend.seen, done.err


def test_bad_json_in_a_stream_is_found_where_it_stands(gate, types):
    for text, where in (('{"id": 1}\n\n  {"id": 2} {"id": x}', "line 3, column 20, id"), ('{}\n{"id":', "line 2"),
                        ('{}\n }', "line 2, column 2"), ('[{},', "ends inside")):
        done = call("--descriptors", types, f"http://{gate.address}/t.Echo/ClientStream", "-", stdin=text)
        assert done.returncode == 2 and where in done.err, done.err


@pytest.mark.parametrize("arguments, status, text", [
    (["$url/t.Echo/Unery"], 2, "did you mean t.Echo/Unary?"),
    (["$url/t.Ecco/Unary"], 2, "did you mean t.Echo/Unary?"),
    (["$url/what/ever"], 2, "there is no method what/ever among 5"),
    (["$url/t.Echo"], 2, "ends with /package.Service/Method"),
    (["$url/prefix/t.Echo/Unary", "@/no/such/file"], 2, "/no/such/file: No such file"),
    (["ftp://x/t.Echo/Unary"], 2, "only http:// and https://"),
    (["http://127.0.0.1:x/t.Echo/Unary"], 2, "is no URL"),
    (["--http1", "$url/t.Echo/Unary"], 2, "gRPC needs HTTP/2"),
    (["--protocol", "soap", "$url/t.Echo/Unary"], 2, "--protocol is grpc"),
    (["-H", "no field", "$url/t.Echo/Unary"], 2, "a field is 'name: value'"),
    (["--timeout", "soon", "$url/t.Echo/Unary"], 2, "number of seconds"),
    (["--get", "$url/t.Echo/Unary"], 2, "--get is for"),
    (["-X", "GET", "$url/t.Echo/Unary"], 2, "-X is for"),
    (["--descriptors", "/no/such.pb", "$url/t.Echo/Unary"], 2, "/no/such.pb"),
    (["http://127.0.0.1:1/t.Echo/Unary"], 1, "127.0.0.1:1: Connection refused"),
    ([], 2, "there is no URL"),
])
def test_what_is_wrong_is_said(types, arguments, status, text, gate):
    arguments = [one.replace("$url", f"http://{gate.address}") for one in arguments]
    if "--descriptors" not in arguments:
        arguments = ["--descriptors", types] + arguments
    done = call(*arguments)
    assert done.returncode == status and text in done.err and done.out == "", done.err


def test_servers_that_speak_something_else(gate, types):
    url = f"{gate.admin}/t.Echo/Unary"
    done = call("--descriptors", types, f"http://{url}")
    assert done.returncode == 1 and "does it speak HTTP/2" in done.err
    done = call("--descriptors", types, "--http1", "--protocol", "connect", f"http://{url}")
    assert done.returncode == 1 and "HTTP 404 with text/plain" in done.err and "no Connect answer" in done.err
    done = call("--descriptors", types, "--connect-timeout", "0.3", f"https://{url}")
    assert done.returncode == 1 and ("TLS" in done.err or "handshake" in done.err)


def test_tls(gateway, backend, types, tmp_path):
    authority = Authority(tmp_path)
    certificate, key = authority.issue("edge", "127.0.0.1")
    gate = gateway("""
listeners: [{address: $listen, tls: {certificate: $pem, key: $key}}]
clusters: {c: {endpoints: [$backend], descriptors: $set}}
""", backend=backend.address, set=types, pem=certificate, key=key)
    url = f"https://{gate.address}/t.Echo/Unary"
    for wire in WIRES:
        for trust in (["--cacert", authority.certificate], ["--insecure"]):
            assert lines(call("--protocol", *wire, *trust, "--descriptors", types, url, json.dumps(ORDER))) == [ORDER]
    done = call("--descriptors", types, url)
    assert done.returncode == 1 and "certificate" in done.err, done.err
    done = call("--descriptors", types, "--cacert", "/no/ca.pem", url)
    assert done.returncode == 1 and "/no/ca.pem" in done.err, done.err


def test_output(gate, types):
    url = f"http://{gate.address}/t.Echo/Unary"
    order = {"id": "1", "items": [{"name": 'a"{,', "price": 1}, {}], "labels": {"a": "b"}}
    done = call("--descriptors", types, "--pretty", url, json.dumps(order))
    assert done.out == json.dumps(order, indent=2) + "\n"
    done = call("--descriptors", types, "--emit-defaults", url, "{}")
    assert lines(done) == [{"id": "0", "customerName": "", "items": [], "labels": {}, "blob": ""}]
    done = call("--descriptors", types, "-v", url, "-H", "X-Mine: 1", "-H", "do-trailers: 5", "-H", "host: other")
    assert "> :authority: other\n" in done.err
    assert "> x-mine: 1\n" in done.err and "< :status: 200\n" in done.err and "<< grpc-status: 0\n" in done.err
    assert "<< x-large: ttttt\n" in done.err and "* 1 answer; first byte after " in done.err
    with open(os.devnull) as nothing, open("/dev/full", "w") as full:
        status = subprocess.run([BINARY, "call", "--descriptors", types, url], stdin=nothing, stdout=full,
                                timeout=TIMEOUT).returncode
    assert status == 1
