"""Activations of a language model at its hook point: rule of which, storage.

Two kinds of position are dropped, by a rule that is fixed before anything is collected:

- position 0 of every context, its beginning-of-sequence token or, in a model without one, the
  first token, which is an attention sink all the same;
- positions whose activation has a norm above three times the median norm. The median is that
  of the positions after 0 in the first contexts of the training part, so that a stored and a
  streamed collection follow one limit; the evaluation part takes the training part's.

A collection is a folder of shards, each a fixed number of contexts, with a manifest that names
what was collected. A killed collection goes on at the first missing shard and ends with the
same bytes. Streaming does the same without a store.
"""

import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int32, Num

from osae_theory.errors import InputError, check_choice, check_integer, check_real
from osae_theory.files import write_atomically
from osae_theory.seeds import Axis, generator
from realdata.corpora import PackedText
from realdata.models import LanguageModel, Replacement, check_disk, sha256_of
from realdata.standardisation import STANDARDISATIONS, Standardisation, fit_standardisation

FORMAT = "osae-activations 1"
PRECISIONS = ("auto", "float32")

# Rounding a float16 store may add to a dimension, relative to its standard deviation.
_HALF_TOLERANCE = 1e-3
_MANIFEST = "manifest.json"


@dataclass(frozen=True, kw_only=True)
class CollectionSettings:
    """How activations are collected.

    Attributes
    ----------
    batch : int
        Contexts that go through the model at once.
    shard : int
        Contexts of a shard, a multiple of `batch`.
    calibration : int
        First contexts of the training part that give the median norm.
    norm_factor : float
        A norm above this many medians is dropped; above 1.
    standardise : str
        "dimension", "scale" or "none"; see `realdata.standardisation.Standardisation`.
    precision : str
        "auto" stores a shard in float16 where it fits: no entry overflows, and in no dimension
        does the rounding have a root mean square above 0.001 of its standard deviation.
        "float32" never does.
    """

    batch: int = 8
    shard: int = 64
    calibration: int = 64
    norm_factor: float = 3.0
    standardise: str = "dimension"
    precision: str = "auto"

    def __post_init__(self) -> None:
        for name in ("batch", "shard", "calibration"):
            check_integer(name, getattr(self, name), 1)
        if self.shard % self.batch:
            raise InputError(f"shard = {self.shard}: expected a multiple of batch = {self.batch}")
        check_real("norm_factor", self.norm_factor, above=1)
        check_choice("standardise", self.standardise, STANDARDISATIONS)
        check_choice("precision", self.precision, PRECISIONS)


@dataclass(frozen=True, eq=False)
class Calibration:
    """What is fixed before a collection.

    Attributes
    ----------
    norm_limit : float
        Activations with a greater norm are dropped.
    centre : (d,) float32
        The mean of those that are kept in the calibration contexts. Float16 shards hold
        differences to it, so that their resolution lies where the data vary.
    """

    norm_limit: float
    centre: Float32[np.ndarray, " d"]


@dataclass(frozen=True, eq=False)
class Places:
    """Where in the text activations come from.

    Attributes
    ----------
    context, position : (n,) int
        The context, and the position in it.
    document, offset : (n,) int
        The document, and which of its tokens it is.
    token : (n,) int
        The token id.
    """

    context: Int[np.ndarray, " n"]
    position: Int[np.ndarray, " n"]
    document: Int[np.ndarray, " n"]
    offset: Int[np.ndarray, " n"]
    token: Int[np.ndarray, " n"]


@dataclass(frozen=True)
class Counts:
    """How many positions a collection kept and dropped."""

    kept: int
    dropped_first: int
    dropped_norm: int


def kept_rows(x: Float32[np.ndarray, "b t d"], norm_limit: float) -> Bool[np.ndarray, "b t"]:
    """Return which positions of contexts are kept, by the rule of this module."""
    keep = _norms(x) <= norm_limit
    keep[:, 0] = False
    return keep


def calibrate(model: LanguageModel, text: PackedText, settings: CollectionSettings) -> Calibration:
    """Return the norm limit and the centre, from the first contexts of a training part.

    Raises
    ------
    InputError
        If the model gives activations that are not finite.
    """
    chunks = list(_batches(model, text.contexts[: settings.calibration], settings.batch))
    norms = np.concatenate([_norms(chunk)[:, 1:].ravel() for chunk in chunks])
    limit = float(settings.norm_factor * np.median(norms))
    kept = np.concatenate([chunk[kept_rows(chunk, limit)] for chunk in chunks])
    return Calibration(limit, kept.mean(axis=0, dtype=np.float64).astype(np.float32))


