"""What comes with the gateway for Prometheus and Grafana: alert rules and a dashboard that speak of metrics there are."""
import json
import os
import re
import subprocess

import pytest
import yaml

from gateway import ROOT, TIMEOUT

RULES = os.path.join(ROOT, "packaging", "prometheus", "fusegate.rules.yml")
RULE_TESTS = os.path.join(ROOT, "packaging", "prometheus", "fusegate.rules.test.yml")
DASHBOARD = os.path.join(ROOT, "packaging", "grafana", "fusegate.json")


def promtool(*arguments):
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=3 * TIMEOUT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rules():
    with open(RULES) as file:
        return [rule for group in yaml.safe_load(file)["groups"] for rule in group["rules"]]


def dashboard():
    with open(DASHBOARD) as file:
        return json.load(file)


def expressions_of_dashboard():
    """All PromQL in it, as it is once Grafana has filled in its variables."""
    board = dashboard()
    found = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    found += [one["expr"] for one in board["annotations"]["list"]]
    found += re.findall(r"label_values\((.*), \w+\)", "\n".join(one["query"] for one in board["templating"]["list"]))
    return [one.replace("$__rate_interval", "5m").replace('"$1"', "\0").replace("$job", ".*").replace("$instance", ".*")
            .replace("$cluster", ".*").replace("\0", '"$1"') for one in found]


def names_in(expression):
    """Metrics it asks for: names that are neither functions, nor labels, nor words of PromQL."""
    text = re.sub(r'"(?:[^"\\]|\\.)*"', '""', expression)
    text = re.sub(r"\{[^}]*\}", "", text)
    text = re.sub(r"\b(by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)", "", text)
    text = re.sub(r"\[[^]]*\]", "", text)
    words = re.findall(r"\b[a-zA-Z_:][\w:]*(?!\w*\s*\()", text)
    return {word for word in words if word not in ("and", "or", "unless", "bool")}


def test_names_are_found_in_expressions():
    found = names_in('topk(3, sum by (a, b) (rate(x_total{c="d"}[5m]))) / on (e) group_left () y or up == 0 and vector(0) > 1e3')
    assert found == {"x_total", "y", "up"}


@pytest.fixture
def known(plain):
    """All names that Prometheus knows from the page."""
    names = {"up"}
    for line in plain.get("/metrics")[1].splitlines():
        match = re.fullmatch(r"# TYPE (\w+) (\w+)", line)
        if match:
            names |= {match[1] + end for end in ("_bucket", "_sum", "_count")} if match[2] == "histogram" else {match[1]}
    return names


def test_rules_are_rules():
    assert "SUCCESS" in promtool("check", "rules", RULES)


def test_alerts_fire_when_they_should_and_only_then():
    assert "SUCCESS" in promtool("test", "rules", RULE_TESTS)


def test_every_alert_is_tested():
    with open(RULE_TESTS) as file:
        firing = {case["alertname"] for test in yaml.safe_load(file)["tests"] for case in test["alert_rule_test"]
                  if case.get("exp_alerts")}
    assert firing == {rule["alert"] for rule in rules()}


def test_rules_ask_for_metrics_that_there_are(known):
    for rule in rules():
        names = names_in(rule["expr"])
        assert names and names <= known, (rule["alert"], names - known)


def test_the_dashboard_asks_for_metrics_that_there_are(known):
    for expression in expressions_of_dashboard():
        names = names_in(expression)
        assert names and names <= known, (expression, names - known)


def test_the_dashboard_is_promql(tmp_path):
    """promtool reads its expressions as recording rules."""
    expressions = expressions_of_dashboard()
    assert len(expressions) > 40
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": [
        {"record": f"panel:{i}", "expr": one} for i, one in enumerate(expressions)]}]}))
    assert f"{len(expressions)} rules found" in promtool("check", "rules", str(file))


def test_the_dashboard_can_be_laid_out():
    """Panels have numbers of their own, lie within the grid and do not overlap."""
    taken, numbers = set(), set()
    for panel in dashboard()["panels"]:
        assert panel["id"] not in numbers
        numbers.add(panel["id"])
        place = panel["gridPos"]
        assert 0 <= place["x"] and place["x"] + place["w"] <= 24
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["type"] == "row" or (panel["targets"] and panel["description"])
    for subject in ("Calls by method", "Failures by source", "99 % of calls", "Not closed", "Waiting by cause",
                    "Streams and connections", "Retries, transparent retries, hedges", "Open by endpoint"):
        assert any(panel["title"] == subject for panel in dashboard()["panels"]), subject
