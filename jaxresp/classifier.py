"""The released thing: a directory that training leaves and everything else loads. Needs no training framework.

config.json       schema_version, name, task, front end, network, window, pooling, cohort, versions, seed
weights.npz       network parameters, batch statistics, the standardisation of the features
calibration.json  temperature, class bias, prevalence, abstention, sets of classes, quality gate
card.md           model card
provenance.json   SHA-256 of the files above, and of dataset, split, code and configuration; MLflow study
"""

from __future__ import annotations

import copy
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array, Float32, Int16

import jaxresp
from jaxresp import audio, models
from jaxresp.calibration import Calibration
from jaxresp.classifier_files import (
    SCHEMA_VERSION,
    ClassifierAltered,
    ClassifierError,
    ClassifierMissing,
    ClassifierOfAnotherSchema,
    read_files,
    write_files,
)
from jaxresp.cohort import Cohort
from jaxresp.explain import attribute_with
from jaxresp.explanation import Explanation
from jaxresp.features import window_features
from jaxresp.frontend import FrontEnd, frontend_from_dict, frontend_named
from jaxresp.gate import Gate, Measured
from jaxresp.models import NetworkConfig, Weights, storage
from jaxresp.pooling import pool
from jaxresp.prediction import Prediction, WindowProbabilities
from jaxresp.taxonomy import Task, UnknownClass, task_named
from jaxresp.train import Fit, Standardisation, from_arrays, standardise, to_arrays
from jaxresp.window import WindowConfig, cut_windows, window_starts

__all__ = [
    "BUCKETS",
    "SCHEMA_VERSION",
    "Classifier",
    "ClassifierAltered",
    "ClassifierError",
    "ClassifierMissing",
    "ClassifierOfAnotherSchema",
    "Spec",
    "classifier_name",
    "untrained",
]

BUCKETS: tuple[int, ...] = (1, 4, 16)  # windows per compiled call: a short clip, 20 s, 80 s


@dataclass(frozen=True)
class Spec:
    """Everything about a Classifier but its arrays.

    Attributes:
        name: "<task>-<features>", such as "binary-mfcc".
        task: the question.
        frontend: waveform → features.
        network: features → logits.
        window: how a recording is cut.
        seed: of the final fit.
        cohort: whom and what it was trained on; None when on nobody.
    """

    name: str
    task: Task
    frontend: FrontEnd
    network: NetworkConfig
    window: WindowConfig = WindowConfig()
    seed: int = 0
    cohort: Cohort | None = None

    def to_dict(self) -> dict[str, Any]:
        task = self.task
        return {
            "name": self.name,
            "task": {
                "name": task.name,
                "unit": task.unit,
                "classes": list(task.classes),
                "label_of": dict(task.label_of),
                "reads": task.reads,
            },
            "frontend": self.frontend.to_dict(),
            "network": self.network.to_dict(),
            "window": asdict(self.window),
            "seed": self.seed,
            "cohort": self.cohort and self.cohort.to_dict(),
        }

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> Spec:
        task = config["task"]
        return cls(
            name=config["name"],
            task=Task(task["name"], task["unit"], tuple(task["classes"]), task["label_of"], task["reads"]),
            frontend=frontend_from_dict(config["frontend"]),
            network=NetworkConfig(**config["network"]),
            window=WindowConfig(**config["window"]),
            seed=config["seed"],
            cohort=config["cohort"] and Cohort.from_dict(config["cohort"]),
        )


