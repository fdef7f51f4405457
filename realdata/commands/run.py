"""`python -m realdata run`: the whole experiment."""

import argparse
from pathlib import Path

from osae_theory.command_line import number
from osae_theory.errors import InputError
from osae_theory.files import check_writable
from realdata.commands._command import Command
from realdata.commands._options import (
    add_hardware,
    add_stream,
    hardware_of,
)
from realdata.commands._preset import add_preset, preset_of


def _add(p: argparse.ArgumentParser) -> None:
    from realdata.training.logs import LOGS

    add_preset(p)
    p.add_argument("--seeds", type=int, help="runs of each method on each corpus")
    p.add_argument("--seed", type=int, metavar="BASE", help="the first seed")
    p.add_argument("--lr", type=number, help="learning rate of every method (default: tuned)")
    add_stream(p, "of a training part only a sample is stored")
    p.add_argument("--dry-run", action="store_true", help="say what it would take, and do nothing")
    p.add_argument("--wide", type=int, help="latents of the SAE to be stitched in; 0 for none")
    p.add_argument(
        "--other-m", type=int, nargs="*", metavar="M", help="further m, for FVU against L0"
    )
    p.add_argument("--splice", type=int, help="contexts for the cross-entropy; 0 for none")
    add_hardware(p)
    p.add_argument("--log", action="append", default=[], help=f"also to {', '.join(LOGS)}")
    p.add_argument(
        "--out",
        type=Path,
        default=Path("out/realdata"),
        help="folder for tables and figures (default: out/realdata)",
    )


def _do(options: argparse.Namespace, command: str) -> None:
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
        hardware=hardware_of(options),
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


COMMAND = Command(
    "run", "the whole experiment: collect, train, compare, draw", _add, _do, resumes=True
)
