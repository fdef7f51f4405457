"""Collection of activations into a folder, shard by shard.

A killed collection goes on at the first missing shard and ends with the same bytes.
"""

import errno
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from osae_theory.errors import InputError
from realdata.activations.rule import (
    Calibration,
    CollectionSettings,
    Counts,
    calibrate,
    kept_activations,
)
from realdata.activations.shards import (
    finish,
    shard_rows,
    write_manifest,
    write_npz,
    write_shard,
)
from realdata.activations.standardisation import Standardisation, fit_standardisation
from realdata.activations.store import (
    FORMAT,
    MANIFEST,
    ActivationStore,
    check_free,
    damaged,
    load_npz,
    read_manifest,
)
from realdata.models.disk import check_disk, sha256_of
from realdata.models.language import LanguageModel
from realdata.text.packing import PackedText

_CALIBRATION = "calibration.npz"


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
        New or empty, or of the same collection, unfinished or finished.
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
        If the folder holds another collection, a damaged one or other files, the disk is too
        small or fills up, activations are not finite, or `fitted_on` is of another model.
    """
    settings = settings or CollectionSettings()
    if fitted_on is not None:
        check_fitted_on(fitted_on, model)
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
            If the folder holds anything else or is damaged, or the disk is too small.
        """
        manifest = self._begun()
        if manifest["complete"]:
            return True
        done = len(manifest["shards"])
        left = self.text.n_positions * (self.n_shards - done) // self.n_shards
        check_disk(
            self.folder,
            int(left * (4 * self.model.d + 8) * 1.02) + 50_000_000,
            f"{left:,} activations of width {self.model.d}; with --stream, run and train store"
            " only a sample",
        )
        return False

    def run(self, progress: bool) -> None:
        """Collect what is missing and finish."""
        from tqdm import tqdm

        manifest = self._begun()
        done = len(manifest["shards"])
        calibration = self._calibration(manifest)
        write_manifest(self.folder, manifest)
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
                write_manifest(self.folder, manifest)
                bar.update()
        self._finish(manifest, calibration)

    def _begun(self) -> dict[str, Any]:
        """Return the manifest of the folder, checked against this collection, or a new one."""
        wanted = self._identity()
        found = read_manifest(self.folder)
        if found is None:
            # What a collection that was stopped before its first shard has left, and its lock.
            check_free(self.folder, [_CALIBRATION, ".*"])
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
            "fitted_on": None if fitted is None else sha256_of(fitted.folder / MANIFEST),
            "n_shards": self.n_shards,
        }

    def _check_entry(self, entry: Mapping[str, Any]) -> None:
        for one in (entry, entry["places"]):
            path = self.folder / one["file"]
            if not path.is_file() or sha256_of(path) != one["sha256"]:
                raise damaged(self.folder, f"{path.name} has changed")

    def _calibration(self, manifest: dict[str, Any]) -> Calibration:
        """Return the calibration: the other store's, or the folder's own, or a new one."""
        path = self.folder / _CALIBRATION
        if self.fitted_on is not None:
            calibration = self.fitted_on.calibration
        elif manifest["shards"]:
            try:
                saved = load_npz(path)
                calibration = Calibration(float(manifest["norm_limit"]), saved["centre"])
            except (KeyError, ValueError, OSError, BadZipFile) as error:
                raise damaged(self.folder, path.name) from error
            return calibration
        else:
            calibration = calibrate(self.model, self.text, self.settings)
        write_npz(path, {"centre": calibration.centre})
        manifest["norm_limit"] = calibration.norm_limit
        return calibration

    def _shard(self, number: int, calibration: Calibration) -> dict[str, Any]:
        """Compute and write one shard; return its entry in the manifest."""
        first = number * self.settings.shard
        contexts = self.text.contexts[first : first + self.settings.shard]
        x, where = kept_activations(self.model, contexts, self.settings.batch, calibration)
        where[:, 0] += first
        return write_shard(
            self.folder, number, x, where, calibration.centre, self.settings.precision
        )

    def _finish(self, manifest: dict[str, Any], calibration: Calibration) -> None:
        kept = sum(entry["shape"][0] for entry in manifest["shards"])
        if kept == 0:
            raise InputError(f"{self.folder}: no activation is within the norm limit")
        finish(
            self.folder,
            manifest,
            standardisation=self._standardisation(manifest, calibration),
            centre=calibration.centre,
            counts=Counts(
                kept=kept,
                dropped_first=len(self.text.contexts),
                dropped_norm=self.text.n_positions - kept,
            ),
            text=self.text,
            decode=self.model.decode,
        )
        (self.folder / _CALIBRATION).unlink(missing_ok=True)

    def _standardisation(
        self, manifest: dict[str, Any], calibration: Calibration
    ) -> Standardisation:
        if self.fitted_on is not None:
            return self.fitted_on.standardisation
        chunks = shard_rows(self.folder, manifest["shards"], calibration.centre)
        return fit_standardisation(chunks, self.model.d, self.settings.standardise)


def check_fitted_on(store: ActivationStore, model: LanguageModel) -> None:
    """Raise InputError unless a store is of this model at its hook point."""
    found = tuple(store.manifest[key] for key in ("model", "weights", "hook"))
    wanted = (model.name, model.weights, model.hook)
    if found != wanted:
        raise InputError(
            f"{store.folder} is of {found[0]} at {found[2]}: expected {wanted[0]} at {wanted[2]}"
        )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 100 else text[:100] + "..."
