"""A gateway that cannot do what it was told says so, ends with the right code, and has started nothing."""
import os
import signal
import socket

import pytest

from certificates import Authority
from gateway import TIMEOUT, accepts, free_port, run_command

FAILED, USAGE, CONFIGURATION = 1, 2, 3

GOOD = """
listeners: [{address: "127.0.0.1:$port"}]
clusters: {c: {endpoints: ["127.0.0.1:1"]}}
admin: {address: "127.0.0.1:$admin"}
"""


@pytest.fixture
def start(tmp_path):
    """Runs a configuration that must fail: the result."""
    def run(text, command="run"):
        file = tmp_path / "gateway.yaml"
        file.write_text(text)
        arguments = [command, "-c", str(file)] if command == "run" else [command, str(file)]
        result = run_command(*arguments, timeout=2 * TIMEOUT)
        assert "Sanitizer" not in result.stderr, result.stderr
        return result
    return run


def text_of(port=None, admin=None):
    return GOOD.replace("$port", str(port or free_port())).replace("$admin", str(admin or free_port()))


@pytest.mark.parametrize("reuse", [False, True])
def test_address_in_use(start, reuse):
    """Also when the other process allows sharing: two gateways on one port would each get half of the calls."""
    with socket.socket() as other:
        if reuse:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        port = free_port()
        other.bind(("127.0.0.1", port))
        other.listen()
        admin = free_port()
        result = start(text_of(port, admin))
        assert result.returncode == FAILED, result
        assert f"127.0.0.1:{port}" in result.stderr and "in use" in result.stderr
        assert not accepts(f"127.0.0.1:{admin}")


def test_second_of_two_listeners_in_use(start):
    with socket.create_server(("127.0.0.1", free_port())) as other:
        taken, free = other.getsockname()[1], free_port()
        result = start(f"""
workers: 2
listeners: [{{address: "127.0.0.1:{free}"}}, {{address: "127.0.0.1:{taken}"}}]
clusters: {{c: {{endpoints: ["127.0.0.1:1"]}}}}
""")
        assert result.returncode == FAILED and f"127.0.0.1:{taken}" in result.stderr
        assert not accepts(f"127.0.0.1:{free}")


def test_admin_address_in_use(start):
    with socket.create_server(("127.0.0.1", free_port())) as other:
        taken, port = other.getsockname()[1], free_port()
        result = start(text_of(port, taken))
        assert result.returncode == FAILED and f"127.0.0.1:{taken}" in result.stderr
        assert not accepts(f"127.0.0.1:{port}")


def tls_text(certificate, key, port=None):
    return f"""
listeners: [{{address: "127.0.0.1:{port or free_port()}", tls: {{certificate: {certificate}, key: {key}}}}}]
clusters: {{c: {{endpoints: ["127.0.0.1:1"]}}}}
"""


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("ca"))
    return authority.issue("one", "one.test"), authority.issue("two", "two.test")


def test_certificate_that_is_not_there(start, tmp_path):
    result = start(tls_text(tmp_path / "missing.pem", tmp_path / "missing.key"))
    assert result.returncode in (FAILED, CONFIGURATION)
    assert "missing.pem" in result.stderr and "No such file" in result.stderr


def test_certificate_that_is_none(start, tmp_path):
    (tmp_path / "text.pem").write_text("hello")
    result = start(tls_text(tmp_path / "text.pem", tmp_path / "text.pem"))
    assert result.returncode == FAILED and "text.pem" in result.stderr


def test_key_of_another_certificate(start, pair):
    result = start(tls_text(pair[0][0], pair[1][1]))
    assert result.returncode == FAILED and "two.key" in result.stderr


def test_address_in_use_with_tls(start, pair):
    """What was loaded before the failure is given back: the leak check of the sanitized build watches."""
    with socket.create_server(("127.0.0.1", free_port())) as other:
        result = start(tls_text(*pair[0], other.getsockname()[1]))
        assert result.returncode == FAILED and "in use" in result.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_key_that_may_not_be_read(start, pair, tmp_path):
    secret = tmp_path / "secret.key"
    secret.touch(mode=0)
    result = start(tls_text(pair[0][0], secret))
    assert result.returncode == FAILED and "secret.key" in result.stderr


