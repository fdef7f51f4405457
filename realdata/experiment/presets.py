"""The experiments on language models by name: model, corpora, dictionary, budget."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from osae_theory.errors import InputError, check_choice, check_integer, check_real
from osae_theory.sae.kernels import ARITHMETICS
from realdata.activations.blocks import check_block
from realdata.activations.rule import CollectionSettings
from realdata.activations.standardisation import STANDARDISATIONS
from realdata.models.sources import MODELS
from realdata.training.methods import DEFAULT_METHODS, METHODS

# Shares of the training at which the paper looks, of its 50M tokens.
_PAPER_SNAPSHOTS = (0.0, 0.01, 0.05, *(n / 10 for n in range(1, 11)))


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One experiment: what is collected, what is trained on it, and how it is measured.

    Attributes
    ----------
    name : str
        Its name in the registry.
    model : str
        A name in `realdata.models.sources.MODELS`.
    hook : str
        The hook point by TransformerLens's name; layer L is blocks.{L-1}.hook_resid_post.
    corpora : tuple of str
        One or two, as `realdata.text.corpora.find_corpus` takes them. All activations are
        standardised on the training part of the first, so that dictionaries can be compared.
    training_tokens, evaluation_tokens : int
        Activations to collect of each corpus, up to what the dropping rule leaves out.
    context : int
        Tokens of a context.
    standardise : str
        See `realdata.activations.standardisation.Standardisation`.
    methods : tuple of str
        Names in `realdata.training.methods.METHODS`.
    n_seeds, seed : int
        Runs of each method on each corpus, with the seeds from `seed` on.
    K, m : int
        Latents, and how many of them are active.
    n_steps, batch_size : int
        Of each run: it sees n_steps * batch_size activations, with repetition where that is
        more than there are.
    sparsity_warmup, decay_from : float
        See `osae_theory.sae.SparsityWarmup` and `LearningRateSchedule`.
    snapshots : tuple of float
        Shares of the training at which a checkpoint is kept, 0 and 1 among them.
    wide : int
        Latents of the top-m SAE that is stitched into each run on the first corpus; 0 for none.
    other_m : tuple of int
        Further numbers of active latents, trained with the first seed on the first corpus, for
        the trade-off between FVU and L0.
    arithmetic : str
        See `osae_theory.sae.TrainingConfig`.
    block : int
        See `realdata.training.trainer.Budget`.
    splice_contexts : int
        Held-out contexts of each corpus on which SAEs are spliced into the model; 0 for none.
    rates_of : str
        The preset whose tuned learning rates it takes.
    note : str
        What a reader of its results must know.
    """

    name: str
    model: str
    hook: str
    corpora: tuple[str, ...]
    training_tokens: int
    evaluation_tokens: int
    K: int
    m: int
    n_steps: int
    n_seeds: int
    wide: int
    rates_of: str
    note: str
    context: int = 128
    standardise: str = "dimension"
    methods: tuple[str, ...] = DEFAULT_METHODS
    seed: int = 0
    batch_size: int = 1024
    sparsity_warmup: float = 0.2
    decay_from: float = 0.5
    snapshots: tuple[float, ...] = (0.0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
    other_m: tuple[int, ...] = ()
    arithmetic: str = "fast"
    block: int = 0
    splice_contexts: int = 8

    def __post_init__(self) -> None:
        check_choice("model", self.model, MODELS)
        check_choice("arithmetic", self.arithmetic, ARITHMETICS)
        check_choice("standardise", self.standardise, STANDARDISATIONS)
        for name in self.methods:
            check_choice("method", name, METHODS)
        if not 1 <= len(set(self.corpora)) == len(self.corpora) <= 2:
            raise InputError(f"corpora {list(self.corpora)}: expected one, or two different ones")
        least = {"seed": 0, "wide": 0, "block": 0, "splice_contexts": 0, "context": 2}
        for name in (
            *("training_tokens", "evaluation_tokens", "K", "m", "n_steps", "batch_size"),
            *("n_seeds", *least),
        ):
            check_integer(name, getattr(self, name), least.get(name, 1))
        if self.block:
            check_block(self.block, CollectionSettings().shard)
        for m in (self.m, *self.other_m):
            check_integer("m", m, 1)
            if m > self.K:
                raise InputError(f"m = {m}: expected at most K = {self.K}")
        if 0 < self.wide < self.K:
            raise InputError(f"wide = {self.wide}: expected 0, or at least K = {self.K}")
        for share in self.snapshots:
            check_real("snapshot", share, at_least=0, at_most=1)
        if not {0.0, 1.0} <= set(self.snapshots):
            raise InputError(f"snapshots {list(self.snapshots)}: expected 0 and 1 among them")

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of its runs; a seed's runs share their initialisation on both corpora."""
        return tuple(range(self.seed, self.seed + self.n_seeds))


_DEFAULT, _STUDY, _GEMMA = "smollm2-135m", "smollm2-135m-study", "gemma-3-270m"
_PYTHON = ("python-docs", "python-source")
_NOT_RUN = "the paper's settings where it gives them; needs a network and a GPU; not run here"

_OFFLINE = Preset(
    name=_DEFAULT,
    model="smollm2-135m",
    hook="blocks.10.hook_resid_post",
    corpora=_PYTHON,
    training_tokens=100_000,
    evaluation_tokens=12_000,
    K=256,
    m=16,
    n_steps=1500,
    n_seeds=2,
    other_m=(8, 32),
    wide=1024,
    rates_of=_DEFAULT,
    note="4-bit weights, dequantised; layer 11",
)
_PAPER = Preset(
    name="gemma-2-2b",
    model="gemma-2-2b",
    hook="blocks.12.hook_resid_post",
    corpora=("pile-uncopyrighted", "dolma"),
    training_tokens=50_000_000,
    evaluation_tokens=500_000,
    K=4096,
    m=80,
    n_steps=12_208,
    batch_size=4096,
    n_seeds=9,
    wide=65_536,
    snapshots=_PAPER_SNAPSHOTS,
    splice_contexts=64,
    rates_of=_DEFAULT,
    note=f"{_NOT_RUN}; its activations take 230 GB a corpus in float16",
)

_PRESETS = (
    _OFFLINE,
    replace(
        _OFFLINE,
        name=_STUDY,
        K=512,
        m=32,
        n_steps=2000,
        n_seeds=5,
        other_m=(16, 64),
        rates_of=_STUDY,
    ),
    replace(
        _OFFLINE,
        name=_GEMMA,
        model=_GEMMA,
        hook="blocks.8.hook_resid_post",
        training_tokens=60_000,
        evaluation_tokens=8_000,
        n_steps=1000,
        n_seeds=3,
        splice_contexts=4,
        rates_of=_GEMMA,
        note="4-bit weights, dequantised; layer 9",
    ),
    # The paper's dictionary and seeds on a model and on text that install. Sized so that the
    # trainings take ten minutes of an H100 by `realdata.experiment.plan`.
    replace(
        _OFFLINE,
        name="smollm2-135m-paper",
        corpora=("debian-prose", "debian-manuals"),
        training_tokens=2_000_000,
        evaluation_tokens=200_000,
        K=4096,
        m=80,
        n_steps=1500,
        batch_size=4096,
        n_seeds=5,
        other_m=(),
        wide=0,
        snapshots=_PAPER_SNAPSHOTS,
        rates_of=_STUDY,
        note="4-bit weights, dequantised; layer 11; learning rates borrowed from K = 512; not run"
        " here",
    ),
    replace(
        _PAPER,
        name="pythia-70m",
        model="pythia-70m",
        hook="blocks.3.hook_resid_post",
        n_seeds=5,
        note=f"{_NOT_RUN}; its activations take 51 GB a corpus in float16",
    ),
    _PAPER,
)

PRESETS: Mapping[str, Preset] = MappingProxyType({preset.name: preset for preset in _PRESETS})
DEFAULT_PRESET = _DEFAULT
