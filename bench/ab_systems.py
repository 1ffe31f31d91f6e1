"""The systems that `./dev bench ab` compares: configuration, command, and what they say of themselves.

All have one worker and give up no call of their own before its deadline unless that is part of their protection. That
a call may be repeated is known to all of them."""
import http.client
import json
import os
import re
import string
import subprocess

import ab_scenario as scenario
import peers
import processes

STREAMS = 1000  # of each connection, on both sides: never what limits
RETRIES = 2


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


class Status(peers.Nginx):
    """(a) A breaker on requests' :status, as most gateways have it: nginx's passive health checks. Five failures within
    two seconds take an endpoint out for two seconds; a failure is a connection error, a timeout or one of the statuses
    of grpc_next_upstream, and the call is then tried elsewhere. Without a time limit for an attempt: :status is all it
    looks at."""
    name = "status"

    def configure(self, program, folder, port, endpoints):
        servers = "\n".join(f"        server 127.0.0.1:{p} max_fails=5 fail_timeout=2s;" for p in endpoints)
        temporary = "\n".join(f"    {kind}_temp_path {folder}/{kind};"
                              for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        user = "user root;" if os.geteuid() == 0 else ""
        config = self.write(folder, "nginx.conf", f"""\
daemon off;
{user}
worker_processes 1;
worker_rlimit_nofile {peers.nofile_limit()};
error_log stderr warn;
pid {folder}/nginx.pid;
events {{ worker_connections 16384; multi_accept on; }}
http {{
{temporary}
    access_log off;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    http2_max_concurrent_streams {STREAMS};
    upstream shop {{
        least_conn;
{servers}
        keepalive 1024;
        keepalive_timeout 1h;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} http2 backlog=4096;
        location / {{
            grpc_pass grpc://shop;
            grpc_next_upstream error timeout invalid_header http_500 http_502 http_503 http_504 non_idempotent;
            grpc_next_upstream_tries {RETRIES + 1};
        }}
    }}
}}
""")
        return [program, "-e", "stderr", "-p", folder, "-c", config]

    def counters(self):
        return {}

    def events(self):
        return []


class Envoy(peers.Envoy):
    """(b) Envoy with all that its documentation offers for outlier detection, circuit breaking and retries, tuned to
    this service. Left out: filters that rewrite answers (Lua, Wasm, external processing), which could show a trailer's
    status to the rest, and are a program, not a setting."""
    name = "envoy"

    def configure(self, program, folder, port, endpoints):
        self.admin = processes.free_port()
        config = self.write(folder, "envoy.json", json.dumps(self.bootstrap(port, endpoints), indent=1))
        return [program, "-c", config, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]

    def bootstrap(self, port, endpoints):
        extensions = "type.googleapis.com/envoy.extensions."
        manager = {
            "@type": extensions + "filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "ab", "codec_type": "HTTP2",
            "http2_protocol_options": {"max_concurrent_streams": STREAMS},
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": self.routes()}]},
            "http_filters": [{"name": "router", "typed_config": {
                "@type": extensions + "filters.http.router.v3.Router"}}],
        }
        return {"admin": {"address": self.address(self.admin)},
                "static_resources": {
                    "listeners": [{"name": "ab", "address": self.address(port), "filter_chains": [{"filters": [
                        {"name": "http", "typed_config": manager}]}]}],
                    "clusters": [self.cluster(name, endpoints, limits) for name, limits in self.limits().items()]}}

    @staticmethod
    def address(port):
        return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

    @staticmethod
    def limits():
        """Envoy's circuit breakers know two priorities, so the third is a cluster of its own with the same endpoints
        (docs: intro/arch_overview/upstream/circuit_breaking, config.cluster.v3.CircuitBreakers.Thresholds).
        max_requests bounds what is in progress: low enough to leave room for "high" in overload, high enough to refuse
        hardly anybody in the bursts of half the load. The adaptive concurrency filter is left out: it knows no
        priorities."""
        unlimited = {"max_connections": 1000, "max_pending_requests": 1000}
        budget = {"retry_budget": {"budget_percent": {"value": 20}, "min_retry_concurrency": 10}}
        return {"shop": [{"priority": "HIGH", **unlimited, **budget, "max_requests": 1000},
                         {"priority": "DEFAULT", **unlimited, **budget, "max_requests": 12}],
                "shop_low": [{"priority": "DEFAULT", **unlimited, **budget, "max_requests": 12}]}

    @staticmethod
    def routes():
        """config.route.v3.RetryPolicy and RouteAction.max_stream_duration. per_try_timeout ends an attempt that has
        brought no headers, per_try_idle_timeout also one whose trailers do not come; both are failures for outlier
        detection. The retry conditions look at headers: a status in trailers is none of them."""
        retry = {"retry_on": "unavailable,cancelled,gateway-error,reset,connect-failure,refused-stream",
                 "num_retries": RETRIES, "per_try_timeout": "0.100s", "per_try_idle_timeout": "0.100s",
                 "retry_back_off": {"base_interval": "0.002s", "max_interval": "0.010s"},
                 "retry_host_predicate": [{"name": "previous_hosts", "typed_config": {
                     "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3."
                              "PreviousHostsPredicate"}}],
                 "host_selection_retry_max_attempts": 5}
        way = {"timeout": "0s", "max_stream_duration": {"grpc_timeout_header_max": "0s"}, "retry_policy": retry}

        def match(priority):
            return {"prefix": "/", "headers": [{"name": "x-priority", "string_match": {"exact": priority}}]}

        return [{"match": match("2"), "route": {"cluster": "shop", "priority": "HIGH", **way}},
                {"match": match("0"), "route": {"cluster": "shop_low", **way}},
                {"match": {"prefix": "/"}, "route": {"cluster": "shop", **way}}]

    def cluster(self, name, endpoints, thresholds):
        """config.cluster.v3.OutlierDetection. The status of a gRPC answer is the one mapped from the grpc-status
        *header* (docs: intro/arch_overview/upstream/outlier, "Error Mapping"), so headers with :status 200 count as a
        success and end a run of failures, even if the trailers then fail. Hence failure_percentage beside consecutive
        failures: an endpoint may look well in half of its events while all of its calls fail. The figures are those
        that did best of all that were tried: two failures in a row or within 50 ms, and out for so long that few calls
        find out whether it is still sick."""
        return {
            "name": name, "type": "STATIC", "connect_timeout": "1s", "lb_policy": "LEAST_REQUEST",
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": self.address(port)}} for port in endpoints]}]},
            "circuit_breakers": {"thresholds": thresholds},
            "outlier_detection": {
                "interval": "0.050s", "base_ejection_time": "10s", "max_ejection_time": "30s",
                "max_ejection_percent": 100 // scenario.ENDPOINTS,
                "consecutive_5xx": 2, "enforcing_consecutive_5xx": 100,
                "consecutive_gateway_failure": 2, "enforcing_consecutive_gateway_failure": 100,
                "enforcing_success_rate": 0,  # needs more endpoints than there are
                "failure_percentage_threshold": 30, "enforcing_failure_percentage": 100,
                "failure_percentage_minimum_hosts": 1, "failure_percentage_request_volume": 2},
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "explicit_http_config": {"http2_protocol_options": {"max_concurrent_streams": STREAMS}}}},
        }

    def counters(self):
        """trips: ejections of endpoints."""
        text = get(self.admin, "/stats?filter=outlier_detection.ejections_enforced_total")
        return {"trips": sum(int(n) for n in re.findall(r": (\d+)", text))}

    def events(self):
        return []


