"""The access log: its forms, long calls, a disk that is full, a file that is moved away while calls run."""
import fcntl
import json
import os
import pathlib
import re
import signal
import stat
import subprocess
import threading
import urllib.request

import grpc
import pytest

from backends import Echo, code_of
from gateway import BINARY, TIMEOUT, accepts, free_port, run_command, wait_for

HEAD = """
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$backend]}}
"""


def lines(path, count):
    """The first COUNT lines at least; the last one is whole."""
    def read():
        text = pathlib.Path(path).read_text() if os.path.exists(path) else ""
        return text.splitlines() if text.count("\n") >= count else None
    return wait_for(f"{count} lines in {path}", read)


def hup(gate):
    gate.process.send_signal(signal.SIGHUP)


def start(gateway, backend, settings, **names):
    return gateway(HEAD + "access_log: {%s}\n" % settings, backend=backend.address, **names)


# ---- forms ----

def test_a_template_is_a_line_of_its_own(gateway, backend, tmp_path):
    log = tmp_path / "template.log"
    gate = start(gateway, backend, f"path: {log}, format: '%{{method}} %{{code}} %{{code_number}} \"%{{request:x-who}}\" "
                 "%{response:x-large} %{trailer:x-large} %{trailer:grpc-message} %{messages_down} %{protocol} 100%%'")
    echo = Echo(gate.channel())
    echo.unary(b"", timeout=TIMEOUT, metadata=[("x-who", 'a"b\\'), ("do-headers", "3"), ("do-trailers", "2")])
    code_of(lambda: echo.unary(b"", timeout=TIMEOUT, metadata=[("do-code", "NOT_FOUND"), ("do-message", "no dish")]))
    code_of(lambda: gate.channel().unary_unary("/t.Echo/None")(b"", timeout=TIMEOUT))
    assert lines(log, 3) == ['/t.Echo/Unary OK 0 "a\\"b\\\\" hhh tt - 1 HTTP/2.0 100%',
                             '/t.Echo/Unary NOT_FOUND 5 "-" - - no dish 0 HTTP/2.0 100%',
                             '/t.Echo/None UNIMPLEMENTED 12 "-" - - Method not found! 0 HTTP/2.0 100%']


def test_the_combined_form_is_that_of_web_servers(gateway, backend, tmp_path):
    log = tmp_path / "combined.log"
    gate = start(gateway, backend, f"path: {log}, format: combined")
    Echo(gate.channel(("grpc.primary_user_agent", "chef"))).unary(b"", timeout=TIMEOUT)
    assert re.fullmatch(r'127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\] '
                        r'"POST /t\.Echo/Unary HTTP/2\.0" 200 5 "-" "chef [^"]*" OK \d+\.\d{3}', lines(log, 1)[0])


def test_a_status_of_the_gateway_has_its_message_in_the_template(gateway, tmp_path):
    log = tmp_path / "template.log"
    gate = gateway(f"""
listeners: [{{address: $listen}}]
clusters: {{c: {{endpoints: [127.0.0.1:9], connect_timeout: 50ms}}}}
access_log: {{path: {log}, format: '%{{reason}}|%{{trailer:grpc-message}}'}}
""")
    code_of(lambda: Echo(gate.channel()).unary(b"", timeout=TIMEOUT))
    assert lines(log, 1)[0].startswith("CONNECT_FAILED|no connection to endpoint 127.0.0.1:9")


def test_an_unknown_name_is_refused_with_the_nearest_one(tmp_path):
    file = tmp_path / "gateway.yaml"
    file.write_text("listeners: [{address: '127.0.0.1:1'}]\nclusters: {c: {endpoints: ['127.0.0.1:2']}}\n"
                    "access_log:\n  path: x\n  format: '%{method} %{cod}'\n")
    done = run_command("check", str(file))
    assert done.returncode == 3
    assert f'{file}:5:11: access_log.format: found "%{{method}} %{{cod}}", there is no %{{cod}}; did you mean ' \
        "%{code}?" in done.stderr


def test_only_failures_are_kept(gateway, backend, tmp_path):
    log = tmp_path / "failures.log"
    gate = start(gateway, backend, f"path: {log}, format: '%{{code}}', keep: failures")
    echo = Echo(gate.channel())
    for code in (None, "NOT_FOUND", "INTERNAL", None, "RESOURCE_EXHAUSTED"):
        code_of(lambda: echo.unary(b"", timeout=TIMEOUT, metadata=[("do-code", code)] if code else []))
    assert lines(log, 2) == ["INTERNAL", "RESOURCE_EXHAUSTED"]
    assert gate.metric("access_log_dropped_total") == 0


