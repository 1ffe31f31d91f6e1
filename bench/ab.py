#!/usr/bin/python3
"""The same fault and the same overload against a breaker on :status, a tuned Envoy, and fusegate: availability and time
to protect per priority. README.md says how to read the result."""
import argparse
import contextlib
import json
import os
import resource
import signal
import sys

import ab_report as report
import ab_run
import ab_scenario as scenario
import ab_systems as systems
import bench
import peers
import processes

OUT = os.path.join(bench.OUT, "run-ab")


def parse_arguments():
    known = [s.name for s in systems.SYSTEMS]
    parser = argparse.ArgumentParser(prog="./dev bench ab", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="half a minute for each system instead of two")
    parser.add_argument("--healthy", type=float, metavar="MINUTES", help="instead: nothing but background errors for "
                        "so long; fusegate alone unless --systems says more; its breakers must not trip")
    parser.add_argument("--systems", type=bench.names, help="of " + ",".join(known))
    parser.add_argument("--seed", type=int, default=1, help="of the calls' instants and the service times (default 1)")
    parser.add_argument("--errors", type=float, metavar="PERCENT", help="background errors: calls that end in "
                        "UNAVAILABLE in trailers (default 0, with --healthy 1)")
    parser.add_argument("--json", metavar="FILE", help="also write every figure there")
    parser.add_argument("--check", action="store_true", help="fail where fusegate misses a goal")
    parser.add_argument("--build", default=os.path.join(bench.ROOT, "build"), help="build folder (default build)")
    options = parser.parse_args()
    for name in options.systems or []:
        if name not in known:
            parser.error(f"{name} is none of {', '.join(known)}")
    if options.healthy is not None and options.healthy <= 0:
        parser.error("--healthy needs a time")
    return options


def chosen_phases(options):
    if options.healthy:
        return scenario.healthy(options.healthy)
    return scenario.QUICK if options.quick else scenario.FULL


def chosen_systems(options):
    names = options.systems or (["fusegate"] if options.healthy else [s.name for s in systems.SYSTEMS])
    return [kind(bench.ROOT, bench.OUT, os.path.abspath(options.build)) for kind in systems.SYSTEMS
            if kind.name in names]


def errors_ppm(options):
    if options.errors is not None:
        return round(options.errors * 10_000)
    return scenario.HEALTHY_ERRORS_PPM if options.healthy else 0


def run_all(options, phases):
    tools = [os.path.join(options.build, "bench", name) for name in ("ab_backend", "ab_load")]
    for tool in tools:
        if not os.access(tool, os.X_OK):
            raise SystemExit(f"bench: {tool} is not built")
    result = {"scenario": [vars(p) for p in phases], "seed": options.seed, "errors_ppm": errors_ppm(options),
              "systems": {}, "versions": {}, "absent": {}}
    for system in chosen_systems(options):
        bench.say(f"{system.name}: {sum(p.seconds for p in phases):g} s")
        try:
            program = system.find()
            result["versions"][system.name] = system.version(program)
            result["systems"][system.name] = ab_run.run(system, program, phases, tools, bench.cores(),
                                                        os.path.join(OUT, system.name), options.seed,
                                                        result["errors_ppm"])
        except (peers.Absent, RuntimeError, OSError) as reason:
            result["absent"][system.name] = str(reason)
    bench.say("")
    return result


def main():
    options = parse_arguments()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, bench.unwind)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    processes.adopt_orphans()
    with contextlib.suppress(OSError):
        os.nice(ab_run.NICE)
    options.build = os.path.abspath(options.build)
    phases = chosen_phases(options)
    result = run_all(options, phases)
    checks = report.checks(result, phases)
    report.print_all(result, phases)
    report.print_checks(checks)
    if options.json:
        with open(options.json, "w") as file:
            json.dump({**result, "checks": checks}, file, indent=1)
    if "fusegate" in result["absent"]:
        return 1
    return 1 if options.check and not all(holds for *_, holds in checks) else 0


if __name__ == "__main__":
    sys.exit(main())
