"""A collection of activations on disk, read by memory map.

A collection is a folder of shards, each a fixed number of contexts, with a manifest that names
what was collected.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Float32, Int, Int32

from osae_theory.errors import InputError
from realdata.activations.rounding import restored
from realdata.activations.rule import Calibration, CollectionSettings, Counts, Places
from realdata.activations.standardisation import Standardisation
from realdata.models.disk import sha256_of
from realdata.text.packing import EVALUATION

FORMAT = "osae-activations 1"
MANIFEST = "manifest.json"


@dataclass(frozen=True, eq=False)
class ActivationStore:
    """A finished collection on disk, read by memory map.

    Attributes
    ----------
    folder : Path
        Where it is.
    manifest : mapping
        Model, hook point, corpus, settings, counts and shards, as in manifest.json.
    standardisation : Standardisation
        Fitted on this collection, or that of the one given as `fitted_on`; `rows` and
        `read_all` apply it.
    calibration : Calibration
        What the collection followed.
    contexts, context_document, context_start : arrays
        The contexts' token ids (n, t), and each one's document and where it begins there.
    """

    folder: Path
    manifest: Mapping[str, Any]
    standardisation: Standardisation
    calibration: Calibration
    contexts: Int32[np.ndarray, "n t"]
    context_document: Int32[np.ndarray, " n"]
    context_start: Int32[np.ndarray, " n"]
    _shards: tuple[np.ndarray, ...] = field(repr=False)
    _places: Int32[np.ndarray, "rows 2"] = field(repr=False)
    _first: Int[np.ndarray, " shards"] = field(repr=False)

    @classmethod
    def open(cls, folder: Path, *, verify: bool = False) -> "ActivationStore":
        """Open a collection.

        Parameters
        ----------
        folder : Path
            As given to `realdata.activations.collection.collect`.
        verify : bool
            Hash every shard too; shapes and types are always checked.

        Raises
        ------
        InputError
            If there is no collection, it is not finished, or it is damaged.
        """
        manifest = read_manifest(folder)
        if manifest is None:
            raise InputError(f"{folder} has no {MANIFEST}: expected a folder of activations")
        try:
            return cls._opened(folder, manifest, verify)
        except InputError:
            raise
        except (KeyError, TypeError, ValueError, OSError, EOFError, BadZipFile) as error:
            raise damaged(folder, str(error) or type(error).__name__) from error

    def check_for_training(self) -> None:
        """Raise InputError if it is of an evaluation part, of which nothing may be learned."""
        if self.manifest["text"]["part"] == EVALUATION:
            raise InputError(
                f"{self.folder} is of the {EVALUATION} part: expected one to train on, the training"
                " part or the whole"
            )

    @classmethod
    def _opened(cls, folder: Path, manifest: dict[str, Any], verify: bool) -> "ActivationStore":
        done, planned = len(manifest["shards"]), manifest["n_shards"]
        if not manifest["complete"]:
            raise InputError(
                f"{folder} has {done} of {planned} shards: collect it again with the same "
                "settings to finish it"
            )
        for name, known in manifest["files"].items():
            if sha256_of(folder / name) != known:
                raise damaged(folder, f"{name} has changed")
        if done != planned:
            raise damaged(folder, f"{MANIFEST} lists {done} of {planned} shards")
        text = load_npz(folder / "text.npz")
        fitted = load_npz(folder / "fitted.npz")
        shards, places = [], []
        for entry in manifest["shards"]:
            shards.append(_checked_shard(folder, entry, manifest["d"], verify))
            places.append(np.load(folder / entry["places"]["file"], allow_pickle=False))
        n_rows = [len(shard) for shard in shards]
        return cls(
            folder,
            manifest,
            Standardisation(fitted["mean"], fitted["scale"]),
            Calibration(float(manifest["norm_limit"]), fitted["centre"]),
            text["contexts"],
            text["document"],
            text["start"],
            tuple(shards),
            np.concatenate(places),
            np.cumsum([0, *n_rows[:-1]]),
        )

    @property
    def n(self) -> int:
        """Return the number of activations."""
        return len(self._places)

    @property
    def d(self) -> int:
        """Return their width."""
        return int(self.manifest["d"])

    @property
    def n_shards(self) -> int:
        """Return the number of shards."""
        return len(self._shards)

    @property
    def settings(self) -> CollectionSettings:
        """Return how it was collected; InputError where it is not of a text's contexts."""
        try:
            return CollectionSettings(**self.manifest["settings"])
        except TypeError as error:
            raise InputError(
                f"{self.folder} is not of a text: expected a store of a text's contexts"
            ) from error

    @property
    def counts(self) -> Counts:
        """Return how many positions were kept and dropped."""
        return Counts(**self.manifest["counts"])

    @property
    def documents(self) -> tuple[str, ...]:
        """Return the names of the documents."""
        return tuple(self._names["documents"])

    @cached_property
    def _names(self) -> dict[str, Any]:
        return json.loads((self.folder / "names.json").read_text(encoding="utf-8"))

    def rows(
        self, indices: Int[np.ndarray, " n"], *, raw: bool = False
    ) -> Float32[np.ndarray, "n d"]:
        """Return activations by number, in any order, standardised unless `raw`.

        Raises
        ------
        InputError
            If an index is not in [0, n).
        """
        if indices.size and not (0 <= indices.min() and indices.max() < self.n):
            raise InputError(f"row indices: expected from 0 to {self.n - 1}")
        shard = np.searchsorted(self._first, indices, side="right") - 1
        # A shard without a row has the same first row as the next, which the search then gives.
        out = np.empty((indices.size, self.d), dtype=np.float32)
        for number in np.unique(shard).tolist():
            here = shard == number
            out[here] = self._raw(number, indices[here] - self._first[number])
        return out if raw else self.standardisation.apply(out)

    def read_all(self, *, raw: bool = False) -> Float32[np.ndarray, "n d"]:
        """Return all activations in their order, standardised unless `raw`."""
        return np.concatenate(list(self.chunks(raw=raw)))

    def chunks(self, *, raw: bool = False) -> Iterator[Float32[np.ndarray, "_ d"]]:
        """Yield all activations in their order, a shard at a time."""
        for number in range(self.n_shards):
            yield self.shard(number, raw=raw)

    def shard(self, number: int, *, raw: bool = False) -> Float32[np.ndarray, "_ d"]:
        """Return the activations of a shard, from 0 to `n_shards` - 1, in their order."""
        x = self._raw(number, slice(None))
        return x if raw else self.standardisation.apply(x)

    def places(self, indices: Int[np.ndarray, " n"]) -> Places:
        """Return where activations come from.

        Raises
        ------
        InputError
            If that is not known (see `has_text`).
        """
        if not self.has_text:
            raise InputError(
                f"{self.folder} has no text, as it was made of given activations: expected a"
                " collection by a language model"
            )
        context, position = (self._places[indices, i].astype(np.int64) for i in (0, 1))
        opened = int(self.manifest["text"]["opened"])
        return Places(
            context=context,
            position=position,
            document=self.context_document[context].astype(np.int64),
            offset=self.context_start[context].astype(np.int64) + position - opened,
            token=self.contexts[context, position].astype(np.int64),
        )

    @property
    def has_text(self) -> bool:
        """Return whether it is known where activations come from: not so of given ones."""
        return self.contexts.size > 0

    def token_text(self, token: int) -> str:
        """Return the text of a token id that the contexts hold."""
        return self._names["tokens"][str(token)]

    def snippet(self, index: int, before: int = 12, after: int = 6) -> tuple[str, str, str]:
        """Return the text before an activation's token, the token, and the text after it.

        It stays inside the context, which is all that the model saw; each token is written by
        itself, so that a character spread over tokens shows as replacement characters.
        """
        place = self.places(np.array([index]))
        context, position = int(place.context[0]), int(place.position[0])
        opened = int(self.manifest["text"]["opened"])
        strings = self._names["tokens"]
        words = [strings[str(token)] for token in self.contexts[context]]
        start = max(opened, position - before)
        return (
            "".join(words[start:position]),
            words[position],
            "".join(words[position + 1 : position + 1 + after]),
        )

    def _raw(self, number: int, which: Any) -> Float32[np.ndarray, "n d"]:
        return restored(self._shards[number][which], self.calibration.centre)


