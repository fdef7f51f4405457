"""Ordered SAEs in the libraries people train with already, one file a library.

`osae_theory.integrations.sae_lens` and `osae_theory.integrations.dictionary_learning`; each needs
the library of its name, which this project does not install. What is trained is the exact
nested-dropout loss; what is saved is an ordinary TopK SAE of that library, its latents in order.
"""
