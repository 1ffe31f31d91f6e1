"""TLS on both sides: versions, ALPN, SNI, client certificates, resumption, reload, verification of endpoints."""
import shutil
import signal
import socket
import ssl

import grpc
import pytest

from backends import Backend, Echo, error_of
from certificates import Authority
from details import decode_status
from gateway import TIMEOUT, wait_for
from wire import Client, Closed

EDGE = """
listeners: [{address: $listen, tls: {certificate: $pem, key: $key $more}}]
clusters: {c: {endpoints: [$service]}}
"""


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="session")
def edge(authority):
    return authority.issue("edge", "edge.test", "127.0.0.1")


@pytest.fixture
def secure(gateway, backend, edge):
    def start(more="", text=EDGE, **names):
        return gateway(text, pem=edge[0], key=edge[1], more=more, service=backend.address, **names)
    return start


def context(authority, alpn=("h2",), version=None, certificate=None):
    one = ssl.create_default_context(cafile=authority.certificate)
    if alpn:
        one.set_alpn_protocols(list(alpn))
    if version:
        one.minimum_version = one.maximum_version = version
    if certificate:
        one.load_cert_chain(*certificate)
    return one


def names_of(client):
    return {value for _, value in client.sock.getpeercert()["subjectAltName"]}


def read_file(name):
    with open(name, "rb") as file:
        return file.read()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_versions(secure, authority, version):
    client = Client(secure(), context=context(authority, version=version), server_name="edge.test")
    assert client.sock.version() == {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name]
    assert client.sock.selected_alpn_protocol() == "h2"
    assert client.call(b"x") == b"x"


def test_min_version(secure, authority):
    gate = secure(', min_version: "1.3"')
    with pytest.raises(ssl.SSLError):
        Client(gate, context=context(authority, version=ssl.TLSVersion.TLSv1_2), server_name="edge.test")
    assert Client(gate, context=context(authority), server_name="edge.test").call(b"x") == b"x"


def test_grpcio_over_tls(secure, authority):
    gate = secure()
    credentials = grpc.ssl_channel_credentials(read_file(authority.certificate))
    echo = Echo(gate.channel(credentials=credentials))
    assert echo.unary(b"x" * (4 << 20), timeout=TIMEOUT) == b"x" * (4 << 20)
    assert list(echo.server_stream(b"m", metadata=[("do-count", "3")], timeout=TIMEOUT)) == [b"m0", b"m1", b"m2"]


def test_alpn_without_a_common_protocol(secure, authority):
    """RFC 7301 section 3.2: no_application_protocol."""
    gate = secure()
    with pytest.raises(ssl.SSLError) as error:
        Client(gate, context=context(authority, alpn=("spdy/3",)), server_name="edge.test")
    assert "no application protocol" in str(error.value).lower().replace("_", " ")
    wait_for("it counts", lambda: gate.metric("tls_handshakes_failed_total") == 1)


def test_client_without_alpn_may_speak_http2(secure, authority):
    client = Client(secure(), context=context(authority, alpn=()), server_name="edge.test")
    assert client.call(b"x") == b"x"


def test_server_name_picks_the_certificate(secure, authority, edge):
    second = authority.issue("second", "second.test", "*.wild.test")
    gate = secure(f", certificates: [{{certificate: {second[0]}, key: {second[1]}}}]")
    for name, wanted in (("edge.test", "edge.test"), ("second.test", "second.test"), ("a.wild.test", "second.test")):
        client = Client(gate, context=context(authority), server_name=name)
        assert wanted in names_of(client)
        assert client.call(b"x") == b"x"
    lenient = context(authority)
    lenient.check_hostname = False
    default = Client(gate, context=lenient, server_name="unknown.test")
    assert "edge.test" in names_of(default), "the first is the default"


def test_client_certificates(secure, authority, tmp_path):
    known = authority.issue("caller", "caller.test")
    stranger = Authority(tmp_path, "other").issue("stranger", "stranger.test")
    gate = secure(f", client_ca: {authority.certificate}, require_client_certificate: true")
    assert Client(gate, context=context(authority, certificate=known), server_name="edge.test").call(b"x") == b"x"
    for certificate in (None, stranger):
        with pytest.raises((ssl.SSLError, Closed, ConnectionError)):
            # With TLS 1.3 the client learns of it only when it reads.
            Client(gate, context=context(authority, certificate=certificate), server_name="edge.test").call(b"x")
    wait_for("both count", lambda: gate.metric("tls_handshakes_failed_total") == 2)


def test_client_certificates_that_are_optional(secure, authority):
    gate = secure(f", client_ca: {authority.certificate}")
    assert Client(gate, context=context(authority), server_name="edge.test").call(b"x") == b"x"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("enabled", ["true", "false"])
def test_session_resumption(secure, authority, version, enabled):
    gate = secure(f", session_resumption: {enabled}")
    one = context(authority, version=version)

    def connect(session):
        sock = socket.create_connection(("127.0.0.1", int(gate.address.rsplit(":", 1)[1])), timeout=TIMEOUT)
        tls = gate.owns(one.wrap_socket(sock, server_hostname="edge.test", session=session))
        tls.recv(1)  # SETTINGS; a TLS 1.3 ticket comes before
        return tls

    first = connect(None)
    if first.session:
        assert connect(first.session).session_reused == (enabled == "true")
    else:
        assert enabled == "false"


