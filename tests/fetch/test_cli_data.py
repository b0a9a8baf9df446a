"""`jaxresp data`: what a newcomer reads, and what a fetch says and leaves."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from jaxresp import cli, cli_data
from jaxresp.fetch import folder
from jaxresp.fetch.folder import RECEIPT
from jaxresp.fetch.sources import SOURCES, Archive, Copy, File, Source

from .conftest import QUICK, Trick, sha256_of


def call(*words: str | Path) -> tuple[int, str, str]:
    """Status, output and errors of a command, through the entry point that users call."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as left:
        cli.main([str(word) for word in words])
    return int(left.value.code or 0), out.getvalue(), err.getvalue()


@pytest.fixture
def source(host, monkeypatch) -> Source:
    """A corpus of two files on a host of ours, under ICBHI's name."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("ICBHI_final_database/101_1b1_Al_sc_Meditron.wav", b"RIFF" * 1000)
    data = stream.getvalue()
    made = Source(
        "icbhi",
        "a made-up corpus",
        "https://publisher.example",
        "do with it what you like",
        (
            File(
                "a.zip", (Copy(host.url("a.zip", data), "here", len(data), sha256_of(data)),), 10**6, Archive(9, 10**6)
            ),
            File("ICBHI_Challenge_diagnosis.txt", (Copy(host.url("d", b"101\tURTI\n"), "here", 9),), 100),
        ),
    )
    monkeypatch.setitem(cli_data.SOURCES, "icbhi", made)
    monkeypatch.setattr(folder, "Patience", lambda: QUICK)
    return made


def test_a_fetch_tells_terms_first_and_the_next_command_last(source, tmp_path):
    to = tmp_path / "my recordings"
    status, out, err = call("data", "fetch", "icbhi", "--to", to)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[3].strip() == "terms: do with it what you like"
    assert lines[-1] == f"{to}/icbhi is complete. Next: jaxresp prepare '{to}/icbhi'"
    assert any("taken on trust" in line for line in lines)
    assert {path.name for path in (to / "icbhi").iterdir()} == {
        "ICBHI_final_database",
        "ICBHI_Challenge_diagnosis.txt",
        RECEIPT,
    }
    again = call("data", "fetch", "icbhi", "--to", to)
    assert again[0] == 0 and "is there already" in again[1]


def test_a_fetch_that_fails_is_one_message_with_its_reasons(source, host, tmp_path):
    host.always = Trick(status=403)
    status, _, err = call("data", "fetch", "icbhi", "--to", tmp_path)
    assert status == 2
    assert err.startswith("jaxresp: a.zip could not be had:\n  localhost:")
    assert "it answers 403 Forbidden" in err and "https://publisher.example" in err
    assert not (tmp_path / "icbhi").exists()


def test_ctrl_c_keeps_the_part(source, tmp_path, monkeypatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(folder, "extract", interrupt)
    status, _, err = call("data", "fetch", "icbhi", "--to", tmp_path)
    assert status == 130 and "the same command continues" in err
    assert {path.name for path in tmp_path.iterdir()} == {"icbhi.partial", ".icbhi.lock"}


def test_a_corpus_that_is_not_known():
    status, _, err = call("data", "fetch", "icbhy")
    assert status == 2
    assert all(name in err for name in SOURCES)


def test_the_list_names_every_corpus_its_host_and_its_terms():
    status, out, _ = call("data", "list")
    assert status == 0
    out = " ".join(out.split())
    for source in SOURCES.values():
        assert source.title in out and source.terms in out and source.page in out
        assert all(copy.host in out for file in source.files for copy in file.copies)


@pytest.mark.parametrize("words", [("data",), ("data", "fetch"), ("data", "list")])
def test_help_is_complete(words):
    status, out, _ = call(*words, "--help")
    assert status == 0 and "Usage: jaxresp data" in out


def test_without_the_library_the_remedy_is_told(tmp_path):
    """Classifiers are installed without it; the command line still starts."""
    script = "import sys; sys.modules['requests'] = None; from jaxresp.cli import main; main(sys.argv[1:])"
    root = Path(cli.__file__).parents[1]
    ran = [
        subprocess.run([sys.executable, "-c", script, *words], cwd=root, capture_output=True, text=True)
        for words in (["data", "list"], ["data", "fetch", "kauh", "--to", str(tmp_path)])
    ]
    assert [done.returncode for done in ran] == [0, 2]
    assert (
        ran[1].stderr.strip()
        == "jaxresp: fetching needs requests, which comes with what trains: pip install 'jaxresp[train]'"
    )
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_starts_without_loading_what_only_fetching_needs():
    script = "import json, sys, jaxresp.cli; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=Path(cli.__file__).parents[1]
    )
    assert {"requests", "urllib3", "rich"}.isdisjoint(json.loads(done.stdout))
