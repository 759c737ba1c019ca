"""deploy/grafana.json asks for metrics that a server really has."""

import json
import re
import urllib.request
from pathlib import Path

from tests.e2e.server import serving

DEPLOY = Path(__file__).parents[2] / "deploy"
METRIC = re.compile(r"\bkelian_[a-z0-9_]+\b")
LABELS = re.compile(r"by \(([a-z_, ]+)\)")


def test_the_dashboard_shows_metrics_that_are_there(tmp_path: Path) -> None:
    with serving(tmp_path) as server, urllib.request.urlopen(f"{server.url}/metrics", timeout=5) as response:
        there = set(re.findall(r"^# TYPE (\w+) ", response.read().decode(), re.MULTILINE))
    dashboard = json.loads((DEPLOY / "grafana.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    queries += [
        variable["query"]["query"]
        for variable in dashboard["templating"]["list"]
        if variable["type"] == "query"
    ]
    asked = {name for query in queries for name in METRIC.findall(query)}
    whole = {name for name in asked if not name.endswith("_")}  # else the beginning of a pattern
    assert len(whole) > 20
    assert whole - there == set(), "not in /metrics"
    for beginning in asked - whole:
        assert any(name.startswith(beginning) for name in there)


def test_labels_in_queries_are_those_of_the_metrics() -> None:
    source = (DEPLOY.parent / "signaling" / "web" / "metrics.py").read_text()
    dashboard = (DEPLOY / "grafana.json").read_text()
    labels = {label.strip() for found in LABELS.findall(dashboard) for label in found.split(",")}
    for label in labels - {"__name__"}:
        assert f'"{label}"' in source


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads((DEPLOY / "grafana.json").read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells
