"""OrderedSAE: an ordered sparse autoencoder behind scikit-learn's estimator interface."""

import math
import warnings
from pathlib import Path
from typing import Any, cast

import numpy as np
import scipy.sparse
import torch
from jaxtyping import Float
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from osae_theory.arrays import ArrayLike, array
from osae_theory.devices import check_device
from osae_theory.errors import InputError, check_choice, check_integer, shown
from osae_theory.metrics import order_by_energy, order_by_frequency
from osae_theory.prefixes import FitSchedule, WeightSchedule, as_schedule
from osae_theory.prefixes.named import LAWS
from osae_theory.sae.checkpoint import read_checkpoint, write_checkpoint
from osae_theory.sae.model import TopMSAE
from osae_theory.sae.resampling import Resampling
from osae_theory.sae.runs import Run, RunSeeds, TrainingConfig
from osae_theory.sae.saved import checkpoint_of, fitted_from
from osae_theory.sae.schedules import Resorting
from osae_theory.sae.training import TrainingResult, train

_LAWS = ("uniform", "zipf", "full", "exact-penalty")
_ORDERS = {"frequency": order_by_frequency, "energy": order_by_energy}
_MAX_SEED = np.iinfo(np.int32).max
# Samples encoded at a time; as many are looked at for a sign that nothing was learned.
_CHUNK = 16_384


class _InputTypeError(InputError, TypeError):
    """Entries that are no numbers: scikit-learn's conventions ask for a TypeError."""


