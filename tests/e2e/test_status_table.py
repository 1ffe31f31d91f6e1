"""The one error table: 17 codes x 5 dialects x {upstream, local, mid-stream}, byte for byte as tests/golden/statuses has it.

FUSEGATE_GOLDEN=write writes the files anew; look at the difference before it is committed."""
import http.server
import os
import pathlib
import subprocess
import threading

import pytest

from faces import CODES, Answer, envelope
from gateway import ROOT, TIMEOUT
from rest_proto import compile_set
from wire import DATA, END_STREAM, Client, frame, message

GOLDEN = pathlib.Path(ROOT, "tests", "golden", "statuses")
HTTP = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401]


class Handler(http.server.BaseHTTPRequestHandler):
    """A service that speaks HTTP: the status that it is asked for, whole or cut in the middle."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        status = HTTP[CODES.index(self.headers.get("do-code") or "OK")]
        cut = self.headers.get("do-last-code") not in (None, "OK")
        self.wfile.write(b"HTTP/1.1 %d Reason\r\ncontent-type: text/plain\r\ncontent-length: 8\r\n\r\n%s"
                         % (status, b"half" if cut else b"the body"))
        self.close_connection = cut


class Service(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server_address[1]}"
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self):
        self.shutdown()
        self.thread.join()
        self.server_close()


@pytest.fixture
def gate(gateway, backend, tmp_path):
    service = Service()
    aborts = "".join(f"- {{match: {{headers: {{do-abort: {name}}}, path_prefix: {prefix}}}, cluster: {cluster}, "
                     f"fault: {{abort: {name}}}}}\n"
                     for name in CODES[1:] for prefix, cluster in (("/web", "web"), ("/", "c")))
    yield gateway(f"""
listeners: [{{address: $listen}}]
routes:
{aborts}- {{match: {{path_prefix: /web}}, cluster: web}}
- {{cluster: c}}
clusters:
  c: {{endpoints: [$backend], descriptors: $set, breaker: {{enabled: false}}}}
  web: {{endpoints: [$service], service: http, protocol: h1, breaker: {{enabled: false}}}}
""", backend=backend.address, service=service.address, set=compile_set(tmp_path))
    service.close()


def curl(gate, method, path, kind, body, fields):
    command = ["curl", "-sS", "-i", "-m", str(TIMEOUT), "-X", method, f"http://{gate.address}{path}"]
    for name, value in [("content-type", kind), *fields]:
        command += ["-H", f"{name}: {value}"]
    done = subprocess.run(command + (["--data-binary", "@-"] if body else []), input=body, capture_output=True,
                          check=False, timeout=TIMEOUT + 5)
    text = f"curl: exit status {done.returncode}\n" if done.returncode else ""
    answer = Answer(done.stdout)
    lines = [f"{answer.status}"] + sorted(f"{name}: {value}" for name, value in answer.fields if name != "date")
    return "\n".join(lines) + "\n\n" + answer.body.decode("utf-8", "backslashreplace").replace("\0", "\\0").replace("\r\n", "\n") + "\n" + text


def grpc(gate, path, fields):
    client = Client(gate)
    client.send(client.headers(1, [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "a"),
                                   ("content-type", "application/grpc"), ("te", "trailers"), *fields]),
                frame(DATA, END_STREAM, 1, message(b"")))
    head, content, trailers = client.until_end(1)[1]
    client.close()
    parts = [f"{name}: {value}" for name, value in sorted(head.items()) if name != "grpc-accept-encoding"]
    if content:
        parts.append(repr(content))
    if isinstance(trailers, dict):
        parts += ["-- trailers"] + [f"{name}: {value}" for name, value in sorted(trailers.items())]
    return "\n".join(parts) + "\n"


UNARY, STREAM = "/t.Echo/Unary", "/t.Echo/ServerStream"
DIALECTS = {
    "grpc": lambda gate, stream, fields: grpc(gate, STREAM if stream else UNARY, fields),
    "grpc-web": lambda gate, stream, fields: curl(gate, "POST", STREAM if stream else UNARY, "application/grpc-web+proto",
                                                  envelope(b""), fields),
    "connect": lambda gate, stream, fields: curl(gate, "POST", STREAM, "application/connect+json", envelope(b"{}"), fields)
    if stream else curl(gate, "POST", UNARY, "application/json", b"{}", fields),
    "rest": lambda gate, stream, fields: curl(gate, "GET", "/v1/watch/a" if stream else "/v1/orders/1", "text/plain", b"",
                                              fields),
    "http": lambda gate, stream, fields: curl(gate, "GET", "/web", "text/plain", b"", fields),
}
WHERE = {"upstream": "do-code", "local": "do-abort", "mid-stream": "do-last-code"}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_code_as_every_dialect_says_it(gate, dialect):
    table = []
    for where, field in WHERE.items():
        for code in CODES:
            fields = [("do-size", "0")] + [(field, code)] * (code != "OK")  # OK is what a call without a failure says
            table.append(f"==== {code}, {where}\n" + DIALECTS[dialect](gate, where == "mid-stream", fields))
    text = "".join(table)
    path = GOLDEN / f"{dialect}.txt"
    if os.environ.get("FUSEGATE_GOLDEN") == "write":
        GOLDEN.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text.count("==== ") == 3 * 17
    assert text == path.read_text(encoding="utf-8")
