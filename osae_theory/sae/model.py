"""A linear-encoder sparse autoencoder with top-m selection, for several runs at once."""

from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from osae_theory.errors import InputError
from osae_theory.portable import affine, matmul, standard_normal
from osae_theory.sae.selection import select_top_m

_CHUNK = 16_384


class TopMSAE(nn.Module):
    """S top-m SAEs of the same shape, side by side along a leading run axis.

    Latents are E(x) = (x - b_dec) W_enc + b_enc; codes are the m largest of them; the
    reconstruction is codes @ atoms + b_dec. Rows: x is (S, n, d), one batch a run.

    Parameters
    ----------
    encoder : tensor of shape (S, d, K)
        Encoder weights.
    encoder_bias : tensor of shape (S, K)
        Encoder biases.
    atoms : tensor of shape (S, K, d)
        Decoder rows, the paper's D^T; unit norm.
    decoder_bias : tensor of shape (S, d), optional
        Subtracted from the input and added to the reconstruction; absent by default.
    activation : {"relu", "signed", "batch"}
        How the m largest latents are chosen; see `osae_theory.sae.selection`.
    arithmetic : {"portable", "fast"}
        How products are computed where no gradient is recorded: with defined bits, on a CPU
        (`osae_theory.portable`), or by torch.
    """

    def __init__(
        self,
        encoder: Float[Tensor, "S d K"],
        encoder_bias: Float[Tensor, "S K"],
        atoms: Float[Tensor, "S K d"],
        decoder_bias: Float[Tensor, "S d"] | None = None,
        activation: str = "relu",
        arithmetic: str = "fast",
    ) -> None:
        super().__init__()
        self.encoder = nn.Parameter(encoder)
        self.encoder_bias = nn.Parameter(encoder_bias)
        self.atoms = nn.Parameter(atoms)
        self.decoder_bias = None if decoder_bias is None else nn.Parameter(decoder_bias)
        self.activation = activation
        self.arithmetic = arithmetic

    @classmethod
    def initialised(
        cls,
        d: int,
        K: int,
        generators: Sequence[np.random.Generator],
        *,
        decoder_bias: Float[Tensor, "*runs d"] | None = None,
        activation: str = "relu",
        arithmetic: str = "fast",
        dtype: torch.dtype = torch.float32,
    ) -> "TopMSAE":
        """Return SAEs whose encoder is the transpose of their own random decoder.

        Atoms are isotropic Gaussian, normalised, drawn in float64 from each run's
        generator; encoder biases start at 0. Nothing here sees the truth.

        Raises
        ------
        InputError
            If no generator is given.
        """
        if not generators:
            raise InputError("no run to initialise: expected at least one generator")
        drawn = np.stack([standard_normal(g, (K, d)) for g in generators])
        drawn /= np.sqrt((drawn * drawn).sum(axis=-1, keepdims=True))
        return cls.starting_at(
            torch.from_numpy(drawn).to(dtype),
            decoder_bias=decoder_bias,
            activation=activation,
            arithmetic=arithmetic,
        )

    @classmethod
    def starting_at(
        cls,
        atoms: Float[Tensor, "S K d"],
        *,
        decoder_bias: Float[Tensor, "*runs d"] | None = None,
        activation: str = "relu",
        arithmetic: str = "fast",
    ) -> "TopMSAE":
        """Return SAEs of these unit atoms whose encoder is their transpose, with biases of 0."""
        S, K, d = atoms.shape
        dtype = atoms.dtype
        bias = None if decoder_bias is None else decoder_bias.to(dtype).expand(S, d).clone()
        # Laid out by latent: selected latents then have their weights in one piece.
        encoder = atoms.clone().mT
        return cls(encoder, torch.zeros(S, K, dtype=dtype), atoms, bias, activation, arithmetic)

    @property
    def n_runs(self) -> int:
        """Number of runs S."""
        return self.atoms.shape[0]

    @property
    def n_atoms(self) -> int:
        """Number of latents K."""
        return self.atoms.shape[1]

    def centred(self, x: Float[Tensor, "S n d"]) -> Float[Tensor, "S n d"]:
        """Return x - b_dec, what the loss compares with codes @ atoms."""
        return x if self.decoder_bias is None else x - self.decoder_bias[:, None, :]

    def preactivations(
        self, centred: Float[Tensor, "S n d"], out: Float[Tensor, "S n K"] | None = None
    ) -> Float[Tensor, "S n K"]:
        """Return the latents of centred inputs, before selection; in `out` if it is given."""
        if not self._is_portable(centred):
            return torch.baddbmm(self.encoder_bias[:, None, :], centred, self.encoder, out=out)
        latents = centred.new_empty(*centred.shape[:2], self.n_atoms) if out is None else out
        for s in range(self.n_runs):
            affine(
                centred[s].numpy(),
                self.encoder[s].detach().mT.numpy(),
                self.encoder_bias[s].detach().numpy(),
                latents[s].numpy(),
            )
        return latents

    def encode(self, x: Float[Tensor, "S n d"], m: int) -> Float[Tensor, "S n K"]:
        """Return codes with at most m nonzeros a sample."""
        return select_top_m(self.preactivations(self.centred(x)), m, self.activation)

    def decode(self, codes: Float[Tensor, "S n K"]) -> Float[Tensor, "S n d"]:
        """Return the reconstruction of codes."""
        reconstruction = self.combine(codes)
        if self.decoder_bias is None:
            return reconstruction
        return reconstruction + self.decoder_bias[:, None, :]

    def combine(self, codes: Float[Tensor, "S n K"]) -> Float[Tensor, "S n d"]:
        """Return codes @ atoms, the reconstruction without its bias."""
        if not self._is_portable(codes):
            return codes @ self.atoms
        atoms = self.atoms.detach().numpy()
        products = [matmul(codes[s].numpy(), atoms[s]) for s in range(self.n_runs)]
        return torch.from_numpy(np.stack(products))

    def _is_portable(self, x: Tensor) -> bool:
        """Say whether the bits of a product are to be the defined ones."""
        recorded = torch.is_grad_enabled() and (
            x.requires_grad or any(p.requires_grad for p in self.parameters())
        )
        return self.arithmetic == "portable" and not recorded

    def run(self, index: int) -> "TopMSAE":
        """Return run `index` alone, as a TopMSAE with S = 1; a copy."""
        bias = None if self.decoder_bias is None else self.decoder_bias[index, None].clone()
        return TopMSAE(
            self.encoder[index, None].detach().clone(),
            self.encoder_bias[index, None].detach().clone(),
            self.atoms[index, None].detach().clone(),
            None if bias is None else bias.detach(),
            self.activation,
            self.arithmetic,
        )

    @torch.no_grad()
    def encode_chunks(
        self, x: Float[Tensor, "N d"], m: int, chunk: int = _CHUNK
    ) -> Iterator[Float[Tensor, "S n K"]]:
        """Yield the codes of one shared data set in chunks, in order, without gradients."""
        for part in cast("tuple[Tensor, ...]", x.split(chunk)):
            yield self.encode(part.expand(self.n_runs, *part.shape), m)

    @torch.no_grad()
    def encode_all(self, x: Float[Tensor, "N d"], m: int) -> Float[Tensor, "S N K"]:
        """Return the codes of one shared data set, without gradients."""
        return torch.cat(list(self.encode_chunks(x, m)), dim=1)
