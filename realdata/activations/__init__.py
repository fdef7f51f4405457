"""Activations of a model on text: which are kept, collected and stored, streamed, standardised."""
