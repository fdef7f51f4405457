"""`python -m realdata`: compare, apply and export SAE checkpoints; run the experiment on a model.

Command line only. What reads a language model (`run`, `tune`, `collect --text`, `page --text`)
needs the environment of `make setup-realdata`, the rest that of `make setup`.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any

from osae_theory.command_line import Parser, listing, number, run
from osae_theory.errors import InputError, check_choice, check_integer, check_real
from osae_theory.files import check_writable, refused_by_system

MODULE = "realdata"
# What `page` reads of a text, unless told otherwise.
_PAGE_TOKENS = 20_000
_NOT_RUN = "anything but the default has not been run by the authors"


class _Command(Parser):
    """A subcommand's parser, with the one-line errors of the whole."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(prog.removeprefix("python -m "), description)


def parser() -> Parser:
    """Return the command line's parser."""
    p = Parser(MODULE, "Ordered sparse autoencoders on real language models.")
    commands = p.add_subparsers(dest="command", parser_class=_Command)
    for name, (add, _, text) in COMMANDS.items():
        add(commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}."))
    return p


def _add_compare(p: argparse.ArgumentParser) -> None:
    _add_location(p, "checkpoints", "a local folder or file, or a hub id owner/name", nargs="+")
    p.add_argument(
        "--prefixes",
        type=int,
        nargs="+",
        metavar="P",
        help="compare the first P atoms (default: 4, 8, 16, ... and the narrowest width)",
    )
    p.add_argument(
        "--activations",
        type=Path,
        metavar="FILE.npy",
        help="activations (n, d), or a folder of collected ones: compare by what latents do on"
        " them, too, and put each SAE's directions into the other",
    )
    p.add_argument(
        "--sort-by",
        default="trained",
        help="order of the latents, of trained, frequency, energy (default: trained); the latter"
        " two need --activations, and are what a plain SAE must be held against",
    )
    p.add_argument(
        "--matches",
        action="store_true",
        help="say how many latents are shared, split or alone, and with --out write which latent"
        " is which of the other",
    )
    p.add_argument(
        "--sinkhorn",
        type=number,
        metavar="T",
        help="soft Stab, too: by entropic optimal transport at temperature T, such as 0.05",
    )
    p.add_argument("--labels", nargs="+", metavar="NAME", help="names, one a checkpoint")
    p.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    p.add_argument("--out", type=Path, help="folder for tables and the figure")


def _compare(options: argparse.Namespace, command: str) -> None:
    from osae_theory.progress import Bars
    from realdata.comparison.compare import (
        compare,
        compare_latents,
        long_work,
        planned_prefixes,
        shapes_of,
    )
    from realdata.comparison.dictionaries import ORDERS, TRAINED, loaded, on_activations
    from realdata.comparison.findings import Findings, json_text, text
    from realdata.comparison.matches import all_matches, match_pairs
    from realdata.comparison.substitution import substitutions

    names: Sequence[str] = options.checkpoints
    if len(names) < 2:
        raise InputError(f"{len(names)} checkpoint: expected at least two to compare")
    labels = _labels(names) if options.labels is None else options.labels
    if len(labels) != len(names) or len(set(labels)) < len(labels) or not all(labels):
        raise InputError(
            f"--labels {' '.join(labels)}: expected {len(names)} different names, one a checkpoint"
        )
    check_choice("--sort-by", options.sort_by, ORDERS)
    if options.sort_by != TRAINED and options.activations is None:
        raise InputError(f"--sort-by {options.sort_by}: expected --activations with it")
    if options.sinkhorn is not None:
        check_real("--sinkhorn", options.sinkhorn, above=0.0)
    activations = options.activations
    if options.out is not None:
        from realdata.report.comparison import file_names

        files = file_names(activations is not None, options.matches)
        check_writable(options.out, files=files)
    locations = dict(zip(labels, names, strict=True))
    given = loaded(locations, options.revision, encoders=activations is not None)
    sizes = planned_prefixes(shapes_of(given), options.prefixes, latents=activations is not None)
    matching = options.matches or activations is not None
    whole = max(K for K, _ in shapes_of(given).values()) if matching else 0
    if (advice := long_work(sizes[-1], whole)) is not None:
        print(advice, file=sys.stderr)
    if activations is not None:
        given = on_activations(given, activations, options.sort_by)
    with Bars() as bars:
        by_decoders = compare(
            {one.name: one.decoder for one in given},
            sizes,
            bars,
            live=None if activations is None else {one.name: one.live for one in given},
            order=options.sort_by,
            temperature=options.sinkhorn,
        )
        by_activations = None if activations is None else compare_latents(given, sizes, bars)
        matched = match_pairs(given, bars) if matching else []
    findings = Findings(
        given,
        by_decoders,
        by_activations,
        all_matches(matched) if options.matches else None,
        None if activations is None else substitutions(matched, activations),
    )
    if options.out is not None:
        from realdata.report.comparison import write_files

        with refused_by_system(options.out):
            write_files(findings, options.out)
        print(f"written to {options.out}", file=sys.stderr)
    print(json_text(findings) if options.json else text(findings), end="")