BAD_FILES = {
    "unknown key": ("listenrs: []\n", ["listenrs", "listeners"]),
    "port 0": ("listeners: [{address: 127.0.0.1:0}]\nclusters: {c: {endpoints: [127.0.0.1:1]}}\n", ["address", "1:"]),
    "no listener": ("clusters: {c: {endpoints: [127.0.0.1:1]}}\n", ["listeners"]),
    "no cluster": ("listeners: [{address: 127.0.0.1:8080}]\n", ["clusters"]),
    "unknown cluster": ("listeners: [{address: 127.0.0.1:8080}]\nroutes: [{cluster: ordrs}]\n"
                        "clusters: {orders: {endpoints: [127.0.0.1:1]}}\n", ["ordrs", "orders", "2:"]),
    "bad duration": ("drain_timeout: 5 parsecs\nlisteners: [{address: 127.0.0.1:8080}]\n"
                     "clusters: {c: {endpoints: [127.0.0.1:1]}}\n", ["drain_timeout", "1:"]),
    "not YAML": ("listeners: [{\n", ["gateway.yaml:"]),
    "empty": ("", ["listeners"]),
    "binary": ("\0\1\2", ["gateway.yaml:"]),
}


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize("name", BAD_FILES)
def test_file_that_is_not_valid(start, name, command):
    text, words = BAD_FILES[name]
    result = start(text, command)
    assert result.returncode == CONFIGURATION, result
    for word in words:
        assert word in result.stderr, result.stderr


def test_all_problems_are_listed_at_once(start):
    result = start("workers: many\ndrain_timeout: x\nlisteners: [{address: nowhere}]\nclusters: {c: {endpoints: []}}\n")
    assert result.returncode == CONFIGURATION
    for key in ("workers", "drain_timeout", "listeners", "endpoints"):
        assert key in result.stderr, result.stderr


def test_file_that_is_not_there(tmp_path):
    missing = str(tmp_path / "missing.yaml")
    for arguments in (("run", "-c", missing), ("check", missing)):
        result = run_command(*arguments)
        assert result.returncode == CONFIGURATION and "missing.yaml" in result.stderr


@pytest.mark.parametrize("arguments", [(), ("run",), ("run", "-c"), ("run", "--listen", "127.0.0.1:8080"), ("fly",),
                                       ("run", "--fly", "1"), ("check",), ("check", "a", "b"), ("config", "nothing"),
                                       ("run", "-c", "f", "--listen", "127.0.0.1:1", "--to", "127.0.0.1:1")])
def test_wrong_command_line(arguments):
    result = run_command(*arguments)
    assert result.returncode == USAGE and "fusegate" in result.stderr and not result.stdout


@pytest.mark.parametrize("arguments", [("--listen", "127.0.0.1:0", "--to", "127.0.0.1:1"),
                                       ("--listen", "127.0.0.1", "--to", "127.0.0.1:1"),
                                       ("--listen", "127.0.0.1:8080", "--to", "nonsense"),
                                       ("--listen", "127.0.0.1:8080", "--to", "")])
def test_wrong_addresses_on_the_command_line(arguments):
    result = run_command("run", *arguments)
    assert result.returncode == CONFIGURATION and "command line" in result.stderr


def test_endpoint_name_that_does_not_resolve(start):
    result = start(text_of().replace("127.0.0.1:1\"", "does-not-exist.invalid:1\""))
    assert result.returncode == FAILED and "does-not-exist.invalid" in result.stderr


def test_help_and_version():
    for argument in ("--help", "--version"):
        result = run_command(argument)
        assert result.returncode == 0 and "fusegate" in result.stdout and not result.stderr


def test_interrupt_ends_it_like_sigterm(plain):
    assert plain.stop(signal.SIGINT) == 0
