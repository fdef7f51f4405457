"""OrderedSAE: an ordered sparse autoencoder behind scikit-learn's estimator interface."""

from typing import Any, cast

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from osae_theory.devices import check_device
from osae_theory.errors import InputError, check_choice, check_integer
from osae_theory.metrics import order_by_energy, order_by_frequency
from osae_theory.prefixes import PrefixLaw, WeightSchedule
from osae_theory.sae.model import TopMSAE
from osae_theory.sae.runs import Run, RunSeeds, TrainingConfig
from osae_theory.sae.training import train

_LAWS = {"uniform": PrefixLaw.uniform, "zipf": PrefixLaw.zipf, "full": PrefixLaw.full}
_ORDERS = {"frequency": order_by_frequency, "energy": order_by_energy}
_MAX_SEED = np.iinfo(np.int32).max


class OrderedSAE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Ordered sparse autoencoder: sparse codes over a dictionary whose atoms have an order.

    Parameters
    ----------
    n_atoms : int, optional
        Number of atoms K; by default twice the number of features.
    n_nonzero : int, optional
        Most nonzeros a sample m, at most K; by default a tenth of the number of features,
        at least 1.
    law : {"uniform", "zipf", "full"}, array of shape (K,), PrefixLaw or WeightSchedule
        Law of the prefix length. "uniform" is the paper's OSAE; "full" a plain top-m SAE.
    sort_by : {"frequency", "energy"}, optional
        Sort the atoms after training, on the training data, descending; by default the
        trained order stands.
    n_steps : int
        Optimiser steps.
    batch_size : int
        Samples a step, capped at the number of samples.
    learning_rate : float
        Adam's learning rate at its peak.
    activation : {"relu", "signed"}
        Whether codes are nonnegative, or the m largest magnitudes with their signs.
    use_decoder_bias : bool
        Whether to learn an offset of the data.
    device : str
        Where to train, a torch device. Anything but "cpu" has not been run by the authors.
    random_state : int, RandomState or None
        Seed of initialisation, data order and prefixes.

    Attributes
    ----------
    components_ : array of shape (n_atoms, n_features)
        Atoms, unit norm, in order.
    encoder_ : array of shape (n_features, n_atoms)
        Encoder weights.
    encoder_bias_ : array of shape (n_atoms,)
        Encoder biases.
    decoder_bias_ : array of shape (n_features,)
        Offset of the data; zeros without `use_decoder_bias`.
    n_nonzero_ : int
        The sparsity used.
    loss_curve_ : array of shape (n_steps,)
        Training loss per entry at each step.
    n_iter_ : int
        Optimiser steps done.
    n_features_in_ : int
        Number of features.

    References
    ----------
    Wang et al. (2025), section 2.2.

    Examples
    --------
    >>> from osae_theory.problems import toy_spec
    >>> data, _, _ = toy_spec(d=16, K=20, m=2, n_samples=500).draw().rows()
    >>> sae = OrderedSAE(n_atoms=20, n_nonzero=2, n_steps=50, random_state=0).fit(data)
    >>> sae.components_.shape
    (20, 16)
    >>> int((sae.transform(data) != 0).sum(axis=1).max())
    2
    """

    def __init__(
        self,
        n_atoms=None,
        n_nonzero=None,
        *,
        law="uniform",
        sort_by=None,
        n_steps=1960,
        batch_size=1024,
        learning_rate=1e-2,
        activation="relu",
        use_decoder_bias=False,
        device="cpu",
        random_state=None,
    ) -> None:
        self.n_atoms = n_atoms
        self.n_nonzero = n_nonzero
        self.law = law
        self.sort_by = sort_by
        self.n_steps = n_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.activation = activation
        self.use_decoder_bias = use_decoder_bias
        self.device = device
        self.random_state = random_state

    def fit(self, X: Any, y: object = None) -> "OrderedSAE":
        """Train on data of shape (n_samples, n_features).

        Parameters
        ----------
        X : array of shape (n_samples, n_features)
            float32 trains in float32; anything else in float64.
        y : ignored
            There for scikit-learn's conventions.

        Raises
        ------
        ValueError
            If a parameter or the data cannot be used, or the training diverged; one
            sentence that names the value.
        """
        data = self._validated(X, reset=True)
        n_features = data.shape[1]
        n_atoms = 2 * n_features if self.n_atoms is None else self.n_atoms
        n_nonzero = max(1, n_features // 10) if self.n_nonzero is None else self.n_nonzero
        check_integer("n_atoms", n_atoms, 1)
        if self.sort_by is not None:
            check_choice("sort_by", self.sort_by, _ORDERS)
        config = TrainingConfig(
            n_nonzero=n_nonzero,
            n_steps=self.n_steps,
            batch_size=self.batch_size,
            activation=self.activation,
            use_decoder_bias=self.use_decoder_bias,
        )
        seed = int(check_random_state(self.random_state).randint(_MAX_SEED))
        run = Run(RunSeeds.same(seed), self.learning_rate, self._schedule(n_atoms))
        x = torch.from_numpy(data).to(check_device(self.device))
        result = train(x, n_atoms, [run], config)
        if bool(result.diverged.any()):
            raise InputError(f"learning_rate = {self.learning_rate}: the training diverged")
        model = result.model
        order = np.arange(n_atoms)
        if self.sort_by is not None:
            codes = model.encode_all(x, n_nonzero)[0].cpu().numpy()
            order = _ORDERS[self.sort_by](codes.T)
        self.components_ = model.atoms[0].cpu().numpy()[order]
        self.encoder_ = model.encoder[0].cpu().numpy()[:, order]
        self.encoder_bias_ = model.encoder_bias[0].cpu().numpy()[order]
        bias = model.decoder_bias
        self.decoder_bias_ = (
            np.zeros(n_features, data.dtype) if bias is None else bias[0].cpu().numpy()
        )
        self.n_nonzero_ = n_nonzero
        self.loss_curve_ = result.losses[:, 0].cpu().numpy()
        self.n_iter_ = self.n_steps
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the codes, shape (n_samples, n_atoms), at most `n_nonzero_` nonzeros a row."""
        check_is_fitted(self)
        x = torch.from_numpy(self._validated(X, reset=False))
        return self._model(x.dtype).encode_all(x, self.n_nonzero_)[0].numpy()

    def inverse_transform(self, codes: Any) -> np.ndarray:
        """Return the reconstruction, shape (n_samples, n_features), of codes."""
        check_is_fitted(self)
        return np.asarray(codes) @ self.components_ + self.decoder_bias_

    def _model(self, dtype: torch.dtype) -> TopMSAE:
        def tensor(array: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(dtype)[None]

        return TopMSAE(
            tensor(self.encoder_),
            tensor(self.encoder_bias_),
            tensor(self.components_),
            tensor(self.decoder_bias_),
            self.activation,
        )

    def _schedule(self, n_atoms: int) -> WeightSchedule:
        if isinstance(self.law, WeightSchedule):
            return self.law
        if isinstance(self.law, str):
            check_choice("law", self.law, _LAWS)
            return _LAWS[self.law](n_atoms)
        return PrefixLaw(np.asarray(self.law, dtype=np.float64))

    def _validated(self, X: Any, *, reset: bool) -> np.ndarray:
        data = validate_data(
            self, cast("Any", X), reset=reset, dtype=[np.float64, np.float32], order="C"
        )
        # A read-only array (a memory map) cannot become a tensor: it is copied.
        return np.require(cast("np.ndarray", data), requirements=["C", "W"])

    @property
    def _n_features_out(self) -> int:
        return self.components_.shape[0]

    def __sklearn_tags__(self) -> Tags:
        tags = cast("Any", super()).__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
