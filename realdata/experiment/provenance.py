"""Where the results of an experiment come from: command, versions, model, texts, seeds."""

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import osae_theory
import realdata
from osae_theory import __version__
from osae_theory.workers import THREADS_PER_WORKER
from realdata.experiment.presets import Preset
from realdata.experiment.stores import Stores, data_hash
from realdata.models.language import LanguageModel
from realdata.models.sources import MODELS

_LIBRARIES = ("numba", "numpy", "scipy", "torch", "transformers", "transformer-lens")
# What decides the weights of a run, besides its configuration and data.
_TRAINING = ("sae/**/*.py", "objectives.py", "portable/*.py", "prefixes/*.py", "seeds.py")
_TRAINING_HERE = (
    "activations/rule.py",
    "activations/standardisation.py",
    "activations/stream.py",
    *("training/trainer.py", "training/methods.py", "training/distributed.py"),
    *("training/order.py", "training/rows.py", "activations/blocks.py", "activations/rounding.py"),
)


def provenance(
    command: str,
    preset: Preset,
    learning_rates: Mapping[str, float],
    model: LanguageModel,
    stores: Mapping[str, Stores],
) -> dict[str, Any]:
    """Return what somebody needs to get the same numbers again; no clock and no host."""
    source = MODELS[preset.model]
    return {
        "command": command,
        "versions": versions(),
        "threads": THREADS_PER_WORKER,
        "model": {
            "name": model.name,
            "weights": model.weights,
            "hook": model.hook,
            "licence": source.licence,
            "note": source.note,
        },
        "corpora": {
            name: {part: _text(getattr(own, part)) for part in ("training", "evaluation")}
            | _streamed(own)
            for name, own in stores.items()
        },
        "learning_rates": dict(learning_rates),
        "preset": asdict(preset),
    }


def _streamed(own: Stores) -> dict[str, Any]:
    """Return what was trained on where that was streamed: the training store is a sample then."""
    if own.streamed is None:
        return {}
    text = own.streamed
    hashes = {"text_hash": text.text_hash, "token_hash": text.token_hash}
    return {"streamed": hashes | {"contexts": list(text.contexts.shape)}}


def _text(store: Any) -> dict[str, Any]:
    text = store.manifest["text"]
    return {
        "text_hash": text["text_hash"],
        "token_hash": text["token_hash"],
        "activations_hash": data_hash(store),
        "contexts": text["contexts"],
        **asdict(store.counts),
    }


def versions() -> dict[str, str]:
    """Return the versions of this project, of Python and of the libraries that compute."""
    found = {"osae_theory": __version__, "python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


@cache
def code_fingerprint() -> str:
    """Return a hash of the sources and libraries that decide the weights of a run."""
    digest = hashlib.sha256()
    for package, patterns in ((osae_theory, _TRAINING), (realdata, _TRAINING_HERE)):
        root = Path(package.__path__[0])
        for file in sorted(path for pattern in patterns for path in root.glob(pattern)):
            digest.update(file.relative_to(root).as_posix().encode())
            digest.update(file.read_bytes())
    for library in ("numba", "numpy", "torch"):
        digest.update(version(library).encode())
    return digest.hexdigest()
