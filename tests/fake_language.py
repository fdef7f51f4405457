"""A language model that is a table, and corpora of letters: an experiment in seconds."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import log_softmax

from realdata.experiment.presets import PRESETS
from realdata.models.language import LanguageModel
from realdata.text.corpora import Corpus
from realdata.text.sources import Document

N_LETTERS, BOS = 26, 26
D = 20


class TableModel(LanguageModel):
    """Activations are sums of a few directions that a token and the token before it choose."""

    def __init__(self, d=D):
        random = np.random.default_rng(5)
        self.name, self.hook, self.weights = "table", "blocks.0.hook_resid_post", "a table"
        self.d, self.context, self.bos = d, 64, BOS
        self.own = random.normal(size=(27, d)).astype(np.float32)
        self.before = 0.5 * random.normal(size=(27, d)).astype(np.float32)
        self.n_calls = 0

    def tokenise(self, texts):
        return [[ord(c) - ord("a") for c in text] for text in texts]

    def decode(self, tokens):
        return "".join("^" if token == BOS else chr(ord("a") + token) for token in tokens)

    def activations(self, tokens):
        self.n_calls += 1
        x = self.own[tokens].copy()
        x[:, 1:] += self.before[tokens[:, :-1]]
        return x

    def cross_entropy(self, tokens, replace=None):
        x = self.activations(tokens)
        if replace is not None:
            x[:, 1:] = replace(x[:, 1:].reshape(-1, self.d)).reshape(x[:, 1:].shape)
        scores = log_softmax(x[:, :-1] @ self.own.T / 4, axis=-1)
        return -np.take_along_axis(scores, tokens[:, 1:, None], axis=-1)[..., 0].astype(np.float32)


@dataclass(frozen=True)
class Letters:
    """Documents of letters with their own frequencies."""

    seed: int
    n: int = 80

    def documents(self):
        random = np.random.default_rng(self.seed)
        weights = random.dirichlet(np.full(N_LETTERS, 0.7))
        for number in range(self.n):
            drawn = random.choice(N_LETTERS, size=60, p=weights)
            yield Document(f"{self.seed}:{number}", "".join(chr(ord("a") + c) for c in drawn))


CORPORA = {name: Corpus(name, (Letters(seed),)) for seed, name in enumerate(("one", "two"))}


def small_preset(**changes):
    """The default preset, small enough for seconds."""
    small = {
        "corpora": ("one", "two"),
        "training_tokens": 1000,
        "evaluation_tokens": 300,
        "context": 11,
        "methods": ("topk", "batch-topk", "osae"),
        "K": 16,
        "m": 3,
        "n_steps": 40,
        "batch_size": 64,
        "n_seeds": 2,
        "wide": 24,
        "other_m": (2,),
        "splice_contexts": 4,
        "snapshots": (0.0, 0.5, 1.0),
    }
    return replace(PRESETS["smollm2-135m"], **(small | changes))