def _labels(names: Sequence[str]) -> list[str]:
    """Return the names, a number after one that has occurred before; all differ."""
    labels: list[str] = []
    for place, name in enumerate(names):
        again = (f"{name} ({n})" for n in count(2) if f"{name} ({n})" not in {*names, *labels})
        labels.append(next(again) if name in names[:place] else name)
    return labels


def _add_apply(p: argparse.ArgumentParser) -> None:
    _add_location(p, "checkpoint", "a local folder or file, or a hub id owner/name")
    p.add_argument(
        "input",
        type=Path,
        metavar="INPUT.npy",
        help="activations (n, d), or a folder of collected ones",
    )
    _add_out(p, "folder for latents.npy and reconstruction.npy")


def _apply(options: argparse.Namespace, command: str) -> None:
    from realdata.latents.apply import apply_checkpoint

    for path in apply_checkpoint(options.checkpoint, options.revision, options.input, options.out):
        print(path)


def _add_export(p: argparse.ArgumentParser) -> None:
    _add_location(p, "checkpoint", "a checkpoint of ours")
    _add_out(p, "folder for sae_weights.safetensors and cfg.json")


def _export(options: argparse.Namespace, command: str) -> None:
    from realdata.checkpoints.export import export_checkpoint

    print(export_checkpoint(options.checkpoint, options.revision, options.out))


def _add_collect(p: argparse.ArgumentParser) -> None:
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
    _add_reading(p, None, "norm limit and standardisation are those of the part that is read")
    p.add_argument(
        "--standardise",
        default=STANDARDISATIONS[0],
        help=f"what training sees, of {', '.join(STANDARDISATIONS)}"
        f" (default: {STANDARDISATIONS[0]})",
    )
    _add_out(p, "folder for the activations: new, or of the same collection to go on with it")


def _collect(options: argparse.Namespace, command: str) -> None:
    from realdata.activations.collection import collect
    from realdata.activations.given import collect_given
    from realdata.activations.rule import CollectionSettings
    from realdata.models.hooks import hook_of_layer

    if (options.text is None) == (options.activations is None):
        raise InputError("expected --text CORPUS with --model NAME, or --activations FILE.npy")
    settings = CollectionSettings(standardise=options.standardise)
    if options.activations is not None:
        _check_reads_text(options, "part", "tokens", "context")
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
        corpus = _corpus(options)
        check_writable(options.out)
        model, text = _read_by_model(options, corpus)
        store = collect(model, text, options.out, settings)
    left_out = store.counts.dropped_norm
    print(
        f"{store.n:,} activations of width {store.d}"
        + (f"; {left_out:,} above three times the median norm left out" if left_out else ""),
        file=sys.stderr,
    )
    print(options.out)


def _add_page(p: argparse.ArgumentParser) -> None:
    p.epilog = (
        "example: python -m realdata page A B --text folder:notes --model smollm2-135m --layer 11"
        " --out out/page.html"
    )
    _add_location(p, "checkpoints", "a local folder or file, or a hub id owner/name", nargs=2)
    p.add_argument(
        "--activations",
        type=Path,
        metavar="STORE",
        help="a folder of collected activations: their text is searched, no model is needed",
    )
    _add_reading(p, _PAGE_TOKENS, "the norm limit is that of the part that is read")
    p.add_argument("--latents", type=int, default=24, help="first latents of A (default: 24)")
    p.add_argument("--labels", nargs=2, metavar="NAME", help="names of A and B on the page")
    p.add_argument(
        "--out",
        type=Path,
        default=Path("out/page.html"),
        metavar="FILE.html",
        help="the page, which quotes the text (default: out/page.html)",
    )


