"""A training step and an inference against PyTorch's of the same network, and how the pieces of ours are written.

    python experiments/benchmarks/training_step.py [--filters 16] [--repeats 15] [--write FILE]

Expected: under two minutes on two quiet cores. PyTorch is no dependency of the project: `pip install torch` brings the
rival, and without it its rows are left out with that reason. Both have the same weights (checked by their logits),
batch, float32, AdamW and two threads; PyTorch runs with contiguous and with channels-last tensors, and the faster one
counts. Sides alternate within each repeat, with a pause in which the other's threads come to rest; numbers are medians.
CPU time is of all threads: on a machine that has other work too it says more than the time on the wall. Written for the
claims in jaxresp/models/blocks.py, jaxresp/models/convolution.py, jaxresp/train/epoch.py and jaxresp/allocator.py. What
the allocator keeps is kept for both: they share one. What it matters is told by processes of their own.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxresp import models
from jaxresp.allocator import keep_freed
from jaxresp.models import storage
from jaxresp.models.blocks import normalised_pool
from jaxresp.models.convolution import convolution
from jaxresp.train import TrainConfig
from jaxresp.train.step import begin, hyper_of, static_of, take_step, train_step

BATCH, FRAMES, CLASSES, STEPS = 32, 157, 3, 8
SHAPES = [("cnn2d", 64), ("cnn2d", 20), ("cnn1d", 64), ("cnn1d", 20)]
PAUSE_S = 0.02


class Median(NamedTuple):
    wall_ms: float
    cpu_ms: float

    def __str__(self) -> str:
        return f"{self.wall_ms:.1f} ({self.cpu_ms:.1f})"


def medians(sides: dict[str, Callable[[], object]], repeats: int) -> dict[str, Median]:
    """Of every side, called in turn; the first two rounds compile and warm up."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for repeat in range(repeats + 2):
        for name, call in sides.items():
            time.sleep(PAUSE_S)
            wall, cpu = time.perf_counter(), time.process_time()
            jax.block_until_ready(call())
            if repeat >= 2:
                times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {name: Median(*(1e3 * np.median(values, axis=0))) for name, values in times.items()}


class Ours:
    """One network, its steps and its answers."""

    def __init__(self, name: str, coefficients: int, filters: int):
        self.graph, weights = models.create(models.NetworkConfig(name, filters), coefficients, CLASSES, seed=0)
        # A copy: the steps use up what they are given.
        self.weights, self.state = jax.tree.map(jnp.copy, weights), begin(weights)
        config = TrainConfig()
        self.hyper, self.static = hyper_of(config, np.float32(1e-3)), static_of(config)
        self.x = jax.random.normal(jax.random.key(3), (BATCH, FRAMES, coefficients))
        self.labels, self.counts = jnp.arange(BATCH, dtype=jnp.int32) % CLASSES, jnp.ones(BATCH)
        self.key, self._apply = jax.random.key(4), jax.jit(partial(models.apply, self.graph))

    def train(self) -> object:
        how = {"graph": self.graph, "static": self.static}
        self.state = train_step(self.state, self.x, self.labels, self.counts, self.key, self.hyper, **how)
        return self.state

    def infer(self) -> jax.Array:
        return self._apply(self.weights, self.x)


class Theirs:
    """The same in PyTorch."""

    def __init__(self, ours: Ours, channels_last: bool):
        import torch

        torch.set_num_threads(2)
        arrays = {name: torch.from_numpy(np.array(each)) for name, each in storage.to_arrays(ours.weights).items()}
        self.torch, self.network = torch, _torch_network(torch, arrays)
        spatial = arrays["params/block1/conv/kernel"].ndim - 2
        x = torch.from_numpy(np.array(ours.x))
        self.x = x[:, None] if spatial == 2 else x.transpose(1, 2).contiguous()
        if channels_last:
            layout = torch.channels_last
            self.network, self.x = self.network.to(memory_format=layout), self.x.to(memory_format=layout)
        self.labels = torch.from_numpy(np.array(ours.labels)).long()
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=1e-3, weight_decay=1e-4, foreach=True)
        np.testing.assert_allclose(self.infer(), ours.infer(), atol=1e-4)

    def train(self) -> None:
        self.network.train()
        self.optimiser.zero_grad()
        self.torch.nn.functional.cross_entropy(self.network(self.x), self.labels).backward()
        self.optimiser.step()

    def infer(self) -> np.ndarray:
        self.network.eval()
        with self.torch.inference_mode():
            return self.network(self.x).numpy()


