"""A small cell of the toy model, and runs on it that take a blink."""

from benchmarks.config import Cell, RunConfig, run_seeds

SMALL = Cell(d=6, K=8, m=2, N=400)


def small_configs(method="topk", n=3, learning_rate=0.01, n_steps=30, problem_seed=0):
    return [
        RunConfig(
            SMALL,
            problem_seed,
            method,
            run_seeds(problem_seed, i),
            learning_rate,
            n_steps,
            100,
        )
        for i in range(n)
    ]
