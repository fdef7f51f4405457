"""Latents of SAEs on activations, and how well they reconstruct; any checkpoint applied."""
