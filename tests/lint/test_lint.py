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
