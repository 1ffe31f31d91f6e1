#!/usr/bin/env python3
"""What every file must hold: include direction, banned functions, guards, sizes, format. Exits 1 and names each breach."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
# A file may include its own layer and those before it.
LAYERS = ["base", "io", "h2", "h1", "http", "rpc", "config", "upstream", "policy", "call", "dialect", "control", "observe",
          "gateway", "admin", "cli"]
# http embeds the engine's connection and so may see its insides.
INSIDERS = {("http", "h2/h2_int.h")}
BANNED = {"strcpy", "strcat", "sprintf", "vsprintf", "gets", "strtok", "atoi", "atol", "atof", "alloca", "rand", "srand",
          "system", "popen", "tmpnam"}
MAX_LINES = 1000
GENERATED = {"src/h2/huffman_table.c"}
TEXT = {".build", ".c", ".css", ".h", ".html", ".js", ".md", ".proto", ".py", ".sh", ".txt", ".yaml", ".yml", ""}
CODE = {".c", ".h", ".py"}


def strip(text):
    """Without comments and the insides of strings, line for line."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def includes(text):
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if match:
            yield number, match.group(1)


def check_includes(path, text):
    """Of a file in a layer: its includes point downward, and not at the inside of another layer."""
    layer = path.split("/")[1]
    for number, included in includes(text):
        other = included.split("/")[0]
        if other not in LAYERS:
            yield number, f'include "{included}" is not relative to src'
        elif LAYERS.index(other) > LAYERS.index(layer):
            yield number, f"{layer} includes {included}: {other} is a layer above it"
        elif included.endswith("_int.h") and other != layer and (layer, included) not in INSIDERS:
            yield number, f"{layer} includes {included}, the inside of {other}"


def check_outside(path, text):
    """Of a file that is neither in a layer nor a test."""
    for number, included in includes(text):
        if included.endswith("_int.h") and included.split("/")[0] in LAYERS:
            yield number, f"{included} is for its own layer and its tests"


def check_banned(text):
    for number, line in enumerate(strip(text).splitlines(), 1):
        for name in re.findall(r"\b(\w+)\s*\(", line):
            if name in BANNED:
                yield number, f"{name}() is banned"


def check_guard(path, text):
    guard = re.sub(r"[^A-Z0-9]", "_", re.sub(r"^(src|tests)/", "", path).upper())
    name = re.search(r"#ifndef (\w+)\n#define \1\n", text)
    if not name:
        yield 1, "no include guard"
    elif path.startswith("src/") and name.group(1) != "FG_" + guard:
        yield 1, f"the include guard is {name.group(1)}, not FG_{guard}"


def check_text(path, text):
    for number, line in enumerate(text.splitlines(), 1):
        if line != line.rstrip():
            yield number, "white space at the end of the line"
        if re.search(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b", line):
            yield number, "an unfinished note"
        if re.search(r"(^|[^\w.])/(root|home|work)/[a-z]", line):
            yield number, "an absolute path of a machine"
    lines = text.count("\n")
    if pathlib.PurePath(path).suffix in CODE and lines > MAX_LINES and path not in GENERATED:
        yield lines, f"{lines} lines: more than {MAX_LINES}"
    if text and not text.endswith("\n"):
        yield lines + 1, "no new line at the end of the file"


def check_file(path, text):
    yield from check_text(path, text)
    if path.endswith((".c", ".h")):
        yield from check_banned(text)
        if path.startswith("src/") and path.count("/") > 1:
            yield from check_includes(path, text)
        elif not path.startswith(("tests/", "fuzz/")):
            yield from check_outside(path, text)
    if path.endswith(".h"):
        yield from check_guard(path, text)


def check_format(paths, folder=ROOT):
    """What clang-format would change, in its words; empty when nothing."""
    result = subprocess.run(["clang-format", f"--style=file:{ROOT / '.clang-format'}", "--dry-run", "-Werror", *paths],
                            cwd=folder, capture_output=True, text=True)
    return result.stderr if result.returncode else ""


def project_files():
    """Those that git tracks or would track, and that are text."""
    out = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True,
                         capture_output=True, text=True).stdout.split("\0")
    return sorted(path for path in set(out) if path and pathlib.PurePath(path).suffix in TEXT
                  and (ROOT / path).is_file() and not path.startswith("fuzz/corpus/"))


def main():
    breaches = 0
    files = project_files()
    for path in files:
        for number, message in check_file(path, (ROOT / path).read_text()):
            print(f"{path}:{number}: {message}")
            breaches += 1
    formatted = [path for path in files if path.endswith((".c", ".h")) and path not in GENERATED]
    misformatted = check_format(formatted)
    if misformatted:
        print(misformatted[:4000])
        breaches += 1
    print(f"lint: {len(files)} files, {breaches} breaches")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
