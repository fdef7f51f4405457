"""`python -m realdata page`: two checkpoints' latents side by side."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from osae_theory.errors import InputError, check_integer
from realdata.commands._command import Command
from realdata.commands._options import (
    add_location,
    labels_of,
)
from realdata.commands._reading import add_reading, check_reads_text, corpus_of, read_by_model

# What it reads of a text, unless told otherwise.
_PAGE_TOKENS = 20_000


def _add(p: argparse.ArgumentParser) -> None:
    p.epilog = (
        "example: python -m realdata page A B --text folder:notes --model smollm2-135m --layer 11"
        " --out out/page.html"
    )
    add_location(p, "checkpoints", "a local folder or file, or a hub id owner/name", nargs=2)
    p.add_argument(
        "--activations",
        type=Path,
        metavar="STORE",
        help="a folder of collected activations: their text is searched, no model is needed",
    )
    add_reading(p, _PAGE_TOKENS, "the norm limit is that of the part that is read")
    p.add_argument("--latents", type=int, default=24, help="first latents of A (default: 24)")
    p.add_argument("--labels", nargs=2, metavar="NAME", help="names of A and B on the page")
    p.add_argument(
        "--out",
        type=Path,
        default=Path("out/page.html"),
        metavar="FILE.html",
        help="the page, which quotes the text (default: out/page.html)",
    )


def _do(options: argparse.Namespace, command: str) -> None:
    from realdata.activations.store import ActivationStore
    from realdata.checkpoints import load
    from realdata.latents.on_text import check_width, latents_on_store, latents_on_text
    from realdata.models.sources import MODELS
    from realdata.report.checkpoint_page import checkpoint_page, elsewhere
    from realdata.report.page import PageSettings, check_page, write_page

    check_integer("--latents", options.latents, 1)
    names: Sequence[str] = options.checkpoints
    labels = labels_of(names) if options.labels is None else options.labels
    if len(set(labels)) < len(labels) or not all(labels):
        raise InputError(f"--labels {' '.join(labels)}: expected two different names")
    check_page(options.out)
    if (options.text is None) == (options.activations is None):
        raise InputError("expected --text CORPUS with --model NAME, or --activations STORE")
    store = None
    if options.activations is not None:
        check_reads_text(options, "model", "layer", "hook", "part", "tokens", "context")
        store = ActivationStore.open(options.activations)
    corpus = None if options.text is None else corpus_of(options)
    both = {label: load(name, options.revision) for label, name in zip(labels, names, strict=True)}
    if store is not None:
        found = latents_on_store(store, both)
    else:
        assert corpus is not None  # one of the two is there
        check_width(both, MODELS[options.model].d, options.model)
        model, text = read_by_model(options, corpus, _PAGE_TOKENS)
        found = latents_on_text(model, text, both)
    for label, own in both.items():
        if (said := elsewhere(own, found.model, found.hook)) is not None:
            print(
                f"{label} says that it is of {said}: it is read on {found.model} at {found.hook}",
                file=sys.stderr,
            )
    print(
        f"{found.text.n:,} tokens of {found.corpus}; the page quotes this text: it is for"
        " reading, not for publication",
        file=sys.stderr,
    )
    write_page(options.out, checkpoint_page(found, both, PageSettings(options.latents)))
    print(options.out)


COMMAND = Command("page", "two checkpoints' latents side by side with their top text", _add, _do)
