"""What Prometheus is told. Nothing here, neither name nor label, comes from a recording or from its sender.

The metrics live on prometheus_client's default registry. BentoML runs it in multiprocess mode and answers /metrics with
the sum over its workers: a counter or histogram needs nothing for that, a gauge says how its values are joined.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

from bento.errors import ANSWERS, answer_to
from jaxresp.errors import JaxrespError

#: Value of the label `label` when a model would rather not answer.
ABSTAINED = "abstained"
#: How a prediction's reason to abstain begins → value of the label `reason`.
ABSTENTIONS_BY_WORDS = {
    "no class is more probable": "unsure",
    "too short": "too_short",
    "too quiet": "too_quiet",
    "clipped": "clipped",
    "too narrow a band": "narrow_band",
    "it does not sound like": "unfamiliar",
}
OTHER = "other"

#: Upper bounds in seconds of BentoML's request durations; its own have nothing between 50 and 100 ms.
REQUEST_SECONDS = [0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0]
_STEP_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)

PREDICTIONS = Counter("jaxresp_predictions_total", "Answers given", ["model", "label"])
ABSTENTIONS = Counter("jaxresp_abstentions_total", "Answers without a label", ["model", "reason"])
REJECTIONS = Counter("jaxresp_rejections_total", "Requests refused", ["reason"])
CONFIDENCE = Histogram(
    "jaxresp_confidence",
    "Largest calibrated probability of an answer",
    ["model"],
    buckets=(0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0),
)
INFERENCE_SECONDS = Histogram(
    "jaxresp_inference_seconds", "One call of a network on a batch of windows", ["model"], buckets=_STEP_SECONDS
)
QUEUE_SECONDS = Histogram(
    "jaxresp_queue_seconds", "What a sound waits until it is worked on", ["model"], buckets=_STEP_SECONDS
)
DECODE_SECONDS = Histogram(
    "jaxresp_decode_seconds", "Decoding one sound, resampling it and cutting it into windows", buckets=_STEP_SECONDS
)
EXPLAIN_SECONDS = Histogram(
    "jaxresp_explain_seconds", "Finding what in a sound spoke for a class", ["model"], buckets=_STEP_SECONDS
)
BATCH_WINDOWS = Histogram(
    "jaxresp_batch_windows", "Windows in one call of a network", ["model"], buckets=(1, 2, 4, 8, 16, 32, 64, 128)
)
AUDIO_SECONDS = Counter("jaxresp_audio_seconds_total", "Seconds of sound that were decoded")
QUEUED_SOUNDS = Gauge(
    "jaxresp_queued_sounds", "Sounds that wait to be worked on", ["model"], multiprocess_mode="livesum"
)
IN_PROGRESS = Gauge(
    "jaxresp_classifications_in_progress",
    "Sounds that are being decoded, wait, or are being classified",
    multiprocess_mode="livesum",
)
COMPILATIONS = Counter("jaxresp_compilations_total", "Programs XLA compiled; must not rise once the service is ready")
COMPILE_SECONDS = Counter("jaxresp_compile_seconds_total", "Seconds XLA spent on compiling, or on reading its cache")
READY = Gauge("jaxresp_ready", "1 once all models are loaded and compiled", multiprocess_mode="livemin")
MODEL_INFO = Gauge(
    "jaxresp_model_info", "The models being served", ["model", "version", "quick"], multiprocess_mode="livemax"
)
CPU_SECONDS = Counter("jaxresp_process_cpu_seconds_total", "Processor time of the service's workers")
RESIDENT_BYTES = Gauge(
    "jaxresp_process_resident_bytes", "Resident memory of the service's workers", multiprocess_mode="livesum"
)
THREADS = Gauge("jaxresp_process_threads", "Threads of the service's workers", multiprocess_mode="livesum")
OPEN_FILES = Gauge(
    "jaxresp_process_open_files", "Open files and connections of the service's workers", multiprocess_mode="livesum"
)
START_TIME = Gauge(
    "jaxresp_process_start_time_seconds", "When the oldest worker started, in Unix time", multiprocess_mode="livemin"
)

_COUNTED = "_jaxresp_counted"
_COMPILE_EVENT = "/jax/core/compile/backend_compile_duration"


def _count_compilation(event: str, duration_secs: float, **_: str | int) -> None:
    if event == _COMPILE_EVENT:
        COMPILATIONS.inc()
        COMPILE_SECONDS.inc(duration_secs)


def count_compilations() -> None:
    """Count every program XLA compiles in this process from now on, the networks' and stray ones alike."""
    import jax.monitoring  # here, because the process that merges the metrics of others does without JAX

    jax.monitoring.register_event_duration_secs_listener(_count_compilation)


def count_rejection(error: JaxrespError) -> None:
    """Count a refused request under its reason: once, however many layers the error passes on its way out."""
    if getattr(error, _COUNTED, False):
        return
    setattr(error, _COUNTED, True)
    REJECTIONS.labels(reason=answer_to(error)[1]).inc()


def count_prediction(model: str, prediction: Mapping[str, Any]) -> None:
    """Count an answer under its label, or under its reason to give none, and how sure it is.

    Args:
        model: the name of the model that answered.
        prediction: its answer, as Prediction.to_json gives it.
    """
    label = ABSTAINED if prediction["abstained"] else prediction["label"]
    PREDICTIONS.labels(model=model, label=label).inc()
    CONFIDENCE.labels(model=model).observe(max(prediction["probabilities"].values()))
    if prediction["abstained"]:
        ABSTENTIONS.labels(model=model, reason=abstention_reason(prediction["reason"])).inc()


def abstention_reason(words: str | None) -> str:
    """A prediction's reason to abstain → one of finitely many values of the label `reason`."""
    return next((code for start, code in ABSTENTIONS_BY_WORDS.items() if (words or "").startswith(start)), OTHER)


def expect(classes: Mapping[str, Iterable[str]]) -> None:
    """Make every series there will ever be, at zero: the first event of a kind is then a rise and not a new series.

    Args:
        classes: the labels of each model, by its name.
    """
    for reason in {reason for _, reason in ANSWERS.values()} | {OTHER}:
        REJECTIONS.labels(reason=reason)
    for model, labels in classes.items():
        for label in (*labels, ABSTAINED):
            PREDICTIONS.labels(model=model, label=label)
        for reason in (*ABSTENTIONS_BY_WORDS.values(), OTHER):
            ABSTENTIONS.labels(model=model, reason=reason)
        for metric in (CONFIDENCE, INFERENCE_SECONDS, QUEUE_SECONDS, EXPLAIN_SECONDS, BATCH_WINDOWS, QUEUED_SOUNDS):
            metric.labels(model=model)
