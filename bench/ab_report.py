"""The tables of `./dev bench ab`, and its verdict."""
import ab_scenario as scenario

HEAD = ("system", "priority", "offered", "ok", "availability", "gold", "silver", "p50 ms", "p99 ms", "protected after",
        "bad later", "how the others ended")
LATE_SHARE = 0.01  # calls sent late by the load, beyond which a run was disturbed
REASONS = 3


def percent(value):
    return "-" if value is None else f"{100 * value:.3f} %" if value > 0.99 else f"{100 * value:.1f} %"


def number(value):
    return "-" if value is None else f"{value:.1f}"


def protect(figures):
    if "protect_ms" not in figures:
        return "", ""
    if figures["protect_ms"] is None:
        return "never", ""
    return f"{figures['protect_ms']:.0f} ms", str(figures["bad_later"])


def row(system, priority, figures):
    failed = [f"{n} {what}" for what, n in list(figures["failed"].items())[:REASONS]]
    if figures["slow"]:
        failed.append(f"{figures['slow']} slow")
    tenants = [percent(figures["tenants"][name]).replace(" %", "") for name in scenario.TENANTS]
    return (system, priority, str(figures["offered"]), str(figures["ok"]), percent(figures["availability"]), *tenants,
            number(figures["p50_ms"]), number(figures["p99_ms"]), *protect(figures), ", ".join(failed))


def print_table(rows):
    widths = [max(len(r[i]) for r in [HEAD, *rows]) for i in range(len(HEAD))]
    for line in [HEAD, *rows]:
        cells = [cell.ljust(w) if i in (0, 1, len(HEAD) - 1) else cell.rjust(w)
                 for i, (cell, w) in enumerate(zip(line, widths))]
        print("  ".join(cells).rstrip())


def print_all(result, phases):
    print(f"\ncapacity {scenario.CAPACITY:.0f} calls/s: {scenario.ENDPOINTS} endpoints, {scenario.SLOTS} calls at once,"
          f" {scenario.SERVICE_US / 1000:g} ms each; deadline {scenario.DEADLINE_MS} ms; priorities and tenants offer "
          f"equal parts; background errors {result['errors_ppm'] / 10000:g} %")
    for phase in phases:
        print(f"\n{phase.title()}")
        print_table([row(system, priority, figures)
                     for system, run in result["systems"].items()
                     for priority, figures in run["phases"][phase.name]["priorities"].items()])
    print()
    for system, run in result["systems"].items():
        trips = [f"{p.name} {run['phases'][p.name]['counters'].get('trips', '-')}" for p in phases]
        print(f"{system} {result['versions'].get(system, '')}: trips by the end of {', '.join(trips)}; "
              f"calls at the endpoints {'/'.join(str(e['taken']) for e in run['endpoints'])}; "
              f"connections lost {run['load']['connections_lost']}{disturbed(run)}")
        if run["dropped"]:
            print(f"{system} does not know: {', '.join(run['dropped'])}")
    for system, reason in result["absent"].items():
        print(f"{system}: left out: {reason}")


def disturbed(run):
    load = run["load"]
    if load["late"] <= LATE_SHARE * load["sent"]:
        return ""
    return (f"; DISTURBED: {load['late']} of {load['sent']} calls were sent more than 2 ms late, one by "
            f"{load['late_most_us'] / 1000:.0f} ms: repeat the run")


def checks(result, phases):
    """(what, reached, goal, whether) for fusegate."""
    run = result["systems"].get("fusegate")
    if run is None:
        return [("fusegate ran", "no", "yes", False)]
    found = []
    high = {p.name: run["phases"][p.name]["priorities"]["high"] for p in phases}
    for phase in phases:
        if phase.fault:
            protected = high[phase.name]["protect_ms"]
            found.append((f"{phase.name}: high priority protected after", protect(high[phase.name])[0],
                          f"{scenario.PROTECT_MS} ms", protected is not None and protected <= scenario.PROTECT_MS))
    first = next((i for i, p in enumerate(phases) if p.has_onset), 0)
    offered, ok = (sum(high[p.name][key] for p in phases[first:]) for key in ("offered", "ok"))
    found.append((f"availability of high priority from {phases[first].name} on", percent(ok / offered),
                  percent(scenario.AVAILABILITY), ok >= scenario.AVAILABILITY * offered))
    trips = run["phases"][phases[0].name]["counters"].get("trips", 0)
    found.append((f"false trips in {phases[0].name}", str(trips), "0", trips == 0))
    return found


def print_checks(found):
    print()
    for what, reached, goal, holds in found:
        print(f"{'reached' if holds else 'MISSED '}  fusegate, {what}: {reached} (goal {goal})")