class OrderedSAE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Ordered sparse autoencoder: sparse codes over a dictionary whose atoms have an order.

    Parameters
    ----------
    n_atoms : int, optional
        Number of atoms K; by default twice the number of features.
    n_nonzero : int, optional
        Most nonzeros a sample m, at most K; by default a tenth of the number of features,
        at least 1.
    law : {"uniform", "zipf", "full", "exact-penalty"}, array of shape (K,) or schedule
        Law of the prefix length, an array being its probabilities. "uniform" is the paper's
        OSAE; "full" a plain top-m SAE; "exact-penalty" does not square the residual, so that
        the law moves to the full prefix as the data are fitted (`ExactPenalty`). A schedule is
        any PrefixLaw, WeightSchedule or FitSchedule (`osae_theory.prefixes`).
    sort_by : {"frequency", "energy"}, optional
        Sort the atoms after training, on the training data, descending; by default the
        trained order stands.
    n_steps : int
        Optimiser steps.
    batch_size : int
        Samples a step, capped at the number of samples.
    learning_rate : float
        Adam's learning rate at its peak.
    activation : {"relu", "signed", "batch"}
        Whether codes are nonnegative, the m largest magnitudes with their signs, or chosen
        among all samples of a batch together (BatchTopK): then m is the mean number of
        nonzeros in training, and `transform` keeps what exceeds `threshold_`, a sample on its
        own, so that a row may have more of them or fewer.
    use_decoder_bias : bool
        Whether to learn an offset of the data.
    resample : bool
        Whether the least useful latents start anew at the largest residuals while it is trained
        (`osae_theory.sae.Resampling`): where atoms differ much in frequency, rare ones are then
        found that are missed otherwise.
    resort : bool
        Whether latents are put in order of their energy while it is trained
        (`osae_theory.sae.Resorting`): under law "full" that is all the order there is.
    arithmetic : {"portable", "fast"}
        "portable" gives the same bits on every machine, from the same data, parameters and
        versions of the libraries; it needs a CPU. "fast" leaves products to the machine's BLAS,
        on any device. See `osae_theory.sae.TrainingConfig`.
    device : str
        Where to train, a torch device. Anything but "cpu" has not been run by the authors.
    random_state : int, RandomState or None
        Seed of initialisation, data order and prefixes.

    Attributes
    ----------
    components_ : array of shape (n_atoms, n_features)
        Atoms as rows, unit norm, in order. The theory and `osae_theory.metrics.match` have
        atoms as columns, `components_.T`.
    encoder_ : array of shape (n_features, n_atoms)
        Encoder weights.
    encoder_bias_ : array of shape (n_atoms,)
        Encoder biases, in units of the data.
    decoder_bias_ : array of shape (n_features,)
        Offset of the data, in their units; zeros without `use_decoder_bias`.
    scale_ : float
        The unit in which training saw the data, a power of two near their root mean square
        (about their mean with `use_decoder_bias`). Nothing is rounded by it: the fit of data
        2 ** k times as large is the same fit, with codes and biases 2 ** k times as large.
    activation_, arithmetic_ : str
        The activation and the arithmetic used.
    threshold_ : float or None
        With "batch", what a latent must exceed to be active, in units of the data.
    n_nonzero_ : int
        The sparsity used.
    law_ : WeightSchedule or FitSchedule
        The law of the prefix length used, a PrefixLaw unless it changed in training.
    sort_by_ : str or None
        By what the atoms were sorted.
    loss_curve_ : array of shape (n_steps,)
        Training loss per entry at each step, in units of `scale_` squared.
    n_iter_ : int
        Optimiser steps done.
    n_features_in_ : int
        Number of features.

    Notes
    -----
    The learning rate is a step of parameters whose natural size is 1, which is why the data
    are scaled first: a fit does not depend on their unit. `fit` warns (ConvergenceWarning)
    where no code is active on the training data, or where the training loss did not fall
    below that of no codes at all.

    References
    ----------
    Wang et al. (2025), section 2.2; Bussmann et al. (2024) for "batch".

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
        resample=False,
        resort=False,
        arithmetic="portable",
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
        self.resample = resample
        self.resort = resort
        self.arithmetic = arithmetic
        self.device = device
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: object = None) -> "OrderedSAE":
        """Train on data of shape (n_samples, n_features).

        Parameters
        ----------
        X : array of shape (n_samples, n_features)
            Array, list, DataFrame or CPU tensor. float32 trains in float32; anything else in
            float64.
        y : ignored
            There for scikit-learn's conventions.

        Raises
        ------
        InputError
            If a parameter or the data cannot be used, or the training diverged; one
            sentence that names the value.

        Warns
        -----
        ConvergenceWarning
            If nothing was learned; see the notes of the class.
        """
        data = self._validated(X, reset=True)
        n_features = data.shape[1]
        n_atoms = 2 * n_features if self.n_atoms is None else self.n_atoms
        n_nonzero = max(1, n_features // 10) if self.n_nonzero is None else self.n_nonzero
        check_integer("n_atoms", n_atoms, 1)
        if self.sort_by is not None:
            check_choice("sort_by", self.sort_by, _ORDERS)
        for name in ("use_decoder_bias", "resample", "resort"):
            value = getattr(self, name)
            if not isinstance(value, (bool, np.bool_)):
                raise InputError(f"{name} = {shown(value)}: expected True or False")
        config = TrainingConfig(
            n_nonzero=n_nonzero,
            n_steps=self.n_steps,
            batch_size=self.batch_size,
            activation=self.activation,
            use_decoder_bias=bool(self.use_decoder_bias),
            resampling=Resampling() if self.resample else None,
            resorting=Resorting() if self.resort else None,
            arithmetic=self.arithmetic,
        )
        law = self._schedule(n_atoms)
        run = Run(RunSeeds.same(self._seed()), self.learning_rate, law)
        exponent = _exponent(data, config.use_decoder_bias)
        x = torch.from_numpy(np.ldexp(data, -exponent)).to(self._device())
        result = train(x, n_atoms, [run], config)
        if bool(result.diverged.any()):
            raise InputError(f"learning_rate = {self.learning_rate}: the training diverged")
        self._keep(result, config, exponent)
        self.law_, self.sort_by_ = law, self.sort_by
        if self.sort_by is not None:
            order = _ORDERS[self.sort_by](self._codes(data).T)
            self.components_ = self.components_[order]
            self.encoder_ = self.encoder_[:, order]
            self.encoder_bias_ = self.encoder_bias_[order]
        self._warn_if_nothing_was_learned(data[:_CHUNK])
        return self

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Return the codes, shape (n_samples, n_atoms), at most `n_nonzero_` nonzeros a row.

        With activation "batch" their number is that of the latents above `threshold_`.

        Raises
        ------
        InputError
            If the data cannot be used, or a code overflows their precision.
        """
        check_is_fitted(self)
        return self._codes(self._validated(X, reset=False))

    def inverse_transform(self, codes: ArrayLike) -> np.ndarray:
        """Return the reconstruction, shape (n_samples, n_features), of codes.

        Parameters
        ----------
        codes : array or scipy sparse matrix of shape (n_samples, n_atoms)
            In the order of `components_`.

        Raises
        ------
        InputError
            If they are not finite numbers of that shape, or the reconstruction overflows
            their precision.
        """
        check_is_fitted(self)
        if scipy.sparse.issparse(codes):
            given = cast("Any", codes).tocsr(copy=True)
            given.data = array("codes", given.data)
        else:
            given = array("codes", codes)
        K = self._n_features_out
        if given.ndim != 2 or given.shape[1] != K:
            raise InputError(f"codes of shape {given.shape}: expected (n_samples, {K})")
        with np.errstate(over="ignore", invalid="ignore"):
            found = np.asarray(given @ self.components_ + self.decoder_bias_)
        return _checked_range("the reconstruction", found)

    def score(self, X: ArrayLike, y: object = None) -> float:
        """Return the share of the variance of `X` that its reconstruction explains, R^2.

        1 - sum_i ||x_i - x_hat_i||^2 / sum_i ||x_i - mean x||^2: 1 is perfect, 0 as good as
        the mean, below 0 worse. It is one minus the fraction of variance unexplained, of all
        atoms, whatever the law of the prefix length.

        Parameters
        ----------
        X : array of shape (n_samples, n_features)
            At least two samples.
        y : ignored
            There for scikit-learn's conventions, as those of GridSearchCV.

        Raises
        ------
        InputError
            As `transform`.
        """
        check_is_fitted(self)
        data = self._validated(X, reset=False)
        rebuilt = self.inverse_transform(self._codes(data))
        # Sums of squares of very large or very small data would leave float64's range.
        exponent = _exponent(data, about_mean=True)
        pair = (np.ldexp(a.astype(np.float64), -exponent) for a in (data, rebuilt))
        return float(r2_score(*pair, multioutput="variance_weighted"))

    def save(self, folder: str | Path) -> None:
        """Write the fitted estimator to a folder, whole or not at all.

        Parameters
        ----------
        folder : str or Path
            Where to; an estimator that was saved there is replaced. It then holds
            sae.safetensors and config.json, the checkpoint format of the project
            (`osae_theory.sae.checkpoint`), which `python -m realdata compare` reads too.
            Latents are those of data divided by `scale_`.

        Raises
        ------
        NotFittedError
            If it is not fitted.
        InputError
            If the folder holds anything else or cannot be written to, or the law is a
            schedule of another kind than the project's.
        """
        check_is_fitted(self)
        dtype = torch.from_numpy(self.components_).dtype
        write_checkpoint(Path(folder), checkpoint_of(self), dtype)

    @classmethod
    def load(cls, folder: str | Path) -> "OrderedSAE":
        """Return the fitted estimator that `save` wrote, with the same codes to the bit.

        A law given as an array comes back as a PrefixLaw, a RandomState as None. Nothing in
        the folder is unpickled.

        Raises
        ------
        InputError
            If the folder holds no such estimator, or a file in it is damaged.
        """
        parameters, fitted = fitted_from(read_checkpoint(Path(folder)), folder)
        names = set(cls._get_param_names())
        if not names.issuperset(parameters):
            raise InputError(f"{folder} is of another version: expected parameters {sorted(names)}")
        sae = cls(**parameters)
        for name, value in fitted.items():
            setattr(sae, name, value)
        return sae

    def _keep(self, result: TrainingResult, config: TrainingConfig, exponent: int) -> None:
        """Keep what was fitted, in units of the data."""
        model, bias = result.model, result.model.decoder_bias
        batch = config.activation == "batch"
        self.components_ = _array(model.atoms)
        self.encoder_ = _array(model.encoder)
        self.encoder_bias_ = np.ldexp(_array(model.encoder_bias), exponent)
        self.decoder_bias_ = (
            np.zeros(self.components_.shape[1], self.components_.dtype)
            if bias is None
            else np.ldexp(_array(bias), exponent)
        )
        self.scale_ = math.ldexp(1.0, exponent)
        self.activation_ = config.activation
        self.arithmetic_ = config.arithmetic
        self.threshold_ = math.ldexp(float(result.thresholds[0]), exponent) if batch else None
        self.n_nonzero_ = config.n_nonzero
        self.loss_curve_ = result.losses[:, 0].cpu().numpy()
        self.n_iter_ = config.n_steps

    def _codes(self, data: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n K"]:
        exponent = self._exponent
        x = torch.from_numpy(np.ldexp(data, -exponent))
        model = self._model(x.dtype)
        if self.threshold_ is None:
            codes = model.encode_all(x, self.n_nonzero_)[0]
        else:
            codes = _above(model, x, math.ldexp(self.threshold_, -exponent))
        with np.errstate(over="ignore"):
            return _checked_range("a code", np.ldexp(codes.numpy(), exponent))

    @property
    def _exponent(self) -> int:
        return math.frexp(self.scale_)[1] - 1

    def _model(self, dtype: torch.dtype) -> TopMSAE:
        """Return the autoencoder of data in units of `scale_`."""

        def tensor(fitted: np.ndarray, exponent: int = 0) -> Tensor:
            scaled = np.ldexp(fitted, exponent) if exponent else np.ascontiguousarray(fitted)
            return torch.from_numpy(scaled).to(dtype)[None]

        return TopMSAE(
            tensor(self.encoder_),
            tensor(self.encoder_bias_, -self._exponent),
            tensor(self.components_),
            tensor(self.decoder_bias_, -self._exponent),
            self.activation_,
            self.arithmetic_,
        )

    def _warn_if_nothing_was_learned(self, data: Float[np.ndarray, "n d"]) -> None:
        if not self._codes(data).any():
            warnings.warn(
                "no code is active on the training data: try another learning_rate or more steps",
                ConvergenceWarning,
                stacklevel=3,
            )
            return
        scaled = np.ldexp((data - self.decoder_bias_).astype(np.float64), -self._exponent)
        nothing = float(np.mean(scaled**2))
        last = float(self.loss_curve_[-max(len(self.loss_curve_) // 10, 1) :].mean())
        if not last < nothing:
            warnings.warn(
                f"the training loss ended at {last:.3g}: expected less than {nothing:.3g}, that of "
                "no codes at all; try another learning_rate or more steps",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _schedule(self, n_atoms: int) -> WeightSchedule | FitSchedule:
        if isinstance(self.law, str):
            check_choice("law", self.law, _LAWS)
            return LAWS[self.law].of(n_atoms)
        return as_schedule("law", self.law, n_atoms)

    def _seed(self) -> int:
        try:
            return int(check_random_state(self.random_state).randint(_MAX_SEED))
        except ValueError as error:
            raise InputError(
                f"random_state = {shown(self.random_state)}: expected None, a whole number in "
                "0..2**32 - 1 or a numpy RandomState"
            ) from error

    def _device(self) -> torch.device:
        if not isinstance(self.device, str):
            raise InputError(f"device = {shown(self.device)}: expected a name, such as 'cpu'")
        return check_device(self.device)

    def _validated(self, X: ArrayLike, *, reset: bool) -> np.ndarray:
        kinds = [np.float64, np.float32]
        try:
            data = validate_data(self, _readable(X), reset=reset, dtype=kinds, order="C")
        except TypeError as error:
            raise _InputTypeError(_one_line(error)) from error
        except ValueError as error:
            raise InputError(_one_line(error)) from error
        # A read-only array (a memory map) cannot become a tensor: it is copied.
        return np.require(cast("np.ndarray", data), requirements=["C", "W"])

    @property
    def _n_features_out(self) -> int:
        return self.components_.shape[0]

    def __sklearn_tags__(self) -> Tags:
        tags = cast("Any", super()).__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _readable(X: ArrayLike) -> Any:
    """Return data that scikit-learn's validation reads without dropping anything."""
    if isinstance(X, (Tensor, np.ma.MaskedArray, np.matrix)):
        return array("X", X, finite=False)
    kind = getattr(getattr(X, "dtype", None), "kind", "")
    if kind and kind in "USmM":
        raise InputError(f"X holds entries of dtype {X.dtype}: expected numbers")
    return X


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else f"{text[:300]}..."


def _exponent(data: Float[np.ndarray, "n d"], about_mean: bool) -> int:
    """Return the power of two nearest to the root mean square of data; 0 for data of zeros.

    It moves by exactly k when the data are multiplied by 2 ** k.
    """
    largest = float(np.abs(data).max())
    first = math.frexp(largest)[1]
    values = np.ldexp(data.astype(np.float64), -first)
    if about_mean:
        values = values - values.mean(axis=0)
    mean_square = float(np.mean(values**2))
    return first + round(math.log2(mean_square) / 2) if mean_square > 0 else first


def _array(parameter: Tensor) -> np.ndarray:
    return parameter[0].detach().cpu().numpy()


@torch.no_grad()
def _above(model: TopMSAE, x: Float[Tensor, "n d"], threshold: float) -> Float[Tensor, "n K"]:
    """Return the latents above a threshold: batch top-m at inference."""
    parts = [model.preactivations(model.centred(part[None]))[0] for part in x.split(_CHUNK)]
    return torch.cat([part.relu() * (part > threshold) for part in parts])


def _checked_range(what: str, values: np.ndarray) -> np.ndarray:
    if not np.isfinite(values).all():
        raise InputError(f"{what} overflows {values.dtype}: expected smaller numbers, or float64")
    return values
