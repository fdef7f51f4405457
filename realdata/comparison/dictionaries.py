"""The SAEs that `realdata compare` holds against each other, and their latents on activations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from osae_theory.errors import InputError, check_choice
from osae_theory.metrics import LatentStatistics
from osae_theory.seeds import Axis, derived_seed
from realdata.checkpoints import load, load_dictionary
from realdata.checkpoints.form import Decoder, SparseAutoencoder
from realdata.latents.rows import read_activations, row_chunks
from realdata.latents.sparse import LatentChunk, latent_statistics, order_by_contribution, sparse

TRAINED, FREQUENCY, ENERGY = "trained", "frequency", "energy"
ORDERS: Mapping[str, str] = MappingProxyType(
    {
        TRAINED: "in the order of the checkpoints",
        FREQUENCY: "from the most often active latent down",
        ENERGY: "from the latent that adds most to the reconstructions down",
    }
)


@dataclass(frozen=True, eq=False)
class Dictionary:
    """One SAE under a name, its latents in the order in which they are compared.

    Attributes
    ----------
    name : str
        A label, or where it was found.
    autoencoder : Decoder
        In the order of the checkpoint: a SparseAutoencoder where activations were given, else
        its decoder is enough.
    order : (K,) int
        The checkpoint's index of the first latent, of the second, and so on.
    latents : sequence of chunks
        On the activations that were given, in the order of the checkpoint; empty without any.
    statistics : LatentStatistics or None
        Of these, in the order of the checkpoint.
    order_name : str
        What the order is: a name in ORDERS.
    """

    name: str
    autoencoder: Decoder
    order: Int[np.ndarray, " K"]
    latents: Sequence[LatentChunk] = ()
    statistics: LatentStatistics | None = None
    order_name: str = TRAINED

    @property
    def decoder(self) -> Float[np.ndarray, "K d"]:
        """Decoder rows in the coordinates of the activations, in this order."""
        return self.autoencoder.decoder[self.order]

    @property
    def live(self) -> Bool[np.ndarray, " K"]:
        """Which latents, in this order, are ever active; all without activations."""
        if self.statistics is None:
            return np.ones(self.autoencoder.K, dtype=bool)
        return ~self.statistics.dead[self.order]

    @property
    def with_encoder(self) -> SparseAutoencoder:
        """The SAE itself; InputError where only its decoder is known."""
        if not isinstance(self.autoencoder, SparseAutoencoder):
            raise InputError(f"nothing is known of {self.name}'s latents: expected an autoencoder")
        return self.autoencoder

    def frequencies(self) -> Float[np.ndarray, " K"]:
        """Return how often each latent is active, in [0, 1], in this order.

        Raises InputError without activations.
        """
        return self._known().frequencies[self.order]

    def energies(self) -> Float[np.ndarray, " K"]:
        """Return the mean squared length of what each latent adds to a reconstruction.

        In this order. Raises InputError without activations.
        """
        known = self._known()
        mean = known.energies / known.n_samples * self.with_encoder.unit_energies
        return mean[self.order]

    def _known(self) -> LatentStatistics:
        if self.statistics is None:
            raise InputError(f"nothing is known of {self.name}'s latents: expected activations")
        return self.statistics

    def description(self) -> dict[str, Any]:
        """Return what it is, as plain values: its sizes and what the checkpoint says of itself."""
        own = self.autoencoder
        said = {k: v for k, v in own.metadata.items() if isinstance(v, (str, int, float))}
        dead = {} if self.statistics is None else {"dead": int(self.statistics.dead.sum())}
        sizes = {"architecture": own.architecture, "d": own.d, "K": own.K}
        return {"name": self.name, **sizes, **said, **dead}


def dictionaries(
    locations: Mapping[str, str],
    revision: str | None = None,
    activations: Path | None = None,
    order: str = TRAINED,
) -> list[Dictionary]:
    """Load SAEs, and run them on activations where these are given.

    Parameters
    ----------
    locations, revision
        As in `loaded`.
    activations, order
        As in `on_activations`; another order than the trained one needs activations.

    Raises
    ------
    InputError
        If a checkpoint or the activations cannot be used, the order is unknown, or it needs
        activations and there are none.
    """
    check_choice("order", order, ORDERS)
    if order != TRAINED and activations is None:
        raise InputError(f"order {order!r} needs activations: expected --activations")
    found = loaded(locations, revision, encoders=activations is not None)
    return found if activations is None else on_activations(found, activations, order)


def loaded(
    locations: Mapping[str, str], revision: str | None = None, *, encoders: bool = False
) -> list[Dictionary]:
    """Load SAEs without asking what their latents do.

    Parameters
    ----------
    locations : mapping of str to str
        By name; see `realdata.checkpoints.load`. Without encoders any checkpoint with one decoder
        matrix will do, see `realdata.checkpoints.load_dictionary`.
    revision : str, optional
        Branch, tag or commit on the hub.
    encoders : bool
        Whether their latents are going to be computed.

    Raises
    ------
    InputError
        If a checkpoint cannot be used.
    """
    load_one = _with_encoder if encoders else load_dictionary
    found = []
    for name, location in locations.items():
        own = load_one(location, revision)
        found.append(Dictionary(name, own, np.arange(own.K)))
    return found


def on_activations(
    given: Sequence[Dictionary], activations: Path, order: str = TRAINED
) -> list[Dictionary]:
    """Return SAEs with their latents on activations, in an order that these may decide.

    Parameters
    ----------
    given : sequence of Dictionary
        With encoders.
    activations : Path
        A .npy file (n, d), or a folder of collected ones, in the coordinates that the checkpoints
        take.
    order : str
        A name in ORDERS. Ties, and latents that are never active, stand in an order drawn for
        each SAE, so that nothing of the trained order is left.

    Raises
    ------
    InputError
        If the activations cannot be used or are all the same, the order is unknown, or an SAE has
        no encoder.
    """
    check_choice("order", order, ORDERS)
    found = []
    for place, one in enumerate(given):
        own = one.with_encoder
        latents = _latents(own, activations, one.name)
        statistics = latent_statistics(latents)
        kept = _order(own, statistics, order, derived_seed(0, Axis.TIES, place))
        found.append(Dictionary(one.name, own, kept, latents, statistics, order))
    return found


def _with_encoder(location: str, revision: str | None) -> SparseAutoencoder:
    """Return an autoencoder; where its latents alone are in the way, the refusal says so."""
    try:
        return load(location, revision)
    except InputError as error:
        try:
            load_dictionary(location, revision)
        except InputError:
            raise error from None
        raise InputError(f"{error} (its decoder is compared without --activations)") from error


def _latents(autoencoder: SparseAutoencoder, path: Path, name: str) -> list[LatentChunk]:
    """Return the latents on activations of which at least two differ: they are correlated."""
    x = read_activations(path, autoencoder, name)
    found: list[LatentChunk] = []
    first, vary = None, False
    for _, part in row_chunks(x, autoencoder.dtype):
        first = part[0] if first is None else first
        vary = vary or bool((part != first).any())
        found.append(sparse(autoencoder.encode(part).numpy()))
    if not vary:
        raise InputError(f"{path} holds one activation throughout: expected at least two different")
    return found


def _order(
    autoencoder: SparseAutoencoder, statistics: LatentStatistics, order: str, tie_seed: int
) -> Int[np.ndarray, " K"]:
    if order == TRAINED:
        return np.arange(autoencoder.K)
    if order == FREQUENCY:
        return statistics.order_by_frequency(tie_seed)
    return order_by_contribution(statistics, autoencoder.unit_energies, tie_seed)
