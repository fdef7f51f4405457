"""A stranger's files: each an item, found by every command of a process of its own."""

import os
import subprocess
import sys

import pytest

from benchmarks import catalogue
from benchmarks.contracts import Family, Method, Metric
from benchmarks.discovery import collected, module_of, modules
from osae_theory.errors import InputError

METHOD = '''"""Random unit vectors, as a method."""

import numpy as np

from benchmarks.contracts import Fitted, Method
from benchmarks.encoders.top_m import TopM
from benchmarks.spec import Budget


def fit(data, how, seeds):
    found = []
    for own in seeds:
        D = np.random.default_rng(own.initialisation).standard_normal((data.rows.shape[1], data.K))
        D /= np.linalg.norm(D, axis=0)
        found.append(Fitted(D, TopM.correlating(D, data.m)))
    return found


METHOD = Method("NAME", "random atoms", fit, budget=Budget("none", 0, 0))
'''
FAMILY = '''"""A family with m fixed."""

from benchmarks.contracts import Family
from benchmarks.parameters import Parameter
from osae_theory.problems import toy_spec

FAMILY = Family(
    "single",
    "one atom a sample",
    (Parameter("K", "integer", "atoms", at_least=2),),
    lambda params, seed: toy_spec(3, params["K"], 1, 50, seed=seed),
    n_heldout=50,
)
'''
METRIC = '''"""How long the atoms are."""

import numpy as np

from benchmarks.contracts import Metric

METRIC = Metric(
    "length", "mean length", "length", 5,
    of_run=lambda scored: float(np.linalg.norm(scored.fitted.dictionary, axis=0).mean()),
)
'''


@pytest.fixture
def extra(tmp_path):
    """A folder of items of somebody's own; returns what writes a file into it."""

    def write(folder, name, text):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).write_text(text)
        return tmp_path

    return write


def python(code, folder):
    environment = {**os.environ, "OSAE_BENCHMARKS": str(folder)}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


def test_a_file_in_its_folder_is_an_item_trained_measured_and_named(extra):
    extra("methods", "noise.py", METHOD.replace("NAME", "noise"))
    extra("families", "single.py", FAMILY)
    folder = extra("metrics", "length.py", METRIC)
    code = """
from benchmarks import catalogue
from benchmarks.engine.task import FitTask, code_of, run_task
from benchmarks.spec import Setting
print(*catalogue.methods(), *catalogue.families(), *catalogue.metrics())
case = catalogue.case_of("single", {"K": 4}, 0)
found = catalogue.variant("noise")
runs = catalogue.run_specs(Setting(case, "noise", found.identity, found.method.budget), 2)
for outcome in run_task(FitTask(tuple(runs), code_of("single", "noise"))):
    print(outcome.status, round(outcome.values["length"], 6), outcome.reason)
"""
    found = python(code, folder)
    names, *said = found.stdout.splitlines()
    assert {"noise", "single", "length", "topk", "toy", "mse"} <= set(names.split())
    assert [line.split() for line in said] == [["done", "1.0"]] * 2, found.stderr


@pytest.fixture
def discovered(monkeypatch, tmp_path):
    """Discover anew in this process, with somebody's folder; leave everything as it was."""
    import benchmarks.methods as home

    monkeypatch.setenv("OSAE_BENCHMARKS", str(tmp_path))
    monkeypatch.setattr(home, "__path__", list(home.__path__))
    monkeypatch.delitem(sys.modules, "benchmarks.methods.noise", raising=False)
    modules.cache_clear()
    yield lambda: collected("benchmarks.methods", "METHOD", Method)
    modules.cache_clear()
    sys.modules.pop("benchmarks.methods.noise", None)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("noise.py", METHOD.replace("NAME", "osae"), "two methods are called 'osae': in "),
        ("osae.py", METHOD.replace("NAME", "noise"), "two files are called osae.py: in "),
        ("noise.py", '"""Nothing."""\n', "declares no METHOD: expected METHOD = Method"),
        ("noise.py", "METHOD = 3\n", "declares no METHOD"),
        ("noise.py", "import nothing_like_it\n", "methods/noise.py cannot be imported"),
        ("noise.py", "def (\n", r"methods/noise.py cannot be imported \(SyntaxError"),
    ],
)
def test_a_file_that_is_no_item_is_named(name, text, message, extra, discovered):
    extra("methods", name, text)
    with pytest.raises(InputError, match=message):
        discovered()


def test_both_files_that_claim_a_name_are_named(extra, discovered):
    folder = extra("methods", "noise.py", METHOD.replace("NAME", "osae"))
    with pytest.raises(InputError) as refused:
        discovered()
    assert str(folder / "methods" / "noise.py") in str(refused.value)
    assert os.path.join("benchmarks", "methods", "osae.py") in str(refused.value)


def test_a_folder_that_is_not_there_is_an_error(discovered, monkeypatch, tmp_path):
    monkeypatch.setenv("OSAE_BENCHMARKS", str(tmp_path / "none"))
    with pytest.raises(InputError, match="expected a folder"):
        discovered()


def test_every_item_of_the_package_is_found_once_under_its_own_name():
    assert set(collected("benchmarks.methods", "METHOD", Method)) == {
        *("topk-aux", "osae-aux", "batch-topk", "frozen-decoder", "softly-frozen-decoder"),
        *("topk-kmeans", "osae-kmeans"),
        *("aligned", "archetypal", "archetypal-random", "consensus", "decoder-decay"),
        *("gated", "jumprelu"),
        *("msae-fixed", "msae-fixed-doubling", "msae-random", "msae-random-free"),
        *("osae", "osae-zipf", "osae-geometric", "osae-massed", "osae-sampled"),
        *("osae-annealed", "osae-resorted", "osae-swept"),
        *("osae-exact", "osae-exact-resorted", "osae-exact-by-sample", "osae-recipe"),
        *("penalised", "topk-l1", "relu-l1"),
        *("topk-resampled", "topk-resampled-resorted", "osae-resampled", "osae-exact-resampled"),
        *("fastica", "kmeans", "ksvd", "minibatch", "mod", "pca", "samples"),
        *("topk-refined", "osae-refined", "osae-exact-refined"),
        *("topk-refined-midway", "topk-refined-midway-resorted"),
        *("topk", "topk-resorted", "truth", "truth-encoder", "truth-pursuit"),
    }
    assert sorted(collected("benchmarks.families", "FAMILY", Family)) == [
        *("bernoulli", "coherent", "conflict", "correlated", "equal-frequency"),
        *("noisy", "signed", "song", "synth-sae", "toy", "tree", "width"),
    ]
    for name, metric in collected("benchmarks.metrics", "METRIC", Metric).items():
        assert name == metric.name
        assert module_of("metrics", metric) == f"benchmarks.metrics.{name}"
    assert module_of("methods", catalogue.methods()["osae-zipf"]) == "benchmarks.methods.osae"


@pytest.mark.parametrize("module", ["toy", "tune"])
def test_a_folder_of_ones_own_that_is_none_is_one_sentence(module, tmp_path):
    found = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", "--help"],
        env={**os.environ, "OSAE_BENCHMARKS": str(tmp_path / "nowhere")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 2
    assert "Traceback" not in found.stderr
    assert "nowhere" in found.stderr.splitlines()[-1]
