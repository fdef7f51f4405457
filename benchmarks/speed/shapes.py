"""The shapes that are timed: from the paper's toy to a wide dictionary."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from osae_theory.errors import InputError, check_integer


@dataclass(frozen=True)
class Shape:
    """The size of one training step.

    Attributes
    ----------
    d, K, m, batch : int
        Dimension, latents, active latents a sample (at most K) and samples, at least 1.
    """

    d: int
    K: int
    m: int
    batch: int

    def __post_init__(self) -> None:
        for name in ("d", "K", "m", "batch"):
            check_integer(name, getattr(self, name), 1)
        if self.m > self.K:
            raise InputError(f"m = {self.m}: expected at most K = {self.K}")

    def __str__(self) -> str:
        return f"d = {self.d}, K = {self.K}, m = {self.m}, batch = {self.batch}"


SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        "toy": Shape(80, 100, 5, 1024),
        "lm": Shape(640, 4096, 80, 1024),
        "wide": Shape(512, 16_384, 32, 512),
        "gemma": Shape(2304, 4096, 80, 4096),
        "gemma-wide": Shape(2304, 65_536, 80, 4096),
    }
)
# Those of a GPU: on a CPU they are timed only where they are named.
OF_GPU = ("gemma", "gemma-wide")
# At these not everything is timed.
WIDE = ("wide", *OF_GPU)
# Where peak memory is measured.
MEMORY = Shape(512, 65_536, 64, 1024)
