"""A text that a model reads, for the commands that read one."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from osae_theory.errors import InputError, check_choice, check_integer

if TYPE_CHECKING:  # not imported for --help
    from realdata.models.language import LanguageModel
    from realdata.text.corpora import Corpus
    from realdata.text.packing import PackedText


def add_reading(p: argparse.ArgumentParser, tokens: int | None, calibrated: str) -> None:
    """Add what `page` and `collect` share: a text, and the model that reads it.

    What is not given is None: only a text is read in part (`check_reads_text`).
    """
    from realdata.models.sources import MODELS
    from realdata.text.packing import READABLE, WHOLE

    p.add_argument(
        "--text",
        metavar="CORPUS",
        help="folder:PATH (.txt, .md, .rst and .jsonl files), docstrings:PACKAGE,"
        " source:PACKAGE, or a name in realdata.text.corpora, such as python-docs",
    )
    p.add_argument("--model", help=f"that reads the text, of {', '.join(MODELS)}")
    p.add_argument("--layer", type=int, help="hidden_states[LAYER] (default: the model's own)")
    p.add_argument("--hook", help="or a hook point, as blocks.10.hook_resid_post")
    p.add_argument(
        "--part",
        help=f"of the text, of {', '.join(READABLE)} (default: {WHOLE}); the others are those"
        f" that `run` trains on and holds out; {calibrated}",
    )
    p.add_argument(
        "--tokens",
        type=int,
        help=f"the most to read (default: {'all' if tokens is None else f'{tokens:,}'})",
    )
    p.add_argument("--context", type=int, help="tokens a context (default: 128)")


def check_reads_text(options: argparse.Namespace, *names: str) -> None:
    """Raise InputError if an option of reading a text is given with activations."""
    for name in names:
        if (value := getattr(options, name)) is not None:
            raise InputError(
                f"--{name} {value}: expected --text CORPUS with it, not --activations"
                f" {options.activations}"
            )


def corpus_of(options: argparse.Namespace) -> "Corpus":
    """Return the corpus that is asked for, all that needs no model having been checked."""
    from realdata.models.loading import chosen_hook
    from realdata.models.sources import MODELS
    from realdata.text.corpora import find_corpus
    from realdata.text.packing import READABLE

    corpus = find_corpus(options.text)
    if options.model is None:
        raise InputError(f"--text {options.text}: expected --model NAME, which reads it")
    check_choice("model", options.model, MODELS)
    chosen_hook(MODELS[options.model], options.layer, options.hook)
    if options.part is not None:
        check_choice("--part", options.part, READABLE)
    if options.context is not None:
        check_integer("--context", options.context, 2)
    if options.tokens is not None:
        check_integer("--tokens", options.tokens, 1)
    for source in corpus.sources if not corpus.endless else ():
        next(iter(source.documents()), None)
    return corpus


def read_by_model(
    options: argparse.Namespace, corpus: "Corpus", tokens: int | None = None
) -> "tuple[LanguageModel, PackedText]":
    """Return the model that is asked for, and the text as contexts of its tokens."""
    from realdata.models import loading as models
    from realdata.text.packing import packed_part

    model = models.load(options.model, layer=options.layer, hook=options.hook)
    asked: dict[str, Any] = {"tokens": tokens}
    for name in ("part", "context", "tokens"):
        if (value := getattr(options, name)) is not None:
            asked[name] = value
    text = packed_part(corpus, model.tokenise, model.bos, **asked)
    print(
        f"{corpus.name} ({text.part}): {text.n_positions:,} tokens in {len(text.contexts):,}"
        f" contexts of {len(text.names):,} documents",
        file=sys.stderr,
    )
    return model, text