def load_npz(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of an npz file, read as a whole."""
    # Through memory: a damaged archive then fails as a ValueError or here, not later.
    with np.load(BytesIO(path.read_bytes()), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _checked_shard(folder: Path, entry: Mapping[str, Any], d: int, verify: bool) -> np.ndarray:
    """Return a shard's memory map, checked against its entry in the manifest."""
    shard = np.load(folder / entry["file"], mmap_mode="r", allow_pickle=False)
    places = np.load(folder / entry["places"]["file"], mmap_mode="r", allow_pickle=False)
    if (
        list(shard.shape) != entry["shape"]
        or shard.shape[1:] != (d,)
        or str(shard.dtype) != entry["dtype"]
        or entry["dtype"] not in ("float16", "float32")
        or places.shape != (len(shard), 2)
        or places.dtype != np.int32
    ):
        raise damaged(folder, f"{entry['file']} has another shape or type")
    for one in (entry, entry["places"]) if verify else (entry["places"],):
        if sha256_of(folder / one["file"]) != one["sha256"]:
            raise damaged(folder, f"{one['file']} has changed")
    return shard


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return the manifest, or None where there is no file."""
    path = folder / MANIFEST
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: expected a folder of activations")
    if not path.exists():
        if folder.is_dir() and any(folder.glob(f"{'[0-9]' * 5}.npy")):
            raise damaged(folder, f"it has shards but no {MANIFEST}")
        return None
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise damaged(folder, f"{MANIFEST} is not JSON") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise InputError(f"{path} is not a manifest of activations: expected format {FORMAT!r}")
    if manifest.pop("sha256", None) != manifest_hash(manifest):
        raise damaged(folder, f"{MANIFEST} has changed")
    return manifest


def check_free(folder: Path, besides: Sequence[str] = ()) -> None:
    """Raise InputError unless a folder is new or empty, besides files of these patterns."""
    if not folder.is_dir():
        return
    names = sorted(entry.name for entry in folder.iterdir())
    others = [name for name in names if not any(fnmatchcase(name, each) for each in besides)]
    if others:
        raise InputError(f"{folder} holds {others[0]}: expected a new folder, or an empty one")


def manifest_hash(manifest: Mapping[str, Any]) -> str:
    """Return the hash that a manifest carries of itself."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def damaged(folder: Path, reason: str) -> InputError:
    """Return the error that says why a collection cannot be read."""
    reason = " ".join(reason.split())
    return InputError(f"{folder} is damaged ({reason}): delete it and collect again")
