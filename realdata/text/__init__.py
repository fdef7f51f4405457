"""Text: corpora, split by document, packed into contexts."""
