"""Prometheus accepts our rules and configuration; every query of dashboard, alerts and tutorial finds its metrics."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from bento.monitoring import make_dashboard
from bento.store import NAMES
from jaxresp import shipped

from .conftest import Served, breath, encode, free_port

FOLDER = shipped.root() / "bento" / "monitoring"
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())
RULES = [rule for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
DOCS = re.findall(r"```promql\n(.*?)```", (shipped.root() / "docs" / "monitoring.md").read_text(), re.DOTALL)
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
LOAD_S, SCRAPE_S = 25, 1


def need(program: str) -> str:
    """The program's path; without it the test is skipped."""
    if (path := shutil.which(program)) is None:
        pytest.skip(f"{program} is not installed (scripts/install-test-tools.sh)")
    return path


def test_the_dashboard_is_the_one_that_is_written_down() -> None:
    assert (FOLDER / "dashboard.json").read_text() == make_dashboard.text(), "python -m bento.monitoring.make_dashboard"


def test_panels_have_what_a_reader_needs() -> None:
    assert DASHBOARD["uid"] == "jaxresp"
    for panel in PANELS:
        assert panel["title"] and panel["description"].endswith("."), panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
        defaults, options = panel["fieldConfig"]["defaults"], panel["options"]
        assert panel["type"] == "table" or "unit" in defaults or "unit" in options["yAxis"], panel["title"]
    titles = [panel["title"] for panel in PANELS]
    assert len(set(titles)) == len(titles)


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + i, at["y"] + j) for i in range(at["w"]) for j in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_promtool_accepts_rules_and_configuration() -> None:
    promtool = need("promtool")
    for command in (["check", "rules", "alerts.yml"], ["check", "config", "prometheus.yml"]):
        done = subprocess.run([promtool, *command], cwd=FOLDER, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_are_raised_when_they_must_and_only_then() -> None:
    """The unit tests of the rules, and one for each of them."""
    promtool = need("promtool")
    done = subprocess.run([promtool, "test", "rules", "alerts_test.yml"], cwd=FOLDER, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    cases = [
        c for test in yaml.safe_load((FOLDER / "alerts_test.yml").read_text())["tests"] for c in test["alert_rule_test"]
    ]
    raised = {case["alertname"] for case in cases if case["exp_alerts"]}
    assert raised == {rule["alert"] for rule in RULES}


def test_every_alert_says_what_to_do() -> None:
    for rule in RULES:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"] and rule["annotations"]["description"].endswith(".")


def test_what_the_containers_mount_is_there() -> None:
    compose = yaml.safe_load((FOLDER / "docker-compose.yml").read_text())
    mounted = [
        volume.split(":")[0] for service in compose["services"].values() for volume in service.get("volumes", [])
    ]
    for source in mounted:
        assert (FOLDER / source).exists() if source.startswith(".") else source in compose["volumes"]
    for service in compose["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"]), "the service has no log-in"
    (source,) = yaml.safe_load((FOLDER / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((FOLDER / "provisioning/dashboards/jaxresp.yml").read_text())["providers"]
    given = compose["services"]["grafana"]["environment"]
    assert source["url"].removeprefix("$") in given and provider["options"]["path"].removeprefix("$") in given
    targets = yaml.safe_load(compose["configs"]["targets"]["content"])
    assert targets == [{"targets": ["service:3000"]}]


@contextlib.contextmanager
def prometheus(served: Served, folder: Path) -> Iterator[str]:
    """A Prometheus with our configuration, scraping the service more often than usual."""
    program = need("prometheus")
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": f"{SCRAPE_S}s", "evaluation_interval": f"{SCRAPE_S}s"}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    (folder / "targets.yml").write_text(yaml.safe_dump([{"targets": [served.url.removeprefix("http://")]}]))
    shutil.copy(FOLDER / "alerts.yml", folder)
    port = free_port()
    command = [program, "--config.file=prometheus.yml", f"--storage.tsdb.path={folder / 'data'}"]
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], cwd=folder, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)


def load(served: Served, seconds: float) -> None:
    """Requests of every kind, good and bad, for a while."""
    sounds = [encode(breath(duration_s, 4_000, k), 4_000) for k, duration_s in enumerate((4, 12, 25))]
    until = time.monotonic() + seconds

    def client(k: int) -> None:
        while time.monotonic() < until:
            k += 1
            sound = sounds[k % 3]
            served.with_model(NAMES[k % 6], sound)
            served.post("/v1/classify", b"no sound" if k % 2 else sound)
            if k % 4 == 0:
                served.post("/v1/compare", sound)
                served.post("/v1/explain", sound)
                httpx.get(f"{served.url}/v1/models")

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(client, range(0, 30, 10)))


@pytest.mark.slow
def test_every_query_returns_data(served: Served, tmp_path: Path) -> None:
    with prometheus(served, tmp_path) as url, httpx.Client(base_url=url, timeout=60) as client:

        def ask(query: str) -> list[dict[str, Any]]:
            answer = client.get("/api/v1/query", params={"query": query})
            assert answer.status_code == 200, f"{query}: {answer.text}"
            return list(answer.json()["data"]["result"])

        load(served, LOAD_S)
        window = f"{LOAD_S}s"
        for panel in PANELS:
            for target in panel["targets"]:
                query = re.sub(r"\$__(rate_interval|range)", window, target["expr"]).replace("$instance", ".*")
                assert "$" not in query, f"a variable that is not known: {query}"
                found = ask(query)
                assert found, f"{panel['title']}: no data for {query}"
                assert [one for one in found if one["value"][1] != "NaN"], f"{panel['title']}: only NaN for {query}"
                if target["legendFormat"] != "__auto":
                    shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
                    assert all(shown <= set(one["metric"]) for one in found), (
                        f"{panel['title']}: legend without a label"
                    )
        for query in DOCS:
            assert ask(re.sub(r"\[\d+[mh]\]", f"[{window}]", query)), f"docs/monitoring.md: no data for {query}"
        for rule in RULES:  # no data means no alarm, so what stands left of the last comparison must find something
            compared = re.sub(r"\[\d+[mh]\]", f"[{window}]", rule["expr"]).replace(
                "[5m:15s]", f"[{window}:{SCRAPE_S}s]"
            )
            ask(rule["expr"])
            assert ask(_left_of_comparison(compared)), f"{rule['alert']}: no data for {rule['expr']}"
        states = {rule["name"]: rule["health"] for group in _groups(client) for rule in group["rules"]}
        assert states == dict.fromkeys((rule["alert"] for rule in RULES), "ok")
        instances = client.get("/api/v1/label/instance/values", params={"match[]": "jaxresp_ready"}).json()["data"]
        assert instances == [served.url.removeprefix("http://")]


def _left_of_comparison(expr: str) -> str:
    left = re.split(r"\band on\b", expr)[0]
    return re.split(r"\s(?:>|==)\s[\d.e]+\s*$", left.strip())[0]


def _groups(client: httpx.Client) -> list[dict[str, Any]]:
    """The rule groups, once each has been evaluated."""
    until = time.monotonic() + 60
    while True:
        groups = list(client.get("/api/v1/rules").json()["data"]["groups"])
        if all(rule["health"] != "unknown" for group in groups for rule in group["rules"]):
            return groups
        assert time.monotonic() < until, "a rule is never evaluated"
        time.sleep(0.5)
