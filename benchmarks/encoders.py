"""How stored runs turn data into codes: the kinds of encoders that a run can be kept with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from jaxtyping import Float

from benchmarks.contracts import Encoder, Fitted
from osae_theory.errors import InputError, check_choice
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

    def __call__(self, rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n K"]:
        """Return the codes of data rows."""
        x = torch.from_numpy(rows).to(self.model.atoms.device)
        return self.model.encode_all(x, self.m)[0].cpu().numpy()


@dataclass(frozen=True)
class Truth:
    """The true codes themselves: for oracles, whose codes are read off the problem."""

    kind = "truth"

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """Nothing: the problem holds them."""
        return {}

    def __call__(self, rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n K"]:
        """Refuse: data alone do not say what made them."""
        raise InputError("the true codes are the problem's: expected another encoder for new data")


_Read = Callable[[Float[np.ndarray, "d K"], Mapping[str, np.ndarray]], Encoder]
ENCODERS: Mapping[str, _Read] = MappingProxyType(
    {"top-m": TopM.of, "truth": lambda dictionary, arrays: Truth()}
)


def stored_arrays(fitted: Fitted) -> dict[str, np.ndarray]:
    """Return all that a fitted run consists of, by name."""
    arrays = {f"encoder.{name}": array for name, array in fitted.encoder.arrays.items()}
    return {"dictionary": np.ascontiguousarray(fitted.dictionary), **arrays}


def fitted_from(kind: str, arrays: Mapping[str, np.ndarray]) -> Fitted:
    """Return the fitted run that `stored_arrays` came from; `kind` is its encoder's."""
    check_choice("encoder", kind, ENCODERS)
    own = {name.removeprefix("encoder."): a for name, a in arrays.items() if "encoder." in name}
    return Fitted(arrays["dictionary"], ENCODERS[kind](arrays["dictionary"], own))


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().cpu().numpy())
