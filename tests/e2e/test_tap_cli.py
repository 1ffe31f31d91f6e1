"""fusegate tap: for people, as lines, as a HAR archive, as a capture that tshark reads."""
import base64
import json
import os
import pty
import re
import shutil
import signal
import subprocess

import grpc
import pytest

from backends import Echo, code_of
from faces import envelope, request
from gateway import BINARY, CHANNEL, TIMEOUT, free_port, wait_for
from reflection import compile_set
from rest_proto import compile_set as rest_set
from test_http_service import Service
from test_tap import CONFIG, HTTP, SECRETS
from test_tap_bounds import PLAIN


class Command:
    """fusegate tap, which is told to end by END, or ends by itself."""

    def __init__(self, gate, *options, stdout=subprocess.PIPE, env=None):
        before = gate.metric("taps_opened_total")
        self.process = subprocess.Popen([BINARY, "tap", "--admin", gate.admin, "--token", gate.token, *options],
                                        stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE,
                                        env={**os.environ, **(env or {})})
        wait_for("the tap is there", lambda: gate.metric("taps_opened_total") > before or self.process.poll() is not None)

    def wait(self):
        """(STATUS, OUTPUT)"""
        out, errors = self.process.communicate(timeout=2 * TIMEOUT)
        assert b"Sanitizer" not in errors, errors
        return self.process.returncode, (out or b"").decode(), errors.decode()

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)
        return self.wait()


@pytest.fixture
def gate(gateway, backend, tmp_path):
    return gateway(CONFIG, backend=backend.address, set=compile_set(tmp_path))


def test_lines_for_people(gate, backend):
    tap = Command(gate, "--match", "t.Echo/*", "--count", "2")
    echo = Echo(gate.channel())
    echo.unary(b"\x08\x07\x12\x02\xc3\xa4", metadata=[("x-mine", "1"), ("authorization", "Bearer s3same")])
    code_of(lambda: echo.unary(b"\x12\x04\x1b[2J", metadata=[("do-code", "NOT_FOUND")]))
    status, text, _ = tap.wait()
    assert status == 0 and "s3same" not in text and "\x1b" not in text
    lines = [re.sub(r"^\d\d:\d\d:\d\d\.\d{3} ", "", line) for line in text.splitlines()]
    first = [line.split(" ", 1)[1].strip() for line in lines if line.startswith("0-1 ")]
    assert re.fullmatch(r"→ /t.Echo/Unary 127\.0\.0\.1:\d+ \(grpc\) to c", first[0])
    assert not [line for line in first if line.startswith((":path", ":method", ":status", "te:"))]
    assert "x-mine: 1" in first and "authorization: [redacted]" in first
    assert '▶ 1: {"id":"7","customerName":"ä"} (6 bytes)' in first and '◀ 1: {"id":"7","customerName":"ä"} (6 bytes)' in first
    assert f"attempt 1 on {backend.address}" in first
    assert re.fullmatch(r"← OK [\d.]+ [mu]?s, " + re.escape(backend.address), first[-1])
    second = [line.split(" ", 1)[1].strip() for line in lines if line.startswith("0-2 ")]
    assert any(line.startswith("← NOT_FOUND ") and "by upstream_trailers" in line for line in second)
    assert any(r"\u001b[2J" in line for line in second)


def test_colours_are_for_terminals(gate):
    for environment, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        ours, theirs = pty.openpty()
        tap = Command(gate, "--count", "1", "--pretty", stdout=theirs, env=environment)
        os.close(theirs)
        Echo(gate.channel()).unary(b"\x08\x07")
        text = b""
        try:
            while part := os.read(ours, 4096):
                text += part
        except OSError:  # the other side is closed
            pass
        os.close(ours)
        assert tap.wait()[0] == 0
        assert (b"\x1b[" in text) == coloured and b'"id": "7"' in text


