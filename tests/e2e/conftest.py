"""Fixtures: a gateway made from a configuration, and a backend. Each test ends with the checks of Gateway.finish."""
import os
import sys

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # it would tell of every fault that a test makes
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import pytest  # noqa: E402

from backends import Backend, Echo  # noqa: E402
from gateway import Gateway  # noqa: E402
from scripted import Server  # noqa: E402


@pytest.fixture
def backend():
    backend = Backend()
    yield backend
    backend.close()


@pytest.fixture
def scripted():
    """scripted(SCRIPT) starts a backend that plays SCRIPT on each connection."""
    servers = []

    def start(script, **where):
        servers.append(Server(script, **where))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def gateway(tmp_path):
    """gateway(TEXT, NAME=VALUE...) starts a gateway; $NAME in the text becomes VALUE."""
    running = []

    def start(text, **names):
        folder = tmp_path / f"gateway{len(running)}"
        folder.mkdir()
        running.append(Gateway(str(folder), text, **names))
        return running[-1]

    yield start
    problems = []
    for gate in reversed(running):  # one may be a client of another
        try:
            gate.finish()
        except AssertionError as error:
            problems.append(str(error))
    assert not problems, "\n".join(problems)


@pytest.fixture
def plain(gateway, backend):
    """A gateway with defaults before `backend`."""
    return gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$backend]}}
""", backend=backend.address)


@pytest.fixture
def echo(plain):
    return Echo(plain.channel())
