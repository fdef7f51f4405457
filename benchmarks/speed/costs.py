"""How the exact loss's cost grows: with prefixes, dictionary, dimension, sparsity and batch."""

from dataclasses import replace

from benchmarks.peers.measure import interleaved
from benchmarks.speed.losses import fused, initialised
from benchmarks.speed.shapes import Shape
from benchmarks.speed.steps import random_batch
from benchmarks.speed.timing import Ratio, paired
from osae_theory.prefixes import PrefixLaw, equal_group_ends

FACTORS = (0.25, 0.5, 1, 2, 4)


def over_prefixes(
    shape: Shape, rounds: int, warmup: int = 2, n_repeats: int = 1
) -> dict[int, Ratio]:
    """Return the cost at 1, 2, 5, ... K prefixes, relative to 1."""
    numbers = [n for n in (1, 2, 5, 10, 50, 500, 5000) if n < shape.K] + [shape.K]
    model = initialised(shape)
    steps = [
        fused(model, shape, PrefixLaw.groups(shape.K, equal_group_ends(shape.K, n)))
        for n in numbers
    ]
    batches = [random_batch(shape, shape.batch, seed=i) for i in range(rounds + warmup)]
    seconds = [taken[warmup:] for taken in interleaved(steps, batches, n_repeats)]
    return {n: paired(taken, seconds[0]) for n, taken in zip(numbers, seconds, strict=True)}


def over_sizes(
    shape: Shape, rounds: int, warmup: int = 2, n_repeats: int = 1
) -> dict[str, dict[int, Ratio]]:
    """Return the cost as each of K, d, m and batch grows, relative to `shape`."""
    found = {}
    for name in ("K", "d", "m", "batch"):
        sizes = sorted({max(round(getattr(shape, name) * factor), 1) for factor in FACTORS})
        if name == "m":
            sizes = [size for size in sizes if size <= shape.K]
        if name == "K":
            sizes = [size for size in sizes if size >= shape.m]
        steps, batches = [], []
        for size in sizes:
            changed = replace(shape, **{name: size})
            law = PrefixLaw.uniform(changed.K)
            steps.append(fused(initialised(changed), changed, law))
            batches.append(random_batch(changed, changed.batch, seed=0))
        # Each size has a batch of its own: the one that the round offers is only a clock.
        turns = [lambda _, s=s, b=b: s(b) for s, b in zip(steps, batches, strict=True)]
        seconds = interleaved(turns, batches[:1] * (rounds + warmup), n_repeats)
        base = seconds[sizes.index(getattr(shape, name))][warmup:]
        found[name] = {
            size: paired(taken[warmup:], base) for size, taken in zip(sizes, seconds, strict=True)
        }
    return found