class Fusegate(peers.Fusegate):
    """(c) fusegate with ab.yaml, less the keys that the binary does not know."""
    name = "fusegate"
    dropped = ()

    def configure(self, program, folder, port, endpoints):
        self.admin = processes.free_port()
        with open(f"{self.root}/bench/ab.yaml") as file:
            text = string.Template(file.read()).substitute(
                listen=f"127.0.0.1:{port}", admin=f"127.0.0.1:{self.admin}",
                endpoints=", ".join(f'"127.0.0.1:{p}"' for p in endpoints))
        lines, self.dropped = text.splitlines(), []
        config = self.write(folder, "fusegate.yaml", text)
        while unknown := self.unknown(program, config):
            for number, key in sorted(unknown, reverse=True):
                self.dropped.append(key)
                del lines[number - 1:self.end_of(lines, number)]
            config = self.write(folder, "fusegate.yaml", "\n".join(lines) + "\n")
        return [program, "run", "-c", config]

    @staticmethod
    def unknown(program, config):
        """(line, key) of each key that the binary does not know; anything else that is wrong is an error of ours."""
        done = subprocess.run([program, "check", "-c", config], capture_output=True, text=True, timeout=30)
        found = [(int(m[1]), m[2]) for m in re.finditer(r":(\d+):\d+: (\S+): unknown key", done.stderr)]
        if done.returncode != 0 and not found:
            raise RuntimeError(f"fusegate refuses ab.yaml: {done.stderr.strip()}")
        return found

    @staticmethod
    def end_of(lines, number):
        """How far the value of the key on line NUMBER goes: all that is indented deeper."""
        depth = len(lines[number - 1]) - len(lines[number - 1].lstrip())
        end = number
        while end < len(lines) and (not lines[end].strip() or len(lines[end]) - len(lines[end].lstrip()) > depth):
            end += 1
        return end

    def counters(self):
        """trips: circuits of methods and of endpoints that opened. The rest is for those who look for a reason."""
        text = get(self.admin, "/metrics")
        trips = re.findall(r"^fusegate_breaker_trips_total\{.*\} (\d+)", text, re.M)
        others = re.findall(r"^fusegate_(\w+_total(?:\{.*\})?) (\d+)", text, re.M)
        return {"trips": sum(int(n) for n in trips), **{key: int(n) for key, n in others if n != "0"}}

    def events(self):
        """The last changes of state of its circuits, with their causes; it keeps a bounded number."""
        return json.loads(get(self.admin, "/events"))["events"]


SYSTEMS = [Status, Envoy, Fusegate]
