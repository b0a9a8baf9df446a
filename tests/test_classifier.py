"""Laws of a Classifier and of its directory.

One small Classifier is compiled for the whole file, on one-second windows.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
import soundfile
from jaxtyping import TypeCheckError

from jaxresp import audio, classifier, gate, models
from jaxresp.calibration import Calibration, Conformal, InvalidPrevalence
from jaxresp.classifier import (
    BUCKETS,
    Classifier,
    ClassifierAltered,
    ClassifierMissing,
    ClassifierOfAnotherSchema,
    Spec,
    classifier_name,
    untrained,
)
from jaxresp.classifier_files import SCHEMA_VERSION, json_bytes, sealed
from jaxresp.errors import JaxrespError
from jaxresp.features import window_features
from jaxresp.files import sha256
from jaxresp.frontend import FRONTENDS, FrontEnd, Mfcc
from jaxresp.models import NetworkConfig
from jaxresp.pooling import pool
from jaxresp.prediction import NOTICE, Prediction
from jaxresp.taxonomy import BINARY, MULTICLASS, TASKS
from jaxresp.train import Fit, Standardisation
from jaxresp.window import WindowConfig

FILES = ("config.json", "weights.npz", "calibration.json", "card.md", "provenance.json")
SPEC = Spec("multiclass-mfcc", MULTICLASS, Mfcc(), NetworkConfig("cnn1d", 2, 8), WindowConfig(1.0, 1.0), seed=3)
PROVENANCE = {"corpus": {"name": "icbhi"}, "training_patients": ["101", "102"], "ratio": 0.1}
RATE_HZ = 16_000


@pytest.fixture(scope="module")
def ours() -> Classifier:
    """Random weights, warm."""
    _, weights = models.create(SPEC.network, SPEC.frontend.n_coefficients, 3, seed=3)
    size = SPEC.frontend.n_coefficients
    by = Standardisation(np.linspace(-5, 5, size, dtype=np.float32), np.full(size, 10.0, np.float32))
    made = Classifier.from_fit(SPEC, Fit(weights, by, 1, 0.5), card="# Card: ≤ 5 µm\n", provenance=PROVENANCE)
    made.warm_up()
    return made


@pytest.fixture(scope="module")
def saved(ours: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classifiers") / "multiclass-mfcc"
    ours.save(folder)
    return folder


@pytest.fixture
def copied(saved: Path, tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).write_bytes((saved / name).read_bytes())
    return tmp_path


def sound(seconds: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    n = round(seconds * RATE_HZ)
    tone = np.sin(2 * np.pi * (300 + 100 * seed) * np.arange(n) / RATE_HZ)
    return (0.05 * rng.standard_normal(n) + 0.1 * tone).astype(np.float32)


def recorded(seconds: float, seed: int = 0) -> audio.Recording:
    return audio.from_samples(sound(seconds, seed), RATE_HZ)


def wav(seconds: float, gain: float = 1.0, subtype: str = "PCM_16") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, gain * sound(seconds), RATE_HZ, subtype, format="WAV")
    return file.getvalue()


def windows(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    samples = rng.integers(-30_000, 30_000, (n, RATE_HZ), dtype=np.int16)
    return samples, rng.uniform(1e-6, 1e-4, n).astype(np.float32)


def same_answer(a: Prediction, b: Prediction, atol: float = 1e-6) -> None:
    assert a.label == b.label
    for one, other in ((a.probabilities, b.probabilities), *zip(_timeline(a), _timeline(b), strict=True)):
        assert list(one) == list(other)
        np.testing.assert_allclose(list(one.values()), list(other.values()), atol=atol)


def _timeline(prediction: Prediction) -> list[dict[str, float]]:
    return [each.probabilities for each in prediction.windows]


# Answering


def test_nothing_compiles_after_warm_up_and_a_padded_batch_answers_as_its_windows_alone(ours: Classifier) -> None:
    samples, scale = windows(40)
    before, features_before = ours.trace_count(), window_features._cache_size()
    alone = np.concatenate([ours.logits(samples[i : i + 1], scale[i : i + 1]) for i in range(40)])
    for n in range(1, 41):
        together = ours.logits(samples[:n], scale[:n])
        np.testing.assert_allclose(models.probabilities(together), models.probabilities(alone[:n]), atol=1e-6)
    assert ours.trace_count() == before == len(BUCKETS) + 1  # and what an explanation needs
    assert window_features._cache_size() == features_before
    assert len(np.unique(alone, axis=0)) == 40


def test_shapes_that_are_not_wanted_are_not_compiled(tmp_path: Path) -> None:
    untrained("binary-mfcc").save(tmp_path / "it")
    few, many = Classifier.load(tmp_path / "it"), Classifier.load(tmp_path / "it")
    few.buckets = (1,)
    few.warm_up()
    assert few.trace_count() == 2, "a window's network, and what an explanation needs"
    length = few.window.length_samples(few.frontend.rate_hz)
    samples = np.random.default_rng(0).integers(-30_000, 30_000, (7, length), dtype=np.int16)
    scale = np.full(7, 1e-5, np.float32)
    np.testing.assert_allclose(few.logits(samples, scale), many.logits(samples, scale), atol=1e-4)
    assert few.trace_count() == 2


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_a_cpu_computes_no_window_that_nobody_sent_and_an_accelerator_is_called_seldom(
    ours: Classifier, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    samples, scale = windows(40)
    alone = np.concatenate([ours.logits(samples[i : i + 1], scale[i : i + 1]) for i in range(40)])
    calls: list[int] = []

    def counted(frontend: FrontEnd, samples: np.ndarray, scale: np.ndarray) -> jax.Array:
        calls.append(len(samples))
        return window_features(frontend, samples, scale)

    monkeypatch.setattr(classifier, "window_features", counted)
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    for n in (1, 2, 3, 4, 5, 15, 16, 17, 40):
        calls.clear()
        together = ours.logits(samples[:n], scale[:n])
        np.testing.assert_allclose(models.probabilities(together), models.probabilities(alone[:n]), atol=1e-6)
        assert set(calls) <= set(BUCKETS)
        assert sum(calls) == n if backend == "cpu" else len(calls) == -(-n // BUCKETS[-1])


def test_windows_of_several_recordings_may_share_a_batch(ours: Classifier) -> None:
    parts = [ours.cut(recorded(seconds, seed)) for seed, seconds in enumerate((1.0, 3.5, 6.0))]
    joined = ours.logits(np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]))
    alone = [ours.logits(samples, scale) for samples, scale, _ in parts]
    expected = models.probabilities(np.concatenate(alone))
    np.testing.assert_allclose(models.probabilities(joined), expected, atol=1e-6)


def test_path_bytes_file_and_recording_are_answered_alike(ours: Classifier, tmp_path: Path) -> None:
    data, path = wav(3.4), tmp_path / "sound.wav"
    path.write_bytes(data)
    expected = ours.predict(path)
    for source in (str(path), data, io.BytesIO(data), audio.read_audio(path)):
        assert ours.predict(source) == expected
    assert expected == ours.predict(path)


@pytest.mark.parametrize("gain", [0.01, 0.5, 4.0])
def test_loudness_changes_no_answer(ours: Classifier, gain: float) -> None:
    same_answer(ours.predict(wav(3.4, gain, "FLOAT")), ours.predict(wav(3.4, 1.0, "FLOAT")), atol=1e-3)


def test_the_answer_is_the_pooled_logits_of_the_windows_and_the_timeline_each_alone(ours: Classifier) -> None:
    recording = recorded(3.4)
    samples, scale, _ = ours.cut(recording)
    logits = ours.logits(samples, scale)
    answer = ours.predict(recording)
    pooled = models.probabilities(pool(logits, np.zeros(len(logits), int), 1))[0]
    np.testing.assert_allclose(list(answer.probabilities.values()), pooled, atol=1e-6)
    assert answer.label == MULTICLASS.classes[pooled.argmax()]
    assert [w.start_s for w in answer.windows] == pytest.approx([0.0, 1.0, 2.0, 2.4])
    assert [w.end_s for w in answer.windows] == pytest.approx([1.0, 2.0, 3.0, 3.4])
    for window, own in zip(answer.windows, models.probabilities(logits), strict=True):
        np.testing.assert_allclose(list(window.probabilities.values()), own, atol=1e-6)


def test_an_answer_in_json_has_its_keys_and_probabilities_that_sum_to_one(ours: Classifier) -> None:
    answer = json.loads(json.dumps(ours.predict(recorded(2.0)).to_json(), allow_nan=False))
    assert set(answer) == {
        "label", "probabilities", "abstained", "reason", "windows", "audio", "warnings", "model", "possible",
        "prevalence", "notice",
    }  # fmt: skip
    assert list(answer["probabilities"]) == list(MULTICLASS.classes)
    for probabilities in (answer["probabilities"], *(w["probabilities"] for w in answer["windows"])):
        assert sum(probabilities.values()) == pytest.approx(1.0)
    assert answer["model"] == {
        "name": "multiclass-mfcc", "version": "unsaved", "task": "multiclass", "features": "mfcc",
    }  # fmt: skip
    assert answer["notice"] == NOTICE
    assert answer["abstained"] is False and answer["reason"] is None and answer["warnings"] == []


def test_a_short_recording_is_answered_with_a_warning(ours: Classifier) -> None:
    answer = ours.predict(recorded(0.6))
    (window,) = answer.windows
    assert (window.start_s, window.end_s) == (0.0, pytest.approx(0.6))
    assert any("0.6 s" in warning and "repeated" in warning for warning in answer.warnings)


def test_clipping_is_told(ours: Classifier) -> None:
    clipped = np.clip(30 * sound(2.0), -1, 1)
    assert any("clipped" in warning for warning in ours.predict(audio.from_samples(clipped, RATE_HZ)).warnings)


def test_what_is_no_sound_is_an_audio_error_by_its_name(ours: Classifier) -> None:
    with pytest.raises(audio.AudioError, match=r"note\.wav"):
        ours.predict(b"this is a text", name="note.wav")


# Calibration, on logits given by hand: nothing is compiled


def by_hand(ours: Classifier, calibration: Calibration | None = None, binary: bool = False) -> Classifier:
    spec = replace(ours.spec, name="binary-mfcc", task=BINARY) if binary else ours.spec
    return Classifier(spec, ours._graph, ours._weights, ours._standardisation, calibration=calibration)


def answer(by: Classifier, logits: list[list[float]]) -> Prediction:
    start_s = np.arange(len(logits), dtype=np.float32)
    return by.answer(recorded(len(logits)), np.array(logits, np.float32), start_s)


@pytest.mark.parametrize(("logit", "label"), [(-0.5, "Normal"), (0.5, "Abnormal")])
def test_a_binary_answer_spells_out_both_classes(ours: Classifier, logit: float, label: str) -> None:
    said = answer(by_hand(ours, binary=True), [[logit]])
    p = 1 / (1 + np.exp(-logit))
    assert said.probabilities == pytest.approx({"Normal": 1 - p, "Abnormal": p}, abs=1e-6)
    assert said.label == label == max(said.probabilities, key=said.probabilities.__getitem__)


def test_it_abstains_below_its_threshold_and_says_why(ours: Classifier) -> None:
    careful = by_hand(ours, Calibration(abstain_below=0.6))
    unsure, sure = answer(careful, [[0.1, 0.0, 0.0]]), answer(careful, [[3.0, 0.0, 0.0]])
    assert (unsure.label, unsure.abstained) == (None, True)
    assert unsure.reason is not None and "0.60" in unsure.reason
    assert sum(unsure.probabilities.values()) == pytest.approx(1.0)
    assert (sure.label, sure.abstained, sure.reason) == ("Normal", False, None)


def test_calibration_acts_after_pooling_and_leaves_the_timeline_alone(ours: Classifier) -> None:
    logits = [[2.0, 0.0, -1.0], [0.0, 1.0, 0.0]]
    calibration = Calibration("by hand", temperature=2.0, class_bias=(0.0, 0.0, 3.0))
    said, plain = answer(by_hand(ours, calibration), logits), answer(by_hand(ours), logits)
    np.testing.assert_allclose(
        list(said.probabilities.values()),
        models.probabilities(np.array([[0.5, 0.25, 2.75]], np.float32))[0],
        atol=1e-6,
    )
    assert (plain.label, said.label) == ("Normal", "Infection")
    assert said.windows == plain.windows


def test_classes_that_are_not_ruled_out_and_the_prevalence_are_told(ours: Classifier) -> None:
    sets = Conformal(0.1, (0.5, 0.9, None), (9, 9, 2))
    fitted = Calibration("by hand", fitted_prevalence=(0.25, 0.25, 0.5), conformal=sets)
    said = answer(by_hand(ours, fitted), [[np.log(6.0), np.log(3.0), 0.0]])  # .6, .3, .1
    assert said.possible == ("Normal", "Chronic", "Infection")
    assert said.prevalence == {"Normal": 0.25, "Chronic": 0.25, "Infection": 0.5}
    surer = answer(by_hand(ours, fitted), [[0.0, np.log(18.0), 0.0]])  # .05, .9, .05: nothing is promised of the last
    assert surer.possible == ("Chronic", "Infection")
    plain = answer(by_hand(ours), [[0.0, 0.0, 0.0]])
    assert plain.possible is None and plain.prevalence is None


def test_a_recording_that_the_gate_refuses_gets_a_reason_and_no_label(ours: Classifier, tmp_path: Path) -> None:
    size = gate.N_SHAPE
    identity = tuple(tuple(float(i == j) for j in range(size)) for i in range(size))
    strict = gate.Gate(9, 3.0, -90.0, 100.0, (0.0,) * size, identity, 1e6)
    sets = Calibration("by hand", conformal=Conformal(0.1, (None, None, None), (2, 2, 2)))
    parts = (ours.spec, ours._graph, ours._weights, ours._standardisation)
    own = Classifier(*parts, calibration=sets, gate=strict)
    refused, taken = own.predict(recorded(2.0)), own.predict(recorded(3.4))
    plain = ours.predict(recorded(2.0))
    assert (refused.label, refused.abstained) == (None, True)
    assert refused.reason is not None and refused.reason.startswith("too short: 2.0 s")
    assert refused.possible is None and taken.possible == ("Normal", "Chronic", "Infection")
    assert refused.probabilities == plain.probabilities and refused.windows == plain.windows
    assert replace(taken, possible=None) == ours.predict(recorded(3.4))
    own.save(tmp_path / "c")
    assert Classifier.load(tmp_path / "c").gate == strict


def test_another_prevalence_moves_probabilities_by_bayes_rule_and_no_set(ours: Classifier) -> None:
    sets = Conformal(0.1, (0.5, 0.9, 0.9), (9, 9, 9))
    fitted = by_hand(ours, Calibration("by hand", fitted_prevalence=(0.25, 0.25, 0.5), conformal=sets))
    wanted = {"Normal": 0.9, "Chronic": 0.05, "Infection": 0.05}
    moved, logits = fitted.at_prevalence(wanted), [[0.3, 0.1, -0.2]]
    before, after = answer(fitted, logits), answer(moved, logits)
    odds = np.array([*before.probabilities.values()]) * np.array([0.9, 0.05, 0.05]) / np.array([0.25, 0.25, 0.5])
    np.testing.assert_allclose([*after.probabilities.values()], odds / odds.sum(), atol=1e-6)
    assert after.prevalence == wanted and after.possible == before.possible
    assert answer(fitted, logits) == before  # the one it was made from is as it was
    for wrong in ({"Normal": 1.0}, {"Normal": 0.5, "Chronic": 0.5, "Infection": 0.0}, {**wanted, "Healthy": 0.0},
                  {"Normal": 0.9, "Chronic": 0.9, "Infection": 0.9}):  # fmt: skip
        with pytest.raises(InvalidPrevalence, match="a share above 0"):
            fitted.at_prevalence(wrong)
    with pytest.raises(InvalidPrevalence, match="not calibrated"):
        by_hand(ours).at_prevalence(wanted)


# The directory


def test_a_saved_classifier_comes_back_and_answers_identically(ours: Classifier, saved: Path) -> None:
    loaded = Classifier.load(saved)
    samples, scale = windows(1)
    np.testing.assert_array_equal(loaded.logits(samples, scale), ours.logits(samples, scale))
    assert loaded.spec == ours.spec
    assert (loaded.card, loaded.provenance, loaded.calibration) == (ours.card, PROVENANCE, Calibration())
    assert (loaded.name, loaded.task, loaded.classes) == ("multiclass-mfcc", MULTICLASS, MULTICLASS.classes)
    assert set(path.name for path in saved.iterdir()) == set(FILES)


def test_a_calibration_comes_back(ours: Classifier, tmp_path: Path) -> None:
    sets = Conformal(0.1, (0.5, None, 0.75), (9, 8, 40))
    calibration = Calibration("by hand", 1.5, (0.1, -0.2, 0.0), 0.4, (0.2, 0.3, 0.5), (0.5, 0.25, 0.25), sets)
    by_hand(ours, calibration).save(tmp_path / "c")
    assert Classifier.load(tmp_path / "c").calibration == calibration


def test_the_version_says_what_is_in_it(ours: Classifier, saved: Path, tmp_path: Path) -> None:
    version = Classifier.load(saved).version
    assert ours.save(tmp_path / "again") == version
    assert Classifier.load(saved).save(tmp_path / "loaded") == version
    assert by_hand(ours, Calibration(temperature=2.0)).save(tmp_path / "other") != version
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (saved / name).read_bytes()


def test_saving_again_replaces_all(ours: Classifier, copied: Path, tmp_path: Path) -> None:
    target = tmp_path / "here"
    target.mkdir()
    (target / "left over").write_text("of another time")
    ours.save(target)
    assert set(path.name for path in target.iterdir()) == set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_any_altered_byte_is_found(copied: Path, name: str) -> None:
    data = (copied / name).read_bytes()
    for position in sorted({0, *np.random.default_rng(0).integers(len(data), size=20).tolist(), len(data) - 1}):
        changed = bytearray(data)
        changed[position] ^= 1
        (copied / name).write_bytes(changed)
        with pytest.raises(ClassifierAltered, match=name):
            Classifier.load(copied)
    for changed in (data[:-1], data + b"\n", b""):
        (copied / name).write_bytes(changed)
        with pytest.raises(ClassifierAltered, match=name):
            Classifier.load(copied)
    (copied / name).write_bytes(data)
    Classifier.load(copied)


def test_patients_cannot_be_struck_from_the_provenance(copied: Path) -> None:
    """They keep a Classifier from being evaluated on those it was trained on."""
    stored = json.loads((copied / "provenance.json").read_text())
    stored["training_patients"].remove("101")
    (copied / "provenance.json").write_bytes(json_bytes(stored))
    with pytest.raises(ClassifierAltered, match=r"provenance\.json"):
        Classifier.load(copied)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(copied: Path, name: str) -> None:
    (copied / name).unlink()
    with pytest.raises(ClassifierMissing, match=rf"{name}.*jaxresp"):
        Classifier.load(copied)


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClassifierMissing, match="nowhere"):
        Classifier.load(tmp_path / "nowhere")


@pytest.mark.parametrize("other", [SCHEMA_VERSION - 1, SCHEMA_VERSION + 1])
def test_another_schema_is_told_apart_from_damage(copied: Path, other: int) -> None:
    config = json.loads((copied / "config.json").read_text())
    config["schema_version"] = other
    (copied / "config.json").write_bytes(json_bytes(config))
    provenance = json.loads((copied / "provenance.json").read_text())
    provenance["files"]["config.json"] = sha256(copied / "config.json")
    del provenance["sha256"]
    (copied / "provenance.json").write_bytes(sealed(provenance))
    with pytest.raises(
        ClassifierOfAnotherSchema, match=rf"version {other}.*reads version {SCHEMA_VERSION}.*train again"
    ):
        Classifier.load(copied)


def test_a_task_of_ones_own_travels_with_the_classifier(ours: Classifier, tmp_path: Path) -> None:
    task = replace(MULTICLASS, name="own", classes=("a", "b", "c"), label_of={"x": "a", "y": "b", "z": "c"})
    spec = replace(ours.spec, name="own-mfcc", task=task)
    Classifier(spec, ours._graph, ours._weights, ours._standardisation).save(tmp_path / "c")
    assert Classifier.load(tmp_path / "c").task == task


def test_an_untrained_classifier_of_each_name_says_that_it_knows_nothing() -> None:
    for task in TASKS.values():
        for frontend in FRONTENDS.values():
            assert classifier_name(task, frontend()) == f"{task.name}-{frontend.name}"
    made = untrained("multiclass-literature-augmented")
    assert (made.task.name, made.frontend.name) == ("multiclass-literature", "augmented")
    assert "never trained" in made.card
    for wrong in ("mfcc", "binary-nothing", "nothing-mfcc"):
        with pytest.raises(JaxrespError, match="there is no"):
            untrained(wrong)


def test_windows_of_another_shape_are_refused_in_tests(ours: Classifier) -> None:
    with pytest.raises(TypeCheckError):
        ours.logits(np.zeros((2, 3, 4), np.int16), np.ones(2, np.float32))


_FORBIDDING = """
import sys
FORBIDDEN = {"tensorflow_datasets", "tensorflow", "mlflow", "optuna", "bentoml", "gradio", "sklearn", "pandas",
             "matplotlib", "librosa"}
class Guard:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in FORBIDDEN:
            raise ImportError(f"{name} is not installed here")
sys.meta_path.insert(0, Guard())
from pathlib import Path
from jaxresp.classifier import Classifier
loaded = Classifier.load(Path(sys.argv[1]))
print(list(loaded.predict(sys.argv[2]).probabilities.values()))
assert not FORBIDDEN & set(sys.modules)
"""


def test_it_loads_and_answers_where_no_training_framework_is_installed(
    ours: Classifier, saved: Path, tmp_path: Path
) -> None:
    path = tmp_path / "sound.wav"
    path.write_bytes(wav(1.0))
    done = subprocess.run(
        [sys.executable, "-c", _FORBIDDING, str(saved), str(path)],
        capture_output=True, text=True, cwd=Path(classifier.__file__).parent.parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    expected = list(ours.predict(path).probabilities.values())
    np.testing.assert_allclose(json.loads(done.stdout), expected, atol=1e-5)
