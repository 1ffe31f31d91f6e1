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


def strip(text):
    """Without comments and the insides of strings, line for line."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def check_includes(path, text):
    layer = path.split("/")[1] if path.startswith("src/") and path.count("/") > 1 else None
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if not match or layer is None:
            continue
        included = match.group(1)
        other = included.split("/")[0]
        if other not in LAYERS:
            yield number, f'include "{included}" is not relative to src'
        elif LAYERS.index(other) > LAYERS.index(layer):
            yield number, f"{layer} includes {included}: {other} is a layer above it"
        elif included.endswith("_int.h") and other != layer and (layer, included) not in INSIDERS:
            yield number, f"{layer} includes {included}, the inside of {other}"


def check_text(path, text):
    code = strip(text)
    for number, line in enumerate(code.splitlines(), 1):
        for name in re.findall(r"\b([a-z]+)\s*\(", line):
            if name in BANNED:
                yield number, f"{name}() is banned"
    for number, line in enumerate(text.splitlines(), 1):
        if line != line.rstrip():
            yield number, "white space at the end of the line"
        if re.search(r"\b(TODO|FIXME|XXX)\b", line):
            yield number, "an unfinished note"
        if re.search(r"(/root/|/home/|/work/)[a-z]", line):
            yield number, "an absolute path of a machine"
    lines = text.count("\n")
    if lines > MAX_LINES and path not in GENERATED:
        yield lines, f"{lines} lines: more than {MAX_LINES}"
    if path.endswith(".h"):
        guard = re.sub(r"[^A-Z0-9]", "_", re.sub(r"^(src|tests)/", "", path).upper())
        name = re.search(r"#ifndef (\w+)\n#define \1\n", text)
        if not name:
            yield 1, "no include guard"
        elif path.startswith("src/") and name.group(1) != "FG_" + guard:
            yield 1, f"the include guard is {name.group(1)}, not FG_{guard}"


def check_file(path, text):
    yield from check_includes(path, text)
    yield from check_text(path, text)


def c_files():
    out = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.c", "*.h"], cwd=ROOT,
                         check=True, capture_output=True, text=True).stdout.split()
    return [path for path in out if (ROOT / path).exists()]


def main():
    breaches = 0
    files = c_files()
    for path in files:
        for number, message in check_file(path, (ROOT / path).read_text()):
            print(f"{path}:{number}: {message}")
            breaches += 1
    formatted = [path for path in files if path not in GENERATED]
    result = subprocess.run(["clang-format", "--dry-run", "-Werror", *formatted], cwd=ROOT, capture_output=True, text=True)
    if result.returncode != 0:
        print(result.stderr[:4000])
        breaches += 1
    print(f"lint: {len(files)} files, {breaches} breaches")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