def _page(options: argparse.Namespace, command: str) -> None:
    from realdata.activations.store import ActivationStore
    from realdata.checkpoints import load
    from realdata.latents.on_text import check_width, latents_on_store, latents_on_text
    from realdata.models.sources import MODELS
    from realdata.report.checkpoint_page import checkpoint_page, elsewhere
    from realdata.report.page import PageSettings, check_page, write_page

    check_integer("--latents", options.latents, 1)
    names: Sequence[str] = options.checkpoints
    labels = _labels(names) if options.labels is None else options.labels
    if len(set(labels)) < len(labels) or not all(labels):
        raise InputError(f"--labels {' '.join(labels)}: expected two different names")
    check_page(options.out)
    if (options.text is None) == (options.activations is None):
        raise InputError("expected --text CORPUS with --model NAME, or --activations STORE")
    store = None
    if options.activations is not None:
        _check_reads_text(options, "model", "layer", "hook", "part", "tokens", "context")
        store = ActivationStore.open(options.activations)
    corpus = None if options.text is None else _corpus(options)
    both = {label: load(name, options.revision) for label, name in zip(labels, names, strict=True)}
    if store is not None:
        found = latents_on_store(store, both)
    else:
        check_width(both, MODELS[options.model].d, options.model)
        model, text = _read_by_model(options, corpus, _PAGE_TOKENS)
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


