"""How well a trained SAE fits: held-out error, activity of its latents, cross-entropy recovered."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from osae_theory.files import write_atomically
from osae_theory.metrics import LatentStatistics
from realdata.activations.rule import splice
from realdata.activations.standardisation import Standardisation
from realdata.activations.store import ActivationStore
from realdata.checkpoints import load
from realdata.checkpoints.form import CHUNK, SparseAutoencoder
from realdata.experiment.stores import data_hash
from realdata.latents.quality import run_quality
from realdata.latents.sparse import SparseLatents, latent_statistics, sparse
from realdata.models.language import LanguageModel, Replacement
from realdata.models.recovery import cross_entropies_recovered
from realdata.training.trainer import run_record, snapshot_folder

_RESULT, _LATENTS = "evaluation.json", "evaluation.npz"


@dataclass(frozen=True)
class EvaluationTask:
    """What to measure of one finished run.

    Attributes
    ----------
    run : Path
        Its folder.
    training : Path
        The store it was trained on, for the order of its latents afterwards.
    heldout : Path
        The store of its own corpus's evaluation part.
    stream : tuple of Path
        The evaluation parts of all corpora, in order: where latents are correlated.
    """

    run: Path
    training: Path
    heldout: Path
    stream: tuple[Path, ...]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What was measured of one finished run.

    Attributes
    ----------
    record : mapping
        What the training wrote; see `realdata.training.trainer.run_record`.
    quality : mapping of int to (mapping of str to float)
        By tokens: the fields of `realdata.latents.quality.RunQuality`, in standardised units.
    statistics : LatentStatistics
        Of the final latents on the training tokens.
    latents : SparseLatents
        The final latents on the stream.
    """

    record: Mapping[str, Any]
    quality: Mapping[int, Mapping[str, float]]
    statistics: LatentStatistics
    latents: SparseLatents

    @property
    def m(self) -> int:
        """The number of active latents it was trained for."""
        return int(self.record["m"])


def evaluate(task: EvaluationTask) -> None:
    """Measure a run and write what was found into its folder, unless it is there."""
    identity = _identity(task)
    if _known(task.run) == identity:
        return
    record = run_record(task.run)
    heldout = ActivationStore.open(task.heldout)
    quality = {
        entry["tokens"]: _quality(_snapshot(task.run, entry["tokens"]), heldout)
        for entry in record["snapshots"]
    }
    final = _snapshot(task.run, record["snapshots"][-1]["tokens"])
    training = ActivationStore.open(task.training)
    statistics = latent_statistics(
        latents.numpy() for _, latents, _ in _passes(final, training.chunks(raw=True))
    )
    stream = [
        sparse(latents.numpy())
        for folder in task.stream
        for _, latents, _ in _passes(final, ActivationStore.open(folder).chunks(raw=True))
    ]
    latents = _joined(stream)
    arrays = {
        "counts": statistics.counts,
        "energies": statistics.energies,
        "n_samples": np.array(statistics.n_samples),
        "indices": latents.indices.astype(np.int32),
        "values": latents.values,
        "K": np.array(latents.K),
    }
    _write(task.run / _LATENTS, lambda path: np.savez(path, **arrays))
    document = {"of": identity, "quality": {str(t): asdict(q) for t, q in quality.items()}}
    text = json.dumps(document, indent=1) + "\n"
    _write(task.run / _RESULT, lambda path: path.write_text(text, encoding="utf-8"))


def read_evaluation(run: Path) -> Evaluation:
    """Return what `evaluate` wrote of a run."""
    document = json.loads((run / _RESULT).read_text(encoding="utf-8"))
    with np.load(run / _LATENTS, allow_pickle=False) as arrays:
        return Evaluation(
            record=run_record(run),
            quality={int(tokens): found for tokens, found in document["quality"].items()},
            statistics=LatentStatistics(
                arrays["counts"], arrays["energies"], int(arrays["n_samples"])
            ),
            latents=SparseLatents(arrays["indices"], arrays["values"], int(arrays["K"])),
        )


def standardised_decoder(run: Path, tokens: int) -> Float32[np.ndarray, "K d"]:
    """Return a checkpoint's decoder rows in standardised coordinates, as trained: unit norm."""
    return _snapshot(run, tokens).decoder_rows.numpy()


