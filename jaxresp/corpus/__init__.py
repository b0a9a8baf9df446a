"""A publisher's folder → a prepared TFDS dataset → arrays ready for the device.

    archive.py     files inside a zip archive that was not unpacked
    source.py      what a folder says about every recording, or every fault it has     (made by datasets/*)
    folder.py      what the readers of folders share
    schema.py      the example that every dataset writes and `load` reads
    findings.py    what nobody can mend and everybody should know, such as duplicates
    building.py    prepare: build one with TFDS, whole or not at all
    loading.py     load: open what was built, by its directory and without the builder
    recordings.py  Recordings: the columns, without sound
    table.py       Corpus: the columns with all sound in memory; its windows
    intervals.py   its cycles or events, in a few fixed lengths
    units.py       units: the same cycles or events as rows of a corpus, for whatever takes recordings
    combining.py   combine: several corpora as one
    streaming.py   the windows of what does not fit in memory, by Grain

TFDS and Grain are imported only while a dataset is built, opened or streamed.
"""

from jaxresp.corpus.building import DATASETS, guess_dataset, prepare
from jaxresp.corpus.combining import combine
from jaxresp.corpus.intervals import IntervalConfig, Intervals
from jaxresp.corpus.loading import is_loadable, load, load_recordings, read_metadata
from jaxresp.corpus.recordings import Recordings
from jaxresp.corpus.schema import SPLIT, example_sha256
from jaxresp.corpus.source import Annotations, CorpusError, DatasetError
from jaxresp.corpus.table import Corpus, Windows
from jaxresp.corpus.units import answered_units, interval_corpus, recording_of, units

__all__ = [
    "DATASETS",
    "SPLIT",
    "Annotations",
    "Corpus",
    "CorpusError",
    "DatasetError",
    "IntervalConfig",
    "Intervals",
    "Recordings",
    "Windows",
    "answered_units",
    "combine",
    "example_sha256",
    "guess_dataset",
    "interval_corpus",
    "is_loadable",
    "load",
    "load_recordings",
    "prepare",
    "read_metadata",
    "recording_of",
    "units",
]