def test_sighup_reloads_certificates_and_drops_nothing(secure, authority, tmp_path):
    old = authority.issue("old", "edge.test", serial=1001)
    new = authority.issue("new", "edge.test", serial=1002)
    pem, key = tmp_path / "live.pem", tmp_path / "live.key"
    shutil.copy(old[0], pem)
    shutil.copy(old[1], key)
    gate = secure(text=EDGE.replace("$pem", str(pem)).replace("$key", str(key)))

    def serial(client):
        return int(client.sock.getpeercert()["serialNumber"], 16)

    before = Client(gate, context=context(authority), server_name="edge.test")
    assert serial(before) == 1001 and before.call(b"x") == b"x"
    shutil.copy(new[0], pem)
    shutil.copy(new[1], key)
    gate.process.send_signal(signal.SIGHUP)
    wait_for("the reload", lambda: "certificates reloaded" in gate.errors())
    wait_for("new connections get it", lambda: serial(Client(gate, context=context(authority),
                                                             server_name="edge.test")) == 1002)
    assert before.call(b"still") == b"still"
    pem.write_text("no certificate")
    gate.process.send_signal(signal.SIGHUP)
    wait_for("the refusal", lambda: "keeps its certificates" in gate.errors())
    assert serial(Client(gate, context=context(authority), server_name="edge.test")) == 1002


def test_handshake_timeout(secure):
    gate = secure(", handshake_timeout: 200ms")
    with socket.create_connection(("127.0.0.1", int(gate.address.rsplit(":", 1)[1])), timeout=TIMEOUT) as silent:
        assert silent.recv(1) == b""
    wait_for("it counts", lambda: gate.metric("tls_handshakes_failed_total") >= 1)


def test_plain_client_on_a_tls_listener(secure, authority):
    gate = secure()
    client = Client(gate)
    client.until_closed()
    assert Client(gate, context=context(authority), server_name="edge.test").call(b"x") == b"x"


# ---- endpoints ----

UPSTREAM = """
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$service], tls: {$tls}, breaker: {enabled: false}}}
"""


@pytest.fixture
def secure_backend(authority):
    backends = []

    def start(certificate, client_ca=None):
        credentials = grpc.ssl_server_credentials([(read_file(certificate[1]), read_file(certificate[0]))],
                                                  read_file(client_ca) if client_ca else None, client_ca is not None)
        backends.append(Backend(credentials=credentials))
        return backends[-1]

    yield start
    for backend in backends:
        backend.close()


def test_endpoint_that_is_verified(gateway, secure_backend, authority):
    service = secure_backend(authority.issue("service", "service.test", "127.0.0.1"))
    for tls in (f"ca: {authority.certificate}", f"ca: {authority.certificate}, server_name: service.test"):
        gate = gateway(UPSTREAM, service=service.address, tls=tls)
        echo = Echo(gate.channel())
        assert echo.unary(b"x" * 1_000_000, timeout=TIMEOUT) == b"x" * 1_000_000


@pytest.mark.parametrize("wrong", ["name", "authority"])
def test_endpoint_that_is_somebody_else(gateway, secure_backend, authority, tmp_path, wrong):
    service = secure_backend(authority.issue("service", "service.test"))
    ca = authority.certificate if wrong == "name" else Authority(tmp_path, "other").certificate
    gate = gateway(UPSTREAM, service=service.address,
                   tls=f"ca: {ca}, server_name: {'other.test' if wrong == 'name' else 'service.test'}")
    error = error_of(lambda: Echo(gate.channel()).unary(b"", timeout=TIMEOUT))
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    trailers = dict(error.trailing_metadata())
    assert trailers["x-fusegate-origin"] == "local_connect"
    assert decode_status(trailers["grpc-status-details-bin"])["ErrorInfo"]["reason"] == "CONNECT_FAILED"
    assert "certificate" in error.details().lower() or "hostname" in error.details().lower(), error.details()
    assert not service.seen


def test_verification_may_be_turned_off(gateway, secure_backend, authority):
    service = secure_backend(authority.issue("service", "service.test"))
    gate = gateway(UPSTREAM, service=service.address, tls="verify: false")
    assert Echo(gate.channel()).unary(b"x", timeout=TIMEOUT) == b"x"


def test_client_certificate_for_the_endpoint(gateway, secure_backend, authority):
    service = secure_backend(authority.issue("service", "127.0.0.1"), authority.certificate)
    pem, key = authority.issue("gateway", "gateway.test")
    gate = gateway(UPSTREAM, service=service.address,
                   tls=f"ca: {authority.certificate}, certificate: {pem}, key: {key}")
    assert Echo(gate.channel()).unary(b"x", timeout=TIMEOUT) == b"x"
    gate = gateway(UPSTREAM, service=service.address, tls=f"ca: {authority.certificate}")
    assert error_of(lambda: Echo(gate.channel()).unary(b"", timeout=TIMEOUT)).code() == grpc.StatusCode.UNAVAILABLE


def test_endpoint_that_is_not_tls(gateway, backend):
    gate = gateway(UPSTREAM, service=backend.address, tls="verify: false")
    error = error_of(lambda: Echo(gate.channel()).unary(b"", timeout=TIMEOUT))
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    assert dict(error.trailing_metadata())["x-fusegate-origin"] == "local_connect"
