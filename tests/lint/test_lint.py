"""Each check of the linter finds what it is for."""
import pytest

import lint


@pytest.mark.parametrize("path, text, message", [
    ("src/base/mem.c", '#include "io/loop.h"\n', "base includes io/loop.h: io is a layer above it"),
    ("src/call/call.c", '#include "h2/h2_int.h"\n', "call includes h2/h2_int.h, the inside of h2"),
    ("src/io/loop.c", '#include "loop.h"\n', 'include "loop.h" is not relative to src'),
    ("src/io/loop.c", "void f(char *a) { strcpy(a, a); }\n", "strcpy() is banned"),
    ("src/io/loop.c", "int x; \n", "white space at the end of the line"),
    ("src/io/loop.c", "/* TO" "DO later */\n", "an unfinished note"),
    ("src/io/loop.h", "int x;\n", "no include guard"),
    ("src/io/loop.h", "#ifndef LOOP_H\n#define LOOP_H\n#endif\n", "the include guard is LOOP_H, not FG_IO_LOOP_H"),
    ("src/io/loop.c", "int x;\n" * 1001, "1001 lines: more than 1000"),
    ("bench/load.py", "x = 1\n" * 1001, "1001 lines: more than 1000"),
    ("src/io/loop.c", "int x;", "no new line at the end of the file"),
    ("src/io/loop.c", "int f(void) { return atoi(\"1\"); } /* atoi */\n", "atoi() is banned"),
    ("src/policy/breaker.c", '#include "call/call.h"\n', "policy includes call/call.h: call is a layer above it"),
    ("bench/backend.c", '#include "h2/hpack_int.h"\n', "h2/hpack_int.h is for its own layer and its tests"),
    ("demo/order.h", "int x;\n", "no include guard"),
    ("doc/architecture.md", "a \n", "white space at the end of the line"),
    ("dev", "# FIX" "ME\n", "an unfinished note"),
    ("doc/architecture.md", "see /ho" "me/someone\n", "an absolute path of a machine"),
    ("src/io/loop.c", '"/ro' 'ot/x"\n', "an absolute path of a machine"),
])
def test_finds(path, text, message):
    assert message in [found for _, found in lint.check_file(path, text)]


@pytest.mark.parametrize("text", [
    '#include "base/mem.h"\n#include "io/loop.h"\n#include <string.h>\n',
    "/* strcpy() is not for us */\n",
    'const char *s = "rand()";\n',
])
def test_leaves_good_code_alone(text):
    assert list(lint.check_file("src/io/loop.c", text)) == []


@pytest.mark.parametrize("path, text", [
    ("tests/unit/h2/test_hpack.c", '#include "h2/hpack_int.h"\n'),
    ("demo/grpc_call.c", '#include "grpc_int.h"\n'),
    ("src/h2/recv.c", '#include "h2/h2_int.h"\n'),
    ("src/http/conn.h", '#ifndef FG_HTTP_CONN_H\n#define FG_HTTP_CONN_H\n#include "h2/h2_int.h"\n#endif\n'),
    ("src/h2/huffman_table.c", "int x;\n" * 1001),
    ("doc/configuration.md", "line\n" * 1001),
    ("tests/e2e/gateway.py", 'path = "src/work/x"\n'),
])
def test_leaves_what_is_allowed_alone(path, text):
    assert list(lint.check_file(path, text)) == []


def test_finds_misformatted_code(tmp_path):
    (tmp_path / "bad.c").write_text("int  f( void ){return 0;}\n")
    (tmp_path / "good.c").write_text("int f(void);\n")
    assert "bad.c:1" in lint.check_format(["bad.c", "good.c"], tmp_path)
    assert lint.check_format(["good.c"], tmp_path) == ""


def test_knows_every_layer():
    """A folder of src that the list does not name would go unchecked."""
    folders = {path.name for path in (lint.ROOT / "src").iterdir() if path.is_dir()}
    assert folders <= set(lint.LAYERS)


def test_looks_at_code_scripts_and_pages():
    assert {"src/main.c", "dev", ".ci/run", "README.md", "meson.build", "tests/lint/lint.py"} <= set(lint.project_files())


def test_exit_status_tells_of_a_breach(monkeypatch, tmp_path, capsys):
    (tmp_path / "bad.c").write_text("int x; \n")
    monkeypatch.setattr(lint, "ROOT", tmp_path)
    monkeypatch.setattr(lint, "project_files", lambda: ["bad.c"])
    monkeypatch.setattr(lint, "check_format", lambda paths: "")
    assert lint.main() == 1
    assert capsys.readouterr().out == "bad.c:1: white space at the end of the line\nlint: 1 files, 1 breaches\n"
    (tmp_path / "bad.c").write_text("int x;\n")
    assert lint.main() == 0
