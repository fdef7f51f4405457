import shutil

import numpy as np
import pytest

from benchmarks import catalogue, seed_pairs
from benchmarks.analysis.names import variant_named
from benchmarks.contracts import Scored
from benchmarks.engine.task import FitTask, code_of, run_task
from benchmarks.kept import fitted_from
from benchmarks.outcome import Results
from benchmarks.report.figures.seed_pair import draw
from benchmarks.spec import RunSpec
from benchmarks.store import Store
from osae_theory.metrics import match
from small_runs import small_runs

pytestmark = pytest.mark.trains


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Two methods on two draws: three seeds of one, one or two of the other."""
    found = []
    for method, n, problem in (("topk", 3, 0), ("osae", 1, 0), ("topk", 2, 1), ("osae", 2, 1)):
        runs = tuple(small_runs(method, n, n_steps=20, problem_seed=problem))
        found += run_task(FitTask(runs, code_of("toy", method)))
    made = Store.at(tmp_path_factory.mktemp("runs") / "store", create=True)
    made.add(Results(found))
    return made


@pytest.fixture(scope="module")
def pair(store):
    [found] = seed_pairs.pairs_by_cell(store, ["topk", "osae"]).values()
    return {variant.method: runs for variant, runs in found.items()}


def test_the_draw_is_the_one_on_which_most_methods_have_two_runs(pair):
    assert list(pair) == ["topk", "osae"]
    for first, second in pair.values():
        assert first.setting == second.setting
        assert first.setting.case.problem_seed == 1
        assert first.seeds.initialisation < second.seeds.initialisation


def test_runs_of_two_settings_are_no_pair(store):
    runs = store.frames(vectors=False).runs["text"]
    specs = [RunSpec.read(str(text)) for text in runs]
    one = next(s for s in specs if s.setting.method == "osae")
    other = next(s for s in specs if s.setting.method == "topk")
    assert seed_pairs._two([one, other]) is None


def scored(store, run):
    case = run.setting.case
    spec = catalogue.problem_spec(case)
    heldout = spec.draw("heldout", catalogue.families()[case.family].n_heldout)
    kept = fitted_from(*store.arrays(run.id))
    return Scored(kept, spec.draw(), heldout, run.seeds.initialisation)


def test_what_is_shown_is_of_the_two_runs_as_they_are_kept(store, pair):
    runs = pair["osae"]
    both = [scored(store, run) for run in runs]
    shown = seed_pairs.compared(variant_named("osae"), both, "trained", 7)
    kept = [fitted_from(*store.arrays(run.id)) for run in runs]
    K = kept[0].dictionary.shape[1]
    for codes, fit, of in zip(shown.codes, kept, both, strict=True):
        rows, _, _ = of.heldout.rows(np.float32)
        np.testing.assert_array_equal(codes, fit.encoder(rows[:7]).T)
    D, E = (fit.dictionary / np.linalg.norm(fit.dictionary, axis=0) for fit in kept)
    np.testing.assert_allclose(shown.cosines, D.T @ E, atol=1e-12)
    Z, W = (of.codes for of in both)
    expected = np.corrcoef(np.vstack([Z, W]))[:K, K:]
    np.testing.assert_allclose(shown.correlations, expected, atol=1e-9)
    assert shown.matching.stability == pytest.approx(match(D, E).stability)


def test_sorted_latents_are_those_of_the_trained_order_moved(store, pair):
    both = [scored(store, run) for run in pair["topk"]]
    trained, moved = (
        seed_pairs.compared(variant_named("topk"), both, order, 7)
        for order in ("trained", "energy")
    )
    first, second = (of.latents.order_by_energy(of.tie_seed) for of in both)
    np.testing.assert_array_equal(moved.cosines, trained.cosines[np.ix_(first, second)])
    np.testing.assert_array_equal(moved.codes[0], trained.codes[0][first])
    energies = (both[1].codes[second] ** 2).sum(axis=1)
    assert energies[0] > energies[-1]
    assert moved.matching.stability == pytest.approx(trained.matching.stability)
    assert moved.title.endswith("sorted by energy")


def test_a_latent_that_is_never_active_has_no_correlation(store, pair):
    both = [scored(store, run) for run in pair["topk"]]

    class Dead:
        kind, arrays = both[0].fitted.encoder.kind, both[0].fitted.encoder.arrays

        def __call__(self, rows):
            found = both[0].fitted.encoder(rows).copy()
            found[:, 2] = 0.0
            return found

    one = both[0]
    dead = Scored(type(one.fitted)(one.fitted.dictionary, Dead()), one.problem, one.heldout, 0)
    shown = seed_pairs.compared(variant_named("topk"), [dead, both[1]], "trained", 7)
    assert np.isnan(shown.correlations[2]).all()
    assert np.isfinite(shown.cosines).all()
    assert shown.matching.live is not None
    assert not shown.matching.live[2]


def test_the_figure_has_a_row_a_method_and_order(store, pair):
    both = [scored(store, run) for run in pair["topk"]]
    shown = [
        seed_pairs.compared(variant_named("topk"), both, order, 7) for order in seed_pairs.ORDERS
    ]
    figure = draw(shown, "a title")
    panels = [axis for axis in figure.axes if axis.images]
    assert len(panels) == 4 * 3
    np.testing.assert_array_equal(panels[3].images[0].get_array(), shown[0].cosines)
    np.testing.assert_array_equal(panels[0].images[0].get_array(), shown[0].codes[0].T)


def test_the_command_writes_a_figure_a_cell(store, tmp_path, capsys):
    out = tmp_path / "figures"
    assert seed_pairs.main([str(store.folder), "--methods", "topk,osae", "--out", str(out)]) == 0
    [file] = out.iterdir()
    assert file.suffix == ".png"
    assert f"2 methods of {small_runs('topk', 1)[0].setting.case.cell}" in capsys.readouterr().out


def test_what_cannot_be_drawn_is_refused_in_a_sentence(store, tmp_path, capsys):
    def refused(*options, folder=store.folder):
        with pytest.raises(SystemExit) as found:
            seed_pairs.main([str(folder), *options])
        assert found.value.code == 2
        return capsys.readouterr().err

    assert "'tokp'" in refused("--methods", "tokp")
    assert "'size'" in refused("--order", "size")
    assert "--samples = 0" in refused("--samples", "0")
    assert "no two runs of ksvd" in refused("--methods", "ksvd")
    bare = tmp_path / "bare"
    shutil.copytree(store.folder, bare)
    shutil.rmtree(bare / "arrays")
    assert "exported stores are without" in refused("--methods", "topk", folder=bare)
    assert not (bare / "seed_pairs").exists()