def test_lines_of_json_and_options(gate):
    tap = Command(gate, "--json", "--failed", "--code", "NOT_FOUND", "--header", "x-user:anna", "--count", "1")
    echo = Echo(gate.channel())
    echo.unary(b"", metadata=[("x-user", "anna")])
    code_of(lambda: echo.unary(b"", metadata=[("x-user", "anna"), ("do-code", "NOT_FOUND")]))
    status, text, _ = tap.wait()
    events = [json.loads(line) for line in text.splitlines()]
    assert status == 0 and events[0]["event"] == "begin" and events[-1]["event"] == "over"
    assert [one["code"] for one in events if one["event"] == "end"] == ["NOT_FOUND"]


def test_what_is_wrong_is_said(gateway, gate, backend, tmp_path):
    def fails(gate, *options, token="s3cret"):
        done = subprocess.run([BINARY, "tap", "--admin", gate.admin, "--token", token, *options], capture_output=True,
                              stdin=subprocess.DEVNULL, text=True, timeout=TIMEOUT)
        assert done.returncode in (1, 2) and done.stdout == "", done
        return done.stderr
    assert "another token" in fails(gate, token="wrong")
    assert "code is the name of a status" in fails(gate, "--code", "NICE")
    assert "--rate is a number" in fails(gate, "--rate", "many")
    assert "rate is a number of calls" in fails(gate, "--rate", "0")
    assert "cannot be written" in fails(gate, "-o", str(tmp_path / "no" / "file.har"))
    bare = gateway(CONFIG.replace(", token: s3cret", "").replace(", descriptors: $set", ""), backend=backend.address)
    assert "set admin.token" in fails(bare)
    off = gateway(CONFIG.replace(", descriptors: $set", "") + "tap: {enabled: false}", backend=backend.address)
    assert "tap.enabled is false" in fails(off)
    hides = gateway(CONFIG + SECRETS, backend=backend.address, set=compile_set(tmp_path))
    assert "redact_fields" in fails(hides, "-o", str(tmp_path / "f.pcapng"))


# ---- HAR ----

REQUIRED = {"request": "method url httpVersion cookies headers queryString headersSize bodySize".split(),
            "response": "status statusText httpVersion cookies headers content redirectURL headersSize bodySize".split(),
            "timings": ["send", "wait", "receive"]}


def read_har(path):
    with open(path, encoding="utf-8") as file:
        log = json.load(file)["log"]
    assert log["version"] == "1.2" and {"name", "version"} <= set(log["creator"])
    for entry in log["entries"]:
        assert {"startedDateTime", "time", "request", "response", "cache", "timings"} <= set(entry)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry["startedDateTime"])
        for part, keys in REQUIRED.items():
            assert set(keys) <= set(entry[part]), (part, entry[part])
        assert {"size", "mimeType"} <= set(entry["response"]["content"])
        assert abs(entry["time"] - sum(entry["timings"].values())) < 0.01 and entry["time"] >= 0
        for fields in entry["request"]["headers"], entry["response"]["headers"], entry["request"]["queryString"]:
            assert all({"name", "value"} <= set(one) for one in fields)
    return log["entries"]


def test_har_is_whole_at_any_time(gate, tmp_path):
    path = tmp_path / "calls.har"
    tap = Command(gate, "-o", str(path))
    assert read_har(path) == []
    echo = Echo(gate.channel())
    echo.unary(b"\x08\x07")
    entry, = wait_for("one call", lambda: read_har(path))
    assert entry["request"]["method"] == "POST" and entry["request"]["url"] == f"http://{gate.address}/t.Echo/Unary"
    assert entry["request"]["postData"] == {"mimeType": "application/json", "text": '{"id":"7"}'}
    assert entry["response"]["status"] == 200 and entry["response"]["content"]["text"] == '{"id":"7"}'
    assert {"name": "grpc-status", "value": "0"} in entry["response"]["_trailers"]
    list(echo.bidi(iter([b"\x08\x01", b"\x08\x02"])))
    assert code_of(lambda: echo.unary(b"", metadata=[("do-code", "NOT_FOUND")])) == grpc.StatusCode.NOT_FOUND
    request(gate, "h1", "/t.Echo/Unary", "application/json", b'{"id": 5, "items": [{"price": 0.1}]}')
    entries = wait_for("four calls", lambda: len(read_har(path)) == 4 and read_har(path))
    assert json.loads(entries[1]["request"]["postData"]["text"]) == [{"id": "1"}, {"id": "2"}]
    assert entries[2]["response"]["statusText"] == "NOT_FOUND" and entries[2]["_call"]["code"] == "NOT_FOUND"
    assert entries[3]["_call"]["dialect"].startswith("connect")
    assert entries[3]["response"]["content"]["text"] == '{"id":"5","items":[{"price":0.1}]}'
    assert tap.interrupt()[0] != 0 and len(read_har(path)) == 4