def _add_reading(p: argparse.ArgumentParser, tokens: int | None, calibrated: str) -> None:
    """Add what `page` and `collect` share: a text, and the model that reads it.

    What is not given is None: only a text is read in part (`_check_reads_text`).
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


def _check_reads_text(options: argparse.Namespace, *names: str) -> None:
    """Raise InputError if an option of reading a text is given with activations."""
    for name in names:
        if (value := getattr(options, name)) is not None:
            raise InputError(
                f"--{name} {value}: expected --text CORPUS with it, not --activations"
                f" {options.activations}"
            )


def _corpus(options: argparse.Namespace) -> Any:
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


def _read_by_model(
    options: argparse.Namespace, corpus: Any, tokens: int | None = None
) -> tuple[Any, Any]:
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


def _add_redraw(p: argparse.ArgumentParser) -> None:
    p.add_argument("folder", type=Path, metavar="DIR", help="a folder that `run` wrote to")


def _redraw(options: argparse.Namespace, command: str) -> None:
    from realdata.report.drawing import redraw
    from realdata.report.files import rewrite_table

    check_writable(options.folder)
    for path in (rewrite_table(options.folder), *redraw(options.folder)):
        print(path)


def _add_location(p: argparse.ArgumentParser, name: str, text: str, **how: Any) -> None:
    p.add_argument(name, metavar="CHECKPOINT", help=text, **how)
    p.add_argument("--revision", help="branch, tag or commit, for hub ids")


def _add_out(p: argparse.ArgumentParser, text: str) -> None:
    p.add_argument("--out", type=Path, required=True, metavar="DIR", help=text)


def _add_preset(p: argparse.ArgumentParser) -> None:
    """Add what `run` and `tune` share: a preset and what may be changed of it."""
    from realdata.experiment.presets import DEFAULT_PRESET, PRESETS
    from realdata.training.methods import METHODS

    p.add_argument(
        "--preset",
        default=DEFAULT_PRESET,
        help=f"of {', '.join(PRESETS)} (default: {DEFAULT_PRESET}); the other options change it",
    )
    p.add_argument("--methods", help=f"comma-separated, of {', '.join(METHODS)}")
    p.add_argument("--corpora", help="one or two, comma-separated: see realdata.text.corpora")
    p.add_argument("--K", type=int, help="latents")
    p.add_argument("--m", type=int, help="active latents")
    p.add_argument("--steps", type=int, help="optimiser steps of each run")
    p.add_argument("--batch-size", type=int, help="activations a step")
    p.add_argument("--tokens", type=int, help="training tokens of each corpus")
    p.add_argument("--evaluation-tokens", type=int, help="held-out tokens of each corpus")
    _add_arithmetic(p, default=None)
    p.add_argument(
        "--workers",
        type=int,
        default=os.cpu_count() or 1,
        help="processes of training and threads of the model; weights do not depend on it, the"
        " cross-entropies do in their last digits (default: the machine's cores)",
    )
    p.add_argument(
        "--cache",
        type=Path,
        default=Path("out/realdata-cache"),
        help="folder for activations and weights (default: out/realdata-cache)",
    )


def _add_arithmetic(p: argparse.ArgumentParser, default: str | None) -> None:
    from osae_theory.sae.kernels import ARITHMETICS

    p.add_argument(
        "--arithmetic",
        choices=ARITHMETICS,
        default=default,
        help="portable: a training has the same bits on every processor; fast: it uses this"
        " machine's linear algebra (default: fast)",
    )


_OVERRIDES: Mapping[str, str] = MappingProxyType(
    {
        "K": "K",
        "m": "m",
        "steps": "n_steps",
        "batch_size": "batch_size",
        "tokens": "training_tokens",
        "evaluation_tokens": "evaluation_tokens",
        "arithmetic": "arithmetic",
        "seeds": "n_seeds",
        "seed": "seed",
        "wide": "wide",
        "splice": "splice_contexts",
        "block": "block",
    }
)


def preset_of(options: argparse.Namespace) -> Any:
    """Return the preset that the options ask for, changed as they say."""
    from realdata.experiment.presets import PRESETS
    from realdata.training.methods import method_names

    check_choice("preset", options.preset, PRESETS)
    check_integer("--workers", options.workers, 1)
    given = {
        field: getattr(options, name)
        for name, field in _OVERRIDES.items()
        if getattr(options, name, None) is not None
    }
    if options.methods is not None:
        given["methods"] = method_names(options.methods)
    if options.corpora is not None:
        given["corpora"] = tuple(options.corpora.split(","))
    preset = PRESETS[options.preset]
    # What was not named follows what was: the wide SAE stays as many times wider.
    K, m = given.get("K", preset.K), given.get("m", preset.m)
    given.setdefault("wide", preset.wide * K // preset.K)
    if getattr(options, "stream", False):
        from realdata.activations.blocks import BLOCK

        given.setdefault("block", preset.block or BLOCK)
    others = getattr(options, "other_m", None)
    if others is None:
        others = [other for other in preset.other_m if other <= K and other != m]
    return replace(preset, other_m=tuple(others), **given)


def _add_run(p: argparse.ArgumentParser) -> None:
    from realdata.training.logs import LOGS

    _add_preset(p)
    p.add_argument("--seeds", type=int, help="runs of each method on each corpus")
    p.add_argument("--seed", type=int, metavar="BASE", help="the first seed")
    p.add_argument("--lr", type=number, help="learning rate of every method (default: tuned)")
    _add_stream(p, "of a training part only a sample is stored")
    p.add_argument("--dry-run", action="store_true", help="say what it would take, and do nothing")
    p.add_argument("--wide", type=int, help="latents of the SAE to be stitched in; 0 for none")
    p.add_argument(
        "--other-m", type=int, nargs="*", metavar="M", help="further m, for FVU against L0"
    )
    p.add_argument("--splice", type=int, help="contexts for the cross-entropy; 0 for none")
    _add_hardware(p)
    p.add_argument("--log", action="append", default=[], help=f"also to {', '.join(LOGS)}")
    p.add_argument(
        "--out",
        type=Path,
        default=Path("out/realdata"),
        help="folder for tables and figures (default: out/realdata)",
    )


def _add_stream(p: argparse.ArgumentParser, text: str) -> None:
    from realdata.activations.blocks import BLOCK

    p.add_argument(
        "--stream",
        action="store_true",
        help=f"compute activations when they are needed instead of storing them: {text}",
    )
    p.add_argument(
        "--block",
        type=int,
        metavar="CONTEXTS",
        help="go through the text so many contexts at a time and shuffle inside each block; 0 to"
        f" shuffle over all activations (default: {BLOCK} with --stream, else 0)",
    )


def _add_hardware(p: argparse.ArgumentParser) -> None:
    from realdata.training.trainer import PRECISIONS

    p.add_argument(
        "--device", default="cpu", help=f"torch device of the training (default: cpu; {_NOT_RUN})"
    )
    p.add_argument(
        "--precision",
        default="highest",
        help=f"of float32 matrix products, of {', '.join(PRECISIONS)}: mixed precision below"
        f" the first (default: highest; {_NOT_RUN})",
    )
    p.add_argument(
        "--mixed-devices",
        action="store_true",
        help="an interrupted training may go on on another kind of device than it began on",
    )


def _hardware(options: argparse.Namespace) -> Any:
    from realdata.training.trainer import Hardware

    return Hardware(
        device=options.device,
        precision=options.precision,
        mixed_devices=options.mixed_devices,
    )


def _run(options: argparse.Namespace, command: str) -> None:
    from osae_theory.devices import check_device
    from realdata.experiment.jobs import WIDE, Experiment
    from realdata.models import loading as models
    from realdata.report.files import RESULT, TABLE
    from realdata.run import perform
    from realdata.training.logs import check_logs
    from realdata.training.methods import tuned_learning_rate

    preset = preset_of(options)
    if options.stream and preset.block == 0:
        raise InputError("--block 0: expected at least 1 with --stream")
    if options.dry_run:
        from realdata.experiment.plan import Plan, described

        print(described(Plan(preset=preset, streamed=options.stream), options.workers))
        return
    check_device(options.device)
    check_logs(options.log)
    check_writable(options.out, files=(TABLE, RESULT))
    check_writable(options.cache, "--cache")
    tuned = {*preset.methods, *([WIDE] if preset.wide else [])}
    rates = {
        method: options.lr
        if options.lr is not None
        else tuned_learning_rate(method, preset.rates_of)
        for method in sorted(tuned)
    }
    experiment = Experiment(
        preset=preset,
        learning_rates=rates,
        out=options.out,
        cache=options.cache,
        n_workers=options.workers if options.device == "cpu" else 1,
        hardware=_hardware(options),
        logs=tuple(options.log),
        command=command,
        streamed=options.stream,
    )
    model = models.load(preset.model, hook=preset.hook, device=options.device)
    found = perform(experiment, model)
    print((options.out / TABLE).read_text(encoding="utf-8"))
    print(f"Written to {options.out}")
    print(f"Activations and weights, for the next time, are in {options.cache}")
    if found.page is not None:
        print(f"What the first latents mean (it quotes its corpus): {found.page}")


def _add_tune(p: argparse.ArgumentParser) -> None:
    _add_preset(p)


def _tune(options: argparse.Namespace, command: str) -> None:
    from osae_theory.threads import limited_threads
    from realdata.experiment.stores import collect_all
    from realdata.experiment.tuning import check_own_rates, check_target, tune, write_rates
    from realdata.models import loading as models

    preset = preset_of(options)
    check_writable(options.cache, "--cache")
    check_target()
    check_own_rates(preset.methods)
    model = models.load(preset.model, hook=preset.hook)
    with limited_threads(options.workers):
        one = replace(preset, corpora=preset.corpora[:1])
        stores = collect_all(model, one, options.cache / "activations")
    store = stores[preset.corpora[0]].training
    errors = tune(preset, preset.methods, store, options.cache / "tuning", options.workers)
    for method, rate in write_rates(options.preset, errors, command).items():
        print(f"{method}: {rate:g}")


def _add_train(p: argparse.ArgumentParser) -> None:
    from realdata.training.methods import METHODS

    p.add_argument("store", type=Path, help="a folder of collected activations")
    p.add_argument(
        "--method",
        default="osae",
        help=f"of {', '.join(METHODS)} (default: osae); several, comma-separated, train together",
    )
    p.add_argument("--K", type=int, required=True, help="latents")
    # torchrun takes --m for an abbreviation of its own options.
    p.add_argument("--m", "--active", type=int, required=True, help="active latents")
    p.add_argument("--steps", type=int, required=True, help="optimiser steps")
    p.add_argument("--batch-size", type=int, default=4096, help="of all processes (default: 4096)")
    p.add_argument("--lr", type=number, required=True, help="learning rate")
    _add_arithmetic(p, default="fast")
    p.add_argument("--seed", type=int, default=0, help="(default: 0)")
    p.add_argument(
        "--seeds", type=int, default=1, help="so many SAEs, with the seeds from --seed on (1)"
    )
    _add_stream(p, "STORE names the model and the text, and has the standardisation")
    p.add_argument(
        "--tokens", type=int, help="of the text, with --stream (default: as many as in STORE)"
    )
    p.add_argument("--save-every", type=int, default=200, help="steps (default: 200)")
    p.add_argument("--threads", type=int, default=1, help="of each process (default: 1)")
    _add_hardware(p)
    _add_out(p, "folder for the run: its checkpoints, its state while under way, its log")


def _train(options: argparse.Namespace, command: str) -> None:
    from osae_theory.threads import limited_threads
    from realdata.activations.blocks import BLOCK, StoreBlocks
    from realdata.activations.store import ActivationStore, manifest_hash
    from realdata.activations.stream import ActivationStream, stream_like
    from realdata.training.distributed import started_processes
    from realdata.training.logs import Log, ProgressBar
    from realdata.training.methods import method_names
    from realdata.training.rows import rows_of
    from realdata.training.trainer import (
        Budget,
        Job,
        RunSpec,
        origin_of,
        train_together,
    )

    check_integer("--seeds", options.seeds, 1)
    if options.tokens is not None and not options.stream:
        raise InputError(f"--tokens {options.tokens}: expected --stream with it")
    block = options.block
    if block is None:
        block = BLOCK if options.stream else 0
    check_integer("--block", block, 1 if options.stream else 0)
    methods = method_names(options.method)
    check_writable(options.out)
    store = ActivationStore.open(options.store)
    with (
        started_processes(options.device) as processes,
        limited_threads(options.threads),
        ProgressBar(options.steps) if processes.is_first else Log() as bar,
    ):
        if options.stream and processes.count > 1:
            raise InputError(f"--stream on {processes.count} processes: expected one")
        if options.stream:
            data = stream_like(store, block, tokens=options.tokens, device=options.device)
        else:
            data = StoreBlocks(store, block) if block else rows_of(store)
        streamed = data.text.token_hash if isinstance(data, ActivationStream) else ""
        jobs = [
            Job(
                method=method,
                runs=tuple(
                    RunSpec(f"{method}-seed-{seed}", seed, options.lr)
                    for seed in range(options.seed, options.seed + options.seeds)
                ),
                budget=Budget(
                    K=options.K,
                    m=options.m,
                    n_steps=options.steps,
                    batch_size=options.batch_size,
                    arithmetic=options.arithmetic,
                    block=block,
                ),
                folder=options.out,
                origin=origin_of(store, method),
                save_every=options.save_every,
                hardware=_hardware(options),
                data=f"{manifest_hash(store.manifest)} {streamed}",
            )
            for method in methods
        ]
        train_together(jobs, data, store.standardisation, processes=processes, progress=bar)
        if processes.is_first:
            for job in jobs:
                for run in job.runs:
                    print(options.out / run.name)


# By name: what adds a command's options, what does it, and what it is for.
COMMANDS: Mapping[
    str,
    tuple[
        Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace, str], None], str
    ],
] = MappingProxyType(
    {
        "compare": (_add_compare, _compare, "Stab and Ord of two or more checkpoints"),
        "apply": (_add_apply, _apply, "latents and reconstructions of activations"),
        "export": (_add_export, _export, "write a checkpoint of ours as a SAELens checkpoint"),
        "collect": (
            _add_collect,
            _collect,
            "activations of a text, or of a .npy file, to train on",
        ),
        "page": (_add_page, _page, "two checkpoints' latents side by side with their top text"),
        "run": (_add_run, _run, "the whole experiment: collect, train, compare, draw"),
        "redraw": (_add_redraw, _redraw, "table.md and figures of a finished experiment, again"),
        "tune": (_add_tune, _tune, "choose each method's learning rate"),
        "train": (_add_train, _train, "SAEs on collected or streamed activations, by torchrun too"),
    }
)

# What these have finished when they are stopped is found again.
RESUMING = frozenset(("collect", "run", "tune", "train"))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    command = " ".join(["python", "-m", MODULE, *map(shlex.quote, given)])

    parsing = parser()

    def do(options: argparse.Namespace) -> None:
        parsing.resumes = options.command in RESUMING
        if options.command is None:
            print(listing({f"python -m {MODULE} {name}": how[2] for name, how in COMMANDS.items()}))
        else:
            COMMANDS[options.command][1](options, command)

    return run(parsing, do, given)


if __name__ == "__main__":
    sys.exit(main())
