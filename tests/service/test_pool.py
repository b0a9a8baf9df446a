"""Processes that answer: the same answers as here, every error across, and one that is killed is replaced."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from bento.errors import ProcessLost
from bento.pool import NoStart, Pool, WorkFailed
from jaxresp.audio import SilentAudio
from jaxresp.classifier import Classifier, untrained
from jaxresp.taxonomy import UnknownClass

from .conftest import assert_same_answer, breath, encode

NAMES = ("binary-mfcc", "multiclass-mfcc")
SOUND = encode(breath(6, 4_000), 4_000)
SILENCE = encode(np.zeros(8_000), 4_000)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("classifiers")
    for seed, name in enumerate(NAMES):
        untrained(name, seed).save(folder / name)
    return {name: folder / name for name in NAMES}


@pytest.fixture(scope="module")
def offline(folders: dict[str, Path]) -> dict[str, Classifier]:
    return {name: Classifier.load(folder) for name, folder in folders.items()}


@pytest.fixture
def pool(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Pool]:
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    pool = Pool(folders, processes=2, threads=1)
    try:
        loaded = pool.wait()
        assert [list(each.models) for each in loaded] == [[*NAMES], [*NAMES]]
        yield pool
    finally:
        pids = [process.popen.pid for process in pool._processes]
        pool.close()
        assert not any(_is_there(pid) for pid in pids), "a process was left behind"


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def _until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not is_so():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def _run(story: Awaitable[None]) -> None:
    async def run() -> None:
        await story

    asyncio.run(run())


def test_answers_errors_and_lost_processes(pool: Pool, offline: dict[str, Classifier]) -> None:
    """One after the other, on one pool: it takes seconds to start."""

    async def lost_before_anybody_asked() -> None:
        """Asked whether it is ready, as an orchestrator does, the pool hears of it and mends it."""
        lost = pool._processes[1]
        lost.popen.kill()
        lost.popen.wait()
        assert await pool.ready()
        await _until(lambda: pool._processes[1] is not lost and pool._processes[1].channel is not None)

    async def answers() -> None:
        assert list(pool.models) == list(NAMES)
        for name, model in pool.models.items():
            assert (model.version, model.classes, model.card) == (
                offline[name].version,
                tuple(offline[name].classes),
                offline[name].card,
            )
        many = await asyncio.gather(*(pool.classify(SOUND, NAMES[i % 2], None, keep=False) for i in range(8)))
        for i, answer in enumerate(many):
            assert_same_answer(answer.prediction, offline[NAMES[i % 2]].predict(SOUND).to_json())
            assert answer.recording is None, "640 kB that nobody asked for"
        kept = await pool.classify(SOUND, NAMES[0], 40.0, keep=True)
        np.testing.assert_array_equal(kept.kept.samples, offline[NAMES[0]].decode(SOUND).samples)
        explained = await pool.explain_answer(kept, NAMES[0])
        here = offline[NAMES[0]].explain(kept.kept, explained.explanation.of_class)
        np.testing.assert_allclose(explained.explanation.cells, here.cells, atol=1e-4)
        assert list(await pool.compare(SOUND, None, keep=False)) == list(offline)

    async def named_errors() -> None:
        with pytest.raises(SilentAudio, match="silent"):
            await pool.classify(SILENCE, NAMES[0], None, keep=False)
        with pytest.raises(UnknownClass):
            await pool.explain(SOUND, NAMES[0], "no such class")

    async def faults_of_ours() -> None:
        not_kept = await pool.classify(SOUND, NAMES[0], None, keep=False)
        with pytest.raises(WorkFailed, match=r"(?s)Traceback.*computing.py.*was not kept"):
            await pool.explain_answer(not_kept, NAMES[0])

    async def shared_out() -> None:
        """Two that are stopped have as much in hand; who gives up is forgotten; then all is answered."""
        for process in pool._processes:
            process.popen.send_signal(signal.SIGSTOP)
        asked = [asyncio.create_task(pool.classify(SOUND, NAMES[0], None, keep=False)) for _ in range(6)]
        await _until(lambda: sum(len(process.asked) for process in pool._processes) == 6)
        assert [len(process.asked) for process in pool._processes] == [3, 3]
        asked[0].cancel()
        await asyncio.sleep(0)
        for process in pool._processes:
            process.popen.send_signal(signal.SIGCONT)
        told = await asyncio.gather(*asked, return_exceptions=True)
        assert isinstance(told[0], asyncio.CancelledError)
        assert all(not isinstance(each, BaseException) and each.prediction["label"] for each in told[1:])
        assert not any(process.asked for process in pool._processes)

    async def killed() -> None:
        """What it had in hand is refused with the time to come back, the other one goes on, a new one comes."""
        lost, other = pool._processes
        for process in (lost, other):
            process.popen.send_signal(signal.SIGSTOP)
        asked = [asyncio.create_task(pool.classify(SOUND, NAMES[0], None, keep=False)) for _ in range(2)]
        await _until(lambda: len(lost.asked) == len(other.asked) == 1)
        lost.popen.kill()
        with pytest.raises(ProcessLost, match="try again"):
            await asked[0]
        other.popen.send_signal(signal.SIGCONT)
        assert (await asked[1]).prediction["label"]
        assert await pool.ready()
        await _until(lambda: pool._processes[0] is not lost and pool._processes[0].channel is not None)
        for _ in range(4):
            assert (await pool.classify(SOUND, NAMES[0], None, keep=False)).prediction["label"]

    async def both_killed() -> None:
        """A question waits for a process to ask."""
        for process in pool._processes:
            process.popen.kill()
        await _until(lambda: not any(process.channel for process in pool._processes))
        assert not await pool.ready()
        answer = await asyncio.wait_for(pool.classify(SOUND, NAMES[0], None, keep=False), 120)
        assert answer.prediction["label"]
        assert await pool.ready()

    async def story() -> None:
        for part in (lost_before_anybody_asked, answers, named_errors, faults_of_ours, shared_out, killed, both_killed):
            await part()
        pool.close()
        await asyncio.sleep(0.05)  # in which the loop closes our ends

    _run(story())


def test_a_damaged_model_ends_the_start(folders: dict[str, Path], tmp_path: Path) -> None:
    pool = Pool({"binary-mfcc": tmp_path}, processes=1, threads=1)
    try:
        with pytest.raises(NoStart, match="status 1"):
            pool.wait()
    finally:
        pool.close()
