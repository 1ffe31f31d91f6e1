"""What is left when the gateway crashes. It is made to by signals from outside, at a thread of its own or at none."""
import ctypes
import os
import pathlib
import re
import signal
import subprocess
import threading

import pytest

from backends import Echo
from gateway import BINARY, TIMEOUT, accepts, free_port, run_command, wait_for

LIBC = ctypes.CDLL(None, use_errno=True)
CONFIG = """
listeners: [{address: $listen}]
clusters: {kitchen: {endpoints: [$backend]}}
admin: {address: $admin, token: s3cr3t-t0ken}
workers: 2
"""


@pytest.fixture(autouse=True)
def handlers(monkeypatch):
    """A sanitizer's handlers stay first: here they are not to be there. Cores are for others."""
    options = [f"handle_{name}=0" for name in ("segv", "sigbus", "sigill", "sigfpe", "abort")]
    monkeypatch.setenv("ASAN_OPTIONS", ":".join([os.environ.get("ASAN_OPTIONS", ""), *options, "disable_coredump=1"]))


def threads(gate):
    """Their ids, by name."""
    folder = pathlib.Path(f"/proc/{gate.process.pid}/task")
    return {(task / "comm").read_text().strip(): int(task.name) for task in folder.iterdir()}


def crash(gate, signal_number, thread=None):
    """Sends the signal, to the process or to THREAD; standard error afterwards."""
    gate.expected_status = -signal_number
    if thread is None:
        gate.process.send_signal(signal_number)
    else:
        assert LIBC.tgkill(gate.process.pid, threads(gate)[thread], signal_number) == 0, ctypes.get_errno()
    assert gate.join() == -signal_number
    return gate.errors()


def test_threads_have_names(gateway, backend):
    gate = gateway(CONFIG, backend=backend.address)
    assert {"worker 0", "worker 1", "admin", "access log"} <= set(threads(gate))


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE])
def test_a_signal_in_a_worker_is_reported_with_its_stream(gateway, backend, tmp_path, number):
    folder = tmp_path / "crashes"
    folder.mkdir()
    gate = gateway(CONFIG + f"crash_report: {folder}\n", backend=backend.address)
    more = threading.Event()

    def requests():
        yield b"one dish"
        more.wait(3 * TIMEOUT)

    answers = Echo(gate.channel()).bidi(requests(), metadata=[("x-secret", "p4ssw0rd")], timeout=3 * TIMEOUT)
    assert next(answers) == b"one dish"
    stream = gate.json("/streams")["streams"][0]
    errors = crash(gate, number, f"worker {stream['worker']}")
    more.set()
    files = list(folder.iterdir())
    assert len(files) == 1 and re.fullmatch(rf"fusegate-crash-\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ-{gate.process.pid}\.txt",
                                            files[0].name)
    report = files[0].read_text()
    assert report in errors
    assert report.startswith(f"\n==== fusegate crashed: {number.name} sent by process {os.getpid()}, user {os.getuid()}\n")
    assert report.endswith("==== end of report\n")
    assert re.search(rf"^version: {re.escape(run_command('--version').stdout.split()[1])}$", report, re.M)
    notes = subprocess.run(["readelf", "-n", BINARY], capture_output=True, text=True, check=True).stdout
    assert re.search(r"Build ID: (\w+)", notes)[1] == re.search(r"^build id: (\w+)$", report, re.M)[1]
    assert re.search(rf"^thread: worker {stream['worker']} \(\d+\), waits for events$", report, re.M)
    peer = re.escape(stream["downstream"]["peer"])
    assert re.search(rf"^last call: {stream['id']} /t\.Echo/Bidi, from {peer}, dialect grpc, phase messages, cluster "
                     rf"kitchen, attempt 1 on {re.escape(backend.address)}, bytes 13 up 13 down, begun \d+ ms before$",
                     report, re.M), report
    assert re.search(r"^  #\d+ 0x\w+ fusegate\+0x\w+ fg_loop_turn\+0x\w+$", report, re.M), report
    assert f"info listening on {gate.address}" in report
    assert "s3cr3t" not in report and "p4ssw0rd" not in report


def test_a_signal_to_the_process_is_reported_and_the_file_grows(gateway, backend, tmp_path):
    file = tmp_path / "crash.txt"
    for count in (1, 2):
        gate = gateway(CONFIG + f"crash_report: {file}\n", backend=backend.address)
        errors = crash(gate, signal.SIGSEGV)
        assert "thread: main (" in errors and "last call: none that is still there" in errors
        assert file.read_text().count("==== end of report") == count
    assert oct(file.stat().st_mode & 0o777) == "0o600"


def test_addresses_lead_to_lines_of_the_source(gateway, backend):
    gate = gateway(CONFIG, backend=backend.address)
    report = crash(gate, signal.SIGSEGV, "worker 1")
    offset = re.search(r"fusegate\+(0x\w+) fg_loop_turn\+", report)[1]
    place = subprocess.run(["addr2line", "-f", "-e", BINARY, offset], capture_output=True, text=True, check=True).stdout
    assert "io/loop.c:" in place


def test_without_symbols_the_offsets_are_left(gateway, backend, tmp_path, monkeypatch):
    stripped = tmp_path / "fusegate"
    subprocess.run(["strip", "-o", str(stripped), BINARY], check=True)
    monkeypatch.setattr("gateway.BINARY", str(stripped))
    gate = gateway(CONFIG, backend=backend.address)
    report = crash(gate, signal.SIGSEGV, "worker 0")
    offsets = re.findall(r"^  #\d+ 0x\w+ fusegate\+(0x\w+)$", report, re.M)
    names = subprocess.run(["addr2line", "-f", "-e", BINARY, *offsets], capture_output=True, text=True,
                           check=True).stdout
    assert offsets and "fg_loop_run" in names


def test_a_stderr_that_nobody_reads_does_not_keep_it_alive(backend, tmp_path):
    file = tmp_path / "crash.txt"
    config = tmp_path / "gateway.yaml"
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writer, True)
    address = f"127.0.0.1:{free_port()}"
    config.write_text(f"listeners: [{{address: {address}}}]\nclusters: {{c: {{endpoints: [{backend.address}]}}}}\n"
                      f"crash_report: {file}\n")
    process = subprocess.Popen([BINARY, "run", "-c", str(config)], stderr=writer, stdin=subprocess.DEVNULL)
    os.close(writer)
    try:
        wait_for("the gateway listens", lambda: accepts(address))
        process.send_signal(signal.SIGABRT)
        assert process.wait(TIMEOUT) == -signal.SIGABRT
        assert file.read_text().endswith("==== end of report\n")
    finally:
        process.kill()
        process.wait()
        os.close(reader)


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    config = tmp_path / "gateway.yaml"
    config.write_text("listeners: [{address: '127.0.0.1:1'}]\nclusters: {c: {endpoints: ['127.0.0.1:2']}}\n"
                      f"crash_report: {tmp_path}/none/crash.txt\n")
    done = run_command("run", "-c", str(config))
    assert done.returncode == 1
    assert f"crash_report {tmp_path}/none/crash.txt cannot be written: No such file or directory" in done.stderr
