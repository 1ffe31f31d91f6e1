"""curl as a client that speaks what it is told: one request, one answer, over either version of HTTP."""
import struct
import subprocess

from gateway import TIMEOUT

VERSIONS = {"h1": "--http1.1", "h2": "--http2-prior-knowledge"}
CODES = ["OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
         "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
         "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"]


class Answer:
    def __init__(self, text):
        head, self.body = text.split(b"\r\n\r\n", 1)
        while head.startswith(b"HTTP/1.1 1"):  # 100 Continue
            head, self.body = self.body.split(b"\r\n\r\n", 1)
        first, *lines = head.decode().split("\r\n")
        self.status = int(first.split()[1])
        self.fields = [tuple(line.split(": ", 1)) for line in lines]

    def __getitem__(self, name):
        return next((value for key, value in self.fields if key == name), None)


def request(gate, version, path, content_type, body=b"", method="POST", headers=()):
    command = ["curl", "-sS", "-i", "-m", str(TIMEOUT), VERSIONS[version], "-X", method, "--data-binary", "@-",
               "-H", f"content-type: {content_type}"]
    for name, value in headers:
        command += ["-H", f"{name}: {value}"]
    done = subprocess.run(command + [f"http://{gate.address}{path}"], input=body, capture_output=True, check=False,
                          timeout=TIMEOUT + 5)
    assert done.returncode == 0, done.stderr
    return Answer(done.stdout)


def envelope(content, flags=0):
    return struct.pack(">BI", flags, len(content)) + content


def envelopes(body):
    """[(FLAGS, CONTENT)...]; nothing may be left over."""
    found = []
    while body:
        flags, length = struct.unpack(">BI", body[:5])
        assert len(body) >= 5 + length, body[:100]
        found.append((flags, body[5:5 + length]))
        body = body[5 + length:]
    return found
