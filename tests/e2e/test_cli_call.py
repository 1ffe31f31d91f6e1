"""fusegate call: every dialect with JSON in and out, through the gateway and without it."""
import json
import os
import re
import signal
import subprocess

import pytest

from backends import Backend
from certificates import Authority
from gateway import BINARY, TIMEOUT, wait_for
from reflection import Reflection, compile_set
import rest_proto

ORDER = {"id": "9007199254740993", "customerName": "Ä", "items": [{"name": "soup", "price": 2.5, "kind": "FOOD"}],
         "labels": {"a": "b"}, "blob": "AAH/"}
WIRES = [("grpc",), ("grpc-web",), ("grpc-web", "--http1"), ("grpc-web-text",), ("grpc-web-text", "--http1"),
         ("connect",), ("connect", "--http1")]


def call(*arguments, stdin=""):
    done = subprocess.run([BINARY, "call", *arguments], input=stdin.encode(), capture_output=True, timeout=TIMEOUT)
    done.out, done.err = done.stdout.decode(), done.stderr.decode()
    assert not re.search(r"Sanitizer|runtime error:", done.err), done.err
    return done


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
