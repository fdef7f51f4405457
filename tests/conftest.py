"""Hypothesis profiles, and the ledger of claims that closes a run of the theory tests.

`ci` is deterministic and short; `--hypothesis-profile=thorough` is for an hour by hand.
"""

import os
from functools import cache
from pathlib import PurePosixPath

import pytest
import torch
from hypothesis import HealthCheck, settings
from threadpoolctl import threadpool_limits

import runtime_types

# Read by scipy when it is imported: without it, scikit-learn skips one of its checks.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

# Small tensors gain nothing from threads, and with one a batched run equals the run alone.
torch.set_num_threads(1)
threadpool_limits(1)

settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "thorough",
    deadline=None,
    max_examples=5000,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci")

_ENTRIES = pytest.StashKey[list]()
# The ledger as text, from each process that examined claims.
_LEDGERS = pytest.StashKey[list]()


def pytest_configure(config):
    config.stash[_ENTRIES] = []
    config.stash[_LEDGERS] = []


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With `-n`, a file's tests share a process, and all of the claims, which share their work."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid):
            path = super()._split_scope(nodeid)
            return "claims" if "claims" in PurePosixPath(path).parts else path

    return ByFile(config, log)


@pytest.fixture(autouse=True)
def _calls_are_checked():
    runtime_types.begin_test()


@pytest.fixture
def ledger_entries(request):
    """The entries of the ledger that this run has examined so far."""
    return request.config.stash[_ENTRIES]


@pytest.fixture(scope="session")
def n_examples():
    """Random examples a claim's check tries: 500 in the `ci` profile."""
    return 10 * settings.default.max_examples


@pytest.fixture(scope="session")
def examined(n_examples):
    """Return the ledger's entry of a claim: checked when first asked for, once a session.

    A damaged copy of a claim is another claim, and a test that damages what a claim's check
    stands on calls the check itself.
    """
    # Imported late: the run-time type check must be in place before the package is.
    from osae_theory.claims.ledger import examine

    return cache(lambda claim: examine(claim, n_examples))


def pytest_sessionfinish(session):
    config = session.config
    if not config.stash[_ENTRIES]:
        return
    # Imported late: the run-time type check must be in place before the package is.
    from osae_theory.claims.ledger import table

    text = table(config.stash[_ENTRIES])
    if hasattr(config, "workeroutput"):
        config.workeroutput["ledger"] = text
    else:
        config.stash[_LEDGERS].append(text)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    text = getattr(node, "workeroutput", {}).get("ledger")
    if text:
        node.config.stash[_LEDGERS].append(text)


def pytest_terminal_summary(terminalreporter, config):
    for text in config.stash[_LEDGERS]:
        terminalreporter.section("the ledger of claims")
        terminalreporter.write_line(text)
