"""Cycles and events cut from recordings: every sample is the recording's, every interval is there once."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxresp.corpus import Annotations, Corpus, CorpusError, IntervalConfig
from jaxresp.taxonomy import CYCLES


@pytest.fixture(scope="module")
def corpus(easy_corpus: Corpus) -> Corpus:
    return easy_corpus.select(np.arange(12))


@settings(deadline=None, max_examples=25)
@given(
    lengths_s=st.lists(st.sampled_from([0.3, 0.9, 1.3, 2.0, 3.1, 7.0]), min_size=1, unique=True).map(sorted),
    fill=st.sampled_from(["repeat", "zero"]),
)
def test_every_interval_is_in_one_bucket_sample_for_sample(corpus, lengths_s, fill):
    config = IntervalConfig(tuple(lengths_s), fill)
    buckets = corpus.intervals(config)
    assert len(buckets) == len(lengths_s)
    seen = np.concatenate([bucket.annotation for bucket in buckets])
    assert sorted(seen.tolist()) == list(range(len(corpus.annotations)))
    for b, (bucket, length_s) in enumerate(zip(buckets, lengths_s, strict=True)):
        length = round(length_s * corpus.rate_hz)
        assert bucket.samples.shape == (len(bucket), length)
        assert bucket.samples.dtype == np.int16
        assert np.all(np.diff(bucket.annotation) > 0)  # in the order of the corpus
        for row, k in enumerate(bucket.annotation.tolist()):
            i = int(bucket.recording[row])
            assert corpus.annotation_offsets[i] <= k < corpus.annotation_offsets[i + 1]
            start, end = (
                round(float(edge[k]) * corpus.rate_hz)
                for edge in (corpus.annotations.start_s, corpus.annotations.end_s)
            )
            sound = corpus.samples[corpus.offsets[i] : corpus.offsets[i + 1]][start:end]
            n = int(bucket.n_samples[row])
            assert bucket.whole[row] == (len(sound) <= length)
            assert n == min(len(sound), length)
            assert b == 0 or len(sound) > round(lengths_s[b - 1] * corpus.rate_hz)  # the shortest that holds it
            expected = np.resize(sound, length) if fill == "repeat" else np.pad(sound[:n], (0, length - n))
            np.testing.assert_array_equal(bucket.samples[row], expected)
            assert bucket.scale[row] == corpus.scale[i]


def test_labels_follow_the_intervals_through_selection_and_buckets(corpus):
    part = corpus.select([7, 2, 5])
    labels = part.labels(CYCLES)
    for bucket in part.intervals(IntervalConfig()):
        for row, k in enumerate(bucket.annotation.tolist()):
            own = part.annotations_of(int(bucket.recording[row]))
            inside = k - int(part.annotation_offsets[bucket.recording[row]])
            assert CYCLES.classes[labels[k]] == own.label[inside]


def _annotated(corpus: Corpus, start_s: float, end_s: float) -> Corpus:
    one = corpus.select([0])
    flag = np.array([False])
    annotations = Annotations(
        np.array([start_s], np.float32), np.array([end_s], np.float32), np.array(["normal"]), flag, flag
    )
    return dataclasses.replace(one, annotations=annotations, annotation_offsets=np.array([0, 1]))


def test_an_interval_that_ends_a_little_late_ends_with_the_sound(corpus):
    duration_s = float(corpus.offsets[1]) / corpus.rate_hz
    (bucket,) = _annotated(corpus, duration_s - 0.5, duration_s + 0.04).intervals(IntervalConfig((1.0,), "zero"))
    n = corpus.rate_hz // 2
    assert abs(int(bucket.n_samples[0]) - n) <= 1
    np.testing.assert_array_equal(
        bucket.samples[0, : bucket.n_samples[0]], corpus.select([0]).samples[-bucket.n_samples[0] :]
    )


def test_what_cannot_be_cut_is_refused(corpus):
    with pytest.raises(CorpusError, match="holds no sample"):
        _annotated(corpus, 1.0, 1.00001).intervals(IntervalConfig())
    one = corpus.select([0])
    bare = dataclasses.replace(
        one,
        annotations=Annotations(*(column[:0] for column in vars(one.annotations).values())),
        annotation_offsets=np.zeros(2, np.int64),
    )
    with pytest.raises(CorpusError, match="no interval is annotated; use its windows"):
        bare.intervals(IntervalConfig())


@pytest.mark.parametrize("lengths_s", [(), (0.0, 1.0), (2.0, 1.0), (1.0, 1.0)])
def test_impossible_lengths_are_refused(lengths_s):
    with pytest.raises(CorpusError, match="shortest first"):
        IntervalConfig(lengths_s)
