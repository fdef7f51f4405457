"""overcomplete: `train_sae` on one batch with its TopKSAE and BatchTopKSAE.

As shipped is `train_sae` (`overcomplete.sae.train`) itself, without monitoring: forward, the
mean squared error of its documentation, marks of the latents that fired, backward, clipping
of the gradient's norm at 1, Adam without a scheduler. Its dictionary layer normalises the
atoms whenever they are read. Its loss is a mean over entries.
"""

import sys
from collections.abc import Sequence
from importlib.util import find_spec, module_from_spec
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.peers.base import Peer, Shape, Weights, library, seeded

_PACKAGE = "overcomplete"


class _Step:
    def __init__(self, package: Any, model: Any, matched: bool) -> None:
        self._train_sae, self._model = package.train_sae, model
        self._optimiser = torch.optim.Adam(model.parameters(), lr=5e-4)
        self._clip = None if matched else 1.0

    def step(self, batch: Float[Tensor, "n d"]) -> None:
        self._train_sae(
            self._model,
            [batch],
            _criterion,
            self._optimiser,
            nb_epochs=1,
            clip_grad=self._clip,
            monitoring=0,
        )

    @torch.no_grad()
    def loss(self, batch: Float[Tensor, "n d"]) -> float:
        self._model.train()
        pre_codes, codes, reconstruction = self._model(batch)
        loss = _criterion(batch, reconstruction, pre_codes, codes, None)
        return float(loss) * batch.shape[1]

    def weights(self) -> Weights:
        encoder, atoms = self._model.encoder.final_block[0], self._model.dictionary._weights
        return Weights(
            encoder.weight.detach().T, encoder.bias.detach(), atoms.detach(), decoder_bias=None
        )


def _criterion(x: Tensor, x_hat: Tensor, pre_codes: Any, codes: Any, dictionary: Any) -> Tensor:
    return (x - x_hat).square().mean()


def _package() -> Any:
    """Import `overcomplete.sae` without the package's `__init__`, which loads vision models.

    The training code is the library's own; only what needs torchvision stays unread.
    """
    if _PACKAGE not in sys.modules:
        spec = find_spec(_PACKAGE)
        if spec is not None:
            sys.modules[_PACKAGE] = module_from_spec(spec)
    return library(f"{_PACKAGE}.sae")


def build(kind: str, shape: Shape, prefixes: Sequence[int], matched: bool, seed: int) -> _Step:
    """Return overcomplete's training step; see `benchmarks.peers.base.Peer`."""
    package = _package()
    with seeded(seed):
        if kind == "topk":
            model = package.TopKSAE(shape.d, shape.K, top_k=shape.m)
        else:
            # It counts over the whole batch.
            model = package.BatchTopKSAE(shape.d, shape.K, top_k=shape.m * shape.batch)
    return _Step(package, model, matched)


OVERCOMPLETE = Peer(
    name="overcomplete",
    title="overcomplete",
    distribution="overcomplete",
    kinds=("topk", "batchtopk"),
    decoder_bias=False,
    matched="no clipping (it has no decoder bias and no removal of the radial gradient)",
    unmatched=(
        "latents that fired are marked each step",
        "atoms are read, and so normalised, twice a step",
        "batchtopk keeps a running threshold",
    ),
    build=build,
)
