"""Dashboard and alert rules against the metrics that exist: a renamed metric would leave them silently empty."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry, Metric

from gateway.errors import Reason
from gateway.telemetry.gauges import StateGauges
from gateway.telemetry.instruments import Spread, Tally
from gateway.telemetry.metrics import Metrics
from gateway.workers import Patience, Workers

DEPLOY = Path(__file__).parents[1] / "deploy"
SELECTOR = re.compile(r"\b((?:llmgateway|process)_[a-z_]+)(?:\{([^}]*)\})?")
GROUPING = re.compile(r"\bby \(([^)]*)\)")
MATCHER = re.compile(r"([a-z_]+)\s*(=~|!~|!=|=)\s*\"([^\"]*)\"")


def alert_rules() -> Iterator[tuple[str, str]]:
    rules = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            yield "alert " + rule["alert"], rule["expr"]


def panels() -> Iterator[tuple[str, str]]:
    for panel in json.loads((DEPLOY / "grafana" / "llmgateway.json").read_text())["panels"]:
        for target in panel["targets"]:
            yield "panel " + panel["title"], target["expr"]


QUERIES = [*alert_rules(), *panels()]


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The labels of each sample name that a page can have; `worker` is the supervisor's."""
    registry = CollectorRegistry()
    Metrics(registry)
    StateGauges(registry, reservations=int, backlog=int)
    Workers(1, tmp_path_factory.mktemp("sockets"), {}, Patience(1, 1), registry)
    found: dict[str, set[str]] = {}
    for collector in registry._collector_to_names:
        names = set(getattr(collector, "labels" if isinstance(collector, Tally | Spread) else "_labelnames", ())) | {
            "worker"
        }
        for metric in collector.collect():
            for sample in _sample_names(metric):
                found[sample] = names | ({"le"} if sample.endswith("_bucket") else set())
    return found


def _sample_names(metric: Metric) -> list[str]:
    match metric.type:
        case "counter":
            return [metric.name + "_total"]
        case "histogram":
            return [metric.name + end for end in ("_bucket", "_sum", "_count")]
    return [metric.name]


@pytest.mark.parametrize(("where", "query"), QUERIES, ids=[where for where, _ in QUERIES])
def test_queries_use_metrics_and_labels_that_exist(where: str, query: str, samples: dict[str, set[str]]) -> None:
    """Names, labels, grouping, and the reasons that are compared with."""
    assert query.count("(") == query.count(")")
    used = SELECTOR.findall(query)
    assert used
    labels: set[str] = set()
    for name, matchers in used:
        assert name in samples
        labels |= samples[name]
        for label, _, value in MATCHER.findall(matchers):
            assert label in samples[name]
            if label == "reason":
                assert set(value.split("|")) <= {*Reason, "OK", "CANCELLED"}
    for names in GROUPING.findall(query):
        assert {name.strip() for name in names.split(",")} <= labels


def test_every_metric_of_ours_is_shown_somewhere(samples: dict[str, set[str]]) -> None:
    """A metric that no panel and no rule reads is forgotten, or not needed."""
    read = {name for _, query in QUERIES for name, _ in SELECTOR.findall(query)}
    ours = {re.sub("_(bucket|sum|count)$", "", name) for name in samples if name.startswith("llmgateway_")}
    shown = {re.sub("_(bucket|sum|count)$", "", name) for name in read}
    assert ours - shown == {"llmgateway_config_load_timestamp_seconds"}


def test_every_metric_of_ours_is_explained(samples: dict[str, set[str]]) -> None:
    """docs/operations.md has them and their labels, and no others; `worker` is on all of them."""
    page = (DEPLOY.parent / "docs/operations.md").read_text()
    rows = re.findall(r"^\| (`llmgateway_[^|]*)\|([^|]*)\|", page, re.MULTILINE)
    explained = {
        name: set(re.findall(r"`(\w+)`", labels)) for names, labels in rows for name in re.findall(r"`(\w+)`", names)
    }
    ours = {
        re.sub("_(bucket|sum|count)$", "", name): labels - {"le", "worker"}
        for name, labels in samples.items()
        if name.startswith("llmgateway_")
    }
    assert {name: labels - {"worker"} for name, labels in explained.items()} == ours
