"""Writes dashboard.json, the Grafana dashboard: `python -m bento.monitoring.make_dashboard`.

The panels are listed here, one call each, because their JSON is a thousand lines that nobody reviews. Queries use only
what Grafana replaces itself: $instance, $__rate_interval and $__range.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bento.monitoring.grafana import GREEN, RED, Dashboard

PATH = Path(__file__).with_name("dashboard.json")

API = 'instance=~"$instance",endpoint=~"/v1/.*"'
OURS = 'instance=~"$instance"'


def rate(metric: str, selector: str = OURS) -> str:
    """The rate of a counter's series."""
    return f"rate({metric}{{{selector}}}[$__rate_interval])"


def mean(histogram: str, by: str = "") -> str:
    """The mean of a histogram's observations."""
    grouped = f"sum by ({by}) " if by else "sum"
    return f"{grouped}({rate(f'{histogram}_sum')}) / {grouped}({rate(f'{histogram}_count')})"


def quantile(q: float, histogram: str, by: str = "", selector: str = OURS) -> str:
    """A quantile of a histogram's observations."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({labels}) ({rate(f'{histogram}_bucket', selector)}))"


REQUESTS, SECONDS = "bentoml_service_request_total", "bentoml_service_request_duration_seconds"
REFUSED = f"sum({rate('jaxresp_rejections_total')})"
ANSWERED = f"sum({rate('jaxresp_predictions_total')})"
FAILED = API + ',http_response_code=~"5.."'
FAILED_SHARE = f"sum({rate(REQUESTS, FAILED)}) / sum({rate(REQUESTS, API)})"


def glance(board: Dashboard) -> None:
    """Is it well?"""
    board.row("At a glance")
    board.stat(
        "State",
        f"min(jaxresp_ready{{{OURS}}})",
        "Ready once every model is loaded, verified and compiled.",
        words={"1": ("Ready", GREEN), "0": ("Not ready", RED)},
    )
    board.stat("Requests", f"sum({rate(REQUESTS, API)})", "Requests to the API per second.", unit="reqps")
    board.stat(
        "Slowest in a hundred",
        quantile(0.99, SECONDS, selector=API),
        "99 % of the API's responses take at most this long.",
        unit="s",
        steps=(0.5, 2),
    )
    board.stat(
        "Failed",
        FAILED_SHARE,
        "Share of the API's requests that end in 5xx: faults of ours, and overload (503, 504).",
        unit="percentunit",
        steps=(0.001, 0.01),
    )
    board.stat(
        "Refused",
        f"{REFUSED} / ({REFUSED} + {ANSWERED})",
        "Share of sounds that got no answer, by the API and the page: unusable sounds, wrong forms, overload.",
        unit="percentunit",
        steps=(0.2, 0.5),
    )
    board.stat(
        "Compiled while serving",
        f"sum(increase(jaxresp_compilations_total{{{OURS}}}[5m]) and "
        f"(time() - jaxresp_process_start_time_seconds{{{OURS}}} > 600)) or vector(0)",
        "Programs XLA compiled in the last five minutes, by a service older than ten. Somebody waited for each.",
        steps=(1,),
        decimals=0,
    )


def traffic(board: Dashboard) -> None:
    """Who asks for what?"""
    board.row("Traffic")
    board.curves(
        "Requests by route",
        [(f"sum by (endpoint) ({rate(REQUESTS)})", "{{endpoint}}")],
        "By the route's template. /ui is the page with its own polling; /other is every address that does not exist.",
        unit="reqps",
        stacked=True,
    )
    board.curves(
        "Work in hand",
        [
            (f"sum(jaxresp_classifications_in_progress{{{OURS}}})", "sounds in progress"),
            (f"sum(jaxresp_queued_sounds{{{OURS}}})", "sounds waiting"),
        ],
        "Windows that wait for minutes mean more work than the processors can do.",
    )
    board.curves(
        "Sound decoded",
        [(f"sum({rate('jaxresp_audio_seconds_total')})", "seconds of sound per second")],
        "100 means a hundred times as fast as the sounds would play.",
    )


def latency(board: Dashboard) -> None:
    """How long does it take, and where does the time go?"""
    board.row("Latency")
    board.curves(
        "Response time of the API",
        [(quantile(q, SECONDS, selector=API), f"p{100 * q:g}") for q in (0.5, 0.95, 0.99)],
        "From the first byte of a request to the last of its response, so a slow upload counts too.",
        unit="s",
        steps=(2,),
    )
    board.curves(
        "p95 by route",
        [(quantile(0.95, SECONDS, by="endpoint", selector=API), "{{endpoint}}")],
        "/v1/compare asks six models and /v1/classify_many answers many sounds: compare a route with its own past.",
        unit="s",
    )
    board.heatmap(
        "Spread of response times",
        f"sum by (le) (increase({SECONDS}_bucket{{{API}}}[$__rate_interval]))",
        "Two bands: two kinds of request, such as short and long recordings.",
        unit="s",
    )
    board.curves(
        "Where the time goes",
        [
            (mean("jaxresp_decode_seconds"), "decode, resample, cut"),
            (mean("jaxresp_queue_seconds"), "wait for a thread"),
            (mean("jaxresp_inference_seconds"), "network, per batch"),
        ],
        "Mean seconds of each step.",
        unit="s",
        stacked=True,
        width=6,
    )
    board.curves(
        "Network, p95 by model",
        [(quantile(0.95, "jaxresp_inference_seconds", by="model"), "{{model}}")],
        "One call of a network on a batch of windows.",
        unit="s",
        width=6,
    )
    board.curves(
        "Explanation, p95 by model",
        [(quantile(0.95, "jaxresp_explain_seconds", by="model"), "{{model}}")],
        "Finding what in a sound spoke for a class: a gradient of the network, many times.",
        unit="s",
        width=6,
    )
    board.curves(
        "Windows per call",
        [(mean("jaxresp_batch_windows", by="model"), "{{model}}")],
        "Windows of waiting requests are joined, up to the largest batch: there the network is saturated.",
        width=6,
    )


def errors(board: Dashboard) -> None:
    """What goes wrong, and whose fault is it?"""
    board.row("Errors and rejections")
    board.curves(
        "Responses by status",
        [(f"sum by (http_response_code) ({rate(REQUESTS, API)})", "{{http_response_code}}")],
        "4xx: the sender's mistake, named in the response. 503: overload. Any other 5xx: ours.",
        unit="reqps",
        stacked=True,
    )
    board.curves(
        "Refused by reason",
        [(f"sum by (reason) ({rate('jaxresp_rejections_total')}) > 0", "{{reason}}")],
        "Every reason is explained in bento/README.md.",
        unit="reqps",
        stacked=True,
    )
    board.curves(
        "Failed share",
        [(FAILED_SHARE, "5xx")],
        "Of the API's requests.",
        unit="percentunit",
        steps=(0.01,),
    )


def models(board: Dashboard) -> None:
    """What do they say?"""
    board.row("Models")
    board.curves(
        "Answers by model",
        [(f"sum by (model) ({rate('jaxresp_predictions_total')})", "{{model}}")],
        "Answers per second, those without a label included.",
        unit="ops",
        stacked=True,
    )
    share = f"sum by (model, label) ({rate('jaxresp_predictions_total')})"
    board.curves(
        "Share of each label",
        [
            (
                f"({share} / on (model) group_left sum by (model) ({rate('jaxresp_predictions_total')})) > 0",
                "{{model}}: {{label}}",
            )
        ],
        "A share that moves means other recordings than before, or something broken in front of the service.",
        unit="percentunit",
        most=1,
    )
    board.curves(
        "Confidence, median",
        [(quantile(0.5, "jaxresp_confidence", by="model"), "{{model}}")],
        "Largest calibrated probability of an answer. A fall means recordings unlike those of the training.",
        unit="percentunit",
        most=1,
    )
    board.heatmap(
        "Spread of confidence",
        f"sum by (le) (increase(jaxresp_confidence_bucket{{{OURS}}}[$__rate_interval]))",
        "All models together.",
        unit="percentunit",
    )
    board.curves(
        "Answers without a label",
        [(f"sum by (reason) ({rate('jaxresp_abstentions_total')})", "{{reason}}")],
        "A model abstains rather than guess: unsure when no class is probable enough, else for what the sound lacks.",
        unit="ops",
    )
    board.table("Models served", f"jaxresp_model_info{{{OURS}}}", "Which version answers, and which one quickly.")


def resources(board: Dashboard) -> None:
    """What does it need?"""
    board.row("Resources")
    board.curves(
        "Processors in use",
        [(f"sum by (instance) ({rate('jaxresp_process_cpu_seconds_total')})", "{{instance}}")],
        "1 is one processor, fully.",
    )
    board.curves(
        "Memory",
        [(f"sum by (instance) (jaxresp_process_resident_bytes{{{OURS}}})", "{{instance}}")],
        "Resident memory of the processes; flat once every route was used.",
        unit="bytes",
        steps=(3e9,),
    )
    board.curves(
        "Threads and open files",
        [
            (f"sum by (instance) (jaxresp_process_threads{{{OURS}}})", "threads, {{instance}}"),
            (f"sum by (instance) (jaxresp_process_open_files{{{OURS}}})", "open files, {{instance}}"),
        ],
        "Open files include connections; one that only rises is a leak.",
    )
    board.curves(
        "Programs compiled",
        [(f"sum by (instance) (jaxresp_compilations_total{{{OURS}}})", "{{instance}}")],
        "Rises only while the service starts.",
    )
    board.curves(
        "Seconds since the start",
        [(f"time() - min by (instance) (jaxresp_process_start_time_seconds{{{OURS}}})", "{{instance}}")],
        "A saw-tooth is a service that is restarted again and again.",
        unit="s",
    )
    board.curves(
        "Time of a scrape",
        [(f'scrape_duration_seconds{{job="jaxresp",{OURS}}}', "{{instance}}")],
        "What Prometheus waits for /metrics.",
        unit="s",
    )


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana's JSON model."""
    board = Dashboard()
    for rows in (glance, traffic, latency, errors, models, resources):
        rows(board)
    instance = {
        "name": "instance",
        "label": "Server",
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "query": {"query": "label_values(jaxresp_ready, instance)", "refId": "instance"},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }
    source = {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
    return {
        "uid": "jaxresp",
        "title": "jaxresp: respiratory-sound service",
        "description": "A research demonstration, not a medical device. How to read it: docs/monitoring.md.",
        "tags": ["jaxresp"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "15s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [source, instance]},
        "panels": board.panels,
    }


def text() -> str:
    """The file's content."""
    return json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.write_text(text())
