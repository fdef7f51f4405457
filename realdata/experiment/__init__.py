"""One experiment on a language model: presets, stores, jobs, tuning, evaluation, analysis."""
