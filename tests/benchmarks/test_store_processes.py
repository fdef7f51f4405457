import multiprocessing
import signal
import sys

import pandas as pd
import pytest

from benchmarks.outcome import Results
from benchmarks.store import Store
from benchmarks.store import folder as folder_module
from made_up_runs import made_up_outcomes, made_up_specs


def add_alone(folder, specs):
    """A writer of its own process: a task a run, merging often."""
    folder_module.PARTS_TO_MERGE = 4
    store = Store.at(folder)
    for outcome in made_up_outcomes(specs, arrays=True):
        store.add(Results([outcome]))


@pytest.mark.skipif(sys.platform == "win32", reason="ends a process by a signal")
def test_writers_at_once_a_merger_and_a_killed_one_lose_nothing_and_count_nothing_twice(tmp_path):
    store = Store.at(tmp_path / "store", create=True)
    spawn = multiprocessing.get_context("spawn")
    specs = made_up_specs(1, 4, 2)
    theirs, mine = specs[: len(specs) // 2 + 5], specs[len(specs) // 2 - 5 :]  # some are in both
    writer = spawn.Process(target=add_alone, args=(store.folder, theirs))
    killed = spawn.Process(target=add_alone, args=(store.folder, specs))
    for process in (writer, killed):
        process.start()
    try:
        seen = n_merges = 0
        while writer.is_alive():
            n_runs = len(store.frames().runs)
            assert n_runs >= seen  # what was there stays
            seen = n_runs
            if seen and n_merges < 3:
                store.merge()
                n_merges += 1
            if seen > 10:
                killed.kill()
            writer.join(0.2)  # leaves the others the processor
    finally:
        for process in (writer, killed):
            process.join(300)
            process.kill()
    assert writer.exitcode == 0
    assert killed.exitcode in (0, -signal.SIGKILL)
    store.add(Results(made_up_outcomes(mine, arrays=True)))
    expected = Store.at(store.folder.with_name("expected"), create=True)
    expected.add(Results(made_up_outcomes(specs)))
    found, wanted = store.frames(), expected.frames()
    for name in ("runs", "measurements", "provenance", "vectors"):
        pd.testing.assert_frame_equal(getattr(found, name), getattr(wanted, name), check_exact=True)
    # The killed one may have left a folder, which is gone by now.
    assert not list(store.folder.glob(".*"))
    assert store.check() == []
