"""Exact ordered SAEs for SAELens: importing this file registers their names there.

`ordered_topk` trains a TopK SAE with the nested-dropout loss over every prefix of its latents,
`matryoshka_exact` with that over the ends of any groups; neither costs more for the number of its
prefixes. SAELens's runners for synthetic data, for a language model and for several SAEs at once
have been run with them, the last two on a tiny random transformer (docs/integrations.md). Saved for
inference they are its ordinary TopK SAEs, which load without this project.

    import osae_theory.integrations.sae_lens as ordered
    sae = ordered.OrderedTopKTrainingSAEConfig(d_in=768, d_sae=4096, k=32, law="uniform")
    LanguageModelSAERunnerConfig(sae=sae, ...)

Written for SAELens 6.54; latents are selected a sample and not a batch.
"""

import copy
import json
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import torch
from sae_lens.constants import SAE_CFG_FILENAME  # pyright: ignore[reportMissingImports]
from sae_lens.registry import (  # pyright: ignore[reportMissingImports]
    SAE_TRAINING_CLASS_REGISTRY,
    register_sae_training_class,
)
from sae_lens.saes.sae import (  # pyright: ignore[reportMissingImports]
    TrainCoefficientConfig,
    TrainStepInput,
    TrainStepOutput,
)
from sae_lens.saes.topk_sae import (  # pyright: ignore[reportMissingImports]
    TopKSAEConfig,
    TopKTrainingSAE,
    TopKTrainingSAEConfig,
)
from sae_lens.synthetic import (  # pyright: ignore[reportMissingImports]
    SyntheticSAERunner,
    SyntheticSAERunnerConfig,
    SyntheticSAERunnerResult,
)
from sae_lens.util import temporary_seed  # pyright: ignore[reportMissingImports]
from torch import Tensor

from osae_theory.errors import InputError, check_choice, shown
from osae_theory.integrations.laws import law_of
from osae_theory.integrations.ordered import Ordered, ordered_loss
from osae_theory.integrations.settings import real, whole
from osae_theory.prefixes import PrefixLaw
from osae_theory.sae.schedules import warmed_active
from osae_theory.seeds import Axis, derived_seed

_WARMUP = "k_warm_up"
Function = TypeVar("Function", bound=Callable[..., Any])


def _uncompiled(function: Function) -> Function:
    return torch.compiler.disable(function)  # pyright: ignore[reportReturnType]


@dataclass
class PrefixTopKTrainingSAEConfig(TopKTrainingSAEConfig, ABC):
    """What both kinds have; the rest is SAELens's `TopKTrainingSAEConfig`.

    Attributes
    ----------
    k_warm_up_steps : int
        Steps over which the number of active latents falls linearly from d_sae to k, as in
        Wang et al. (2025), section 3.1; logged as the coefficient `k_warm_up`, from 0 to 1. A
        configuration does not know how many steps the training has: where they are fewer, a
        warning is given when the SAE is saved.

    Raises
    ------
    InputError
        If a size, a number or the prefixes cannot be, or an option is set that has no meaning
        here.
    """

    k_warm_up_steps: int = 0

    def __post_init__(self) -> None:
        self.d_in = whole("d_in", self.d_in, 1)
        self.d_sae = whole("d_sae", self.d_sae, 1)
        self.k = whole("k", self.k, 1, self.d_sae)
        self.k_warm_up_steps = whole("k_warm_up_steps", self.k_warm_up_steps, 0)
        # SAELens takes these as they are, and trains into NaN or away from the data.
        self.aux_loss_coefficient = real(
            "aux_loss_coefficient", self.aux_loss_coefficient, at_least=0
        )
        if self.decoder_init_norm is not None:
            self.decoder_init_norm = real("decoder_init_norm", self.decoder_init_norm, above=0)
        check_choice("reshape_activations", self.reshape_activations, ("none", "hook_z"))
        if self.use_sparse_activations:
            raise InputError(
                "use_sparse_activations = True: expected False: the loss is computed over active"
                " latents in any case"
            )
        if self.normalize_activations in ("constant_norm_rescale", "layer_norm"):
            raise InputError(
                f"normalize_activations = {self.normalize_activations!r}: expected 'none',"
                " 'expected_average_only_in' or 'covariance_whitening', which do not change the"
                " scale from sample to sample"
            )
        self.prefix_law()
        super().__post_init__()

    @abstractmethod
    def prefix_law(self) -> PrefixLaw:
        """Return the law of the prefix length."""

    def get_inference_config_class(self) -> type[TopKSAEConfig]:
        """Return the kind that is saved for inference: SAELens's own TopK SAE."""
        return TopKSAEConfig