def splice(
    reconstruct: Callable[[Float32[np.ndarray, "n d"]], Float[np.ndarray, "n d"]],
    standardisation: Standardisation,
    norm_limit: float,
) -> Replacement:
    """Return what `LanguageModel.cross_entropy` puts in an SAE's place.

    `reconstruct` takes and gives standardised rows. Activations beyond the norm limit keep
    their own value, as the SAE was not trained on any.
    """

    def replace(x: Float32[np.ndarray, "n d"]) -> Float32[np.ndarray, "n d"]:
        replaced = standardisation.invert(reconstruct(standardisation.apply(x)))
        return np.where((_norms(x) <= norm_limit)[:, None], replaced, x)

    return replace


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
        Fitted on the training part; `rows` and `read_all` apply it.
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
            As given to `collect`.
        verify : bool
            Hash every shard too; shapes and types are always checked.

        Raises
        ------
        InputError
            If there is no collection, it is not finished, or it is damaged.
        """
        manifest = _read_manifest(folder)
        if manifest is None:
            raise InputError(f"{folder} has no {_MANIFEST}: expected a folder of activations")
        try:
            return cls._opened(folder, manifest, verify)
        except InputError:
            raise
        except (KeyError, TypeError, ValueError, OSError, EOFError, BadZipFile) as error:
            raise _damaged(folder, str(error) or type(error).__name__) from error

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
                raise _damaged(folder, f"{name} has changed")
        if done != planned:
            raise _damaged(folder, f"{_MANIFEST} lists {done} of {planned} shards")
        text = _load(folder / "text.npz")
        fitted = _load(folder / "fitted.npz")
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
        for number in range(len(self._shards)):
            x = self._raw(number, slice(None))
            yield x if raw else self.standardisation.apply(x)

    def places(self, indices: Int[np.ndarray, " n"]) -> Places:
        """Return where activations come from."""
        context, position = (self._places[indices, i].astype(np.int64) for i in (0, 1))
        opened = int(self.manifest["text"]["opened"])
        return Places(
            context=context,
            position=position,
            document=self.context_document[context].astype(np.int64),
            offset=self.context_start[context].astype(np.int64) + position - opened,
            token=self.contexts[context, position].astype(np.int64),
        )

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
        stored = self._shards[number][which]
        if stored.dtype == np.float16:
            return stored.astype(np.float32) + self.calibration.centre
        return np.asarray(stored, dtype=np.float32)


def collect(
    model: LanguageModel,
    text: PackedText,
    folder: Path,
    settings: CollectionSettings | None = None,
    *,
    fitted_on: ActivationStore | None = None,
    progress: bool = True,
) -> ActivationStore:
    """Collect the activations of one part of a corpus into a folder, or go on with it.

    Parameters
    ----------
    model : LanguageModel
        The model at its hook point.
    text : PackedText
        The contexts.
    folder : Path
        New, or of the same collection, unfinished or finished.
    settings : CollectionSettings, optional
        Taken from `fitted_on` for the rule and the standardisation, where that is given.
    fitted_on : ActivationStore, optional
        The training part's store, whose norm limit and standardisation are used instead of new
        ones: for the evaluation part, and to put two corpora on one scale.
    progress : bool
        Show a bar on standard error.

    Returns
    -------
    ActivationStore
        The finished collection.

    Raises
    ------
    InputError
        If the folder holds another collection or a damaged one, the disk is too small or fills
        up, activations are not finite, or `fitted_on` is of another model.
    """
    settings = settings or CollectionSettings()
    if fitted_on is not None:
        _check_fitted_on(fitted_on, model)
    collection = _Collection(model, text, folder, settings, fitted_on)
    if not collection.is_complete():
        try:
            _run_alone(collection, folder, progress)
        except OSError as error:
            full = error.errno == errno.ENOSPC
            reason = "the disk is full" if full else error.strerror or error
            raise InputError(f"activations cannot be written to {folder}: {reason}") from error
    return ActivationStore.open(folder)


def _run_alone(collection: "_Collection", folder: Path, progress: bool) -> None:
    """Run a collection unless another process is at it."""
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    try:
        # Released by the system when a process is killed.
        with FileLock(folder / ".lock", timeout=0):
            collection.run(progress)
    except Timeout:
        raise InputError(f"{folder} is being collected by another process") from None


class _Collection:
    """A collection under way: the folder's state is its manifest, rewritten after each shard."""

    def __init__(
        self,
        model: LanguageModel,
        text: PackedText,
        folder: Path,
        settings: CollectionSettings,
        fitted_on: ActivationStore | None,
    ) -> None:
        self.model, self.text, self.folder = model, text, folder
        self.settings, self.fitted_on = settings, fitted_on
        self.n_shards = -(-len(text.contexts) // settings.shard)

    def is_complete(self) -> bool:
        """Return whether the folder holds this collection, finished; check its disk if not.

        Raises
        ------
        InputError
            If the folder holds another collection or a damaged one, or the disk is too small.
        """
        manifest = self._begun()
        if manifest["complete"]:
            return True
        done = len(manifest["shards"])
        left = self.text.n_positions * (self.n_shards - done) // self.n_shards
        check_disk(
            self.folder,
            int(left * (4 * self.model.d + 8) * 1.02) + 50_000_000,
            f"{left:,} activations of width {self.model.d}",
        )
        return False

    def run(self, progress: bool) -> None:
        """Collect what is missing and finish."""
        from tqdm import tqdm

        manifest = self._begun()
        done = len(manifest["shards"])
        for left_over in self.folder.glob(".*.*"):  # of a write that was killed
            left_over.unlink()
        calibration = self._calibration(manifest)
        self._write_manifest(manifest)
        bar = tqdm(
            total=self.n_shards,
            initial=done,
            desc=f"{self.model.name} {self.text.corpus} {self.text.part}",
            unit="shard",
            disable=not progress,
        )
        with bar:
            for number in range(done, self.n_shards):
                manifest["shards"].append(self._shard(number, calibration))
                self._write_manifest(manifest)
                bar.update()
        self._finish(manifest, calibration)

    def _begun(self) -> dict[str, Any]:
        """Return the manifest of the folder, checked against this collection, or a new one."""
        wanted = self._identity()
        found = _read_manifest(self.folder)
        if found is None:
            return {**wanted, "shards": [], "complete": False}
        different = [key for key, value in wanted.items() if found.get(key) != value]
        if different:
            key = different[0]
            raise InputError(
                f"{self.folder} holds another collection ({key} {_short(found.get(key))}): "
                f"expected {_short(wanted[key])}"
            )
        if not found["complete"]:
            for entry in found["shards"]:
                self._check_entry(entry)
        return found

    def _identity(self) -> dict[str, Any]:
        text, fitted = self.text, self.fitted_on
        return {
            "format": FORMAT,
            "model": self.model.name,
            "weights": self.model.weights,
            "hook": self.model.hook,
            "d": self.model.d,
            "text": {
                "corpus": text.corpus,
                "part": text.part,
                "contexts": list(text.contexts.shape),
                "opened": text.opened,
                "text_hash": text.text_hash,
                "token_hash": text.token_hash,
            },
            "settings": asdict(self.settings),
            "fitted_on": None if fitted is None else sha256_of(fitted.folder / _MANIFEST),
            "n_shards": self.n_shards,
        }

    def _check_entry(self, entry: Mapping[str, Any]) -> None:
        for one in (entry, entry["places"]):
            path = self.folder / one["file"]
            if not path.is_file() or sha256_of(path) != one["sha256"]:
                raise _damaged(self.folder, f"{path.name} has changed")

    def _calibration(self, manifest: dict[str, Any]) -> Calibration:
        """Return the calibration: the other store's, or the folder's own, or a new one."""
        path = self.folder / "calibration.npz"
        if self.fitted_on is not None:
            calibration = self.fitted_on.calibration
        elif manifest["shards"]:
            try:
                saved = _load(path)
                calibration = Calibration(float(manifest["norm_limit"]), saved["centre"])
            except (KeyError, ValueError, OSError, BadZipFile) as error:
                raise _damaged(self.folder, path.name) from error
            return calibration
        else:
            calibration = calibrate(self.model, self.text, self.settings)
        _write_npz(path, {"centre": calibration.centre})
        manifest["norm_limit"] = calibration.norm_limit
        return calibration

    def _shard(self, number: int, calibration: Calibration) -> dict[str, Any]:
        """Compute and write one shard; return its entry in the manifest."""
        first = number * self.settings.shard
        contexts = self.text.contexts[first : first + self.settings.shard]
        rows, places, at = [], [], first
        for x in _batches(self.model, contexts, self.settings.batch):
            keep = kept_rows(x, calibration.norm_limit)
            rows.append(x[keep])
            context, position = np.nonzero(keep)
            places.append(np.stack([at + context, position], axis=1))
            at += len(x)
        x = np.concatenate(rows)
        half, peak, error = _half(x, calibration.centre)
        fits = self.settings.precision == "auto" and error <= _HALF_TOLERANCE
        name = f"{number:05d}"
        entry = _write_npy(self.folder / f"{name}.npy", half if fits else x)
        where = np.concatenate(places).astype(np.int32)
        entry["max_abs"] = peak
        entry["half_error"] = error if np.isfinite(error) else None
        entry["places"] = _write_npy(self.folder / f"{name}.places.npy", where)
        return entry

    def _finish(self, manifest: dict[str, Any], calibration: Calibration) -> None:
        fitted = self._standardisation(manifest, calibration)
        _write_npz(
            self.folder / "fitted.npz",
            {"mean": fitted.mean, "scale": fitted.scale, "centre": calibration.centre},
        )
        _write_npz(
            self.folder / "text.npz",
            {
                "contexts": self.text.contexts,
                "document": self.text.document,
                "start": self.text.start,
            },
        )
        names = {
            "documents": self.text.names,
            "tokens": {
                str(token): self.model.decode([int(token)])
                for token in np.unique(self.text.contexts)
            },
        }
        write_atomically(
            self.folder / "names.json",
            lambda path: path.write_text(json.dumps(names), encoding="utf-8"),
        )
        n_contexts = len(self.text.contexts)
        kept = sum(entry["shape"][0] for entry in manifest["shards"])
        counts = Counts(
            kept=kept, dropped_first=n_contexts, dropped_norm=self.text.n_positions - kept
        )
        if kept == 0:
            raise InputError(f"{self.folder}: no activation is within the norm limit")
        manifest["files"] = {
            name: sha256_of(self.folder / name) for name in ("fitted.npz", "text.npz", "names.json")
        }
        manifest["counts"] = asdict(counts)
        manifest["complete"] = True
        self._write_manifest(manifest)
        (self.folder / "calibration.npz").unlink(missing_ok=True)

    def _standardisation(
        self, manifest: dict[str, Any], calibration: Calibration
    ) -> Standardisation:
        if self.fitted_on is not None:
            return self.fitted_on.standardisation

        def chunks() -> Iterator[np.ndarray]:
            for entry in manifest["shards"]:
                stored = np.load(self.folder / entry["file"], mmap_mode="r", allow_pickle=False)
                x = np.asarray(stored, dtype=np.float32)
                if len(x):
                    yield x + calibration.centre if stored.dtype == np.float16 else x

        return fit_standardisation(chunks(), self.model.d, self.settings.standardise)

    def _write_manifest(self, manifest: dict[str, Any]) -> None:
        whole = {**manifest, "sha256": _manifest_hash(manifest)}
        text = json.dumps(whole, indent=1, sort_keys=True)
        write_atomically(
            self.folder / _MANIFEST, lambda path: path.write_text(text, encoding="utf-8")
        )


@dataclass(frozen=True, eq=False)
class ActivationStream:
    """Activations computed as they are needed and never stored.

    Attributes
    ----------
    model, text, settings : as given to `stream`
    calibration : Calibration
        As that of a store of the same text.
    standardisation : Standardisation
        Fitted on the calibration contexts alone: an estimate of a store's.
    """

    model: LanguageModel
    text: PackedText
    settings: CollectionSettings
    calibration: Calibration
    standardisation: Standardisation

    def batches(
        self, size: int, *, buffer: int = 65_536, seed: int = 0, passes: int = 1
    ) -> Iterator[Float32[np.ndarray, "size d"]]:
        """Yield shuffled batches of standardised activations.

        Parameters
        ----------
        size : int
            Rows of a batch; what is left at the end, shorter than one, is not given.
        buffer : int
            Rows that are mixed: filled, shuffled, given out down to one half, filled again.
            At least twice `size`.
        seed : int
            Of the order.
        passes : int
            Times to go through the text.
        """
        check_integer("size", size, 1)
        check_integer("buffer", buffer, 2 * size)
        check_integer("passes", passes, 1)
        random = generator(seed, Axis.DATA_ORDER)
        held: list[np.ndarray] = []
        for _ in range(passes):
            for x in _batches(self.model, self.text.contexts, self.settings.batch):
                held.append(x[kept_rows(x, self.calibration.norm_limit)])
                if sum(map(len, held)) >= buffer:
                    mixed = _mixed(held, random)
                    n_given = (len(mixed) - buffer // 2) // size * size
                    yield from self._cut(mixed[:n_given], size)
                    held = [mixed[n_given:]]
        yield from self._cut(_mixed(held, random), size)

    def _cut(self, x: np.ndarray, size: int) -> Iterator[Float32[np.ndarray, "size d"]]:
        for start in range(0, len(x) - size + 1, size):
            yield self.standardisation.apply(x[start : start + size])


def stream(
    model: LanguageModel, text: PackedText, settings: CollectionSettings | None = None
) -> ActivationStream:
    """Return the activations of a text as a stream that stores nothing.

    The rule is a store's own; the standardisation is fitted on the calibration contexts.
    """
    settings = settings or CollectionSettings()
    calibration = calibrate(model, text, settings)
    chunks = _batches(model, text.contexts[: settings.calibration], settings.batch)
    kept = (x[kept_rows(x, calibration.norm_limit)] for x in chunks)
    fitted = fit_standardisation((x for x in kept if len(x)), model.d, settings.standardise)
    return ActivationStream(model, text, settings, calibration, fitted)


def _batches(
    model: LanguageModel, contexts: Int32[np.ndarray, "n t"], batch: int
) -> Iterator[Float32[np.ndarray, "b t d"]]:
    for start in range(0, len(contexts), batch):
        x = model.activations(contexts[start : start + batch])
        if not np.isfinite(x).all():
            raise InputError(
                f"model {model.name} at {model.hook} gives NaN or Inf in contexts {start} to "
                f"{start + len(x) - 1}: expected finite activations"
            )
        yield x


def _norms(x: Float32[np.ndarray, "*shape d"]) -> Float[np.ndarray, "*shape"]:
    return np.linalg.norm(x.astype(np.float64), axis=-1)


def _mixed(held: list[np.ndarray], random: np.random.Generator) -> np.ndarray:
    rows = np.concatenate(held)
    return rows[random.permutation(len(rows))]


def _half(
    x: Float32[np.ndarray, "n d"], centre: Float32[np.ndarray, " d"]
) -> tuple[np.ndarray, float, float]:
    """Return `x` - `centre` in float16, its largest entry, and the rounding it costs.

    The cost is that of the worst dimension: the error's root mean square over the dimension's
    standard deviation; infinite on overflow.
    """
    centred = x - centre
    peak = float(np.abs(centred).max(initial=0.0))
    if peak > float(np.finfo(np.float16).max):
        return np.empty((0, 0), dtype=np.float16), peak, float("inf")
    half = centred.astype(np.float16)
    if not len(x):
        return half, peak, 0.0
    error = half.astype(np.float64) + centre - x
    rms = np.sqrt(np.mean(error**2, axis=0))
    spread = x.std(axis=0, dtype=np.float64)
    ratio = np.divide(rms, spread, out=np.where(rms > 0, np.inf, 0.0), where=spread > 0)
    return half, peak, float(ratio.max())


def _write_npy(path: Path, array: Num[np.ndarray, "..."]) -> dict[str, Any]:
    write_atomically(path, lambda temporary: _save(np.save, temporary, array))
    return {
        "file": path.name,
        "sha256": sha256_of(path),
        "shape": list(array.shape),
        "dtype": str(array.dtype),
    }


def _write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    write_atomically(path, lambda temporary: _save(np.savez, temporary, **arrays))


def _save(how: Callable[..., None], path: Path, *array: np.ndarray, **arrays: np.ndarray) -> None:
    with path.open("wb") as file:
        how(file, *array, **arrays)
        file.flush()
        # The manifest names the file next: its bytes must be there first, whatever happens.
        os.fsync(file.fileno())


def _load(path: Path) -> dict[str, np.ndarray]:
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
        raise _damaged(folder, f"{entry['file']} has another shape or type")
    for one in (entry, entry["places"]) if verify else (entry["places"],):
        if sha256_of(folder / one["file"]) != one["sha256"]:
            raise _damaged(folder, f"{one['file']} has changed")
    return shard


def _read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return the manifest, or None where there is no file."""
    path = folder / _MANIFEST
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: expected a folder of activations")
    if not path.exists():
        if folder.is_dir() and any(folder.glob("[!.]*.npy")):
            raise _damaged(folder, f"it has shards but no {_MANIFEST}")
        return None
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(folder, f"{_MANIFEST} is not JSON") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise InputError(f"{path} is not a manifest of activations: expected format {FORMAT!r}")
    if manifest.pop("sha256", None) != _manifest_hash(manifest):
        raise _damaged(folder, f"{_MANIFEST} has changed")
    return manifest


def _manifest_hash(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _check_fitted_on(store: ActivationStore, model: LanguageModel) -> None:
    found = tuple(store.manifest[key] for key in ("model", "weights", "hook"))
    wanted = (model.name, model.weights, model.hook)
    if found != wanted:
        raise InputError(
            f"{store.folder} is of {found[0]} at {found[2]}: expected {wanted[0]} at {wanted[2]}"
        )


def _damaged(folder: Path, reason: str) -> InputError:
    reason = " ".join(reason.split())
    return InputError(f"{folder} is damaged ({reason}): delete it and collect again")


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 100 else text[:100] + "..."
