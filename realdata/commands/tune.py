"""`python -m realdata tune`: a learning rate for each method."""

import argparse
from dataclasses import replace

from osae_theory.files import check_writable
from realdata.commands._command import Command
from realdata.commands._preset import add_preset, preset_of


def _add(p: argparse.ArgumentParser) -> None:
    add_preset(p)


def _do(options: argparse.Namespace, command: str) -> None:
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


COMMAND = Command("tune", "choose each method's learning rate", _add, _do, resumes=True)
