"""TFDS's own test of a builder, where TensorFlow is installed (`pip install -e .[tf-tests]`), and its twin without it.

TFDS wants a folder of dummy data beside the builder. Ours is made up when the test runs, so that no sound is committed.
"""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest
import tensorflow_datasets as tfds

from jaxresp.corpus.schema import FLOATS, INTEGERS, SPLIT, TEXTS
from jaxresp.synthetic import write_corpus

CONFIGS = ("recordings_16k", "recordings_8k", "recordings_4k", "recordings_native", "cycles_16k")


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None or importlib.util.find_spec("dill") is None,
    reason="TFDS's own test needs TensorFlow and dill: pip install -e .[tf-tests]",
)
@pytest.mark.filterwarnings("default")  # TensorFlow's own
def test_tfds_own_test_of_a_builder(builder_module, made_up, tmp_path, monkeypatch):
    import unittest

    from tensorflow_datasets import testing

    class Partial(builder_module.Builder, skip_registration=True):
        """The dummy folder is a part of ICBHI."""

        name = "icbhi"
        pkg_dir_path = builder_module.Builder.pkg_dir_path

        def __init__(self, **kwargs):
            super().__init__(partial=True, **kwargs)

    dummy = write_corpus(tmp_path / "dummy", made_up)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    ran = []
    for config in CONFIGS:
        examples = "cycles" if config.startswith("cycles") else SPLIT
        n_cycles = sum(len(text.read_text().splitlines()) for text in dummy.glob("ICBHI_final_database/*.txt"))
        case = type(
            "TestBuilder",
            (testing.DatasetBuilderTestCase,),
            {
                "DATASET_CLASS": Partial,
                "BUILDER_CONFIG_NAMES_TO_TEST": [config],
                "EXAMPLE_DIR": str(dummy),
                "SPLITS": {examples: n_cycles if examples == "cycles" else len(list(dummy.rglob("*.wav")))},
                "SKIP_TF1_GRAPH_MODE": True,
                "MOCK_OUT_FORBIDDEN_OS_FUNCTIONS": False,  # we read folders with pathlib and write with our own hands
            },
        )
        result = unittest.TestResult()
        unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
        assert [text for _, text in [*result.failures, *result.errors]] == []
        ran.append(result.testsRun)
    assert min(ran) >= 4


@pytest.mark.parametrize("config", CONFIGS)
def test_a_builder_is_what_tfds_expects_of_one(builder_module, pristine, tmp_path, config):
    """What its own test looks at, without TensorFlow: metadata, splits, keys, features, and reading back."""
    builder = builder_module.Builder(data_dir=tmp_path, config=config, file_format="array_record", partial=True)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=pristine))
    n_cycles = sum(len(text.read_text().splitlines()) for text in pristine.glob("ICBHI_final_database/*.txt"))
    n = n_cycles if config == "cycles_16k" else len(list(pristine.rglob("*.wav")))
    (split,) = builder.info.splits.values()
    assert (split.name, split.num_examples) == (builder.examples, n)
    assert builder.info.citation and builder.info.description and builder.info.homepage
    assert builder.info.disable_shuffling
    assert builder.VERSION in [tfds.core.Version(version) for version in builder.RELEASE_NOTES]

    again = tfds.builder_from_directory(builder.data_dir)
    assert str(again.info.features) == str(builder.info.features)
    source = again.as_data_source(split.name)
    assert len(source) == n
    expected = {"audio", *TEXTS, *FLOATS, *INTEGERS}
    expected |= (
        {"start_s", "end_s", "crackle", "wheeze", "label", "number", "cut"} if config == "cycles_16k" else {"cycles"}
    )
    seen = set()
    for example in source:
        assert set(example) == expected == set(builder.info.features)
        assert example["audio"].dtype == np.int16 and example["audio"].ndim == 1 and example["audio"].size
        seen.add((example["recording"], example.get("number", 0)))
    assert len(seen) == n
    metadata = json.loads((builder.data_path / "metadata.json").read_text())
    assert (metadata["total_examples"], metadata["examples"], metadata["partial"]) == (n, split.name, True)
