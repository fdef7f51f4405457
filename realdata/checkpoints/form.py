"""The one internal form of a sparse autoencoder's checkpoint, whatever library wrote it.

A checkpoint is a linear encoder, an activation, decoder rows and biases, with what happens
to the input before and to the reconstruction after. Each of these is one small value here,
and a format's reader does nothing but put them together. Comparing checkpoints takes their
decoder alone, a `StoredDictionary`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from osae_theory.errors import InputError, check_integer
from osae_theory.sae.selection import select_top_m

CHUNK = 4096


@runtime_checkable
class Activation(Protocol):
    """What makes latents from pre-activations."""

    def __call__(self, preactivations: Float[Tensor, "n K"]) -> Float[Tensor, "n K"]:
        """Return the latents of each row."""
        ...

    def check(self, K: int) -> None:
        """Raise InputError unless the activation fits K latents."""
        ...


@runtime_checkable
class Normalisation(Protocol):
    """What is done to an activation before the encoder, and undone after the decoder."""

    def enter(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Return the normalised activations."""
        ...

    def leave(
        self, reconstruction: Float[Tensor, "n d"], x: Float[Tensor, "n d"]
    ) -> Float[Tensor, "n d"]:
        """Return the reconstruction in the units of the activations `x`."""
        ...

    def directions(self, rows: Float[Tensor, "K d"]) -> Float[Tensor, "K d"]:
        """Return decoder rows in the coordinates of the activations.

        Where the normalisation scales each activation by a number of its own, directions
        do not change and the rows are returned as they are.
        """
        ...


@dataclass(frozen=True)
class ReLU:
    """max(a, 0)."""

    def __call__(self, preactivations: Float[Tensor, "n K"]) -> Float[Tensor, "n K"]:
        """Return the latents of each row."""
        return preactivations.relu()

    def check(self, K: int) -> None:
        """Any width fits."""


@dataclass(frozen=True)
class TopK:
    """The k largest of each row, as torch.topk selects them.

    Parameters
    ----------
    k : int
        Latents kept, 1..K.
    signed : bool
        Keep the k largest magnitudes with their signs, instead of the k largest values and
        of those the positive ones.
    """

    k: int
    signed: bool = False

    def __call__(self, preactivations: Float[Tensor, "n K"]) -> Float[Tensor, "n K"]:
        """Return the latents of each row."""
        ranked = preactivations.abs() if self.signed else preactivations
        kept = ranked.topk(self.k, dim=-1, sorted=False).indices
        values = preactivations.gather(-1, kept)
        values = values if self.signed else values.relu()
        return torch.zeros_like(preactivations).scatter(-1, kept, values)

    def check(self, K: int) -> None:
        """Raise InputError unless k is a whole number in 1..K."""
        _check_sparsity("k", self.k, K)


@dataclass(frozen=True)
class TopM:
    """The top-m selection of `osae_theory.sae`: among equal latents the lower index wins.

    Parameters
    ----------
    m : int
        Latents kept, 1..K.
    activation : {"relu", "signed"}
        See `osae_theory.sae.select_top_m`.
    """

    m: int
    activation: str = "relu"

    def __call__(self, preactivations: Float[Tensor, "n K"]) -> Float[Tensor, "n K"]:
        """Return the latents of each row."""
        return select_top_m(preactivations, self.m, self.activation)

    def check(self, K: int) -> None:
        """Raise InputError unless m is a whole number in 1..K."""
        _check_sparsity("m", self.m, K)


@dataclass(frozen=True, eq=False)
class JumpReLU:
    """max(a, 0) where a exceeds the latent's threshold, else 0.

    It is also what batch top-k becomes at inference, with one threshold for all latents.

    Parameters
    ----------
    threshold : tensor of shape (K,)
        Any sign; below 0 it is the ReLU.
    """

    threshold: Float[Tensor, " K"]

    def __call__(self, preactivations: Float[Tensor, "n K"]) -> Float[Tensor, "n K"]:
        """Return the latents of each row."""
        return preactivations.relu() * (preactivations > self.threshold)

    def check(self, K: int) -> None:
        """Raise InputError unless there is one threshold a latent."""
        _check_length("threshold", self.threshold, K)


