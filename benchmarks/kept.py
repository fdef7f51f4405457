"""A fitted run as arrays by name, and back: so that stored runs can be measured again."""

from collections.abc import Mapping

import numpy as np

from benchmarks import catalogue
from benchmarks.contracts import Fitted
from osae_theory.errors import check_choice


def stored_arrays(fitted: Fitted) -> dict[str, np.ndarray]:
    """Return all that a fitted run consists of, by name."""
    arrays = {f"encoder.{name}": array for name, array in fitted.encoder.arrays.items()}
    return {"dictionary": np.ascontiguousarray(fitted.dictionary), **arrays}


def fitted_from(kind: str, arrays: Mapping[str, np.ndarray]) -> Fitted:
    """Return the fitted run that `stored_arrays` came from; `kind` is its encoder's.

    Raises
    ------
    InputError
        If no file of `benchmarks/encoders` declares that kind.
    """
    check_choice("encoder", kind, catalogue.encoders())
    own = {name.removeprefix("encoder."): a for name, a in arrays.items() if "encoder." in name}
    dictionary = arrays["dictionary"]
    return Fitted(dictionary, catalogue.encoders()[kind].read(dictionary, own))
