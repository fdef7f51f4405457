"""Training of SAEs on stored activations: methods, the trainer, its fellows and its logs."""