@dataclass
class OrderedTopKTrainingSAEConfig(PrefixTopKTrainingSAEConfig):
    """An ordered TopK SAE: nested dropout over every prefix of the latents.

    Attributes
    ----------
    law : str
        The law of the prefix length: "uniform", "piecewise", "zipf:1.2", "geometric:0.99",
        "massed:0.5" or "full" (`osae_theory.integrations.laws.law_of`).
    """

    law: str = "uniform"

    @classmethod
    def architecture(cls) -> str:
        """Return the name by which SAELens knows it."""
        return "ordered_topk"

    def prefix_law(self) -> PrefixLaw:
        """Return the law of the prefix length."""
        return law_of(self.law, self.d_sae)


@dataclass
class MatryoshkaExactTrainingSAEConfig(PrefixTopKTrainingSAEConfig):
    """A Matryoshka TopK SAE: nested dropout over the ends of groups, all alike.

    The loss is the mean over the prefixes; SAELens's `matryoshka_batchtopk` adds them up.

    Attributes
    ----------
    matryoshka_widths : list of int
        Prefix lengths, increasing; d_sae counts as the last where it is missing. An array or any
        other sequence is kept as a list.
    """

    matryoshka_widths: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.matryoshka_widths = _widths(self.matryoshka_widths, whole("d_sae", self.d_sae, 1))
        super().__post_init__()

    @classmethod
    def architecture(cls) -> str:
        """Return the name by which SAELens knows it."""
        return "matryoshka_exact"

    def prefix_law(self) -> PrefixLaw:
        """Return the law of the prefix length."""
        last = [] if self.matryoshka_widths[-1] == self.d_sae else [self.d_sae]
        return PrefixLaw.groups(self.d_sae, [*self.matryoshka_widths, *last])


def _widths(given: Any, d_sae: int) -> list[int]:
    """Return prefix lengths that increase in 1..d_sae, as a list that JSON can hold."""
    try:
        each = given.tolist() if hasattr(given, "tolist") else list(given)
        widths = [whole(f"matryoshka_widths[{i}]", w, 1, d_sae) for i, w in enumerate(each)]
    except TypeError:
        widths = []
    if not widths or any(after <= before for before, after in pairwise(widths)):
        raise InputError(
            f"matryoshka_widths = {shown(given)}: expected at least one prefix length, increasing"
        )
    return widths


class PrefixTopKTrainingSAE(TopKTrainingSAE):
    """SAELens's TopK SAE, its reconstruction error replaced by that of all prefixes.

    Hooks see what they see of a TopK SAE. What one changes before latents are selected (the input,
    the scores) changes the loss; what one changes of latents or reconstruction does not.
    """

    cfg: PrefixTopKTrainingSAEConfig

    def __init__(self, cfg: PrefixTopKTrainingSAEConfig, use_error_term: bool = False) -> None:
        # SAELens's training changes the configuration of what it trains: the caller's is left.
        super().__init__(copy.deepcopy(cfg), use_error_term)
        # No buffer: a cast to half precision would round the law, and SAELens loads what it has
        # saved into a model without data.
        self._survival = torch.tensor(
            cfg.prefix_law().survival, dtype=torch.promote_types(self.dtype, torch.float32)
        )
        self._active = cfg.k  # in the last step

    def get_coefficients(self) -> dict[str, Any]:
        """Return the k warm-up as a coefficient that SAELens schedules, logs and saves.

        It is 1 from the first step where there is no warm-up.
        """
        return {_WARMUP: TrainCoefficientConfig(1.0, self.cfg.k_warm_up_steps)}

    # SAELens can compile a training step (`compile_sae`). The loss has kernels of its own, and the
    # number of active latents changes while k warms up: each would be another step to compile.
    @_uncompiled
    def _ordered(
        self, x: Tensor, scores: Tensor, scale: Tensor | None, coefficients: dict[str, float]
    ) -> Ordered:
        self._survival = self._survival.to(x.device)
        share = coefficients.get(_WARMUP, 1.0)
        self._active = warmed_active(share, self.cfg.d_sae, self.cfg.k)
        return ordered_loss(x, scores, self.W_dec, self._survival, self._active, scale)

    def training_forward_pass(self, step_input: TrainStepInput) -> TrainStepOutput:
        """Return the loss of one batch and what SAELens logs of it.

        `losses` has "nested_dropout_loss" and the dead latents' loss, which add up to `loss`;
        `metrics` has the error of all latents together as "mse".
        """
        target = step_input.sae_in
        hidden_pre = self.hook_sae_acts_pre(self.process_sae_in(target) @ self.W_enc + self.b_enc)
        scale = None
        if self.cfg.rescale_acts_by_decoder_norm:
            norms = self.W_dec.norm(dim=-1)
            hidden_pre, scale = hidden_pre * norms, 1 / norms
        found = self._ordered(target - self.b_dec, hidden_pre, scale, step_input.coefficients)
        feature_acts = self.hook_sae_acts_post(found.codes.to(hidden_pre.dtype))
        sae_out = found.reconstruction.to(target.dtype) + self.b_dec.detach()
        sae_out = self.reshape_fn_out(self.hook_sae_recons(sae_out), self.d_head)
        losses = {
            "nested_dropout_loss": found.loss,
            **self.calculate_aux_loss(step_input, feature_acts, hidden_pre, sae_out),
        }
        return TrainStepOutput(
            sae_in=target,
            sae_out=sae_out,
            feature_acts=feature_acts,
            hidden_pre=hidden_pre,
            loss=torch.stack(list(losses.values())).sum(),
            losses=losses,
            metrics={"mse": lambda: self.mse_loss_fn(sae_out, target).sum(dim=-1).mean()},
        )

    def load_weights_from_checkpoint(self, checkpoint_path: Path | str) -> None:
        """Load the weights of a checkpoint, from which SAELens resumes a training.

        Raises
        ------
        InputError
            If the checkpoint is of a training with another kind of SAE, k, k warm-up or prefixes.
        """
        written = Path(checkpoint_path) / SAE_CFG_FILENAME
        if written.exists():
            before, now = json.loads(written.read_text(encoding="utf-8")), self.cfg.to_dict()
            for name in ("architecture", "k", "k_warm_up_steps", "law", "matryoshka_widths"):
                if before.get(name) != now.get(name):
                    raise InputError(
                        f"{name} = {shown(now.get(name))}: expected {shown(before.get(name))}, as"
                        f" in the training of the checkpoint {written.parent}"
                    )
        super().load_weights_from_checkpoint(checkpoint_path)

    def save_inference_model(self, path: str | Path) -> tuple[Path, Path]:
        """Save SAELens's TopK SAE; warn if k was still warming up in the last step."""
        if self._active != self.cfg.k:
            warnings.warn(
                f"k_warm_up_steps = {self.cfg.k_warm_up_steps}: the training ended before that,"
                f" with {self._active} active latents; what is saved has k = {self.cfg.k}",
                stacklevel=2,
            )
        return super().save_inference_model(path)


