"""`jaxresp data`: what a newcomer reads, and what a fetch says and leaves."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from jaxresp.cli import cli, main
from jaxresp.fetch.folder import RECEIPT
from jaxresp.fetch.sources import SOURCES, Archive, Copy, File, Source

from .fetch.conftest import Host, Trick, host, sha256_of  # noqa: F401
