"""`python -m benchmarks.peers.agreement`: each peer's loss is ours where they compute the same.

One JSON document on standard output. Ours is the definition, one term a prefix, in float64
(`osae_theory.objectives.nested_dropout_loss_loop`); theirs is the library's own in float32,
on the same weights and the same batch, in the unit of `benchmarks.peers.base`.
"""

import argparse
import json
import sys
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.peers import KINDS, PEERS, Peer, Shape, Weights
from benchmarks.peers.base import load
from osae_theory.command_line import Parser, run
from osae_theory.objectives import nested_dropout_loss_loop
from osae_theory.sae.selection import select_top_m
from osae_theory.seeds import Axis, torch_generator

TOY = Shape(d=80, K=100, m=5, batch=1024)
# Some hundred times the rounding of a float32 sum of this size.
LIMIT = 1e-5
EXIT_DISAGREES = 1


@dataclass(frozen=True)
class Agreement:
    """One loss computed by a peer and by us.

    Attributes
    ----------
    peer, kind : str
        Which library, which of `KINDS`; Matryoshka has every index as a prefix, as ordered has.
    matched : bool
        Whether the peer's features are matched.
    theirs, ours : float
        Squared error of a sample, averaged over the batch and over prefixes.
    relative_difference : float
        |theirs - ours| / ours.
    """

    peer: str
    kind: str
    matched: bool
    theirs: float
    ours: float
    relative_difference: float


def random_weights(shape: Shape, seed: int, *, decoder_bias: bool) -> Weights:
    """Return weights with unit atoms, an encoder near their transpose and biases not zero."""
    g = torch_generator(seed, Axis.INITIALISATION)
    atoms = torch.nn.functional.normalize(torch.randn(shape.K, shape.d, generator=g), dim=-1)
    noise = torch.randn(shape.d, shape.K, generator=g) / shape.d**0.5
    encoder_bias = 0.1 * torch.randn(shape.K, generator=g)
    bias = 0.1 * torch.randn(shape.d, generator=g)
    return Weights(
        encoder=(atoms.T + 0.3 * noise).contiguous(),
        encoder_bias=encoder_bias,
        atoms=atoms,
        decoder_bias=bias if decoder_bias else None,
    )


def our_loss(kind: str, weights: Weights, batch: Float[Tensor, "n d"], m: int) -> float:
    """Return the loss of one kind by its definition, in float64 and the common unit.

    "topk" and "ordered" select m latents of each sample, the others m of each sample on average
    over the batch; "matryoshka" and "ordered" average over all K prefixes, the others take the
    last alone.
    """
    bias = 0.0 if weights.decoder_bias is None else weights.decoder_bias.double()
    centred = batch.double() - bias
    latents = centred @ weights.encoder.double() + weights.encoder_bias.double()
    if kind in ("topk", "ordered"):
        codes = select_top_m(latents, m)
    else:
        codes = select_top_m(latents.flatten(), m * len(batch)).reshape(latents.shape)
    K = latents.shape[1]
    survival = torch.ones(K, dtype=torch.float64)
    if kind in ("matryoshka", "ordered"):
        survival = torch.arange(K, 0, -1, dtype=torch.float64) / K
    loss = nested_dropout_loss_loop(centred, codes, weights.atoms.double(), survival)
    return float(loss) / len(batch)


def compare(peer: Peer, kind: str, shape: Shape, matched: bool, seed: int) -> Agreement:
    """Return a peer's loss and ours on the same weights and the same batch."""
    every_prefix = range(1, shape.K + 1) if kind == "matryoshka" else ()
    step = peer.build(kind, shape, list(every_prefix), matched, seed)
    # Matched peers train, and some run, without a decoder bias.
    weights = random_weights(shape, seed, decoder_bias=peer.decoder_bias and not matched)
    load(step, weights)
    batch = torch.randn(shape.batch, shape.d, generator=torch_generator(seed, Axis.VALUES))
    theirs, ours = step.loss(batch), our_loss(kind, weights, batch, shape.m)
    return Agreement(peer.name, kind, matched, theirs, ours, abs(theirs - ours) / ours)


def agreements(shape: Shape, seed: int) -> list[Agreement]:
    """Return every peer's loss and ours, for each of its kinds, as shipped and matched."""
    return [
        compare(peer, kind, shape, matched, seed)
        for peer in PEERS.values()
        for kind in KINDS
        if kind in peer.kinds
        for matched in (False, True)
    ]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code: 1 if a loss differs by more than 1e-5."""
    parser = Parser("benchmarks.peers.agreement", "Each peer's loss beside ours, as JSON.")
    for name in ("d", "K", "m", "batch"):
        parser.add_argument(f"--{name}", type=int, default=getattr(TOY, name), metavar="N")
    parser.add_argument("--seed", type=int, default=0, help="of weights and batch (0)")
    found: list[Agreement] = []

    def job(options: argparse.Namespace) -> None:
        shape = Shape(options.d, options.K, options.m, options.batch)
        with redirect_stdout(sys.stderr):
            found.extend(agreements(shape, options.seed))
        rows = [asdict(row) for row in found]
        print(json.dumps({"shape": asdict(shape), "limit": LIMIT, "losses": rows}, indent=2))

    code = run(parser, job, sys.argv[1:] if arguments is None else arguments)
    disagrees = any(not row.relative_difference <= LIMIT for row in found)
    return EXIT_DISAGREES if code == 0 and disagrees else code


if __name__ == "__main__":
    sys.exit(main())