class OrderedTopKTrainingSAE(PrefixTopKTrainingSAE):
    """`ordered_topk`: see `OrderedTopKTrainingSAEConfig`."""


class MatryoshkaExactTrainingSAE(PrefixTopKTrainingSAE):
    """`matryoshka_exact`: see `MatryoshkaExactTrainingSAEConfig`."""


class SeededSyntheticSAERunner(SyntheticSAERunner):
    """SAELens's runner on synthetic data, with a seed: two runs are equal bit for bit.

    On one machine with one number of threads. SAELens draws from torch's global stream; here the
    weights have a stream of their own and the samples another, and that of the caller is left as
    it was. The synthetic model has its own seed, in its configuration.

    Parameters
    ----------
    cfg : SyntheticSAERunnerConfig
        Of SAELens, for any of its SAEs.
    seed : int
        At least 0.
    override_synthetic_model, override_sae
        As in SAELens.

    Raises
    ------
    InputError
        If the seed is not a whole number of at least 0.
    """

    def __init__(
        self,
        cfg: SyntheticSAERunnerConfig,
        seed: int,
        override_synthetic_model: Any = None,
        override_sae: Any = None,
    ) -> None:
        self.seed = seed
        # Training changes the SAE's configuration (what is folded into the weights is switched
        # off), and a second run by the same one is to be the same run.
        cfg = copy.copy(cfg)
        cfg.sae = copy.deepcopy(cfg.sae)
        with temporary_seed(derived_seed(seed, Axis.INITIALISATION)):
            super().__init__(cfg, override_synthetic_model, override_sae)

    def run(self) -> SyntheticSAERunnerResult:
        """Train and evaluate; return SAELens's result."""
        with temporary_seed(derived_seed(self.seed, Axis.DATA_ORDER)):
            return super().run()


def _register(sae: type[PrefixTopKTrainingSAE], config: type[PrefixTopKTrainingSAEConfig]) -> None:
    """Register a kind; what an earlier import of this file has registered is replaced."""
    name = config.architecture()
    known = SAE_TRAINING_CLASS_REGISTRY.get(name)
    if known is not None and known[0].__module__ == sae.__module__:
        del SAE_TRAINING_CLASS_REGISTRY[name]
    register_sae_training_class(name, sae, config)


_register(OrderedTopKTrainingSAE, OrderedTopKTrainingSAEConfig)
_register(MatryoshkaExactTrainingSAE, MatryoshkaExactTrainingSAEConfig)
