"""The dashboard, the alert rules and the page name metrics, labels and values that there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from deploy.local.paths import ROOT
from deploy.local.settings import Ports
from services.telemetry.instruments import Counter, Gauge, Histogram
from tests.unit.test_metrics import instruments

FOLDER = ROOT / "deploy" / "monitoring"
PAGE = (ROOT / "docs" / "monitoring.md").read_text()
ALERTS: list[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"][0]["rules"]
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
# What a scrape adds to every sample.
SCRAPED = {"job", "instance", "process"}
SUFFIXES: dict[type, tuple[str, ...]] = {Counter: ("",), Gauge: ("",), Histogram: ("_bucket", "_count", "_sum")}
SAMPLES = {
    item.name + suffix: {label.name: label for label in item.labels}
    for item in instruments()
    for suffix in SUFFIXES[type(item)]
}
SELECTOR = re.compile(r"\b(atelier_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
GROUPING = re.compile(r"\b(?:by|on) \(([^)]*)\)")


def expressions() -> Iterator[tuple[str, str]]:
    for rule in ALERTS:
        yield rule["alert"], rule["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_each_expression_names_what_there_is(where: str, expression: str) -> None:
    found = SELECTOR.findall(expression)
    labels: set[str] = set()
    for name, matchers in found:
        assert name in SAMPLES, name
        labels |= set(SAMPLES[name])
        for label, kind, value in MATCHER.findall(matchers):
            if label in SCRAPED:
                continue
            assert label in SAMPLES[name], f"{name} has no {label}"
            known = SAMPLES[name][label]
            wanted = value.split("|") if "~" in kind else [value]
            declared_later = len(known.values) < known.most
            assert declared_later or all(any(re.fullmatch(one, it) for it in known.values) for one in wanted), value
    for grouping in GROUPING.findall(expression):
        assert set(re.split(r",\s*", grouping)) <= labels | SCRAPED | {"le"}, expression
    assert expression.count("(") == expression.count(")") and (found or "{job=" in expression)
    # A quantile of buckets without `le` is no quantile, and a counter as it stands says how old its process is.
    assert "histogram_quantile" not in expression or "by (le" in expression
    for name in re.findall(r"\b(atelier_\w+_total)\b", expression):
        assert re.search(rf"(rate|increase)\({name}(\{{[^}}]*\}})?\[", expression), name


def test_every_alert_says_what_is_wrong_and_how_much_of_a_hurry_it_is() -> None:
    assert len({rule["alert"] for rule in ALERTS}) == len(ALERTS) > 10
    for rule in ALERTS:
        assert rule["labels"]["severity"] in ("page", "ticket") and len(rule["annotations"]["summary"]) > 20
        named = re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])
        kept = {name for grouping in GROUPING.findall(rule["expr"]) for name in re.split(r",\s*", grouping)} | SCRAPED
        assert set(named) <= kept, rule["alert"]


def test_the_dashboard_shows_each_panel_in_a_place_of_its_own() -> None:
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]]
    assert len(set(places)) == len(places) and len({panel["id"] for panel in DASHBOARD["panels"]}) == len(places)


def test_the_page_names_metrics_that_there_are() -> None:
    named = {name for name, _ in SELECTOR.findall(PAGE)}
    families = {item.name for item in instruments()}
    assert named and named <= families | set(SAMPLES)


def test_the_scrape_and_the_page_have_the_ports_of_the_stack() -> None:
    scraped = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    ours = {one["labels"]["process"]: one["targets"] for one in scraped[0]["static_configs"]}
    ports = Ports()
    named = {name.removesuffix("_metrics"): port for name, port in _metrics_ports(ports) if name != "triton_metrics"}
    assert ours == {name: [f"127.0.0.1:{port}"] for name, port in named.items()}
    assert scraped[1]["static_configs"] == [{"targets": [f"127.0.0.1:{ports.triton_metrics}"]}]
    assert all(f"`127.0.0.1:{port}`" in PAGE for _, port in _metrics_ports(ports))


def _metrics_ports(ports: Ports) -> list[tuple[str, int]]:
    return [(name, getattr(ports, name)) for name in Ports.__slots__ if name.endswith("_metrics")]
