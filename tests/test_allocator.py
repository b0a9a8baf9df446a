"""What the allocator is told, seen by the pages that the kernel has to make. glibc only."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

#: Takes and frees 40 MB fifty times, as steps do, and prints the page faults of the last forty-nine.
STEPS = """
import resource, sys
from jaxresp import allocator

if sys.argv[1] == "kept":
    allocator.keep_freed()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
bytearray(40_000_000)
before = faults()
for _ in range(49):
    bytearray(40_000_000)
print(faults() - before)
if sys.argv[1] == "kept":
    resident = lambda: int(open("/proc/self/statm").read().split()[1])
    held = resident()
    allocator.give_back()
    print(held - resident())
"""
PAGES = 40_000_000 // os.sysconf("SC_PAGE_SIZE")

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not os.confstr("CS_GNU_LIBC_VERSION"), reason="the C library is not glibc"
)


def told(how: str) -> list[int]:
    # Without transparent huge pages, of which one fault makes many.
    environment = os.environ | {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=0"}
    run = subprocess.run(
        [sys.executable, "-c", STEPS, how], env=environment, capture_output=True, text=True, check=True
    )
    return [int(word) for word in run.stdout.split()]


def test_what_was_freed_is_kept_and_given_back_when_asked() -> None:
    faults, released = told("kept")
    assert faults < PAGES / 10
    assert released > PAGES / 2


def test_by_default_every_page_is_made_again() -> None:
    """Else there would be nothing to keep."""
    (faults,) = told("as usual")
    assert faults > 20 * PAGES