def test_a_share_of_what_succeeds_and_all_that_fails(gateway, backend, tmp_path):
    log = tmp_path / "share.log"
    gate = start(gateway, backend, f"path: {log}, format: '%{{code}}', share: 20%")
    echo = Echo(gate.channel())
    for i in range(300):
        code_of(lambda: echo.unary(b"", timeout=TIMEOUT, metadata=[("do-code", "INTERNAL")] if i % 10 == 0 else []))
    gate.close_clients()
    gate.stop()
    kept = log.read_text().splitlines()
    assert kept.count("INTERNAL") == 30
    assert 15 < kept.count("OK") < 110  # 54 of 270 expected; six standard deviations are 40


# ---- long calls ----

def test_a_long_stream_is_reported_until_it_ends(gateway, backend, tmp_path):
    log = tmp_path / "long.log"
    gate = start(gateway, backend, f"path: {log}, interval: 50ms")
    echo = Echo(gate.channel())
    echo.unary(b"", timeout=TIMEOUT)
    more = threading.Event()

    def requests():
        yield b"abc"
        more.wait(TIMEOUT)
        yield b"defg"

    answers = echo.bidi(requests(), timeout=2 * TIMEOUT)
    assert next(answers) == b"abc"
    early = [json.loads(line) for line in lines(log, 4)]
    assert early[0]["final"] is True and early[0]["method"] == "/t.Echo/Unary"
    reports = [line for line in early[1:] if line["messages_down"] == 1]
    assert reports and all(line["final"] is False for line in early[1:])
    first = reports[0]
    assert first["method"] == "/t.Echo/Bidi" and first["phase"] == "messages" and first["messages_up"] == 1
    assert first["bytes_up"] == first["bytes_down"] == 8 and first["wait"] != "none" and first["wait_ms"] >= 0
    assert not {"code", "attempts", "source", "class", "end_us"} & set(first)
    assert reports[-1]["duration_ms"] - first["duration_ms"] >= 50 * (len(reports) - 1) - 5
    assert first["id"] in {call["id"] for call in gate.json("/streams")["streams"]}
    more.set()
    assert list(answers) == [b"defg"]
    last = json.loads(wait_for("the last line", lambda: [line for line in lines(log, 1) if '"code"' in line][1:])[0])
    assert last["final"] is True and last["id"] == first["id"] and last["messages_down"] == 2
    count = len(lines(log, 1))
    done = run_command("replay", "-c", gate.file, "--json", str(log))
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)["summary"]
    assert (summary["lines"], summary["calls"], summary["lines_other"], summary["lines_broken"]) == (count, 2, 0, 0)


def test_many_open_streams_are_each_reported_in_each_interval(gateway, backend, tmp_path):
    log = tmp_path / "many.log"
    gate = gateway(HEAD + f"access_log: {{path: {log}, interval: 200ms, format: '%{{final}} %{{id}} %{{wait}}'}}\n"
                   "workers: 2\n", backend=backend.address)
    channels = [Echo(gate.channel()) for _ in range(2)]
    metadata = [("do-hang", "1")]
    calls = [channels[i % 2].unary.future(b"", metadata=metadata, timeout=6 * TIMEOUT) for i in range(150)]
    backend.wait_seen(150)

    def rounds():
        seen = {}
        for line in lines(log, 1):
            final, call, wait = line.split()
            assert final == "false" and wait != "none"
            seen[call] = seen.get(call, 0) + 1
        return seen if len(seen) == 150 and min(seen.values()) >= 3 else None
    seen = wait_for("three reports of each", rounds, 3 * TIMEOUT)
    assert max(seen.values()) - min(seen.values()) <= 2
    backend.release.set()
    for call in calls:
        call.result(timeout=2 * TIMEOUT)
    wait_for("their last lines", lambda: sum(line.startswith("true ") for line in lines(log, 1)) == 150)


def test_a_stream_that_was_reported_has_a_last_line_whatever_is_kept(gateway, backend, tmp_path):
    log = tmp_path / "kept.log"
    gate = start(gateway, backend, f"path: {log}, interval: 100ms, keep: failures, format: '%{{final}} %{{method}}'")
    echo = Echo(gate.channel())
    echo.unary(b"", timeout=TIMEOUT)
    more = threading.Event()

    def requests():
        yield b"abc"
        more.wait(TIMEOUT)

    answers = echo.bidi(requests(), timeout=2 * TIMEOUT)
    next(answers)
    lines(log, 1)
    more.set()
    assert list(answers) == []
    wait_for("its last line", lambda: "true /t.Echo/Bidi" in lines(log, 1))
    assert "/t.Echo/Unary" not in log.read_text()


