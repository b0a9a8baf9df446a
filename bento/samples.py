"""Every sample of the service's metrics, added up over its workers, read in a few milliseconds.

prometheus_client's MultiProcessCollector says the same (a test compares them) but parses every key anew and takes 17 ms
for 1,500 samples: too much for a page that asks every few seconds.
"""

from __future__ import annotations

import functools
import json
import operator
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from prometheus_client import REGISTRY
from prometheus_client.mmap_dict import MmapedDict

from bento.metrics_folder import multiprocess_folder

#: Pairs of name and value, sorted.
Labels = tuple[tuple[str, str], ...]
#: The value of every series: by the sample's name, then by its labels.
Samples = Mapping[str, Mapping[Labels, float]]

_PREFIXES = ("jaxresp_", "bentoml_service_")
#: How the values of two processes become one, by a gauge's multiprocess mode; counters and histograms have none.
_JOIN: dict[str, Callable[[float, float], float]] = {"": operator.add, "sum": operator.add, "min": min, "max": max}


def read_samples() -> Samples:
    """The value of every series now. Histogram buckets are plain counts, not added up as on /metrics."""
    folder = multiprocess_folder()
    return _in_this_process() if folder is None else read_folder(folder)


def read_folder(folder: Path) -> Samples:
    """The values in a multiprocess folder, joined over processes as each metric says."""
    samples: dict[str, dict[Labels, float]] = {}
    for path in sorted(folder.glob("*.db")):
        kind, _, mode = path.stem.rpartition("_")[0].partition("_")  # "counter_12.db", "gauge_livesum_12.db"
        join = _JOIN.get(mode.removeprefix("live"))
        if join is None:
            continue  # one value per process, which none of ours is
        for text, value in _file(path, missing_ok=kind == "gauge"):
            name, labels = _key(text)
            if name.startswith(_PREFIXES):
                values = samples.setdefault(name, {})
                values[labels] = join(values[labels], value) if labels in values else value
    return samples


def total(samples: Samples, name: str, *by: str) -> dict[tuple[str, ...], float]:
    """The values of one name, added up over all labels but those of `by`, whose values are the keys."""
    sums: dict[tuple[str, ...], float] = {}
    for labels, value in samples.get(name, {}).items():
        key = _values(labels, by)
        sums[key] = sums.get(key, 0.0) + value
    return sums


@functools.lru_cache(maxsize=16_384)
def _values(labels: Labels, by: tuple[str, ...]) -> tuple[str, ...]:
    given = dict(labels)
    return tuple(given.get(label, "") for label in by)


def _file(path: Path, *, missing_ok: bool) -> Iterator[tuple[str, float]]:
    try:
        rows = MmapedDict.read_all_values_from_file(str(path))
    except FileNotFoundError:  # a worker ended just now, and its gauges with it
        if not missing_ok:
            raise
        return
    for text, value, _, _ in rows:
        yield text, value


@functools.lru_cache(maxsize=16_384)
def _key(text: str) -> tuple[str, Labels]:
    _, name, labels, _ = json.loads(text)
    return name, tuple(sorted(labels.items()))


def _in_this_process() -> Samples:
    samples: dict[str, dict[Labels, float]] = {}
    for metric in REGISTRY.collect():
        if not metric.name.startswith(_PREFIXES):
            continue
        below: dict[Labels, float] = {}
        for sample in metric.samples:
            if sample.name.endswith(("_count", "_created")):
                continue  # not kept in the folder either; a count is the sum of the buckets
            labels, value = tuple(sorted(sample.labels.items())), sample.value
            if sample.name.endswith("_bucket"):  # back to plain counts
                others = tuple(pair for pair in labels if pair[0] != "le")
                below[others], value = value, value - below.get(others, 0.0)
            samples.setdefault(sample.name, {})[labels] = value
    return samples
