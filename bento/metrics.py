"""What Prometheus is told. Nothing here, neither name nor label, comes from a recording or from its sender.

The metrics live on prometheus_client's default registry, which BentoML merges into its own /metrics.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from bento.errors import answer_to
from jaxresp.errors import JaxrespError

#: Value of the label `label` when a model would rather not answer.
ABSTAINED = "abstained"

PREDICTIONS = Counter("jaxresp_predictions_total", "Answers given", ["model", "label"])
REJECTIONS = Counter("jaxresp_rejections_total", "Requests refused", ["reason"])
INFERENCE_SECONDS = Histogram(
    "jaxresp_inference_seconds",
    "One call of a network on a batch of windows",
    ["model"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)
DECODE_SECONDS = Histogram(
    "jaxresp_decode_seconds",
    "Decoding one sound, resampling it and cutting it into windows",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
BATCH_WINDOWS = Histogram(
    "jaxresp_batch_windows", "Windows in one call of a network", ["model"], buckets=(1, 2, 4, 8, 16, 32, 64, 128)
)
AUDIO_SECONDS = Counter("jaxresp_audio_seconds_total", "Seconds of sound that were decoded")
COMPILATIONS = Counter("jaxresp_compilations_total", "Programs XLA compiled; must not rise once the service is ready")
READY = Gauge("jaxresp_ready", "1 once all models are loaded and compiled", multiprocess_mode="livemin")
MODEL_INFO = Gauge(
    "jaxresp_model_info", "The models being served", ["model", "version", "quick"], multiprocess_mode="livemax"
)

_COMPILE_EVENT = "/jax/core/compile/backend_compile_duration"


def _count_compilation(event: str, duration_secs: float, **_: str | int) -> None:
    if event == _COMPILE_EVENT:
        COMPILATIONS.inc()


def count_compilations() -> None:
    """Count every program XLA compiles in this process from now on, the networks' and stray ones alike."""
    import jax.monitoring  # here, because the process that merges the metrics of others does without JAX

    jax.monitoring.register_event_duration_secs_listener(_count_compilation)


def count_rejection(error: JaxrespError) -> None:
    """Count a refused request under its reason."""
    REJECTIONS.labels(reason=answer_to(error)[1]).inc()