def test_har_of_rest(gateway, backend, tmp_path):
    gate = gateway(CONFIG, backend=backend.address, set=rest_set(tmp_path))
    path = tmp_path / "calls.har"
    tap = Command(gate, "-o", str(path), "--count", "1")
    lines = Command(gate, "--count", "1")
    assert request(gate, "h2", "/v1/orders/17?shelf=top", "text/plain", method="GET").status == 200
    assert tap.wait()[0] == 0
    entry, = read_har(path)
    assert entry["request"]["method"] == "GET" and entry["request"]["url"] == f"http://{gate.address}/v1/orders/17?shelf=top"
    assert entry["request"]["queryString"] == [{"name": "shelf", "value": "top"}]
    assert json.loads(entry["response"]["content"]["text"]) == {"id": "17", "shelf": "top"}
    assert entry["_call"]["method"] == "/t.Echo/Unary" and entry["_call"]["dialect"] == "rest"
    assert "as GET /v1/orders/17?shelf=top" in lines.wait()[1]


def test_har_of_plain_http(gateway, tmp_path):
    service = Service()
    try:
        gate = gateway(HTTP, service=service.address, more="")
        path = tmp_path / "calls.har"
        tap = Command(gate, "-o", str(path), "--count", "2")
        request(gate, "h1", "/a?b=c&d", "application/json", b'{"x": 1}', headers=[("cookie", "s3same")])
        request(gate, "h1", "/b", "application/octet-stream", b"\0\xff")
        assert tap.wait()[0] == 0
        first, second = sorted(read_har(path), key=lambda entry: entry["request"]["url"])
        assert first["request"]["queryString"] == [{"name": "b", "value": "c"}, {"name": "d", "value": ""}]
        assert first["request"]["postData"]["text"] == first["response"]["content"]["text"] == '{"x": 1}'
        assert second["response"]["content"]["encoding"] == "base64"
        assert base64.b64decode(second["response"]["content"]["text"]) == b"\0\xff"
        assert "s3same" not in path.read_text()
    finally:
        service.close()


# ---- captures ----

def tshark(path, *options):
    assert shutil.which("tshark"), "tools/packages.txt names it"
    done = subprocess.run(["tshark", "-r", str(path), *options], capture_output=True, text=True, timeout=6 * TIMEOUT,
                          env={**os.environ, "HOME": os.path.dirname(path)})
    return done.stdout.splitlines()


def statuses(path):
    """The grpc-status of each call."""
    fields = tshark(path, "-Y", 'http2.header.name == "grpc-status"', "-V")
    return sorted(re.findall(r"^ *Header: grpc-status: (\d+)", "\n".join(fields), re.M))


