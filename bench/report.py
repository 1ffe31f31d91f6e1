"""The table, the comparison with the targets, and what makes a run a failure."""
import statistics

import work

OURS, FLOOR = "fusegate", "forwarder"
CALL_COLUMNS = ["CPU us/call", "+-", "calls/s", "p50 us", "p99 us", "core used", "by others"]


def titles():
    return {**{w.key: w.title for w in work.WORKS}, **work.IDLE_KEYS}


def figure(cell):
    """What a row is about: CPU time per call, or bytes per connection."""
    return cell.get("cpu_us", cell.get("bytes"))


def ratio(row, name, to):
    """The median of the rounds' ratios: a machine that is slow for a while is slow for all peers of that round."""
    a, b = row.get(name), row.get(to)
    if not a or not b or a["problem"] or b["problem"]:
        return None
    pairs = zip(a.get("runs", [a]), b.get("runs", [b]))
    ratios = [figure(x) / figure(y) for x, y in pairs if figure(y) > 0]
    return statistics.median(ratios) if ratios else None


def spread(cell):
    """Half the range of the rounds' figures, as a share of their median."""
    figures = [figure(run) for run in cell["runs"]]
    return f"{(max(figures) - min(figures)) / 2 / figure(cell):.0%}" if len(figures) > 1 else "-"


def checks(result):
    """Target against reached, one line per row and per peer that ran beside fusegate. Only the surest of a row's
    comparisons (`binding`) decides: the forwarder where it ran, or the peer with the nearest figure."""
    lines = []
    for key, target in work.TARGETS.items():
        row = result["rows"].get(key, {})
        if OURS not in row or row[OURS]["problem"]:
            continue
        if not target.beside:
            lines.append(line(key, "absolute", target.figure, figure(row[OURS]), True))
            continue
        for peer, theirs in sorted(target.beside.items(), key=lambda item: (item[0] != FLOOR, item[1])):
            reached = ratio(row, OURS, peer)
            if reached is not None:
                binding = not any(known["row"] == key for known in lines)
                lines.append(line(key, f"to {peer}", target.figure / theirs, reached, binding))
    return lines + policies(result)


def policies(result):
    """What all policies cost beyond none, CPU microseconds: the median over rounds, in which both ran."""
    row = result["rows"].get(work.POLICIES_ROW, {})
    all_on, none = row.get("all policies"), row.get("no policies")
    if not all_on or not none or all_on["problem"] or none["problem"]:
        return []
    cost = statistics.median(figure(a) - figure(b) for a, b in zip(all_on["runs"], none["runs"]))
    return [{"row": work.POLICIES_ROW, "kind": "policies, us", "target": work.POLICIES_US, "limit": work.POLICIES_US,
             "reached": cost, "verdict": "reached" if cost <= work.POLICIES_US else "MISSED", "binding": True}]


def line(key, kind, target, reached, binding):
    limit = target * work.TOLERANCE
    verdict = "reached" if reached <= target else "within tolerance" if reached <= limit else "MISSED"
    return {"row": key, "kind": kind, "target": target, "limit": limit, "reached": reached, "verdict": verdict,
            "binding": binding}


def failures(result, checked, chosen_peers):
    """Reasons for a non-zero exit. CHECKED: the checks that count, or none."""
    found = []
    if not chosen_peers or OURS in chosen_peers:
        if OURS in result["absent"]:
            found.append(f"{OURS} was not measured: {result['absent'][OURS]}")
        found += [f"{OURS}, row {key}: {row[OURS]['problem']}" for key, row in result["rows"].items()
                  if OURS in row and row[OURS]["problem"]]
    found += [f"target of row {c['row']} missed: {c['kind']} {c['reached']:.3g}, limit {c['limit']:.3g}"
              for c in checked if c["binding"] and c["verdict"] == "MISSED"]
    return found


def print_all(result, checked):
    machine, backend = result["machine"], result["backend"]
    print(f"{machine['cpu']}, Linux {machine['kernel']}: gateway on core {machine['gateway_core']}, h2load and backend "
          f"on core {machine['load_core']}; median of {result['rounds']} x {result['seconds']:g} s")
    print("versions: " + ", ".join(f"{name} {version}" for name, version in result["versions"].items() if version))
    for name, reason in result["absent"].items():
        print(f"absent: {name}: {reason}")
    print_backend(backend)
    for key, row in result["rows"].items():
        print_row(key, row, result)
    print_checks(checked)


def print_backend(backend):
    if "problem" not in backend:
        return
    if backend["problem"]:
        print(f"backend: {backend['name']}: INVALID: {backend['problem']}")
        return
    slow = backend["cpu_us"] > work.BACKEND_LIMIT_US
    print(f"backend: {backend['name']}, asked directly: {backend['cpu_us']:.2f} us of CPU per call, "
          f"{backend['calls_per_s']:,.0f} calls/s" +
          (f"  WARNING: above {work.BACKEND_LIMIT_US:g} us, it limits the calls/s of fast gateways" if slow else ""))


def print_row(key, row, result):
    memory = key in work.IDLE_KEYS
    title = titles()[key] + (f", {result['idle_connections']} connections" if memory else "")
    columns = ["bytes/conn"] if memory else CALL_COLUMNS
    print(f"\n({key}) {title}")
    print("  " + "".join(f"{name:>12}" for name in ["", *columns, "x " + OURS, "x " + FLOOR]))
    for name, cell in row.items():
        if cell["problem"]:
            print(f"  {name:>12}  INVALID: {cell['problem']}")
            continue
        cells = [f"{cell['bytes']:,.0f}"] if memory else call_cells(cell)
        for to in (OURS, FLOOR):
            value = ratio(row, name, to)
            cells.append("-" if value is None else f"{value:.2f}")
        print("  " + "".join(f"{text:>12}" for text in [name, *cells]))


def call_cells(cell):
    disturbed = "!" if cell["others_share"] > work.DISTURBED_SHARE else ""
    return [f"{cell['cpu_us']:.2f}", spread(cell), f"{cell['calls_per_s']:,.0f}", f"{cell['p50_us']:,.0f}",
            f"{cell['p99_us']:,.0f}", f"{cell['core_share']:.0%}", f"{cell['others_share']:.0%}{disturbed}"]


def print_checks(checked):
    if not checked:
        return
    print(f"\ntargets (fusegate's figure as a ratio to the peer's; tolerance x {work.TOLERANCE:g}; * decides --check)")
    print("  " + "".join(f"{name:>14}" for name in ["row", "kind", "target", "limit", "reached"]))
    for c in checked:
        star = "*" if c["binding"] else ""
        print("  " + "".join(f"{text:>14}" for text in [
            star + c["row"], c["kind"], f"{c['target']:.4g}", f"{c['limit']:.4g}", f"{c['reached']:.4g}"]) +
            f"  {c['verdict']}")
