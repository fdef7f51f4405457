"""`python -m realdata compare`: Stab and Ord of two or more checkpoints."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from osae_theory.command_line import number
from osae_theory.errors import InputError, check_choice, check_real
from osae_theory.files import check_writable, refused_by_system
from realdata.commands._command import Command
from realdata.commands._options import (
    add_location,
    labels_of,
)


def _add(p: argparse.ArgumentParser) -> None:
    add_location(p, "checkpoints", "a local folder or file, or a hub id owner/name", nargs="+")
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


def _do(options: argparse.Namespace, command: str) -> None:
    from osae_theory.progress import Bars
    from realdata.comparison.compare import compare, compare_latents
    from realdata.comparison.dictionaries import ORDERS, TRAINED, loaded, on_activations
    from realdata.comparison.findings import Findings, json_text, text
    from realdata.comparison.matches import all_matches, match_pairs
    from realdata.comparison.prefixes import long_work, planned_prefixes, shapes_of
    from realdata.comparison.substitution import substitutions

    names: Sequence[str] = options.checkpoints
    if len(names) < 2:
        raise InputError(f"{len(names)} checkpoint: expected at least two to compare")
    labels = labels_of(names) if options.labels is None else options.labels
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


COMMAND = Command("compare", "Stab and Ord of two or more checkpoints", _add, _do)
