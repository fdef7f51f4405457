"""The linear encoder of a top-m SAE: codes are the m largest of x W + b, if they are above 0."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from benchmarks.contracts import EncoderKind
from osae_theory.sae import TopMSAE


@dataclass(frozen=True, eq=False)
class TopM:
    """The linear encoder of a top-m SAE with unit-norm atoms.

    Attributes
    ----------
    model : TopMSAE
        One run; its atoms are the dictionary.
    m : int
        Latents kept a sample.
    """

    model: TopMSAE
    m: int
    kind = "top-m"

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """Weights (d, K), biases (K,), and m."""
        model = self.model
        return {
            "encoder": _numpy(model.encoder[0]),
            "encoder_bias": _numpy(model.encoder_bias[0]),
            "m": np.array([self.m]),
            "portable": np.array([model.arithmetic == "portable"]),
            **({} if model.decoder_bias is None else {"bias": _numpy(model.decoder_bias[0])}),
        }

    @classmethod
    def of(cls, dictionary: Float[np.ndarray, "d K"], arrays: Mapping[str, np.ndarray]) -> "TopM":
        """Return the encoder that a dictionary and `arrays` stand for."""
        encoder = torch.from_numpy(arrays["encoder"].T.copy())[None]
        bias = arrays.get("bias")
        model = TopMSAE(
            encoder.mT,
            torch.from_numpy(arrays["encoder_bias"].copy())[None],
            torch.from_numpy(np.ascontiguousarray(dictionary.T)).to(encoder.dtype)[None],
            None if bias is None else torch.from_numpy(bias.copy())[None],
            arithmetic="portable" if bool(arrays["portable"][0]) else "fast",
        )
        return cls(model, int(arrays["m"][0]))

    @classmethod
    def correlating(cls, dictionary: Float[np.ndarray, "d K"], m: int) -> "TopM":
        """Return the encoder whose codes are the m largest inner products with unit-norm atoms.

        For a method that has learned atoms and no encoder.
        """
        atoms = np.ascontiguousarray(dictionary, dtype=np.float32)
        bias = np.zeros(atoms.shape[1], np.float32)
        given = {"encoder": atoms, "encoder_bias": bias, "m": np.array([m])}
        return cls.of(dictionary, given | {"portable": np.array([True])})

    def __call__(self, rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n K"]:
        """Return the codes of data rows."""
        x = torch.from_numpy(rows).to(self.model.atoms.device)
        return self.model.encode_all(x, self.m)[0].cpu().numpy()


ENCODER = EncoderKind("top-m", TopM.of)


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().cpu().numpy())
