"""The forms of a convolution: the same numbers, written as what a processor is fast at.

One network's convolution is XLA's own, or a product of matrices where there is a single channel. A population of
networks, which is one network under `jax.vmap`, has a kernel per member: XLA would make a grouped convolution of it,
and it is written as `POPULATION_FORM` says. The numbers behind the choices are of
experiments/benchmarks/training_step.py and experiments/benchmarks/population.py.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Float

PopulationForm = Literal["in_turn", "matmul", "grouped"]

#: How a population's convolution is written on each backend; "matmul" where a backend is not named. Only a CPU was
#: measured: there a step of three cnn2d took 2.0 (matmul) and 2.2 times (grouped) as long as in_turn.
#:
#: * in_turn: a convolution per member in one program, which takes the longer to compile the more they are.
#: * matmul: one batched product of matrices, over what each position's window sees: memory for as many copies.
#: * grouped: XLA's own, a grouped convolution.
POPULATION_FORM: dict[str, PopulationForm] = {"cpu": "in_turn", "gpu": "matmul", "tpu": "matmul"}

_Padding = tuple[tuple[int, int], ...]


def convolution(
    x: Float[Array, "batch *spatial channels"], kernel: Float[Array, "*window channels features"]
) -> Float[Array, "batch *spatial features"]:
    """Padding SAME, stride 1."""
    before = [(size - 1) // 2 for size in kernel.shape[:-2]]
    return _form(tuple((low, size - 1 - low) for low, size in zip(before, kernel.shape, strict=False)))(x, kernel)


def direct(
    x: Float[Array, "batch *spatial channels"], kernel: Float[Array, "*window channels features"], padding: _Padding
) -> Float[Array, "batch *spatial features"]:
    """XLA's own convolution."""
    letters = "DHW"[-len(padding) :]
    numbers = (f"N{letters}C", f"{letters}IO", f"N{letters}C")
    return jax.lax.conv_general_dilated(x, kernel, (1,) * len(padding), padding, dimension_numbers=numbers)


def stacked(
    x: Float[Array, "batch *spatial 1"], kernel: Float[Array, "*window 1 features"], padding: _Padding
) -> Float[Array, "batch *spatial features"]:
    """One matrix product, of a single channel's shifted copies: [window, batch · spatial].

    With a single channel there is little to convolve, and XLA's own convolution on a CPU costs more than it computes.
    The copies lie one after another, not side by side, so that the kernel's gradient, a product over all positions,
    needs nothing transposed.
    """
    copies = jnp.stack([copy[..., 0].reshape(-1) for copy in _shifted(x, padding)])
    flat = kernel.reshape(-1, kernel.shape[-1])
    return jax.lax.dot_general(copies, flat, (((0,), (0,)), ((), ()))).reshape(*x.shape[:-1], -1)


def matmul(
    x: Float[Array, "batch *spatial channels"], kernel: Float[Array, "*window channels features"], padding: _Padding
) -> Float[Array, "batch *spatial features"]:
    """One matrix product, of what every position's window sees side by side: [batch · spatial, window · channels]."""
    return jnp.concatenate(_shifted(x, padding), axis=-1) @ kernel.reshape(-1, kernel.shape[-1])


def _single(
    x: Float[Array, "batch *spatial channels"], kernel: Float[Array, "*window channels features"], padding: _Padding
) -> Float[Array, "batch *spatial features"]:
    """The form of one network."""
    return (stacked if x.shape[-1] == 1 else direct)(x, kernel, padding)


def _shifted(
    x: Float[Array, "batch *spatial channels"], padding: _Padding
) -> list[Float[Array, "batch *spatial channels"]]:
    """What every place of the window sees, in the kernel's order; zeros beyond the borders."""
    padded = jnp.pad(x, [(0, 0), *padding, (0, 0)])
    batch, *spatial, channels = x.shape
    return [
        jax.lax.slice(
            padded, (0, *offset, 0), (batch, *(o + n for o, n in zip(offset, spatial, strict=True)), channels)
        )
        for offset in itertools.product(*(range(sum(each) + 1) for each in padding))
    ]


@functools.cache
def _form(padding: _Padding) -> Callable[[Array, Array], Array]:
    """A convolution with its gradients, each of which knows what to do under vmap.

    The gradients are written out, so that a population's are in the population's form: a transposed one would be
    what XLA makes of it. That by the input is a convolution with the kernel turned over.
    """
    turned = tuple((high, low) for low, high in padding)

    @jax.custom_vjp
    def convolve(x: Array, kernel: Array) -> Array:
        return _populated(functools.partial(_single, padding=padding), functools.partial(matmul, padding=padding))(
            x, kernel
        )

    def by_kernel(x: Array, gradient: Array, form: Callable[..., Array]) -> Array:
        window = (*(sum(each) + 1 for each in padding), x.shape[-1], gradient.shape[-1])
        shape = jax.ShapeDtypeStruct(window, gradient.dtype)
        return jax.linear_transpose(lambda kernel: form(x, kernel, padding), shape)(gradient)[0]

    def forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
        return convolve(x, kernel), (x, kernel)

    def backward(kept: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
        x, kernel = kept
        over = jnp.swapaxes(jnp.flip(kernel, tuple(range(len(padding)))), -1, -2)
        by_input = _populated(functools.partial(direct, padding=turned), functools.partial(matmul, padding=turned))
        to_kernel = _populated(
            functools.partial(by_kernel, form=_single), functools.partial(by_kernel, form=matmul), sums=True
        )
        return by_input(gradient, over), to_kernel(x, gradient)

    convolve.defvjp(forward, backward)
    return convolve


def _populated(
    single: Callable[[Array, Array], Array], product: Callable[[Array, Array], Array], *, sums: bool = False
) -> Callable[[Array, Array], Array]:
    """A function of a batch and something else, that under vmap takes the form of a population.

    Args:
        single: of one network.
        product: the same as products of matrices, which stay so under vmap.
        sums: what it answers is a sum over the batch; else, one network's answers to several batches are its answers to
            all of them together.
    """
    function = custom_vmap(single)

    @function.def_vmap  # type: ignore[untyped-decorator]
    def batched(size: int, is_batched: list[bool], first: Array, second: Array) -> tuple[Array, bool]:
        if not sums and is_batched == [True, False]:
            together = single(first.reshape(-1, *first.shape[2:]), second)
            return together.reshape(size, -1, *together.shape[1:]), True
        form = POPULATION_FORM.get(jax.default_backend(), "matmul")
        axes = tuple(0 if each else None for each in is_batched)
        if form == "in_turn":
            members = [_member(first, second, is_batched, i) for i in range(size)]
            return jnp.stack([single(*each) for each in members]), True
        return jax.vmap(product if form == "matmul" else single, in_axes=axes)(first, second), True

    return function


def _member(first: Array, second: Array, is_batched: list[bool], i: int) -> tuple[Any, Any]:
    a, b = (each[i] if batched else each for each, batched in zip((first, second), is_batched, strict=True))
    return a, b
