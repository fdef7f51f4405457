"""What a peer is: another library's whole training step, as it ships and with features matched.

Everything is compared in one unit: squared error summed over the entries of a sample,
averaged over the samples of the batch and over the prefixes.
"""

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.speed.shapes import Shape
from osae_theory.errors import InputError, check_choice, check_integer

# "ordered" is ours in their training loop (`osae_theory.integrations`).
KINDS = ("topk", "batchtopk", "matryoshka", "ordered")
REQUIREMENTS = "benchmarks/peers/requirements.txt"
# No run here comes near it; learning-rate schedules need a length.
TOTAL_STEPS = 1_000_000


@dataclass(frozen=True, eq=False)
class Weights:
    """The parameters of one SAE, whatever library holds them.

    Attributes
    ----------
    encoder : tensor of shape (d, K)
        Encoder weights W_enc.
    encoder_bias : tensor of shape (K,)
        Encoder biases b_enc.
    atoms : tensor of shape (K, d)
        Decoder rows W_dec.
    decoder_bias : tensor of shape (d,), or None
        b_dec; None where a library has none.
    """

    encoder: Float[Tensor, "d K"]
    encoder_bias: Float[Tensor, " K"]
    atoms: Float[Tensor, "K d"]
    decoder_bias: Float[Tensor, " d"] | None


@runtime_checkable
class PeerStep(Protocol):
    """A library's SAE with all that its training loop does on one batch."""

    def step(self, batch: Float[Tensor, "n d"]) -> None:
        """Do one whole training step."""
        ...

    def loss(self, batch: Float[Tensor, "n d"]) -> float:
        """Return the library's own loss in the common unit; nothing is trained."""
        ...

    def weights(self) -> Weights:
        """Return views of the library's own parameters, detached, rows as ours."""
        ...


@dataclass(frozen=True)
class Peer:
    """A library to compare with: its names, what it can train, and how to build its step.

    Attributes
    ----------
    name : str
        Name in jobs and results.
    title : str
        Name in tables and figures.
    distribution : str
        Name on the package registry, for the version.
    kinds : tuple of str
        Which of `KINDS` it has.
    decoder_bias : bool
        Whether its SAEs have one.
    matched : str
        What is switched off when features are matched.
    unmatched : tuple of str
        What could not be switched off or made equal, one sentence each.
    build : callable
        Maps kind, shape, prefix lengths (ascending, the last one K; used by "matryoshka"
        only), whether features are matched, and a seed to a PeerStep.
    """

    name: str
    title: str
    distribution: str
    kinds: tuple[str, ...]
    decoder_bias: bool
    matched: str
    unmatched: tuple[str, ...]
    build: Callable[[str, Shape, Sequence[int], bool, int], PeerStep]


def check_task(peer: Peer, kind: str, shape: Shape, prefixes: Sequence[int]) -> None:
    """Raise InputError unless the peer can build this kind with these prefix lengths."""
    check_choice("kind", kind, KINDS)
    if kind not in peer.kinds:
        raise InputError(f"kind {kind!r}: {peer.title} has only {', '.join(peer.kinds)}")
    if kind != "matryoshka":
        if prefixes:
            raise InputError(f"prefixes of kind {kind!r}: expected none, only matryoshka has them")
        return
    ascending = all(a < b for a, b in pairwise(prefixes))
    if not prefixes or prefixes[0] < 1 or not ascending or prefixes[-1] != shape.K:
        shown = str(list(prefixes)) if len(prefixes) < 8 else f"{len(prefixes)} numbers"
        raise InputError(f"prefixes {shown}: expected ascending numbers from 1, the last K")


@torch.no_grad()
def load(step: PeerStep, weights: Weights) -> None:
    """Copy weights into the library's own parameters, in their own memory layout.

    Raises
    ------
    InputError
        If the library has no decoder bias and one that is not zero is given.
    """
    own = step.weights()
    own.encoder.copy_(weights.encoder)
    own.encoder_bias.copy_(weights.encoder_bias)
    own.atoms.copy_(weights.atoms)
    if own.decoder_bias is not None:
        given = 0.0 if weights.decoder_bias is None else weights.decoder_bias
        own.decoder_bias.copy_(torch.as_tensor(given))
    elif weights.decoder_bias is not None and bool(weights.decoder_bias.any()):
        raise InputError("a decoder bias for a library that has none: expected None or zeros")


def library(module: str) -> Any:
    """Import a peer's module, which only the peers' environment has.

    Raises
    ------
    InputError
        If it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise InputError(
            f"module {error.name!r} is not installed: expected the environment of {REQUIREMENTS}"
        ) from None


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's default generator, which the libraries draw from; put it back after."""
    check_integer("seed", seed, 0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
