"""`python -m realdata train`: SAEs on collected or streamed activations."""

import argparse
from pathlib import Path

from osae_theory.command_line import number
from osae_theory.errors import InputError, check_integer
from osae_theory.files import check_writable
from realdata.commands._command import Command
from realdata.commands._options import (
    add_arithmetic,
    add_hardware,
    add_out,
    add_stream,
    hardware_of,
)


def _add(p: argparse.ArgumentParser) -> None:
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
    add_arithmetic(p, default="fast")
    p.add_argument("--seed", type=int, default=0, help="(default: 0)")
    p.add_argument(
        "--seeds", type=int, default=1, help="so many SAEs, with the seeds from --seed on (1)"
    )
    add_stream(p, "STORE names the model and the text, and has the standardisation")
    p.add_argument(
        "--tokens", type=int, help="of the text, with --stream (default: as many as in STORE)"
    )
    p.add_argument("--save-every", type=int, default=200, help="steps (default: 200)")
    p.add_argument("--threads", type=int, default=1, help="of each process (default: 1)")
    add_hardware(p)
    add_out(p, "folder for the run: its checkpoints, its state while under way, its log")


def _do(options: argparse.Namespace, command: str) -> None:
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
    store.check_for_training()
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
                hardware=hardware_of(options),
                data=f"{manifest_hash(store.manifest)} {streamed}",
            )
            for method in methods
        ]
        train_together(jobs, data, store.standardisation, processes=processes, progress=bar)
        if processes.is_first:
            for job in jobs:
                for run in job.runs:
                    print(options.out / run.name)


COMMAND = Command(
    "train", "SAEs on collected or streamed activations, by torchrun too", _add, _do, resumes=True
)
