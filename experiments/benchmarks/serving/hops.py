"""Where the CPU time of a request goes: every hop from the socket to the answer.

    python -m experiments.benchmarks.serving.hops [--seconds 6] [--repeats 31] [--write FILE]

Expected: three minutes on two cores. The hops inside the service are measured in this process, each by itself, as
medians of its CPU time; what surrounds them on a running service, as the CPU time of its processes per request:

* ASGI, BentoML: a form with a "sound" of 1 kB that no decoder knows, up to its 422.
* body, form: what the same form costs more when its sound is as large as the clip.
* processes, queues: what a whole request costs more than all hops together: its way to the process that answers and
  back, and caches shared with others.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import soxr

from bento.process import compute_in_callers_thread
from experiments.benchmarks.serving import load, material, servers
from experiments.benchmarks.serving.material import Clip
from experiments.benchmarks.serving.servers import Server
from jaxresp.audio import RATE_HZ
from jaxresp.audio_facts import Meter
from jaxresp.classifier import Classifier
from jaxresp.compilation import use_persistent_cache


def cpu_ms(call: Callable[[], object], repeats: int) -> float:
    """Median CPU time of this process during a call."""
    call()
    spent = []
    for _ in range(repeats):
        begun = time.process_time()
        call()
        spent.append(time.process_time() - begun)
    return float(np.median(spent)) * 1e3


def inside(classifier: Classifier, sound: bytes, repeats: int) -> dict[str, float]:
    """The hops of our own code; those of decoding by their own, and what is left of it."""
    samples, rate_hz = soundfile.read(io.BytesIO(sound), dtype="int16")
    wave = samples * np.float32(2**-15)
    recording = classifier.decode(sound)
    windows, scale, start_s = classifier.cut(recording)
    logits = classifier.logits(windows, scale)
    answer = classifier.answer(recording, logits, start_s).to_json()

    def meter() -> None:
        heard = Meter(rate_hz, 1)
        heard.hear(wave[:, None], wave)
        heard.facts("PCM_16")

    hops = {
        "read samples": lambda: soundfile.read(io.BytesIO(sound), dtype="int16"),
        "resample": lambda: soxr.resample(wave, rate_hz, RATE_HZ, quality="HQ"),
        "facts": meter,
        "decode": lambda: classifier.decode(sound),
        "cut": lambda: classifier.cut(recording),
        "features + network": lambda: classifier.logits(windows, scale),
        "pooling, answer": lambda: classifier.answer(recording, logits, start_s).to_json(),
        "JSON": lambda: json.dumps(answer),
    }
    spent = {name: cpu_ms(call, repeats) for name, call in hops.items()}
    decode = spent.pop("decode")
    parts = ("read samples", "resample", "facts")
    rest = {"mono, int16, checks": decode - sum(spent[name] for name in parts)}
    return {name: spent[name] for name in parts} | rest | {k: v for k, v in spent.items() if k not in parts}


def served_ms(server: Server, clips: list[Clip], seconds: float, expected: int) -> float:
    """CPU time of the server's processes per request, one request at a time."""
    load.closed_loop(server.port, server.path, clips, clients=1, seconds=1)
    before = server.cpu_s()
    outcome = load.closed_loop(server.port, server.path, clips, clients=1, seconds=seconds, tolerance=1e-5)
    if set(outcome.statuses) != {expected} or outcome.wrong:
        raise RuntimeError(f"answers by status {outcome.statuses}, {outcome.wrong} wrong; expected only {expected}")
    return (server.cpu_s() - before) / sum(outcome.statuses.values()) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=6.0, help="of load for each number of the running service")
    parser.add_argument("--repeats", type=int, default=31, help="of each hop in this process")
    parser.add_argument("--write", type=Path, help="where the table goes")
    arguments = parser.parse_args()
    compute_in_callers_thread()  # as in the service
    use_persistent_cache()
    columns: dict[int, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        run = material.write_run(folder / "run")
        classifier = material.load(run)
        with servers.ours(run, folder) as server:
            small = served_ms(server, [Clip(bytes(1000), status=422)], arguments.seconds, 422)
            for rate_hz in material.RATES_HZ:
                clips = material.clips(classifier, rate_hz)
                large = served_ms(server, [Clip(bytes(len(clips[0].sound)), status=422)], arguments.seconds, 422)
                whole = served_ms(server, clips, arguments.seconds, 200)
                hops = {"ASGI, BentoML": small, "body, form": large - small}
                hops |= inside(classifier, clips[0].sound, arguments.repeats)
                hops["processes, queues"] = whole - sum(hops.values())
                columns[rate_hz] = hops | {"**whole request**": whole}
    lines = ["| hop | " + " | ".join(f"{rate_hz / 1e3:g} kHz" for rate_hz in columns) + " |"]
    lines.append("|---|" + "--:|" * len(columns))
    for hop in columns[material.RATES_HZ[0]]:
        lines.append(f"| {hop} | " + " | ".join(f"{column[hop]:.2f}" for column in columns.values()) + " |")
    print("\n".join(lines))
    if arguments.write:
        title = "# CPU time of a request, by hop\n\nMilliseconds; a 20-s clip, 16-bit wav, the quick model.\n\n"
        arguments.write.write_text(title + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
