"""The whole experiment on a language model: collect, train, evaluate, splice, compare, report.

Every stage finds again what it has finished: collections by shard, trainings by saved state,
evaluations by run. Activations and weights stay in the cache folder; tables and figures go to
the output folder, and nothing else does.
"""

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from osae_theory.files import write_atomically
from osae_theory.threads import limited_threads
from osae_theory.workers import in_workers
from realdata.experiment.analysis import Analysis, Trained, analyse
from realdata.experiment.evaluation import (
    EvaluationTask,
    evaluate,
    read_evaluation,
    splice_all,
    standardised_decoder,
)
from realdata.experiment.jobs import (
    Experiment,
    TrainingTask,
    planned,
    planned_other_m,
    planned_wide,
    train_all,
    train_streamed,
)
from realdata.experiment.provenance import provenance
from realdata.experiment.stores import Stores, collect_all, data_hash
from realdata.latents.contexts import SearchedText
from realdata.latents.sparse import SparseLatents
from realdata.models.language import LanguageModel
from realdata.models.sources import MODELS
from realdata.report.files import write_report
from realdata.report.page import PageHeader, Side, render, write_page
from realdata.text.corpora import Corpus

# Whose first latents the page shows, if it was trained; else the last method's.
_SHOWN = "osae"
_SPLICED = "spliced.json"


@dataclass(frozen=True, eq=False)
class Result:
    """What an experiment leaves.

    Attributes
    ----------
    analysis : Analysis
        All figures of merit.
    runs : mapping of str to Path
        The folder of each run, by its name "corpus/method/seed".
    page : Path or None
        Two seeds' latents side by side, where there are two; it quotes its corpus.
    seconds : mapping of str to float
        Wall time of each stage; one that found its parts finished took little.
    """

    analysis: Analysis
    runs: Mapping[str, Path]
    page: Path | None
    seconds: Mapping[str, float]


def perform(
    experiment: Experiment, model: LanguageModel, corpora: Mapping[str, Corpus] | None = None
) -> Result:
    """Run an experiment, or go on with it, and write its results.

    Parameters
    ----------
    experiment : Experiment
        What to run.
    model : LanguageModel
        The preset's, at its hook point.
    corpora : mapping of str to Corpus, optional
        In place of `realdata.text.corpora.find_corpus`.

    Raises
    ------
    InputError
        If a corpus, the disk or the device cannot be used, or every run diverged.
    """
    preset, n_threads = experiment.preset, experiment.n_workers
    seconds: dict[str, float] = {}
    with _stage("collect", seconds), limited_threads(n_threads):
        folder, streamed = experiment.cache / "activations", experiment.streamed
        stores = collect_all(model, preset, folder, corpora, streamed=streamed)
    with _stage("train", seconds):
        wide, tasks = planned_wide(experiment, stores), planned(experiment, stores)
        other_m = planned_other_m(experiment, stores)
        # The wide one takes longest: it starts first.
        every = [*wide, *tasks, *other_m]
        if streamed:
            train_streamed(every, stores, model)
        else:
            train_all(every, experiment.n_workers)
    with _stage("evaluate", seconds):
        runs = _evaluated(experiment, tasks, stores)
        others = _evaluated(experiment, other_m, stores)
        wide_runs = _evaluated(experiment, wide, stores)
    with _stage("splice", seconds), limited_threads(n_threads):
        runs = _spliced(experiment, model, runs, stores)
    with _stage("compare", seconds), limited_threads(n_threads):
        analysis = analyse(preset, runs, others, wide_runs, stores)
    with _stage("report", seconds), limited_threads(n_threads):
        origin = provenance(experiment.command, preset, experiment.learning_rates, model, stores)
        write_report(experiment.out, preset, analysis, origin)
        page = _page(experiment, model, runs, stores)
    return Result(analysis, {run.name: run.folder for run in runs}, page, seconds)


@contextmanager
def _stage(name: str, seconds: dict[str, float]) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - started
    print(f"{name}: {seconds[name]:.0f} s", file=sys.stderr)


