"""Contexts of known tokens to search, which the tests of the search and of its page share."""

import numpy as np

from realdata.latents.contexts import SearchedText


def text_of(documents, length, opened=False, names=()):
    """Contexts whose token ids count up, with a sample at every token that is text."""
    n = len(documents)
    contexts = np.arange(n * length).reshape(n, length)
    context, position = np.nonzero(np.ones((n, length), bool))
    kept = position >= opened
    return SearchedText(
        contexts, np.asarray(documents), context[kept], position[kept], opened, names
    )