def test_without_an_interval_lines_do_not_speak_of_it(gateway, backend):
    gate = gateway(HEAD, backend=backend.address)
    Echo(gate.channel()).unary(b"", timeout=TIMEOUT)
    assert not {"final", "id", "wait"} & set(gate.log_lines(1)[0])


# ---- a file that is moved, deleted or full ----

def test_no_line_is_lost_or_doubled_when_the_file_is_moved_away_under_load(gateway, backend, tmp_path):
    log = tmp_path / "moved.log"
    gate = gateway(HEAD + f"access_log: {{path: {log}, format: '%{{request:x-n}} end'}}\nworkers: 2\n",
                   backend=backend.address)
    stop = threading.Event()
    made = [0, 0, 0]

    def client(k):
        echo = Echo(gate.channel())
        while not stop.is_set():
            echo.unary(b"", timeout=TIMEOUT, metadata=[("x-n", f"{k}-{made[k]}")])
            made[k] += 1

    threads = [threading.Thread(target=client, args=(k,)) for k in range(3)]
    for thread in threads:
        thread.start()
    moved = []
    for i in range(5):
        lines(log, 20)
        moved.append(tmp_path / f"moved.log.{i}")
        os.rename(log, moved[-1])
        hup(gate)
        wait_for("a new file", log.exists)
    stop.set()
    for thread in threads:
        thread.join(TIMEOUT)
    gate.close_clients()
    gate.stop()
    text = "".join(path.read_text() for path in [*moved, log])
    assert sorted(text.splitlines()) == sorted(f"{k}-{n} end" for k in range(3) for n in range(made[k]))


