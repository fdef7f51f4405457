"""What the tests of the engine have worker processes and whole jobs do.

As a script: `engine_jobs.py STORE METHOD,METHOD N_WORKERS` completes three runs of each method on
each of two draws.
"""

import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks import catalogue, discovery
from benchmarks.engine.run import complete
from benchmarks.store import Store
from small_runs import small_runs

MARKS = "OSAE_TEST_MARKS"
# A method that does what methods should not, as a user would write it in a folder of their own.
METHOD = """
import os, signal, sys, time
from pathlib import Path
import numpy as np
from benchmarks.contracts import Fitted, Method
from benchmarks.encoders.truth import Truth
from benchmarks.spec import Budget

def marked(name):
    return Path(os.environ["{marks}"], name)

def _fit(data, how, seeds):
    fits = []
    for seed in seeds:
        D = np.random.default_rng(seed.initialisation).normal(size=(data.rows.shape[1], data.K))
        D /= np.linalg.norm(D, axis=0)
        {body}
        fits.append(Fitted(D, Truth()))
    return fits

METHOD = Method("{name}", "{name}", _fit, sees="truth", budget=Budget("none", 0, 0))
"""
BODIES = {
    "good": "",
    "raises": "raise ValueError('not for me:\\n  so it is')",
    "quits": "sys.exit('I have had enough')",
    "gives-nan": "D[0, 0] = np.nan",
    "gives-rows": "D = D.T",
    "gives-too-few": "D = D[:, :-1]",
    "dies": "os.kill(os.getpid(), signal.SIGKILL)",
    "leaves": "os._exit(3)",
    "hangs": "time.sleep(3600)",
    # Says that it is at work, and goes on when it is let.
    "waits": """marked(f"{os.getpid()}.at-work").touch()
        while not marked("go-on").exists():
            time.sleep(0.02)""",
}


def write_methods(folder):
    """Write the methods into a folder that OSAE_BENCHMARKS can name."""
    (folder / "methods").mkdir(parents=True)
    for name, body in BODIES.items():
        file = folder / "methods" / f"faulty_{name.replace('-', '_')}.py"
        file.write_text(METHOD.format(name=name, body=body, marks=MARKS))


@contextmanager
def methods_of(folder):
    """Let this process and those that it starts find a folder's methods and metrics."""
    packages = [sys.modules.get(f"benchmarks.{name}") for name in ("methods", "metrics")]
    _forget()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(discovery.EXTRA, str(folder))
        patch.setenv(MARKS, str(folder))
        try:
            yield
        finally:
            for package in filter(None, packages):
                package.__path__[:] = [p for p in package.__path__ if str(folder) not in p]
            for name, module in list(sys.modules.items()):
                if str(folder) in str(getattr(module, "__file__", "")):
                    del sys.modules[name]
            _forget()


def _forget():
    for cached in (
        catalogue.families,
        catalogue.methods,
        catalogue.metrics,
        catalogue.presets,
        discovery.modules,
    ):
        cached.cache_clear()


def wanted_runs(methods, draws=(0, 1), n=3):
    """Return runs of methods, a comma-separated list, on draws of the small problem."""
    return [
        run
        for draw in draws
        for method in methods.split(",")
        for run in small_runs(method, n, problem_seed=draw)
    ]


if __name__ == "__main__":
    complete(wanted_runs(sys.argv[2]), Store.at(Path(sys.argv[1])), n_workers=int(sys.argv[3]))
