"""The folder of visitors' sounds: nothing of a killed service stays, and nobody's who lives is touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from bento.ui.folder import own_folder

_HOLD = """
import sys, time
from pathlib import Path
from bento.ui.folder import own_folder
with own_folder(Path(sys.argv[1])) as folder:
    (folder / "sound.wav").write_bytes(b"RIFF")
    print(folder, flush=True)
    time.sleep(60)
"""


def test_a_killed_service_leaves_nothing_to_the_next_and_a_living_one_keeps_its_own(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        theirs = Path(other.stdout.readline().strip())
        with own_folder(tmp_path) as ours:
            assert theirs.joinpath("sound.wav").is_file() and ours.is_dir()
        assert not ours.exists()
        os.kill(other.pid, signal.SIGKILL)
    assert theirs.exists(), "a killed process deletes nothing itself"
    with own_folder(tmp_path) as ours:
        assert list(tmp_path.iterdir()) == [ours]
    assert list(tmp_path.iterdir()) == []


def test_only_folders_of_a_service_are_swept(tmp_path: Path) -> None:
    for name, file in (("jaxresp-ui-mine", "notes.txt"), ("else", "owner")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text("kept")
    with own_folder(tmp_path):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"jaxresp-ui-mine", "else"}
