"""Grafana's JSON model of a dashboard: panels laid out from left to right, row by row."""

from __future__ import annotations

from typing import Any

_COLUMNS = 24
GREEN, YELLOW, RED = "green", "#EAB839", "red"


class Dashboard:
    """Panels laid out from left to right, row by row."""

    def __init__(self) -> None:
        self.panels: list[dict[str, Any]] = []
        self._x = self._y = self._height = 0

    def row(self, title: str) -> None:
        """A heading; what follows stands under it."""
        self._break()
        self._place({"type": "row", "title": title, "collapsed": False, "panels": []}, _COLUMNS, 1)

    def stat(
        self,
        title: str,
        expr: str,
        description: str,
        *,
        unit: str = "short",
        steps: tuple[float, ...] = (),
        width: int = 4,
        decimals: int | None = None,
        words: dict[str, tuple[str, str]] | None = None,
    ) -> None:
        """One number. `steps`: from where it is yellow, from where red; `words`: value → word and colour instead."""
        defaults: dict[str, Any] = {"unit": unit, "thresholds": _thresholds(steps), "color": {"mode": "thresholds"}}
        if decimals is not None:
            defaults["decimals"] = decimals
        if words:
            options = {value: {"text": text, "color": color} for value, (text, color) in words.items()}
            defaults["mappings"] = [{"type": "value", "options": options}]
        shown = {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "value" if steps or words else "none",
            "graphMode": "none" if words else "area",
        }
        self._panel("stat", title, description, [(expr, "")], defaults, shown, width, 4)

    def curves(
        self,
        title: str,
        queries: list[tuple[str, str]],
        description: str,
        *,
        unit: str = "short",
        stacked: bool = False,
        steps: tuple[float, ...] = (),
        width: int = 8,
        most: float | None = None,
    ) -> None:
        """Time series. `queries`: expressions with their legends; `steps`: lines to look out for."""
        custom: dict[str, Any] = {"lineWidth": 1, "fillOpacity": 25 if stacked else 8, "showPoints": "never"}
        custom["stacking"] = {"mode": "normal" if stacked else "none", "group": "A"}
        custom["thresholdsStyle"] = {"mode": "line" if steps else "off"}
        defaults: dict[str, Any] = {"unit": unit, "min": 0, "custom": custom, "thresholds": _thresholds(steps)}
        if most is not None:
            defaults["max"] = most
        options = {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
        self._panel("timeseries", title, description, queries, defaults, options, width, 8)

    def heatmap(self, title: str, expr: str, description: str, *, unit: str, width: int = 8) -> None:
        """How the observations of a histogram are spread, over time."""
        options = {"calculate": False, "yAxis": {"unit": unit}, "color": {"mode": "scheme", "scheme": "Oranges"}}
        self._panel("heatmap", title, description, [(expr, "{{le}}")], {}, options, width, 8, kind="heatmap")

    def table(self, title: str, expr: str, description: str, *, width: int = 8) -> None:
        """The labels of a metric's series."""
        hidden = {name: True for name in ("Time", "Value", "__name__", "instance", "job")}
        transformations = [{"id": "organize", "options": {"excludeByName": hidden}}]
        self._panel("table", title, description, [(expr, "")], {}, {}, width, 8, kind="table")
        self.panels[-1]["transformations"] = transformations

    def _panel(
        self,
        form: str,
        title: str,
        description: str,
        queries: list[tuple[str, str]],
        defaults: dict[str, Any],
        options: dict[str, Any],
        width: int,
        height: int,
        kind: str = "time_series",
    ) -> None:
        source = {"type": "prometheus", "uid": "${datasource}"}
        targets = [
            {
                "refId": chr(ord("A") + i),
                "datasource": source,
                "expr": expr,
                "legendFormat": legend or "__auto",
                "format": kind,
                "instant": kind == "table",
                "range": kind != "table",
            }
            for i, (expr, legend) in enumerate(queries)
        ]
        panel = {"type": form, "title": title, "description": description, "datasource": source, "targets": targets}
        panel |= {"fieldConfig": {"defaults": defaults, "overrides": []}, "options": options}
        self._place(panel, width, height)

    def _place(self, panel: dict[str, Any], width: int, height: int) -> None:
        if self._x + width > _COLUMNS:
            self._break()
        position = {"x": self._x, "y": self._y, "w": width, "h": height}
        self.panels.append({"id": len(self.panels) + 1, "gridPos": position, **panel})
        self._x, self._height = self._x + width, max(self._height, height)

    def _break(self) -> None:
        self._x, self._y, self._height = 0, self._y + self._height, 0


def _thresholds(steps: tuple[float, ...]) -> dict[str, Any]:
    colors = (YELLOW, RED) if len(steps) == 2 else (RED,)
    above = [{"color": color, "value": value} for color, value in zip(colors, steps, strict=False)]
    return {"mode": "absolute", "steps": [{"color": GREEN, "value": None}, *above]}
