"""A made-up corpus in ICBHI's own file layout, so that a demonstration and the tests need no download.

It shows that the program works. It says nothing about patients.

    cohort.py     who is recorded, and how: SyntheticConfig, matched so that only the sound tells the class
    sounds.py     breath noise, wheezes, crackles, heart, stethoscope
    recording.py  one recording put together from them
    writing.py    the files
    full_size.py  a corpus of ICBHI's size, for benchmarks; it asks the builder in datasets/ what was published
"""

from jaxresp.synthetic.cohort import SyntheticConfig, SyntheticConfigError
from jaxresp.synthetic.writing import write_corpus

__all__ = ["SyntheticConfig", "SyntheticConfigError", "write_corpus"]
