"""`python -m realdata collect`: activations to train on."""

import argparse
import sys
from pathlib import Path

from osae_theory.errors import InputError
from osae_theory.files import check_writable
from realdata.commands._command import Command
from realdata.commands._options import (
    add_out,
)
from realdata.commands._reading import add_reading, check_reads_text, corpus_of, read_by_model


def _add(p: argparse.ArgumentParser) -> None:
    from realdata.activations.standardisation import STANDARDISATIONS

    p.formatter_class = argparse.RawDescriptionHelpFormatter
    p.epilog = """examples:
  python -m realdata collect --text folder:notes --model smollm2-135m --layer 11 --out out/store
  python -m realdata collect --activations x.npy --out out/store
then:
  python -m realdata train out/store --K 256 --m 16 --steps 1000 --lr 0.02 --out out/sae
  python -m realdata compare A B --activations out/store"""
    p.add_argument(
        "--activations",
        type=Path,
        metavar="FILE.npy",
        help="activations (n, d) that are there already: all rows are kept, no model is needed,"
        " and --model, --layer and --hook are what checkpoints will say of them",
    )
    add_reading(p, None, "norm limit and standardisation are those of the part that is read")
    p.add_argument(
        "--standardise",
        default=STANDARDISATIONS[0],
        help=f"what training sees, of {', '.join(STANDARDISATIONS)}"
        f" (default: {STANDARDISATIONS[0]})",
    )
    add_out(p, "folder for the activations: new, or of the same collection to go on with it")


def _do(options: argparse.Namespace, command: str) -> None:
    from realdata.activations.collection import collect
    from realdata.activations.given import collect_given
    from realdata.activations.rule import CollectionSettings
    from realdata.models.hooks import hook_of_layer

    if (options.text is None) == (options.activations is None):
        raise InputError("expected --text CORPUS with --model NAME, or --activations FILE.npy")
    settings = CollectionSettings(standardise=options.standardise)
    if options.activations is not None:
        check_reads_text(options, "part", "tokens", "context")
        if options.layer is not None and options.hook is not None:
            raise InputError(
                f"--layer {options.layer} and --hook {options.hook}: expected one of them"
            )
        hook = options.hook if options.layer is None else hook_of_layer(options.layer)
        store = collect_given(
            options.activations,
            options.out,
            standardise=options.standardise,
            model=options.model,
            hook=hook,
        )
    else:
        corpus = corpus_of(options)
        check_writable(options.out)
        model, text = read_by_model(options, corpus)
        store = collect(model, text, options.out, settings)
    left_out = store.counts.dropped_norm
    print(
        f"{store.n:,} activations of width {store.d}"
        + (f"; {left_out:,} above three times the median norm left out" if left_out else ""),
        file=sys.stderr,
    )
    print(options.out)


COMMAND = Command(
    "collect", "activations of a text, or of a .npy file, to train on", _add, _do, resumes=True
)
