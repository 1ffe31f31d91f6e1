"""doc/threat-model.md names nothing that does not exist, and leaves no limit on abuse out."""
import re

import pytest

import lint

PAGE = (lint.ROOT / "doc/threat-model.md").read_text()


def rows(heading):
    """The cells of the rows of the table under HEADING, without its head."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def names(cell):
    return re.findall(r"`([^`]+)`", cell)


def column(name):
    """What the columns NAME of all tables hold."""
    found = []
    for heading in ("HTTP/2", "Requests", "Endpoints", "TLS", "Administration and configuration"):
        head = ["threat", "what stops it", "key", "cause", "test"]
        if heading != "HTTP/2":
            head.remove("cause")
        for row in rows(heading):
            assert len(row) == len(head), row
            if name in head:
                found += names(row[head.index(name)])
    assert found
    return found


def faults():
    """[(name, code)] of src/h2/fault.h."""
    text = (lint.ROOT / "src/h2/fault.h").read_text()
    return [(name.lower(), code) for name, code in re.findall(r"X\((\w+), \w+, (\w+), \d", text)]


@pytest.mark.parametrize("key", sorted(set(column("key"))))
def test_key_exists(key):
    assert f"`{key.split('.')[-1]}`" in (lint.ROOT / "doc/configuration.md").read_text()


@pytest.mark.parametrize("cause", sorted(set(column("cause"))))
def test_cause_exists(cause):
    assert cause in dict(faults())


@pytest.mark.parametrize("test", sorted(set(column("test"))))
def test_named_test_exists(test):
    if test.startswith("tests/unit/") and ":" in test:
        folder, test = test.split(":")
        files = (lint.ROOT / folder).glob("*.c")
    elif test.startswith("tests/"):
        assert (lint.ROOT / test).is_dir()
        return
    else:
        files = [*(lint.ROOT / "tests/e2e").glob("*.py"), *(lint.ROOT / "tests/unit").glob("*/*.c")]
    assert any(re.search(rf"(def |static void ){test}\(", file.read_text()) or file.stem == test for file in files)


def test_every_limit_on_abuse_has_its_row():
    limits = {name for name, code in faults() if code == "ENHANCE_YOUR_CALM"}
    assert len(limits) > 10
    assert limits - set(column("cause")) == set()


def test_every_key_of_the_guard_has_its_row():
    page = (lint.ROOT / "doc/configuration.md").read_text().split("\n## guard\n")[1].split("\n## ")[0]
    keys = {"guard." + key for key in re.findall(r"^\| `(\w+)` \|", page, flags=re.M)}
    assert len(keys) >= 10
    assert keys - set(column("key")) == set()
