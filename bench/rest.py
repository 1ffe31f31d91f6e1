#!/usr/bin/python3
"""REST to gRPC and back: CPU time per call of fusegate, Envoy and grpc-gateway for the same orders. README.md says how to
read the result."""
import argparse
import contextlib
import http.client
import json
import os
import sys

import bench
import load
import peers
import report
import rest_peers
import rest_work as work

OUT = os.path.join(bench.OUT, "rest")
ANSWER_TIMEOUT_S = 10
OURS = report.OURS


def parse_arguments():
    names = [p.name for p in rest_peers.PEERS]
    rows = [w.key for w in work.WORKS]
    parser = argparse.ArgumentParser(prog="./dev bench rest", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="the median of so many runs counts (default 5)")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of one run (default 1)")
    parser.add_argument("--quick", action="store_true", help="one short round: some seconds")
    parser.add_argument("--only", type=bench.names, default=rows, help="rows: " + ",".join(rows))
    parser.add_argument("--peers", type=bench.names, default=names, help="of " + ",".join(names))
    parser.add_argument("--json", metavar="FILE", help="also write every figure there")
    parser.add_argument("--check", action="store_true", help="fail where a target is missed")
    parser.add_argument("--build", default=os.path.join(bench.ROOT, "build"), help="build folder (default build)")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 1, 0.2
    for chosen, known in ((options.only, rows), (options.peers, names)):
        for name in chosen:
            if name not in known:
                parser.error(f"{name} is none of {', '.join(known)}")
    return options


class Generator(load.Generator):
    """Posts orders as JSON. The answer of each gateway is looked at once, and has so many bytes ever after."""

    def __init__(self, core, folder):
        super().__init__(core, folder)
        self.answers = {}

    def request(self, row, port):
        path = os.path.join(self.folder, f"order-{row.message_bytes}.json")
        if not os.path.exists(path):
            with open(path, "wb") as file:
                file.write(work.encode(work.order(row.message_bytes)))
        return [*(["--h1"] if row.http1 else []), "-d", path, "-H", "content-type: application/json",
                f"http://127.0.0.1:{port}/v1/orders"]

    def answer_bytes(self, row, port):
        key = (port, row.message_bytes)
        if key not in self.answers:
            self.answers[key] = len(checked_answer(port, row.message_bytes))
        return self.answers[key]


def ask(port, method, path, content=b""):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_TIMEOUT_S)
    try:
        connection.request(method, path, content, {"content-type": "application/json"} if content else {})
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{method} {path}: status {answer.status}, {content[:200]!r}")
    return content


def checked_answer(port, size):
    """The order that comes back is the one that was sent, or the gateway's figures would be worth nothing."""
    order = work.order(size)
    body = work.encode(order)
    assert len(body) == size
    content = ask(port, "POST", "/v1/orders", body)
    if work.without_defaults(json.loads(content)) != order:
        raise RuntimeError(f"the order of {size} bytes came back as another: {content[:300]!r}")
    found = json.loads(ask(port, "GET", "/v1/orders/a%20b-17"))
    if work.without_defaults(found) != {"id": "a b-17"}:
        raise RuntimeError(f"GET of an order found another: {found}")
    return content


class RestBench(bench.Bench):
    def __init__(self, options):
        super().__init__(options)
        self.generator = Generator(self.load_core, os.path.join(OUT, "run", "load"))


def run_all(options):
    runner = RestBench(options)
    found, absent = bench.find_peers(options, rest_peers.PEERS)
    result = {"machine": bench.machine(runner), "absent": absent, "rows": {}, "rounds": options.rounds,
              "seconds": options.seconds, "versions": {peer.name: peer.version(program) for peer, program in found}}
    with runner.start_backend(), contextlib.ExitStack() as running:
        servers = {}
        for peer, program in found:
            try:
                server = running.enter_context(runner.start(peer, program))
                for size in {row.message_bytes for row in work.WORKS}:
                    checked_answer(server.port, size)
                servers[peer.name] = server
            except (OSError, RuntimeError, ValueError, peers.Absent) as error:
                absent[peer.name] = str(error)
        for row in work.WORKS:
            if row.key in options.only:
                result["rows"][row.key] = runner.measure_calls(row, servers)
    bench.say("")
    return result


def checks(result):
    found = []
    for key, row in result["rows"].items():
        for peer, target in work.TARGETS.items():
            reached = report.ratio(row, OURS, peer)
            if reached is not None:
                found.append({"row": key, "peer": peer, "target": target, "reached": reached,
                              "holds": reached <= target})
    return found


def print_all(result, checked):
    machine = result["machine"]
    print(f"{machine['cpu']}, Linux {machine['kernel']}: gateway on core {machine['gateway_core']}, h2load and backend "
          f"on core {machine['load_core']}; median of {result['rounds']} x {result['seconds']:g} s")
    print("versions: " + ", ".join(f"{name} {version}" for name, version in result["versions"].items() if version))
    for name, reason in result["absent"].items():
        print(f"absent: {name}: {reason}")
    for row in work.WORKS:
        if row.key in result["rows"]:
            print_row(row, result["rows"][row.key])
    print("\ntargets: fusegate's CPU time per call as a share of the peer's")
    for c in checked:
        print(f"  {c['row']:>8} {c['peer']:>14} {c['reached']:8.3f} of at most {c['target']:.3f}  "
              f"{'reached' if c['holds'] else 'MISSED'}")


def print_row(row, cells):
    print(f"\n({row.key}) {row.title}")
    print(f"  {'':>14}" + "".join(f"{name:>12}" for name in [*report.CALL_COLUMNS, "x " + OURS]))
    for name, cell in cells.items():
        if cell["problem"]:
            print(f"  {name:>14}  INVALID: {cell['problem']}")
            continue
        times = report.ratio(cells, name, OURS)
        texts = [*report.call_cells(cell), "-" if times is None else f"{times:.2f}"]
        print(f"  {name:>14}" + "".join(f"{text:>12}" for text in texts))


def failures(result, checked, options):
    found = [f"{OURS} was not measured: {result['absent'][OURS]}"] if OURS in result["absent"] else []
    found += [f"{name}, row {key}: {cell['problem']}" for key, row in result["rows"].items()
              for name, cell in row.items() if cell["problem"]]
    if options.check:
        found += [f"row {c['row']}: {c['reached']:.3f} of {c['peer']}'s CPU time, target {c['target']:.3f}"
                  for c in checked if not c["holds"]]
        found += [] if checked else ["nothing to compare with"]
    return found


def main():
    options = parse_arguments()
    bench.prepare()
    os.makedirs(OUT, exist_ok=True)
    try:
        result = run_all(options)
    except peers.Absent as reason:
        raise SystemExit(f"bench: {reason}") from None
    checked = checks(result)
    print_all(result, checked)
    if options.json:
        with open(options.json, "w") as file:
            json.dump({**result, "checks": checked}, file, indent=1)
    found = failures(result, checked, options)
    for failure in found:
        print(f"FAILED: {failure}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
