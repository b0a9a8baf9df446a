"""A publisher's folder → a prepared TFDS dataset → arrays ready for the device.

    archive.py   files inside a zip archive that was not unpacked
    source.py    what a folder says about every recording, or every fault it has     (read by datasets/*)
    schema.py    the example that every dataset writes and `load` reads
    findings.py  what nobody can mend and everybody should know, such as duplicates
    building.py  prepare: build one with TFDS, whole or not at all
    loading.py   load: open what was built, by its directory and without the builder
    table.py     Corpus: the arrays

TFDS is imported only while a dataset is built or opened.
"""

from jaxresp.corpus.building import DATASETS, guess_dataset, prepare
from jaxresp.corpus.loading import is_loadable, load, read_metadata
from jaxresp.corpus.schema import SPLIT, example_sha256
from jaxresp.corpus.source import Annotations, CorpusError, DatasetError
from jaxresp.corpus.table import Corpus, Windows, combine

__all__ = [
    "DATASETS",
    "SPLIT",
    "Annotations",
    "Corpus",
    "CorpusError",
    "DatasetError",
    "Windows",
    "combine",
    "example_sha256",
    "guess_dataset",
    "is_loadable",
    "load",
    "prepare",
    "read_metadata",
]
