"""What a checkpoint format is, and where a checkpoint lies."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from osae_theory.errors import InputError
from realdata.checkpoints.form import SparseAutoencoder, StoredDictionary

# The index of a safetensors file in shards has its name and this.
INDEX = ".index.json"


@dataclass(frozen=True)
class Source:
    """Where a checkpoint lies on this machine.

    Parameters
    ----------
    folder : Path
        The folder that holds its files.
    files : frozenset of str
        Names of the files to look at: all of the folder's, or, where the user named one
        file, that file and the configurations (.json) beside it.
    location : str
        What the user wrote, for messages.
    revision : str, optional
        The hub revision that was asked for.
    named : str, optional
        The name of the one file that the user named.
    """

    folder: Path
    files: frozenset[str]
    location: str
    revision: str | None = None
    named: str | None = None

    def find(self, pattern: str) -> Path:
        """Return the one file that matches `pattern`, or would if it did not lie in shards.

        Raises
        ------
        InputError
            If several files match, or none.
        """
        found = sorted(name for name in self.files if fnmatch(name, pattern))
        if not found and pattern.endswith(".safetensors"):
            indices = (name for name in self.files if fnmatch(name, pattern + INDEX))
            found = sorted(name.removesuffix(INDEX) for name in indices)
        if len(found) != 1:
            raise InputError(f"{self.folder} has {len(found)} files named {pattern}: expected one")
        return self.folder / found[0]


@dataclass(frozen=True)
class Format:
    """One library's way to store a sparse autoencoder.

    Parameters
    ----------
    name : str
        The library's name, the key in the registry.
    weights : str
        Name of the file with the tensors, as a glob pattern.
    config : str, optional
        Name of the configuration beside it.
    read : callable
        Takes a `Source`, returns the autoencoder in the internal form, or raises
        InputError in one sentence.
    dictionary : callable
        Takes a `Source`, returns its decoder alone, and looks at nothing that only latents
        need; or raises InputError in one sentence.
    extras : tuple of str
        Names of files that are read where they exist.
    by_name : bool
        Such files have any name: one is only looked at where the user named it.
    """

    name: str
    weights: str
    config: str | None
    read: Callable[[Source], SparseAutoencoder]
    dictionary: Callable[[Source], StoredDictionary]
    extras: tuple[str, ...] = ()
    by_name: bool = False

    @property
    def needs(self) -> str:
        """Its files, for messages."""
        if self.by_name:
            return f"{self.weights} by its name"
        return self.weights if self.config is None else f"{self.weights} with {self.config}"

    @property
    def files(self) -> tuple[str, ...]:
        """Patterns of all files it may read in a folder."""
        if self.by_name:
            return ()
        shards: tuple[str, ...] = ()
        if self.weights.endswith(".safetensors"):
            stem = self.weights.removesuffix(".safetensors")
            shards = (self.weights + INDEX, f"{stem}-*-of-*.safetensors")
        return (self.weights, *shards, *([self.config] if self.config else []), *self.extras)

    def recognises(self, files: Collection[str]) -> bool:
        """Say whether a folder with these file names holds a checkpoint of this format."""
        patterns = [self.weights]
        if self.weights.endswith(".safetensors"):
            patterns.append(self.weights + INDEX)
        has_weights = any(fnmatch(name, pattern) for name in files for pattern in patterns)
        return has_weights and (self.config is None or self.config in files)
