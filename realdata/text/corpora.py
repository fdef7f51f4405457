"""Text corpora by name: each a set of sources of documents."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from osae_theory.errors import check_choice
from realdata.text.debian import DebianPackage
from realdata.text.python_text import STDLIB, Docstrings, SourceFiles, TopicHelp
from realdata.text.sources import HubDataset, Source, TextFolder


@dataclass(frozen=True)
class Corpus:
    """A named set of sources.

    Attributes
    ----------
    name : str
        Its name in the registry, or as the user gave it.
    sources : tuple of Source
        In order; a text that a source before has given is dropped.
    endless : bool
        Too large to be read whole: reading stops when there are enough tokens.
    """

    name: str
    sources: tuple[Source, ...]
    endless: bool = False


_CORPORA = (
    Corpus("python-docs", (TopicHelp(), Docstrings(STDLIB))),
    Corpus("python-source", (SourceFiles(STDLIB),)),
    Corpus(
        "debian-prose",
        (
            DebianPackage("anarchism", "usr/share/doc/anarchism/markdown/*.md*"),
            DebianPackage("python3.11-doc", "usr/share/doc/python3.11/html/_sources/*.rst.txt"),
        ),
    ),
    Corpus(
        "debian-manuals",
        (
            DebianPackage("perl-doc", "usr/share/perl/5.*/pod/*.pod", "pod"),
            DebianPackage("manpages-dev", "usr/share/man/man[23]/*.[23].gz", "roff"),
        ),
    ),
    Corpus(
        "pile-uncopyrighted",
        (HubDataset("monology/pile-uncopyrighted"),),
        endless=True,
    ),
    # The hub's repository holds only lists of addresses and a loading script that the library
    # no longer runs; the sample has 10 billion tokens.
    Corpus(
        "dolma",
        (HubDataset("allenai/dolma", urls="urls/v1_6-sample.txt"),),
        endless=True,
    ),
)

CORPORA: Mapping[str, Corpus] = MappingProxyType({corpus.name: corpus for corpus in _CORPORA})

_KINDS: Mapping[str, Callable[[str], Source]] = MappingProxyType(
    {
        "docstrings": Docstrings,
        "source": SourceFiles,
        "folder": lambda text: TextFolder(Path(text)),
    }
)


def find_corpus(name: str) -> Corpus:
    """Return the corpus that a name means.

    Parameters
    ----------
    name : str
        One of `CORPORA`, or "docstrings:PACKAGE", "source:PACKAGE" or "folder:PATH".

    Raises
    ------
    InputError
        If the name is none of these.
    """
    kind, colon, rest = name.partition(":")
    if colon and rest:
        check_choice("kind of corpus", kind, _KINDS)
        return Corpus(name, (_KINDS[kind](rest),))
    check_choice("corpus", name, [*CORPORA, *(f"{kind}:..." for kind in _KINDS)])
    return CORPORA[name]