def splice_all(
    model: LanguageModel, heldout: ActivationStore, runs: Mapping[str, Path], n_contexts: int
) -> dict[str, dict[str, float]]:
    """Return what each run's final SAE keeps of the model's prediction on held-out contexts.

    Each is spliced in at all positions but the first of a context, and but activations beyond
    the norm limit, which it was not trained on.

    Returns
    -------
    dict of str to dict
        By run: cross-entropies "clean", "spliced" and "ablated" in nats per token, and the
        share "recovered".
    """
    replacements = {name: _replacement(run, heldout) for name, run in runs.items()}
    found = cross_entropies_recovered(model, heldout.contexts[:n_contexts], replacements)
    return {name: asdict(kept) | {"recovered": kept.recovered} for name, kept in found.items()}


def residual_chunks(
    wide: Path, narrow: Path, heldout: ActivationStore
) -> Iterator[tuple[Float[np.ndarray, "n K"], Float[np.ndarray, "n d"]]]:
    """Yield a wide run's latents and a narrow run's residuals, in standardised coordinates."""
    sides = [_snapshot(run, run_record(run)["snapshots"][-1]["tokens"]) for run in (wide, narrow)]
    for raw in heldout.chunks(raw=True):
        x = torch.from_numpy(raw)
        for start in range(0, len(x), CHUNK):
            part = x[start : start + CHUNK]
            latents = sides[0].encode(part).numpy()
            rebuilt = sides[1].decode(sides[1].encode(part), part).numpy()
            yield latents, (part.numpy() - rebuilt) / heldout.standardisation.scale


def _snapshot(run: Path, tokens: int) -> SparseAutoencoder:
    return load(str(snapshot_folder(run, tokens)))


def _passes(
    sae: SparseAutoencoder, chunks: Iterator[Float32[np.ndarray, "_ d"]]
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield (activations, latents, reconstruction) a piece at a time."""
    for raw in chunks:
        x = torch.from_numpy(raw)
        start = 0
        for latents, rebuilt in sae.chunks(x):
            yield x[start : start + len(latents)], latents, rebuilt
            start += len(latents)


def _quality(sae: SparseAutoencoder, heldout: ActivationStore) -> Any:
    fitted = heldout.standardisation
    return run_quality(
        (fitted.apply(x.numpy()), latents.numpy(), fitted.apply(rebuilt.numpy()))
        for x, latents, rebuilt in _passes(sae, heldout.chunks(raw=True))
    )


def _replacement(run: Path, heldout: ActivationStore) -> Replacement:
    sae = _snapshot(run, run_record(run)["snapshots"][-1]["tokens"])

    def reconstruct(x: Float32[np.ndarray, "n d"]) -> Float32[np.ndarray, "n d"]:
        given = torch.from_numpy(x)
        return sae.decode(sae.encode(given), given).numpy()

    # The checkpoint standardises by itself.
    unchanged = Standardisation.identity(heldout.d)
    return splice(reconstruct, unchanged, heldout.calibration.norm_limit)


def _joined(chunks: Sequence[SparseLatents]) -> SparseLatents:
    """Return one set of latents, rows padded with zeros to the widest."""
    width = max(chunk.indices.shape[1] for chunk in chunks)

    def padded(name: str) -> np.ndarray:
        arrays = [getattr(chunk, name) for chunk in chunks]
        return np.concatenate([np.pad(a, ((0, 0), (0, width - a.shape[1]))) for a in arrays])

    return SparseLatents(padded("indices"), padded("values"), chunks[0].K)


def _identity(task: EvaluationTask) -> list[str]:
    """Return what the stores hold, so that an evaluation of others is made anew."""
    folders = (task.training, task.heldout, *task.stream)
    return [data_hash(ActivationStore.open(folder)) for folder in folders]


def _known(run: Path) -> Any:
    try:
        return json.loads((run / _RESULT).read_text(encoding="utf-8"))["of"]
    except (OSError, ValueError, KeyError):
        return None


def _write(path: Path, how: Any) -> None:
    write_atomically(path, how)