class Classifier:
    """Sound in, answer out. Make one with `Classifier.load`.

    Attributes:
        buckets: windows in a compiled call, smallest first and 1 among them; to be changed before `warm_up`.
    """

    def __init__(
        self,
        spec: Spec,
        graph: nnx.GraphDef,
        weights: Weights,
        standardisation: Standardisation,
        *,
        calibration: Calibration | None = None,
        gate: Gate | None = None,
        card: str = "",
        provenance: Mapping[str, Any] | None = None,
        version: str = "unsaved",
    ):
        self.spec, self.calibration, self.card, self.version = spec, calibration or Calibration(), card, version
        self.gate, self.provenance = gate, dict(provenance or {})
        self._graph = graph  # its arrays lie where it computes, or every call would bring them there
        self._weights, self._standardisation = jax.device_put((weights, standardisation))
        self.buckets: tuple[int, ...] = BUCKETS
        self._traces = 0

        def network(
            weights: Weights, by: Standardisation, features: Float32[Array, "n frames coefficients"]
        ) -> Float32[Array, "n outputs"]:
            self._traces += 1  # runs when traced, not when called
            return models.apply(graph, weights, jax.numpy.asarray(standardise(features, by)))

        self._network = jax.jit(network)
        attribute = attribute_with(spec.frontend, graph)

        def counted(*arguments: Any) -> Float32[Array, "frames bands"]:
            self._traces += 1
            return attribute(*arguments)

        self._attribute = jax.jit(counted)

    @classmethod
    def from_fit(cls, spec: Spec, fit: Fit, **details: Any) -> Classifier:
        """What a training left in memory."""
        graph, _ = models.create(spec.network, spec.frontend.n_coefficients, spec.task.n_outputs, seed=0)
        return cls(spec, graph, fit.weights, fit.standardisation, **details)

    name = property(lambda self: self.spec.name)
    task = property(lambda self: self.spec.task)
    frontend = property(lambda self: self.spec.frontend)
    window = property(lambda self: self.spec.window)
    classes = property(lambda self: self.spec.task.classes)

    # Answering

    def predict(
        self,
        source: str | Path | bytes | audio.BinaryFile | audio.Recording,
        name: str | None = None,
        age_years: float | None = None,
    ) -> Prediction:
        """Any sound file, its bytes, or a Recording → the answer.

        Args:
            source: the sound.
            name: what messages call it.
            age_years: the patient's, if known; it changes no probability, but warns outside of training's ages.

        Raises:
            AudioError: the sound cannot be used; says why.
        """
        recording = source if isinstance(source, audio.Recording) else self.decode(source, name=name)
        samples, scale, start_s = self.cut(recording)
        return self.answer(recording, self.logits(samples, scale), start_s, age_years)

    def decode(self, source: str | Path | bytes | audio.BinaryFile, name: str | None = None) -> audio.Recording:
        """Read a sound onto the grid this Classifier was trained on."""
        return audio.read_audio(source, rate_hz=self.frontend.rate_hz, name=name)

    def cut(
        self, recording: audio.Recording
    ) -> tuple[Int16[np.ndarray, "windows time"], Float32[np.ndarray, " windows"], Float32[np.ndarray, " windows"]]:
        """A recording → its windows, their scale, and where they begin in seconds."""
        rate_hz = recording.rate_hz
        samples = cut_windows(recording.samples, rate_hz, self.window)
        starts = window_starts(recording.samples.size, rate_hz, self.window)
        return samples, np.full(len(samples), recording.scale, np.float32), (starts / rate_hz).astype(np.float32)

    def logits(
        self, samples: Int16[np.ndarray, "windows time"], scale: Float32[np.ndarray, " windows"]
    ) -> Float32[np.ndarray, "windows outputs"]:
        """Windows, of one recording or of many, → logits. Safe to call from several threads."""
        parts, first = [], 0
        while first < len(samples):
            bucket = self._bucket(len(samples) - first)
            some, its_scale = samples[first : first + bucket], scale[first : first + bucket]
            missing = bucket - len(some)
            if missing:
                some, its_scale = np.pad(some, ((0, missing), (0, 0))), np.pad(its_scale, (0, missing))
            features = window_features(self.frontend, some, its_scale)
            logits = np.asarray(self._network(self._weights, self._standardisation, features))
            parts.append(logits[: bucket - missing])
            first += bucket
        return np.concatenate(parts)

    def answer(
        self,
        recording: audio.Recording,
        logits: Float32[np.ndarray, "windows outputs"],
        start_s: Float32[np.ndarray, " windows"],
        age_years: float | None = None,
        seen: Measured | None = None,
    ) -> Prediction:
        """Window logits → the answer for the recording: pooled, calibrated, perhaps withheld.

        `seen` is what the gate looks at, where it was measured before: several Classifiers may answer about one
        recording.
        """
        pooled = pool(logits, np.zeros(len(logits), np.int64), 1)
        calibration = self.calibration
        probability = calibration.probabilities(pooled)[0]
        refused = self.gate and self.gate.refusal(recording, seen)
        possible = None if refused else calibration.possible(pooled)
        prevalence = calibration.prevalence or calibration.fitted_prevalence
        reason = refused or calibration.withheld(probability)
        each = np.asarray(models.probabilities(logits))
        facts, length_s = recording.facts, self.window.length_s
        return Prediction(
            label=None if reason else self.classes[int(probability.argmax())],
            probabilities=self._by_class(probability),
            abstained=reason is not None,
            reason=reason,
            windows=tuple(
                WindowProbabilities(float(s), min(float(s) + length_s, facts.duration_s), self._by_class(p))
                for s, p in zip(start_s, each, strict=True)
            ),
            audio=facts,
            warnings=self._warnings(facts, age_years),
            model={
                "name": self.name,
                "version": self.version,
                "task": self.task.name,
                "features": self.frontend.name,
            },
            possible=None if possible is None else tuple(np.array(self.classes)[possible[0]].tolist()),
            prevalence=dict(zip(self.classes, prevalence, strict=True)) if prevalence else None,
        )

    def at_prevalence(self, prevalence: Mapping[str, float]) -> Classifier:
        """The same Classifier for patients among whom the classes are otherwise frequent.

        Raises:
            InvalidPrevalence: no shares of this Classifier's classes, or it is not calibrated.
        """
        other = copy.copy(self)
        other.calibration = self.calibration.at_prevalence(self.classes, prevalence)
        return other

    def explain(self, recording: audio.Recording, of_class: str | None = None) -> Explanation:
        """Which moments of a recording spoke for a class.

        Args:
            recording: as `decode` returns it.
            of_class: one of `classes`; by default the most probable one.

        Raises:
            UnknownClass: a class that this Classifier does not know.
        """
        samples, scale, start_s = self.cut(recording)
        if of_class is None:
            pooled = pool(self.logits(samples, scale), np.zeros(len(samples), np.int64), 1)
            of_class = self.classes[int(self.calibration.probabilities(pooled)[0].argmax())]
        if of_class not in self.classes:
            raise UnknownClass(
                f"{self.name} knows no class {of_class[:40]!r}; choose from {', '.join(map(repr, self.classes))}"
            )
        number = np.int32(self.classes.index(of_class))
        cells = [
            np.asarray(self._attribute(self._weights, self._standardisation, features, number))
            for features in (
                window_features(self.frontend, samples[i : i + 1], scale[i : i + 1]) for i in range(len(samples))
            )
        ]
        return Explanation(
            of_class,
            start_s,
            self.window.length_s,
            recording.facts.duration_s,
            np.stack(cells),
            self.frontend.band_centres_hz,
        )

    def _by_class(self, probability: Float32[np.ndarray, " classes"]) -> dict[str, float]:
        return {name: float(p) for name, p in zip(self.classes, probability, strict=True)}

    def _warnings(self, facts: audio.AudioFacts, age_years: float | None) -> tuple[str, ...]:
        found = []
        if facts.duration_s < self.window.length_s:
            found.append(
                f"the recording lasts {facts.duration_s:.1f} s and was repeated to fill {self.window.length_s:g} s"
            )
        if self.task.labels_intervals and facts.duration_s > self.window.length_s:
            found.append(
                f"this model answers about one {self.task.unit}, and {facts.duration_s:.1f} s may hold several: "
                "cut them out"
            )
        if facts.clipped_fraction > 0.001:
            found.append(f"{facts.clipped_fraction:.1%} of the samples are clipped")
        cohort = self.spec.cohort
        return (*found, *(cohort.warnings(facts, age_years) if cohort else ()))

    def warm_up(self) -> None:
        """Compile every shape that `logits` and `explain` can meet, so that nobody waits for it later."""
        length = self.window.length_samples(self.frontend.rate_hz)
        for bucket in self.buckets:
            self.logits(np.zeros((bucket, length), np.int16), np.ones(bucket, np.float32))
        silence = window_features(self.frontend, np.zeros((1, length), np.int16), np.ones(1, np.float32))
        self._attribute(self._weights, self._standardisation, silence, np.int32(0)).block_until_ready()

    def _bucket(self, n_windows: int) -> int:
        """How many windows to take in the next call, of so many.

        A CPU spends the same time on each window whatever their number, so none is added to fill a shape up. An
        accelerator hardly notices them, and does notice another call.
        """
        if jax.default_backend() == "cpu":
            return max(size for size in self.buckets if size <= n_windows)
        return next((size for size in self.buckets if size >= n_windows), self.buckets[-1])

    def trace_count(self) -> int:
        """How often the network was traced so far; it does not rise after `warm_up`."""
        return self._traces

    # The directory

    def save(self, directory: Path) -> str:
        """Write the directory, whole or not at all. Returns the version: a hash of what it holds."""
        versions = {"jaxresp": jaxresp.__version__, "jax": jax.__version__, "python": platform.python_version()}
        return write_files(
            directory,
            config={**self.spec.to_dict(), "pooling": "mean_logit", "versions": versions},
            weights=storage.pack(to_arrays(self._weights, self._standardisation)),
            calibration={**self.calibration.to_dict(), "gate": None if self.gate is None else self.gate.to_dict()},
            card=self.card,
            provenance=self.provenance,
        )

    @classmethod
    def load(cls, directory: Path) -> Classifier:
        """Read a directory and verify every file by its hash.

        Raises:
            ClassifierMissing: the directory or a file of it is not there.
            ClassifierAltered: a file differs from what training left.
            ClassifierOfAnotherSchema: another schema version.
        """
        files = read_files(directory)
        spec = Spec.from_dict(files.config)
        arrays = storage.unpack(files.weights)
        graph, weights, by = from_arrays(arrays, spec.network, spec.frontend.n_coefficients, spec.task.n_outputs)
        return cls(
            spec,
            graph,
            weights,
            by,
            calibration=Calibration.from_dict({key: each for key, each in files.calibration.items() if key != "gate"}),
            gate=None if files.calibration["gate"] is None else Gate.from_dict(files.calibration["gate"]),
            card=files.card,
            provenance=files.provenance,
            version=files.version,
        )


def classifier_name(task: Task, frontend: FrontEnd) -> str:
    return f"{task.name}-{frontend.name}"


def untrained(name: str, seed: int = 0, *, filters: int = 4, dense: int = 8) -> Classifier:
    """A Classifier with random weights under one of the six names: it answers, and knows nothing.

    For trying out what stands around a Classifier. Its card says so.

    Args:
        name: "<task>-<features>".
        seed: of the weights.
        filters: of the first block; small by default, so that it is compiled and asked quickly.
        dense: units of the dense layer.
    """
    task_name, _, frontend_name = name.rpartition("-")
    task, frontend = task_named(task_name), frontend_named(frontend_name)()
    network = NetworkConfig(frontend.network, filters, dense)
    graph, weights = models.create(network, frontend.n_coefficients, task.n_outputs, seed)
    size = frontend.n_coefficients
    return Classifier(
        replace(Spec(name, task, frontend, network), seed=seed),
        graph,
        weights,
        Standardisation(np.zeros(size, np.float32), np.full(size, 10.0, np.float32)),
        card=f"# {name}\n\nRandom weights: this Classifier was never trained and knows nothing.\n",
    )