def _torch_network(torch: Any, arrays: dict[str, Any]) -> Any:
    """Cnn1d or Cnn2d, by the shape of its kernels, with these weights."""
    nn, spatial = torch.nn, arrays["params/block1/conv/kernel"].ndim - 2
    conv, norm, pool = (getattr(nn, f"{name}{spatial}d") for name in ("Conv", "BatchNorm", "MaxPool"))

    class Network(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList()
            for block in ("block1", "block2", "block3"):
                kernel = arrays[f"params/{block}/conv/kernel"]
                *window, inputs, outputs = kernel.shape
                convolve = conv(inputs, outputs, window, padding="same", bias=False)
                convolve.weight.data = kernel.permute(-1, -2, *range(spatial)).contiguous()
                self.blocks.append(nn.Sequential(convolve, norm(outputs), nn.ReLU(), pool(2)))
            kernels = [arrays[f"params/head/{layer}/kernel"] for layer in ("dense", "logits")]
            self.dense, self.logits = (nn.Linear(*kernel.shape) for kernel in kernels)
            for layer, kernel in zip((self.dense, self.logits), kernels, strict=True):
                layer.weight.data, layer.bias.data = kernel.T.contiguous(), torch.zeros(kernel.shape[1])
            self.dropout = nn.Dropout(TrainConfig().dropout)

        def forward(self, x: Any) -> Any:
            for block in self.blocks:
                x = block(x)
            positions = tuple(range(2, x.ndim))
            x = torch.cat([x.mean(positions), x.amax(positions)], 1)
            return self.logits(self.dropout(torch.relu(self.dense(x))))

    return Network()


def against_torch(filters: int, repeats: int) -> list[str]:
    if importlib.util.find_spec("torch") is None:
        return ["Against PyTorch: not run, torch is not installed."]
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # else CPU time counts threads that wait for work
    import torch

    lines = [
        f"PyTorch {torch.__version__}, 2 threads, the faster of contiguous and channels-last. Milliseconds on the "
        "wall, and of CPU in brackets.",
        "",
        f"| {filters} filters, batch {BATCH} | jaxresp | PyTorch | PyTorch / jaxresp |",
        "| --- | --- | --- | --- |",
    ]
    for name, coefficients in SHAPES:
        ours = Ours(name, coefficients, filters)
        rivals = {"contiguous": Theirs(ours, channels_last=False)}
        if name == "cnn2d":
            rivals["channels-last"] = Theirs(ours, channels_last=True)
        for what in ("train", "infer"):
            found = medians(
                {"ours": getattr(ours, what), **{each: getattr(rival, what) for each, rival in rivals.items()}}, repeats
            )
            mine, best = found.pop("ours"), min(found, key=lambda each: found[each].cpu_ms)
            theirs = found[best]
            title = {"train": "training step", "infer": "inference"}[what]
            ratio = f"{theirs.wall_ms / mine.wall_ms:.2f} ({theirs.cpu_ms / mine.cpu_ms:.2f})"
            lines.append(f"| {name}, {FRAMES}×{coefficients}, {title} | {mine} | {theirs}, {best} | {ratio} |")
            print(lines[-1], flush=True)
    return lines


def usual_convolution(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def usual_block(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
    """Normalisation, ReLU and pooling one after another, with the gradients that JAX makes."""
    mean = x.mean((0, 1, 2))
    variance = jnp.square(x).mean((0, 1, 2)) - jnp.square(mean)
    y = nnx.relu((x - mean) * (jax.lax.rsqrt(variance + 1e-5) * scale) + bias)
    return nnx.max_pool(y, (2, 2), strides=(2, 2))


def pieces(filters: int, repeats: int) -> list[str]:
    coefficients = 20
    lines = [
        f"| {filters} filters, {FRAMES}×{coefficients} | ours | usual | usual / ours |",
        "| --- | --- | --- | --- |",
    ]

    def compare(title: str, ours: Callable[[], object], usual: Callable[[], object], repeats: int = repeats) -> None:
        mine, other = medians({"ours": ours, "usual": usual}, repeats).values()
        ratio = f"{other.wall_ms / mine.wall_ms:.2f} ({other.cpu_ms / mine.cpu_ms:.2f})"
        lines.append(f"| {title} | {mine} | {other} | {ratio} |")
        print(lines[-1], flush=True)

    def gradient(function: Callable[..., jax.Array], *given: jax.Array) -> Callable[[], object]:
        """Of the sum of squares."""
        by = tuple(range(len(given)))
        found = jax.jit(jax.grad(lambda *each: jnp.square(function(*each)).sum(), argnums=by))
        return lambda: found(*given)

    x = jax.random.normal(jax.random.key(0), (BATCH, FRAMES, coefficients, 1))
    kernel = jax.random.normal(jax.random.key(1), (3, 3, 1, filters))
    by_kernel = [gradient(partial(each, x), kernel) for each in (convolution, usual_convolution)]
    compare("first convolution and its weight gradient (against lax.conv)", *by_kernel)

    y = jax.random.normal(jax.random.key(2), (BATCH, FRAMES, coefficients, filters))
    scale, bias = jnp.ones(filters), jnp.zeros(filters)
    blocks = [
        gradient(lambda *each: normalised_pool(*each, 1e-5)[0], y, scale, bias),
        gradient(usual_block, y, scale, bias),
    ]
    compare("normalisation, ReLU, pooling and their gradients (against one after another)", *blocks)

    network = Ours("cnn2d", coefficients, filters)

    def scan_of(state: Any) -> Any:
        def body(state: Any, _: None) -> tuple[Any, None]:
            given = (network.x, network.labels, network.counts, network.key, network.hyper)
            return take_step(state, *given, graph=network.graph, static=network.static), None

        return jax.lax.scan(body, state, length=STEPS)[0]

    scanned, fresh = jax.jit(scan_of), jax.tree.map(jnp.copy, network.state)
    compare(
        f"{STEPS} steps of cnn2d, called in a loop (against lax.scan)",
        lambda: [network.train() for _ in range(STEPS)][-1],
        lambda: scanned(fresh),
        min(repeats, 3),
    )
    return lines


def allocation(filters: int, repeats: int) -> list[str]:
    """A step with what it frees kept, against given back to the system: in turn, each in a process of its own."""
    times: dict[str, list[list[float]]] = {"kept": [], "given-back": []}
    for _ in range(3):
        for how, each in times.items():
            child = [sys.executable, __file__, "--step", how, "--filters", str(filters), "--repeats", str(repeats)]
            told = subprocess.run(child, check=True, capture_output=True, text=True).stdout
            each.append([float(word) for word in told.split()])
    kept, other = (Median(*np.median(each, axis=0)) for each in times.values())
    ratio = f"{other.wall_ms / kept.wall_ms:.2f} ({other.cpu_ms / kept.cpu_ms:.2f})"
    return [
        f"| {filters} filters, {FRAMES}×64 | kept | given back | given back / kept |",
        "| --- | --- | --- | --- |",
        f"| step of cnn2d, by what becomes of freed memory | {kept} | {other} | {ratio} |",
    ]


def one_step(how: str, filters: int, repeats: int) -> None:
    """What a process of `allocation` does."""
    if how == "kept":
        keep_freed()
    found = medians({how: Ours("cnn2d", 64, filters).train}, repeats)[how]
    print(found.wall_ms, found.cpu_ms)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--filters", type=int, default=16)
    arguments.add_argument("--repeats", type=int, default=15)
    arguments.add_argument("--write", type=Path, help="A Markdown file to put the result into.")
    arguments.add_argument("--step", choices=["kept", "given-back"], help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.step:
        return one_step(options.step, options.filters, options.repeats)
    keep_freed()
    load = os.getloadavg()[0]
    head = [
        "# A training step",
        "",
        f"`python experiments/benchmarks/training_step.py --filters {options.filters} --repeats {options.repeats}`",
        "",
        f"jax {jax.__version__}, {jax.devices()[0].device_kind}, {os.cpu_count()} cores, load at the start {load:.0f}.",
        "",
    ]
    table = against_torch(options.filters, options.repeats)
    parts = [*pieces(options.filters, options.repeats), "", *allocation(options.filters, options.repeats)]
    text = "\n".join([*head, *table, "", *parts, ""])
    print(text)
    if options.write:
        options.write.write_text(text)


if __name__ == "__main__":
    main()
