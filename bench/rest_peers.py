"""The gateways that translate REST to gRPC and back: fusegate, Envoy's grpc_json_transcoder, grpc-gateway.

Settings that peers.py has are the same here; grpc-gateway has the windows and limits in its main.go. Each sends the
calls over a kept connection to the backend, and has one core."""
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys

import peers

PROTO = "rest_proto"
SERVICE = "bench.Orders"


def descriptor_set(root, out):
    """The file of descriptors of rest_proto/orders.proto."""
    folder, path = os.path.join(root, "bench", PROTO), os.path.join(out, "orders.pb")
    protoc(folder, "--include_imports", f"--descriptor_set_out={path}", "orders.proto")
    return path


def protoc(folder, *arguments, extra_path=""):
    program = peers.find_program("protoc", "protobuf-compiler")
    environment = {**os.environ, "PATH": extra_path + os.pathsep + os.environ.get("PATH", "")}
    done = subprocess.run([program, f"-I{folder}", "-I/usr/include", *arguments], capture_output=True, text=True,
                          timeout=60, env=environment)
    if done.returncode != 0:
        raise peers.Absent(f"protoc: {done.stderr.strip()[-300:]}")


class Fusegate(peers.Fusegate):
    @property
    def cluster(self):
        return super().cluster + f"\n    descriptors: {descriptor_set(self.root, self.out)}"


class Envoy(peers.Envoy):
    def command(self, program, folder, port, backend_port):
        config = self.config(port, backend_port)
        manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        manager["codec_type"] = "AUTO"
        manager["http_filters"].insert(0, {"name": "envoy.filters.http.grpc_json_transcoder", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
            "proto_descriptor": descriptor_set(self.root, self.out), "services": [SERVICE]}})
        path = self.write(folder, "envoy.json", json.dumps(config, indent=1))
        return [program, "-c", path, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]


class GrpcGateway(peers.Peer):
    """Built from grpc_gateway/ and orders.proto; its go.mod pins the libraries, the generators and the least Go."""
    name = "grpc-gateway"
    MODULE, BUILD_S = "fusegate/bench/grpc_gateway", 600

    def find(self):
        source = os.path.join(self.root, "bench", "grpc_gateway")
        with open(os.path.join(source, "go.mod")) as file:
            self.needs_go(re.search(r"^go (\d+)\.(\d+)", file.read(), re.M))
        folder = os.path.join(self.build, "tools", "grpc_gateway")
        program, stamp = os.path.join(folder, "grpc_gateway"), os.path.join(folder, "inputs")
        inputs = self.digest(source, os.path.join(self.root, "bench", PROTO))
        if not os.access(program, os.X_OK) or self.read(stamp) != inputs:
            self.make(source, folder)
            self.write(folder, "inputs", inputs)
        return program

    @staticmethod
    def needs_go(least):
        if shutil.which("go") is None:
            raise peers.Absent("no go (Debian package golang-go)")
        line = peers.Peer.first_line("go", "version")
        found = re.search(r"go(\d+)\.(\d+)", line)
        if not found or tuple(map(int, found.groups())) < tuple(map(int, least.groups())):
            raise peers.Absent(f"it needs Go {least[1]}.{least[2]} or newer; here is: {line}")

    @staticmethod
    def read(path):
        try:
            with open(path) as file:
                return file.read()
        except FileNotFoundError:
            return ""

    @classmethod
    def digest(cls, *folders):
        hashed = hashlib.sha256()
        for top in folders:
            for folder, _, names in sorted(os.walk(top)):
                for name in sorted(names):
                    hashed.update(f"{name}\n{cls.read(os.path.join(folder, name))}".encode())
        return hashed.hexdigest()

    def make(self, source, folder):
        print("building grpc-gateway for the comparison (once) ...", file=sys.stderr)
        tools = os.path.join(folder, "bin")
        os.makedirs(folder, exist_ok=True)
        for name in ("go.mod", "go.sum", "main.go"):
            shutil.copy(os.path.join(source, name), folder)
        self.go(folder, "install", "tool", GOBIN=tools)
        kinds = ("go", "go-grpc", "grpc-gateway")
        protoc(os.path.join(self.root, "bench", PROTO), *(f"--{kind}_out={folder}" for kind in kinds),
               *(f"--{kind}_opt=module={self.MODULE}" for kind in kinds), "orders.proto", extra_path=tools)
        self.go(folder, "build", "-o", "grpc_gateway", ".")

    def go(self, folder, *arguments, **environment):
        try:
            subprocess.run(["go", *arguments], cwd=folder, check=True, capture_output=True, text=True,
                           timeout=self.BUILD_S, env={**os.environ, "GOTOOLCHAIN": "local", **environment})
        except (OSError, subprocess.SubprocessError) as error:
            words = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
            raise peers.Absent(f"go {arguments[0]}: {words[-1]}") from None

    def version(self, program):
        lines = subprocess.run(["go", "version", "-m", program], capture_output=True, text=True, timeout=30).stdout
        gateway = re.search(r"grpc-gateway/v2\s+(\S+)", lines)
        compiler = re.search(r": (go\S+)", lines)
        return f"{gateway[1]} ({compiler[1]})" if gateway and compiler else ""

    def command(self, program, folder, port, backend_port):
        return [program, f"127.0.0.1:{port}", f"127.0.0.1:{backend_port}"]


PEERS = [Fusegate, Envoy, GrpcGateway]
