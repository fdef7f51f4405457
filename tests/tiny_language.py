"""A language model with sinks and loud tokens, a text for it, and the rule of which positions."""

from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax

from realdata.activations.rule import CollectionSettings
from realdata.models.language import LanguageModel
from realdata.text.corpora import Corpus
from realdata.text.packing import PackingSettings, pack
from realdata.text.sources import Document

BOS = 256
SETTINGS = CollectionSettings(batch=2, shard=4, calibration=6)
LOUD = "!"  # a token whose activation is far beyond the norm limit


class TinyModel(LanguageModel):
    """A table of activations by token and position, with sinks and loud tokens."""

    def __init__(self, scale=1.0, name="tiny", d=5):
        random = np.random.default_rng(7)
        self.name, self.hook, self.weights = name, "blocks.0.hook_resid_post", "a table"
        self.d, self.context, self.bos = d, 64, BOS
        self.table = (scale * (random.normal(size=(257, d)) + 3)).astype(np.float32)
        self.table[ord(LOUD)] *= 50
        self.calls = 0

    def tokenise(self, texts):
        return [list(text.encode()) for text in texts]

    def decode(self, tokens):
        return bytes(token for token in tokens if token != BOS).decode("latin-1")

    def activations(self, tokens):
        self.calls += 1
        x = self.table[tokens] * (1 + 0.01 * np.arange(tokens.shape[1], dtype=np.float32))[:, None]
        x[:, 0] *= 1000
        return x

    def cross_entropy(self, tokens, replace=None):
        x = self.activations(tokens)
        if replace is not None:
            x[:, 1:] = replace(x[:, 1:].reshape(-1, self.d)).reshape(x[:, 1:].shape)
        logits = log_softmax(x[:, :-1] @ self.table.T / 100, axis=-1)
        return -np.take_along_axis(logits, tokens[:, 1:, None], axis=-1)[..., 0].astype(np.float32)


@dataclass(frozen=True)
class Alphabet:
    """Numbered documents of small letters, a few of them loud."""

    n: int

    def documents(self):
        random = np.random.default_rng(11)
        for number in range(self.n):
            letters = random.integers(97, 123, size=random.integers(20, 60))
            text = "".join(LOUD if random.random() < 0.05 else chr(c) for c in letters)
            yield Document(f"text {number}", f"{number} {text}")


def text_split(n=60, context=9):
    """Both parts of a text of so many documents."""
    settings = PackingSettings(
        context=context, seed=2, evaluation_share=0.3, training_tokens=8 * 27
    )
    return pack(Corpus("alphabet", (Alphabet(n),)), TinyModel().tokenise, BOS, settings)


TEXT = text_split()


def loop_over_positions(model, text, limit):
    """The rule, position by position."""
    rows, places = [], []
    for c, context in enumerate(text.contexts):
        x = model.activations(context[None])[0]
        for t in range(len(context)):
            if t > 0 and np.sqrt(sum(float(v) ** 2 for v in x[t])) <= limit:
                rows.append(x[t])
                places.append((c, t))
    return np.array(rows), np.array(places)
