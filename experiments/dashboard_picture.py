"""What the dashboard's queries give, drawn by matplotlib: for a look without Grafana, which draws it otherwise.

    python experiments/dashboard_picture.py http://localhost:9090 dashboard.png [--minutes 10]

Takes a few seconds. Needs a Prometheus that scrapes the service (docs/monitoring.md). Heat maps are drawn as their
buckets' curves.
"""

from __future__ import annotations

import argparse
import json
import re
import time
import urllib.parse
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.dates import DateFormatter

DASHBOARD = Path(__file__).resolve().parents[1] / "bento" / "monitoring" / "dashboard.json"
_SCALES = {"s": (1000, "ms"), "percentunit": (100, "%"), "bytes": (1e-6, "MB")}


def ask(url: str, query: str, minutes: float, window_s: int) -> list[dict[str, Any]]:
    """The series of a panel's query over the last minutes."""
    query = re.sub(r"\$__(rate_interval|range)", f"{window_s}s", query).replace("$instance", ".*")
    end = time.time()
    span = {"start": end - 60 * minutes, "end": end, "step": max(1, round(minutes / 4))}
    with urllib.request.urlopen(f"{url}/api/v1/query_range?{urllib.parse.urlencode({'query': query, **span})}") as got:
        series: list[dict[str, Any]] = json.load(got)["data"]["result"]
    return series


def legend(pattern: str, labels: dict[str, str]) -> str:
    """What Grafana writes beside a curve."""
    if pattern == "__auto":
        return ", ".join(value for name, value in labels.items() if name not in ("__name__", "instance", "job"))
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), pattern)


def draw(axes: Axes, panel: dict[str, Any], series: list[tuple[str, dict[str, Any]]]) -> None:
    """One panel."""
    unit = panel["fieldConfig"]["defaults"].get("unit") or panel["options"].get("yAxis", {}).get("unit", "")
    scale, name = (1, "per window") if panel["type"] == "heatmap" else _SCALES.get(unit, (1, unit))
    axes.set_title(panel["title"], fontsize=8, loc="left")
    if panel["type"] in ("stat", "table"):
        lines = [f"{float(one['values'][-1][1]) * scale:.4g} {name}" for _, one in series]
        if panel["type"] == "table":
            lines = [
                " ".join(f"{key}={one['metric'][key]}" for key in ("model", "version", "quick")) for _, one in series
            ]
        axes.text(0.5, 0.5, "\n".join(lines), ha="center", va="center", fontsize=5 if len(lines) > 1 else 14)
        axes.set_axis_off()
        return
    for text, one in series:
        at = [datetime.fromtimestamp(t, UTC) for t, _ in one["values"]]
        axes.plot(at, [float(value) * scale for _, value in one["values"]], lw=1, label=text)
    axes.set_ylabel(name, fontsize=6)
    axes.tick_params(labelsize=6)
    axes.xaxis.set_major_formatter(DateFormatter("%H:%M:%S"))
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=5, loc="upper left", frameon=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("picture", type=Path)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--window-s", type=int, default=60, help="of rates: at least four scrapes")
    given = parser.parse_args()
    panels = [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]
    rows = sorted({panel["gridPos"]["y"] for panel in panels})
    figure = plt.figure(figsize=(18, 2.6 * len(rows)), layout="constrained")
    grid = figure.add_gridspec(len(rows), 24)
    for panel in panels:
        at = panel["gridPos"]
        axes = figure.add_subplot(grid[rows.index(at["y"]), at["x"] : at["x"] + at["w"]])
        series = [
            (legend(target["legendFormat"], one["metric"]), one)
            for target in panel["targets"]
            for one in ask(given.url, target["expr"], given.minutes, given.window_s)
        ]
        draw(axes, panel, series)
    figure.savefig(given.picture, dpi=80)


if __name__ == "__main__":
    main()
