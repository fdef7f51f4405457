"""The benchmark on Ray: on a cluster that it starts, and on one of two nodes that loses one."""

import os
import subprocess
import sys
import threading

import pandas as pd
import pytest

from benchmarks.engine.run import complete
from benchmarks.store import Store
from engine_jobs import methods_of, wanted_runs, write_methods
from light_tasks import alive, wait_until
from osae_theory.errors import InputError, JobError
from small_runs import small_runs

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    """A folder of a user's own methods, which every node's processes find."""
    folder = tmp_path_factory.mktemp("faulty")
    write_methods(folder)
    with methods_of(folder):
        yield folder


@pytest.fixture
def two_nodes():
    """A cluster of two nodes on this machine, with one processor each, and the second of them."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    second = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    yield cluster, second
    cluster.shutdown()


def assert_same_frames(first, second):
    one, other = first.frames(), second.frames()
    pd.testing.assert_frame_equal(one.runs, other.runs, check_exact=True)
    pd.testing.assert_frame_equal(one.measurements, other.measurements, check_exact=True)


def test_a_cluster_that_loses_a_node_in_the_middle_stores_the_same_bits(
    faulty, tmp_path, two_nodes
):
    cluster, second = two_nodes
    wanted = wanted_runs("waits,topk,truth")
    removed = []

    def remove_a_node():
        # Both nodes are held by a run that waits; what the second one did is begun again.
        wait_until(lambda: len(list(faulty.glob("*.at-work"))) == 2)
        cluster.remove_node(second, allow_graceful=False)
        removed.append(second)
        (faulty / "go-on").touch()

    remover = threading.Thread(target=remove_a_node)
    remover.start()
    store = Store.at(tmp_path / "cluster", create=True)
    summary = complete(wanted, store, n_workers=1, engine="ray", address=cluster.address)
    remover.join()
    assert removed == [second]
    assert (summary.statuses, summary.failures) == ({"done": 14}, ())
    here = Store.at(tmp_path / "here", create=True)
    complete(wanted, here, n_workers=1)
    assert_same_frames(store, here)
    marks = {int(mark.stem.split(".")[0]) for mark in faulty.glob("*.at-work")} - {os.getpid()}
    assert len(marks) >= 2
    wait_until(lambda: not any(map(alive, marks)))


def test_failures_on_a_cluster_are_those_of_this_machine(faulty, tmp_path):
    methods = "raises,dies,leaves,gives-nan,good"
    stores = {}
    for engine in ("local", "ray"):
        stores[engine] = Store.at(tmp_path / engine, create=True)
        summary = complete(
            wanted_runs(methods, (0,), 1), stores[engine], n_workers=2, engine=engine
        )
        assert summary.statuses == {"done": 1, "error": 4}
    assert_same_frames(stores["ray"], stores["local"])


def test_a_run_past_its_time_is_a_timeout_on_a_cluster_too(faulty, tmp_path):
    store = Store.at(tmp_path, create=True)
    complete(wanted_runs("hangs", (0,), 1), store, n_workers=1, engine="ray", timeout=0.5)
    assert set(store.frames().runs["reason"].astype(str)) == {"no result in 0.5 s a run"}


def test_a_job_error_of_a_node_ends_the_job(faulty, tmp_path, monkeypatch):
    store = Store.at(tmp_path, create=True)
    monkeypatch.setattr("benchmarks.engine.plan.code_of", lambda family, method: "other")
    with pytest.raises(JobError, match="code was changed"):
        complete(wanted_runs("good", (0,), 2), store, n_workers=1, engine="ray")
    assert store.statuses() == {}


@pytest.mark.parametrize("address", ["127.0.0.1:9", "127.0.0.1", "nowhere.invalid:6379"])
def test_an_address_without_a_cluster_is_refused_with_its_name(tmp_path, address):
    store = Store.at(tmp_path, create=True)
    with pytest.raises(InputError, match=rf"--address '{address}': expected that of a Ray cluster"):
        complete(small_runs(n=1), store, n_workers=1, engine="ray", address=address)


def test_ray_is_imported_by_nobody_who_does_not_ask_for_it():
    code = "import sys, benchmarks.engine.run; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
