"""What a process and its children used: CPU nanoseconds and resident bytes, from /proc."""
import os


def tree(pid):
    """PID and its descendants that are alive."""
    children = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat") as file:
                parent = int(file.read().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue  # it ended meanwhile
        children.setdefault(parent, []).append(int(entry))
    found = [pid]
    for known in found:  # grows while it is walked
        found += children.get(known, [])
    return found


def cpu_ns(pids):
    """Time on a CPU, user and system, of all threads. schedstat counts nanoseconds; stat has ticks of 10 ms and is
    used only where the kernel has no schedstat."""
    total = 0
    for pid in pids:
        try:
            threads = os.listdir(f"/proc/{pid}/task")
        except OSError:
            continue
        for thread in threads:
            try:
                with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
                    total += int(file.read().split()[0])
            except FileNotFoundError:
                total += ticks_ns(f"/proc/{pid}/task/{thread}/stat")
    return total


def ticks_ns(path):
    try:
        with open(path) as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return 0
    return (int(fields[11]) + int(fields[12])) * (10**9 // os.sysconf("SC_CLK_TCK"))


def resident_bytes(pids):
    """From smaps_rollup, which walks the page tables; the counters in statm lag behind by pages per CPU."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                total += sum(int(line.split()[1]) * 1024 for line in file if line.startswith("Rss:"))
        except OSError:
            continue
    return total


def core_busy_ns(core):
    """Time the core was not idle, whoever used it (the hypervisor too: steal)."""
    with open("/proc/stat") as file:
        for line in file:
            if line.startswith(f"cpu{core} "):
                user, nice, system, _idle, _iowait, irq, softirq, steal = (int(n) for n in line.split()[1:9])
                return (user + nice + system + irq + softirq + steal) * (10**9 // os.sysconf("SC_CLK_TCK"))
    return 0