def test_a_file_that_was_deleted_is_made_again(gateway, backend, tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    log = folder / "a.log"
    gate = start(gateway, backend, f"path: {log}, format: '%{{code}}'")
    echo = Echo(gate.channel())
    os.unlink(log)
    wait_for("that is said", lambda: "was deleted; a new file is written" in gate.errors())
    echo.unary(b"", timeout=TIMEOUT)
    assert lines(log, 1) == ["OK"]
    log.unlink()
    folder.rmdir()
    wait_for("that it cannot be made is said once",
             lambda: "was deleted and cannot be made again: No such file or directory" in gate.errors())
    echo.unary(b"", timeout=TIMEOUT)
    folder.mkdir()
    wait_for("a file", log.exists)
    assert gate.errors().count("cannot be made again") == 1


def test_a_full_disk_costs_lines_and_nothing_else(gateway, backend, tmp_path):
    """/dev/full answers as a full disk does; the log is led there and back by a link and SIGHUP."""
    log, full, good = tmp_path / "link.log", pathlib.Path("/dev/full"), tmp_path / "good.log"
    log.symlink_to(good)
    gate = start(gateway, backend, f"path: {log}, format: '%{{request:x-n}} %{{request:x-pad}} end'")
    echo = Echo(gate.channel())
    pad = "p" * 8000
    echo.unary(b"", timeout=TIMEOUT, metadata=[("x-n", "first"), ("x-pad", "-")])
    lines(good, 1)
    log.unlink()
    log.symlink_to(full)
    hup(gate)
    made = 0
    while gate.metric("access_log_dropped_total") < 5:
        for _ in range(20):
            echo.unary(b"", timeout=TIMEOUT, metadata=[("x-n", str(made)), ("x-pad", pad)])
            made += 1
        assert made < 2000
    dropped = int(gate.metric("access_log_dropped_total"))
    said = "cannot be written: No space left on device; lines that find no room in memory are dropped"
    assert gate.errors().count(said) == 1
    log.unlink()
    log.symlink_to(good)
    hup(gate)
    kept = lines(good, 1 + made - dropped)
    assert kept[0] == "first - end"
    numbers = [int(line.split(" ")[0]) for line in kept[1:]]
    assert len(numbers) == made - dropped and numbers == sorted(set(numbers))
    assert all(re.fullmatch(r"\d+ p{8000} end", line) for line in kept[1:])
    wait_for("the end is said",
             lambda: f"can be written again; {dropped} lines were dropped" in gate.errors())
    echo.unary(b"", timeout=TIMEOUT, metadata=[("x-n", "last"), ("x-pad", "-")])
    assert lines(good, 2 + made - dropped)[-1] == "last - end"


def test_a_line_that_a_limit_cuts_is_made_whole(gateway, backend, tmp_path):
    """What fills up in the middle of a line: the file may not grow beyond RLIMIT_FSIZE. Then it is emptied, as copying
    rotators do."""
    log = tmp_path / "limited.log"
    gate = start(gateway, backend, f"path: {log}, format: '%{{request:x-n}} %{{request:x-pad}} end'")
    subprocess.run(["prlimit", "--fsize=2500:2500", "--pid", str(gate.process.pid)], check=True)
    echo = Echo(gate.channel())
    for i in range(5):
        echo.unary(b"", timeout=TIMEOUT, metadata=[("x-n", str(i)), ("x-pad", "p" * 990)])
    wait_for("that is said", lambda: "cannot be written: File too large" in gate.errors())
    before = log.read_text()
    assert len(before) == 2500
    os.rename(log, tmp_path / "old.log")
    hup(gate)
    after = lines(log, 2)
    assert gate.process.poll() is None
    whole = [line for line in before.splitlines() + after if re.fullmatch(r"\d+ p{990} end", line)]
    assert [line.split(" ")[0] for line in whole[:4]] == ["0", "1", "2", "3"]
    subprocess.run(["prlimit", "--fsize=unlimited:unlimited", "--pid", str(gate.process.pid)], check=False)


def test_a_disk_that_fills_and_has_room_again_has_whole_lines_only(gateway, backend, tmp_path):
    """The real thing, where this user may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(disk)], stderr=subprocess.PIPE).returncode:
        pytest.skip("no file system can be mounted")
    gate = None
    try:
        (disk / "ballast").write_bytes(b"b" * (200 << 10))
        log = disk / "a.log"
        gate = start(gateway, backend, f"path: {log}, format: '%{{request:x-n}} %{{request:x-pad}} end'")
        echo = Echo(gate.channel())
        made = 0
        while "No space left on device" not in gate.errors():
            echo.unary(b"", timeout=TIMEOUT, metadata=[("x-n", str(made)), ("x-pad", "p" * 997)])
            made += 1
            assert made < 1000
        torn = log.read_bytes()
        assert not torn.endswith(b"\n")  # the page is full in the middle of a line
        (disk / "ballast").unlink()
        kept = lines(log, made)
        assert [line.split(" ")[0] for line in kept] == [str(i) for i in range(made)]
        assert all(re.fullmatch(r"\d+ p{997} end", line) for line in kept)
        wait_for("the end is said", lambda: "can be written again; 0 lines were dropped" in gate.errors())
    finally:
        if gate:
            gate.close_clients()
            gate.stop()
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_half_a_line_of_a_killed_gateway_is_ended(gateway, backend, tmp_path):
    log = tmp_path / "torn.log"
    log.write_text("whole\nhal")
    gate = start(gateway, backend, f"path: {log}, format: '%{{code}}'")
    Echo(gate.channel()).unary(b"", timeout=TIMEOUT)
    assert lines(log, 3) == ["whole", "hal", "OK"]


# ---- what no log can be ----

@pytest.mark.parametrize("kind, why", [("fifo", "nobody reads the pipe"), ("folder", "Is a directory"),
                                       ("nowhere", "No such file or directory"), ("socket", "")])
def test_what_cannot_be_a_log_is_refused_at_the_start(kind, why, tmp_path):
    path = tmp_path / "log"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        os.mknod(path, stat.S_IFSOCK | 0o600)
        why = "nobody reads the pipe"
    else:
        path = tmp_path / "none" / "log"
    file = tmp_path / "gateway.yaml"
    file.write_text("listeners: [{address: '127.0.0.1:1'}]\nclusters: {c: {endpoints: ['127.0.0.1:2']}}\n"
                    f"access_log: {{path: {path}}}\nadmin: {{address: \"off\"}}\n")
    done = run_command("run", "-c", str(file))
    assert done.returncode == 1
    assert f"access log {path} cannot be opened: {why}" in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_file_that_may_not_be_written_is_refused(tmp_path):
    log = tmp_path / "log"
    log.touch(0o400)
    file = tmp_path / "gateway.yaml"
    file.write_text("listeners: [{address: '127.0.0.1:1'}]\nclusters: {c: {endpoints: ['127.0.0.1:2']}}\n"
                    f"access_log: {{path: {log}}}\n")
    done = run_command("run", "-c", str(file))
    assert done.returncode == 1 and "cannot be opened: Permission denied" in done.stderr


def test_a_pipe_that_is_read_no_more_blocks_neither_calls_nor_the_end(gateway, backend, tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        gate = start(gateway, backend, f"path: {path}, format: '%{{request:x-pad}} end'")
        echo = Echo(gate.channel())
        metadata = [("x-pad", "p" * 8000)]
        while gate.metric("access_log_dropped_total") == 0:
            for _ in range(20):
                echo.unary(b"", timeout=TIMEOUT, metadata=metadata)
        wait_for("that is said", lambda: "cannot be written: who reads it is too slow" in gate.errors())
        gate.close_clients()
        assert gate.stop() == 0
        assert re.search(r"the last \d+ lines could not be written", gate.errors())
        text = b""
        while chunk := os.read(reader, 1 << 16):
            text += chunk
        assert all(line == b"p" * 8000 + b" end" for line in text.split(b"\n")[:-1])
    finally:
        os.close(reader)


def test_a_standard_output_that_nobody_reads_blocks_neither_calls_nor_the_end(backend, tmp_path):
    address = f"127.0.0.1:{free_port()}"
    file = tmp_path / "gateway.yaml"
    file.write_text(f"listeners: [{{address: {address}}}]\nclusters: {{c: {{endpoints: [{backend.address}]}}}}\n"
                    "workers: 1\naccess_log: {path: \"-\", format: '%{method} %{request:x-pad}'}\n")
    process = subprocess.Popen([BINARY, "run", "-c", str(file)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    try:
        wait_for("the gateway listens", lambda: accepts(address))
        with grpc.insecure_channel(address) as channel:
            echo = Echo(channel)
            for _ in range(40):  # 320 KiB: more than the pipe takes
                echo.unary(b"", timeout=TIMEOUT, metadata=[("x-pad", "p" * 8000)])
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT) == 0
        assert re.search(rb"access log -: the last \d+ lines could not be written\n", process.stderr.read())
        assert process.stdout.read().split(b"\n")[0] == b"/t.Echo/Unary " + b"p" * 8000
    finally:
        process.kill()
        process.communicate()


# ---- the gateway's own messages ----

def test_a_stderr_that_nobody_reads_blocks_nothing(backend, tmp_path):
    address, admin = (f"127.0.0.1:{free_port()}" for _ in range(2))
    log = tmp_path / "logs" / "access.log"
    log.parent.mkdir()
    file = tmp_path / "gateway.yaml"
    file.write_text(f"listeners: [{{address: {address}}}]\nclusters: {{c: {{endpoints: [{backend.address}]}}}}\n"
                    f"workers: 1\nadmin: {{address: {admin}}}\naccess_log: {{path: {log}}}\n")
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    process = subprocess.Popen([BINARY, "run", "-c", str(file)], stderr=writer, stdin=subprocess.DEVNULL)
    os.close(writer)
    try:
        wait_for("the gateway listens", lambda: accepts(address) and accepts(admin))

        def dropped():
            os.rename(log.parent, tmp_path / "away") if log.parent.exists() else None
            process.send_signal(signal.SIGHUP)  # answered with a message: the folder is not there
            with urllib.request.urlopen(f"http://{admin}/metrics", timeout=TIMEOUT) as answer:
                text = answer.read().decode()
            return int(re.search(r"^fusegate_log_dropped_total (\d+)$", text, re.M)[1])
        wait_for("messages are dropped", lambda: dropped() >= 3)
        with grpc.insecure_channel(address) as channel:
            assert Echo(channel).unary(b"x", timeout=TIMEOUT) == b"x"
        os.set_blocking(reader, False)
        text = os.read(reader, 1 << 16).decode()
        assert text.endswith("\n") and len(text) > 3000
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT) == 0
        assert re.search(r"\d+ messages were dropped: standard error took none\n", os.read(reader, 1 << 16).decode())
    finally:
        process.kill()
        process.wait()
        os.close(reader)


def test_a_closed_stderr_is_nobodys_failure(backend):
    """Nor does another descriptor get its number and the messages."""
    address = f"127.0.0.1:{free_port()}"
    process = subprocess.Popen(["bash", "-c", f"exec {BINARY} run --listen {address} --to {backend.address} <&- >&- 2>&-"])
    try:
        wait_for("the gateway listens", lambda: accepts(address))
        assert [os.readlink(f"/proc/{process.pid}/fd/{fd}") for fd in range(3)] == 3 * ["/dev/null"]
        with grpc.insecure_channel(address) as channel:
            assert Echo(channel).unary(b"x", timeout=TIMEOUT) == b"x"
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT) == 0
    finally:
        process.kill()
        process.wait()