def _evaluated(
    experiment: Experiment, tasks: Sequence[TrainingTask], stores: Mapping[str, Stores]
) -> list[Trained]:
    from tqdm import tqdm

    stream = tuple(own.evaluation.folder for own in stores.values())
    folders = {folder: task.job.origin.dataset for task in tasks for folder in task.folders}
    todo = []
    for folder, dataset in folders.items():
        own = stores[str(dataset)]
        todo.append(EvaluationTask(folder, own.training.folder, own.evaluation.folder, stream))
    done = in_workers(evaluate, todo, experiment.n_workers)
    for _ in tqdm(done, total=len(todo), desc="evaluations", unit="run", file=sys.stderr):
        pass
    return [
        Trained(str(dataset), folder, read_evaluation(folder))
        for folder, dataset in folders.items()
    ]


def _spliced(
    experiment: Experiment,
    model: LanguageModel,
    runs: Sequence[Trained],
    stores: Mapping[str, Stores],
) -> list[Trained]:
    """Return the runs with their cross-entropies; those that are known are not computed anew."""
    n_contexts = experiment.preset.splice_contexts
    if n_contexts == 0:
        return list(runs)
    found: dict[str, dict[str, float]] = {}
    for dataset, own in stores.items():
        mine = [run for run in runs if run.dataset == dataset]
        known = {run.name: _read_spliced(run, own, n_contexts) for run in mine}
        new = {run.name: run.folder for run in mine if known[run.name] is None}
        made = splice_all(model, own.evaluation, new, n_contexts) if new else {}
        for name, kept in made.items():
            _write_spliced(new[name], own, n_contexts, kept)
        found |= {name: kept for name, kept in known.items() if kept is not None} | made
    return [replace(run, spliced=found[run.name]) for run in runs]


def _read_spliced(run: Trained, own: Stores, n_contexts: int) -> dict[str, float] | None:
    try:
        known = json.loads((run.folder / _SPLICED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return known["kept"] if known["of"] == [data_hash(own.evaluation), n_contexts] else None


def _write_spliced(folder: Path, own: Stores, n_contexts: int, kept: dict[str, float]) -> None:
    document = {"of": [data_hash(own.evaluation), n_contexts], "kept": kept}
    text = json.dumps(document) + "\n"
    write_atomically(folder / _SPLICED, lambda path: path.write_text(text, encoding="utf-8"))


def _page(
    experiment: Experiment,
    model: LanguageModel,
    runs: Sequence[Trained],
    stores: Mapping[str, Stores],
) -> Path | None:
    """Write the page of two seeds of one method on the first corpus, into the cache folder."""
    preset = experiment.preset
    dataset, method = preset.corpora[0], preset.methods[-1]
    method = _SHOWN if _SHOWN in preset.methods else method
    shown = [r for r in runs if (r.dataset, r.method, r.diverged) == (dataset, method, False)][:2]
    if len(shown) < 2:
        return None
    store = stores[dataset].evaluation
    left, right = (
        Side(
            f"seed {run.seed}",
            standardised_decoder(run.folder, run.tokens),
            [_first_rows(run.evaluation.latents, store.n)],
        )
        for run in shown
    )
    text = store.manifest["text"]
    header = PageHeader(
        model=model.name,
        hook_point=model.hook,
        method=method,
        m=preset.m,
        corpus=f"{dataset} ({text['part']})",
        corpus_hash=text["text_hash"],
        dequantised="dequantised" in MODELS[preset.model].note,
    )
    html = render(left, right, SearchedText.of(store), lambda token: model.decode([token]), header)
    path = experiment.cache / "pages" / f"{preset.name}-{method}.html"
    write_page(path, html)
    return path


def _first_rows(latents: SparseLatents, n: int) -> SparseLatents:
    """Return the latents of the first corpus, which opens the stream."""
    return SparseLatents(latents.indices[:n], latents.values[:n], latents.K)