def test_captures_are_grpc_to_tshark(gate, backend, tmp_path):
    path = tmp_path / "calls.pcapng"
    tap = Command(gate, "-o", str(path), "--count", "4")
    echo = Echo(gate.channel())
    echo.unary(b"\x08\x07", metadata=[("x-mine", "1"), ("authorization", "Bearer s3same")])
    list(echo.bidi(iter([b"\x08\x01", b"\x12\xe8\x07" + b"n" * 1000])))
    assert code_of(lambda: echo.unary(b"", metadata=[("do-code", "NOT_FOUND")])) == grpc.StatusCode.NOT_FOUND
    request(gate, "h1", "/t.Echo/Unary", "application/grpc-web+proto", envelope(b"\x08\x09"))
    assert tap.wait()[0] == 0
    lines = tshark(path, "-Y", "grpc", "-T", "fields", "-e", "tcp.dstport", "-e", "grpc.message_length", "-e", "grpc.message_data")
    port = gate.address.split(":")[1]
    messages = [tuple(line.split("\t")[1:]) for line in lines]
    up = sorted(tuple(line.split("\t")[1:]) for line in lines if line.startswith(port + "\t"))
    assert up == sorted([("2", "0807"), ("2", "0801"), ("1003", "12e807" + "6e" * 1000), ("0", ""), ("2", "0809")])
    assert len(messages) == 9  # all but NOT_FOUND have answers
    paths = tshark(path, "-Y", "http2.headers.path", "-T", "fields", "-e", "http2.headers.path")
    assert sorted(paths) == sorted(["/t.Echo/Unary"] * 3 + ["/t.Echo/Bidi"])
    assert statuses(path) == ["0", "0", "0", "5"]
    assert not tshark(path, "-Y", "_ws.malformed || tcp.analysis.flags || ip.checksum.status == 0 || tcp.checksum.status == 0",
                      "-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE")
    assert b"s3same" not in path.read_bytes()


def test_a_capture_that_is_cut_and_calls_that_end_early(gate, backend, tmp_path):
    path = tmp_path / "calls.pcapng"
    tap = Command(gate, "-o", str(path), "--max-bytes", "10")
    echo = Echo(gate.channel())
    echo.unary(b"\x12\xe8\x07" + b"n" * 1000)
    hanging = echo.unary.future(b"\x08\x03", metadata=[("do-hang", "1")])
    backend.wait_seen(2)
    hanging.cancel()
    wait_for("the reset", lambda: tshark(path, "-Y", "http2.type == 3"))
    open_call = echo.unary.future(b"\x08\x04", metadata=[("do-hang", "1")])
    wait_for("the last message", lambda: any("0804" in line for line in tshark(
        path, "-Y", "grpc", "-T", "fields", "-e", "grpc.message_data")))
    tap.interrupt()
    open_call.cancel()
    assert "10" in tshark(path, "-Y", "grpc", "-T", "fields", "-e", "grpc.message_length")
    comments = tshark(path, "-Y", "frame.comment", "-T", "fields", "-e", "frame.comment")
    assert any("call 0-1 of the gateway" in one for one in comments)
    assert any("the first 10 of 1003 bytes" in one for one in comments)
    whole = "!(frame.comment contains \"the first\")"  # half a message is no protobuf
    assert not tshark(path, "-Y", f"(_ws.malformed && {whole}) || tcp.analysis.flags")


def test_statuses_of_the_gateways_own_in_a_capture(gateway, tmp_path):
    gate = gateway(CONFIG.replace(", descriptors: $set", ""), backend="127.0.0.1:1")
    path = tmp_path / "calls.pcapng"
    tap = Command(gate, "-o", str(path), "--count", "1")
    code_of(lambda: Echo(gate.channel()).unary(b""))
    assert tap.wait()[0] == 0
    assert statuses(path) == ["14"]
    assert not tshark(path, "-Y", "_ws.malformed")


def test_addresses_of_ipv6_in_a_capture(gateway, backend, tmp_path):
    port = free_port()
    gate = gateway(PLAIN.replace("[{address: $listen}]", "[{address: $listen}, {address: '[::1]:$port'}]"),
                   backend=backend.address, port=port)
    path = tmp_path / "calls.pcapng"
    tap = Command(gate, "-o", str(path), "--count", "1")
    with grpc.insecure_channel(f"[::1]:{port}", CHANNEL) as channel:
        Echo(channel).unary(b"hello")
    assert tap.wait()[0] == 0
    seen = tshark(path, "-Y", "grpc", "-T", "fields", "-e", "ipv6.src", "-e", "tcp.srcport", "-e", "tcp.dstport")
    assert len(seen) == 2 and all("::1" in line and str(port) in line for line in seen), seen
    assert not tshark(path, "-Y", "tcp.checksum.status == 0", "-o", "tcp.check_checksum:TRUE")
