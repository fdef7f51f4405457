"""The activations of an experiment: both parts of each corpus, found again or collected.

Where the training part is streamed, a sample of it is collected: its first contexts, which are in
a random order. Norm limit and standardisation are the sample's, and what is measured on training
text, such as which latents are dead, is measured on it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from realdata.activations.collection import collect
from realdata.activations.rule import CollectionSettings
from realdata.activations.store import ActivationStore
from realdata.experiment.presets import Preset
from realdata.models.language import LanguageModel
from realdata.text.corpora import Corpus, find_corpus
from realdata.text.packing import PackedText, PackingSettings, pack

# Activations of a streamed training part that are collected.
SAMPLE = 200_000


@dataclass(frozen=True, eq=False)
class Stores:
    """The activations of one corpus, standardised on the first corpus's training part.

    Attributes
    ----------
    training, evaluation : ActivationStore
        The two parts; of a training part that is streamed, a sample.
    streamed : PackedText or None
        The whole training part, where its activations are computed when they are needed.
    """

    training: ActivationStore
    evaluation: ActivationStore
    streamed: PackedText | None = None


def collect_all(
    model: LanguageModel,
    preset: Preset,
    cache: Path,
    corpora: Mapping[str, Corpus] | None = None,
    *,
    streamed: bool = False,
) -> dict[str, Stores]:
    """Return the activations of each corpus of a preset, collecting what is not there.

    Parameters
    ----------
    model : LanguageModel
        The preset's, at its hook point.
    preset : Preset
        Corpora, tokens, context and standardisation.
    cache : Path
        Folder for collections, each in a folder named by its settings.
    corpora : mapping of str to Corpus, optional
        In place of `realdata.text.corpora.find_corpus`.
    streamed : bool
        Collect a sample of each training part only.

    Raises
    ------
    InputError
        As `realdata.text.packing.pack` and `realdata.activations.collection.collect`.
    """
    packing = PackingSettings(
        context=preset.context,
        training_tokens=preset.training_tokens,
        evaluation_tokens=preset.evaluation_tokens,
    )
    settings = CollectionSettings(standardise=preset.standardise)
    stores: dict[str, Stores] = {}
    fitted_on: ActivationStore | None = None
    for name in preset.corpora:
        corpus = find_corpus(name) if corpora is None else corpora[name]
        text = pack(corpus, model.tokenise, model.bos, packing)
        kept = text.training.first(sample_contexts(preset)) if streamed else text.training
        folders = [
            cache / _folder_name(model, preset, part, fitted_on) for part in (kept, text.evaluation)
        ]
        training = collect(model, kept, folders[0], settings, fitted_on=fitted_on)
        fitted_on = fitted_on or training
        evaluation = collect(model, text.evaluation, folders[1], settings, fitted_on=fitted_on)
        stores[name] = Stores(training, evaluation, text.training if streamed else None)
    return stores


def sample_contexts(preset: Preset) -> int:
    """Return how many contexts of a streamed training part are collected."""
    return -(-min(SAMPLE, preset.training_tokens) // (preset.context - 1))


def _folder_name(
    model: LanguageModel, preset: Preset, text: PackedText, fitted_on: ActivationStore | None
) -> str:
    """Return a readable name with a hash of all that decides the activations."""
    identity = [
        *(model.name, model.weights, model.hook, text.token_hash, preset.standardise),
        None if fitted_on is None else fitted_on.manifest["text"]["token_hash"],
    ]
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:10]
    corpus = "".join(c if c.isalnum() or c in "-_" else "-" for c in text.corpus)
    return f"{model.name}-{corpus}-{text.part}-{digest}"


def data_hash(store: ActivationStore) -> str:
    """Return the hash of a store's texts, tokens and activations: that of its manifest's parts."""
    parts = {key: store.manifest[key] for key in ("model", "weights", "hook", "text", "shards")}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
