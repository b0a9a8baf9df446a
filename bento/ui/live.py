"""The Metrics tab: the running service in numbers, from the counters that Prometheus reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from bento.live import Live, Moment, Route
from bento.ui.words import percent, seconds, span

_HISTORY_S = 600.0


def numbers(live: Live) -> str:
    """Tiles, a curve of the last minutes, and tables of what was asked, answered and refused."""
    return (
        f'<section class="jr-card" aria-label="The service now">{_tiles(live)}{_curve(live.history)}</section>'
        f'<div class="jr-columns">{_routes(live.routes)}{_predictions(live.predictions)}'
        f"{_reasons('Abstentions', live.abstentions)}{_reasons('Refused, by reason', live.rejections)}</div>"
        '<p class="jr-note">Rates, times and shares are of the last '
        f"{live.window_s:.0f} s; counts are since the start. The figures and the curve at the top are of the API "
        "(/v1/…) alone; this page asks under /ui, and what it was answered stands under Answers. The same numbers, and "
        'more, are at <a href="../metrics">/metrics</a> for Prometheus.</p>'
    )


def _tiles(live: Live) -> str:
    error = "–" if live.error_rate is None else percent(live.error_rate)
    tiles = {
        "API requests": f"{live.requests:,}".replace(",", " "),
        "Per second": f"{live.per_second:.2g}" if live.per_second < 10 else f"{live.per_second:.0f}",
        "Median response": seconds(live.p50_s),
        "95th percentile": seconds(live.p95_s),
        "99th percentile": seconds(live.p99_s),
        "Errors (5xx)": error,
        "In progress": str(live.in_progress),
        "Sounds waiting": str(live.queued_sounds),
        "Up for": span(live.uptime_s),
        "Processors in use": f"{live.cpu_share:.2f}",
        "Memory": f"{live.resident_bytes / 2**20:.0f} MiB",
        "Sound heard": span(live.audio_s),
        "Compilations": str(live.compilations),
    }
    state = "Ready" if live.ready else "Not ready"
    items = "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in tiles.items())
    return f'<p class="jr-state" data-ready="{str(live.ready).lower()}">{state}</p><dl class="jr-tiles">{items}</dl>'


def _curve(history: Sequence[Moment]) -> str:
    """Requests per second over the last ten minutes; what failed lies over it in the colour of errors."""
    top = max([1.0, *(moment.per_second for moment in history)])

    def area(values: Sequence[float], kind: str) -> str:
        if not values:
            return ""
        at = [1000 * (1 - min(moment.age_s, _HISTORY_S) / _HISTORY_S) for moment in history]
        points = " ".join(f"{x:.1f},{100 - 96 * v / top:.1f}" for x, v in zip(at, values, strict=True))
        return f'<polygon class="{kind}" points="{at[0]:.1f},100 {points} {at[-1]:.1f},100"/>'

    rate, errors = [m.per_second for m in history], [m.errors_per_second for m in history]
    scale = f'<span class="jr-hz" style="top:0">{top:.3g}</span><span class="jr-hz" style="bottom:0">0</span>'
    now = f"{rate[-1]:.2g} now" if rate else "no measurement yet"
    return (
        '<div class="jr-row jr-curve"><div class="jr-title"><h3>Requests per second, last ten minutes</h3></div>'
        f'<div class="jr-plot">{scale}<svg viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" '
        f'aria-label="Requests per second: {now}, '
        f'at most {top:.3g}">{area(rate, "jr-wave")}{area(errors, "jr-failed")}</svg></div>'
        '<div class="jr-axis" aria-hidden="true"><span style="left:0">10 min ago</span><span style="left:50%">5</span>'
        '<span style="left:100%">now</span></div></div>'
    )


def _routes(routes: Sequence[Route]) -> str:
    rows = "".join(
        f'<tr><th scope="row"><code>{escape(route.route)}</code></th><td>{sum(route.by_status.values())}</td>'
        f"<td>{_statuses(route.by_status)}</td><td>{seconds(route.p50_s)}</td><td>{seconds(route.p95_s)}</td></tr>"
        for route in routes
    )
    head = (
        "<th scope='col'>Route</th><th scope='col'>Requests</th><th scope='col'>Status</th><th scope='col'>Median</th>"
    )
    return _table("Routes", f"{head}<th scope='col'>95th</th>", rows, wide=True)


def _statuses(by_status: Mapping[str, int]) -> str:
    return " ".join(
        f'<span class="jr-status" data-kind="{escape(status[:1])}">{escape(status)}<small> × {n}</small></span>'
        for status, n in by_status.items()
    )


def _predictions(predictions: Mapping[str, Mapping[str, int]]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(model)}</th><td>{escape(label)}</td><td>{n}</td></tr>'
        for model, by_label in sorted(predictions.items())
        for label, n in sorted(by_label.items())
        if n
    )
    return _table("Answers", "<th scope='col'>Model</th><th scope='col'>Label</th><th scope='col'>Answers</th>", rows)


def _reasons(title: str, by_reason: Mapping[str, int]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(reason.replace("_", " "))}</th><td>{n}</td></tr>'
        for reason, n in by_reason.items()
    )
    return _table(title, "<th scope='col'>Reason</th><th scope='col'>Count</th>", rows)


def _table(title: str, head: str, rows: str, *, wide: bool = False) -> str:
    body = (
        f'<div class="jr-scroll" tabindex="0" role="region" aria-label="{title}"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
        if rows
        else '<p class="jr-small">None so far.</p>'
    )
    return f'<section class="jr-card{" jr-wide" if wide else ""}"><h3>{title}</h3>{body}</section>'