@dataclass(frozen=True, eq=False)
class Gated:
    """A gate that opens a latent, and a magnitude from the same projection a.

    Latents are max(a exp(log_scale) + magnitude_bias, 0) where a + gate_bias > 0, else 0.
    Its autoencoder has no encoder bias of its own.

    Parameters
    ----------
    gate_bias, log_scale, magnitude_bias : tensors of shape (K,)

    References
    ----------
    Rajamanoharan et al. (2024), arXiv 2404.16014.
    """

    gate_bias: Float[Tensor, " K"]
    log_scale: Float[Tensor, " K"]
    magnitude_bias: Float[Tensor, " K"]

    def __call__(self, preactivations: Float[Tensor, "n K"]) -> Float[Tensor, "n K"]:
        """Return the latents of each row."""
        magnitudes = preactivations * self.log_scale.exp() + self.magnitude_bias
        return magnitudes.relu() * (preactivations + self.gate_bias > 0)

    def check(self, K: int) -> None:
        """Raise InputError unless there is one of each a latent."""
        for name in ("gate_bias", "log_scale", "magnitude_bias"):
            _check_length(name, getattr(self, name), K)


@dataclass(frozen=True)
class NoNormalisation:
    """Activations enter as they are."""

    def enter(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Return x."""
        return x

    def leave(
        self, reconstruction: Float[Tensor, "n d"], x: Float[Tensor, "n d"]
    ) -> Float[Tensor, "n d"]:
        """Return the reconstruction."""
        return reconstruction

    def directions(self, rows: Float[Tensor, "K d"]) -> Float[Tensor, "K d"]:
        """Return the rows."""
        return rows


@dataclass(frozen=True)
class LayerNorm:
    """Each activation centred and divided by its standard deviation (ddof = 1) plus epsilon.

    On the way out the deviation alone is multiplied back, as SAELens does.
    """

    epsilon: float = 1e-5

    def enter(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Return (x - mean) / (deviation + epsilon), row by row."""
        centred = x - x.mean(dim=-1, keepdim=True)
        return centred / (centred.std(dim=-1, keepdim=True) + self.epsilon)

    def leave(
        self, reconstruction: Float[Tensor, "n d"], x: Float[Tensor, "n d"]
    ) -> Float[Tensor, "n d"]:
        """Return reconstruction * deviation + mean, row by row."""
        mean = x.mean(dim=-1, keepdim=True)
        return reconstruction * (x - mean).std(dim=-1, keepdim=True) + mean

    def directions(self, rows: Float[Tensor, "K d"]) -> Float[Tensor, "K d"]:
        """Return the rows."""
        return rows


@dataclass(frozen=True)
class ConstantNorm:
    """Each activation scaled to norm sqrt(d)."""

    def enter(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Return x sqrt(d) / |x|, row by row."""
        return x * self._factors(x)

    def leave(
        self, reconstruction: Float[Tensor, "n d"], x: Float[Tensor, "n d"]
    ) -> Float[Tensor, "n d"]:
        """Return the reconstruction at the scale of x."""
        return reconstruction / self._factors(x)

    def directions(self, rows: Float[Tensor, "K d"]) -> Float[Tensor, "K d"]:
        """Return the rows."""
        return rows

    @staticmethod
    def _factors(x: Tensor) -> Tensor:
        return x.shape[-1] ** 0.5 / x.norm(dim=-1, keepdim=True)


@dataclass(frozen=True, eq=False)
class Standardisation:
    """Each dimension centred and divided by its scale, both fitted on training activations.

    Parameters
    ----------
    mean, scale : tensors of shape (d,)
        `scale` above 0.
    """

    mean: Float[Tensor, " d"]
    scale: Float[Tensor, " d"]

    def enter(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Return (x - mean) / scale."""
        return (x - self.mean) / self.scale

    def leave(
        self, reconstruction: Float[Tensor, "n d"], x: Float[Tensor, "n d"]
    ) -> Float[Tensor, "n d"]:
        """Return reconstruction * scale + mean."""
        return reconstruction * self.scale + self.mean

    def directions(self, rows: Float[Tensor, "K d"]) -> Float[Tensor, "K d"]:
        """Return rows * scale."""
        return rows * self.scale


@dataclass(frozen=True, eq=False)
class Whitening:
    """Activations centred and multiplied by a square matrix, and back by its inverse.

    Parameters
    ----------
    mean : tensor of shape (d,)
    matrix, inverse : tensors of shape (d, d)
        z = (x - mean) matrix and x = z inverse + mean.
    """

    mean: Float[Tensor, " d"]
    matrix: Float[Tensor, "d d"]
    inverse: Float[Tensor, "d d"]

    def enter(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Return (x - mean) matrix."""
        return (x - self.mean) @ self.matrix

    def leave(
        self, reconstruction: Float[Tensor, "n d"], x: Float[Tensor, "n d"]
    ) -> Float[Tensor, "n d"]:
        """Return reconstruction inverse + mean."""
        return reconstruction @ self.inverse + self.mean

    def directions(self, rows: Float[Tensor, "K d"]) -> Float[Tensor, "K d"]:
        """Return rows inverse."""
        return rows @ self.inverse.to(rows.dtype)


class Decoder:
    """What every checkpoint has: one decoder matrix, and what it says of itself.

    It is enough to compare a checkpoint with another.

    Attributes
    ----------
    architecture : str
        The name the checkpoint gives itself.
    decoder_rows : tensor of shape (K, d)
        As stored, in the order of the checkpoint; float32, or float64 where the checkpoint says
        so. Of a transcoder d is the width of what it predicts.
    normalisation : Normalisation
        It is undone after the decoder.
    metadata : mapping
        What the checkpoint says of its format, model, hook point and training.
    """

    architecture: str
    decoder_rows: Float[Tensor, "K d"]
    normalisation: Normalisation
    metadata: Mapping[str, Any]

    def __post_init__(self) -> None:
        check_integer("the number of latents", self.K, 1)
        check_integer("the width of the activations", self.d, 1)

    @property
    def d(self) -> int:
        """Width of the activations."""
        return self.decoder_rows.shape[1]

    @property
    def K(self) -> int:
        """Number of latents."""
        return self.decoder_rows.shape[0]

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in: float32 or float64."""
        return self.decoder_rows.dtype

    @property
    def decoder(self) -> Float[np.ndarray, "K d"]:
        """Decoder rows in the coordinates of the activations, (K, d).

        They are the stored rows, up to a positive factor of each, unless the autoencoder
        standardises or whitens its input by fixed numbers: then what one unit of a latent
        adds to the reconstruction, so that checkpoints with different input scalings can
        be compared. In float32, or in float64 where a row would vanish or overflow in float32.
        """
        rows = self.normalisation.directions(self.decoder_rows)
        if not _fits_float32(rows, self.decoder_rows):
            rows = self.normalisation.directions(self.decoder_rows.double())
        if _fits_float32(rows, self.decoder_rows):
            rows = rows.to(torch.float32)
        return rows.contiguous().numpy()


@dataclass(frozen=True, eq=False)
class StoredDictionary(Decoder):
    """A checkpoint's decoder alone; see `Decoder`."""

    architecture: str
    decoder_rows: Float[Tensor, "K d"]
    normalisation: Normalisation = NoNormalisation()
    metadata: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, eq=False)
class SparseAutoencoder(Decoder):
    """A sparse autoencoder as its own library computes it at inference.

    With z = normalisation.enter(x), latents are
    activation(((z - input_offset) encoder + encoder_bias) * preactivation_scale), and the
    reconstruction is normalisation.leave((latents * latent_scale) decoder_rows +
    decoder_bias), plus x skip.

    Parameters
    ----------
    architecture : str
        The name the checkpoint gives itself.
    encoder : tensor of shape (d, K)
        Float32, or float64 where the checkpoint says so; all other tensors alike.
    encoder_bias : tensor of shape (K,)
    decoder_rows : tensor of shape (K, d)
        As stored, in the order of the checkpoint.
    decoder_bias : tensor of shape (d,)
    activation : Activation
    input_offset : tensor of shape (d,), optional
        Subtracted before the encoder: the decoder bias in some libraries.
    normalisation : Normalisation
    preactivation_scale, latent_scale : tensors of shape (K,), optional
        Factors before the activation, and before the decoder.
    skip : tensor of shape (d, d), optional
        A linear path from the raw input to the output.
    metadata : mapping
        What the checkpoint says of its model, hook point and training.

    Raises
    ------
    InputError
        If the activation does not fit the width: k = 0, k > K.
    """

    architecture: str
    encoder: Float[Tensor, "d K"]
    encoder_bias: Float[Tensor, " K"]
    decoder_rows: Float[Tensor, "K d"]
    decoder_bias: Float[Tensor, " d"]
    activation: Activation
    input_offset: Float[Tensor, " d"] | None = None
    normalisation: Normalisation = NoNormalisation()
    preactivation_scale: Float[Tensor, " K"] | None = None
    latent_scale: Float[Tensor, " K"] | None = None
    skip: Float[Tensor, "d d"] | None = None
    metadata: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.activation.check(self.K)

    @property
    def unit_energies(self) -> Float[np.ndarray, " K"]:
        """Squared length of what one unit of each latent adds to the reconstruction, float64.

        In the coordinates of `decoder`; where each activation is scaled by a number of its own,
        at the scale that the decoder sees.
        """
        rows = self.decoder_rows.double()
        if self.latent_scale is not None:
            rows = rows * self.latent_scale.double()[:, None]
        return self.normalisation.directions(rows).square().sum(dim=1).numpy()

    @torch.no_grad()
    def encode(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n K"]:
        """Return the latents of activations, one row each."""
        entered = self.normalisation.enter(x.to(self.dtype))
        if self.input_offset is not None:
            entered = entered - self.input_offset
        preactivations = entered @ self.encoder + self.encoder_bias
        if self.preactivation_scale is not None:
            preactivations = preactivations * self.preactivation_scale
        return self.activation(preactivations)

    @torch.no_grad()
    def decode(
        self, latents: Float[Tensor, "n K"], x: Float[Tensor, "n d"]
    ) -> Float[Tensor, "n d"]:
        """Return the reconstruction of activations `x` from their latents."""
        given = x.to(self.dtype)
        if self.latent_scale is not None:
            latents = latents * self.latent_scale
        reconstruction = self.normalisation.leave(
            latents @ self.decoder_rows + self.decoder_bias, given
        )
        return reconstruction if self.skip is None else reconstruction + given @ self.skip

    def chunks(
        self, x: Float[Tensor, "n d"], size: int = CHUNK
    ) -> Iterator[tuple[Float[Tensor, "rows K"], Float[Tensor, "rows d"]]]:
        """Yield (latents, reconstruction) of `size` activations at a time, in order."""
        for part in cast("tuple[Tensor, ...]", x.split(size)):
            latents = self.encode(part)
            yield latents, self.decode(latents, part)


def _fits_float32(rows: Tensor, stored: Tensor) -> bool:
    """Say whether float32 holds each row as well as float64 does, but for its 24 bits."""
    largest = rows.abs().amax(dim=1)
    limits = torch.finfo(torch.float32)
    held = (largest >= limits.tiny / limits.eps) & (largest <= limits.max)
    return bool((held | (stored == 0).all(dim=1)).all())


def _check_sparsity(name: str, value: object, K: int) -> None:
    check_integer(name, value, 1)
    if cast("int", value) > K:
        raise InputError(f"{name} = {value}: expected at most K = {K}, the number of latents")


def _check_length(name: str, values: Tensor, K: int) -> None:
    if tuple(values.shape) != (K,):
        raise InputError(f"{name} has shape {tuple(values.shape)}: expected ({K},), one a latent")
