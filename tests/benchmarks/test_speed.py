"""The speed study at a shape small enough to be no measurement."""

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.speed import __main__ as command
from benchmarks.speed import arithmetic, costs, losses, report, shapes, steps, study
from benchmarks.speed.shapes import Shape
from benchmarks.speed.timing import paired
from osae_theory.errors import InputError

pytestmark = pytest.mark.trains

SMALL = Shape(d=12, K=60, m=3, batch=32)
RESULTS = Path(__file__).parents[2] / "results/speed"


@pytest.fixture
def small_shapes(monkeypatch):
    for module in (shapes, command):
        monkeypatch.setattr(module, "SHAPES", {"toy": SMALL, "wide": SMALL})
    monkeypatch.setattr(study, "step_memory", lambda law, shape: 1000)
    monkeypatch.setattr(command, "_STEPS", {})
    monkeypatch.setattr(arithmetic, "PAPER_CELL", {"d": 5, "K": 7, "m": 2, "N": 100})
    monkeypatch.setattr(arithmetic, "_TRAINING_STEPS", 4)
    monkeypatch.setattr(arithmetic, "_TRAININGS", 3)


def gradients(way, leaves):
    way(steps.random_batch(SMALL, SMALL.batch, seed=1))
    return [leaf.grad for leaf in leaves]


def test_every_way_computes_the_same_gradients(monkeypatch):
    found = {}
    kept = []
    leaves_of = losses._leaves
    monkeypatch.setattr(losses, "_leaves", lambda model: kept.append(leaves_of(model)) or kept[-1])
    outputs = []
    like = losses.ModelGradients.like
    monkeypatch.setattr(
        losses.ModelGradients, "like", lambda model: outputs.append(like(model)) or outputs[-1]
    )
    ways = losses.ways(SMALL)
    batch = steps.random_batch(SMALL, SMALL.batch, seed=1)
    for way in ways.values():
        way(batch)
    fused = iter(outputs)
    automatic = iter(kept)
    for name in ways:
        if "fused" in name:
            out = next(fused)
            found[name] = [out.encoder[0].mT, out.encoder_bias[0], out.atoms[0]]
        else:
            found[name] = [leaf.grad for leaf in next(automatic)]
    same = {
        "plain dense": ["plain sparse", "plain, fused"],
        "exact, fused": ["exact, residual Gram", "exact, Gram", "loop over 60 prefixes"],
        "5 prefixes, fused": ["loop over 5 prefixes"],
        "50 prefixes, fused": ["loop over 50 prefixes"],
    }
    assert set(found) == set(same) | {name for names in same.values() for name in names}
    for name, others in same.items():
        for other in others:
            for a, b in zip(found[name], found[other], strict=True):
                torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


def test_the_fused_losses_agree_with_the_definition():
    assert max(losses.agreement(SMALL).values()) < 1e-6


def test_ratios_are_paired_by_round():
    ratio = paired([2.0, 30.0, 4.0, 5.0], [1.0, 10.0, 2.0, 2.0])
    assert (ratio.median, ratio.rounds) == (2.25, 4)
    assert ratio.low == pytest.approx(2.0)
    assert ratio.high == pytest.approx(2.625)


def test_costs_are_given_for_each_number_of_prefixes_and_each_size():
    prefixes = costs.over_prefixes(SMALL, rounds=1, warmup=0)
    assert list(prefixes) == [1, 2, 5, 10, 50, 60]
    assert prefixes[1].median == 1
    sizes = costs.over_sizes(SMALL, rounds=1, warmup=0)
    assert list(sizes["K"]) == [15, 30, 60, 120, 240]
    assert list(sizes["m"]) == [1, 2, 3, 6, 12]
    assert all(found[getattr(SMALL, name)].median == 1 for name, found in sizes.items())


def test_runs_together_and_one_after_another_are_the_same_training():
    batch = steps.random_batch(SMALL, SMALL.batch, seed=0)
    together = steps.together(SMALL, 3)(batch)
    first, second, third = steps.one_after_another(SMALL, 3)(batch)
    assert together.shape == (3,)
    assert torch.equal(first, second)
    assert torch.equal(second, third)
    assert float(together[0]) == pytest.approx(float(first))


@pytest.mark.parametrize("kind", ["plain", "uniform", "featured"])
def test_a_training_step_lowers_the_loss(kind):
    step = steps.training_step(SMALL, kind)
    batch = steps.random_batch(SMALL, SMALL.batch, seed=0)
    taken = [float(step(batch)) for _ in range(300)]
    assert taken[-1] < 0.98 * taken[0]


def test_an_unknown_kind_of_step_is_refused():
    with pytest.raises(InputError, match="kind of step 'zipf'"):
        steps.training_step(SMALL, "zipf")


def test_the_command_writes_and_prints_one_document(small_shapes, tmp_path, capsys):
    options = ["--shape", "toy", "--rounds", "2", "--json", "--out", str(tmp_path)]
    assert command.main(options) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == json.loads((tmp_path / "result.json").read_text())
    assert document["shape"] == {"name": "toy", "d": 12, "K": 60, "m": 3, "batch": 32}
    for name in (
        "exact_over_plain_same_kernel",
        "exact_over_plain_dense",
        "all_prefixes_over_one",
        "ten_together_over_ten_separate",
        "portable_over_fast_step",
    ):
        assert document["ratios"][name] > 0
        assert document["spread"][name]["rounds"] == 2
    assert document["ratios"]["portable_over_fast_training"] > 0
    assert document["spread"]["portable_over_fast_training"]["rounds"] == 3
    assert document["memory"]["exact_over_plain"] == 1
    assert {p.name for p in tmp_path.iterdir()} == {"result.json", "table.md", "toy.png"}


def test_all_shapes_are_measured_by_default(small_shapes, tmp_path, capsys):
    assert command.main(["--rounds", "1", "--out", str(tmp_path)]) == 0
    assert "exact, fused" in capsys.readouterr().out
    document = json.loads((tmp_path / "result.json").read_text())
    assert [d["shape"]["name"] for d in document["shapes"]] == ["toy", "wide"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shape", "huge"], "shape 'huge'"),
        (["--rounds", "0"], "--rounds = 0"),
        (["--threads", "-1"], "--threads = -1"),
        (["--peers", "--peers-python", "/nowhere/python"], "make setup-peers"),
        (["--peers", "--peers-python", "/bin/true"], "/bin/true has not this project"),
        (["--peers", "--peers-python", "/bin/false"], "/bin/false has not this project"),
        (["--peers", "--peers-python", "/etc/passwd"], "cannot be run (Permission denied)"),
        (["--threads", "1000000"], "--threads = 1000000: expected at most 4096"),
        (["--rounds", "1000000"], "--rounds = 1000000: expected at most 4096"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(
    small_shapes, tmp_path, capsys, options, message
):
    with pytest.raises(SystemExit) as stop:
        command.main([*options, "--out", str(tmp_path / "new")])
    assert stop.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert message in lines[-1]
    assert not (tmp_path / "new").exists()


def measured(contenders, shape):
    """The answer of the peers' environment, by arithmetic: no library is needed."""
    answer = []
    for place, contender in enumerate(contenders):
        prefixes = contender.get("prefixes", 0)
        fields = {
            "matched": contender.get("matched", False),
            "batch": contender.get("batch", shape.batch),
            "prefixes": shape.K if prefixes == "all" else prefixes,
        }
        answer.append({**contender, **fields, "seconds": [1.0 + place, 2.0 + place, 4.0 + place]})
    return {"contenders": answer, "versions": {"torch": "x"}}


@pytest.mark.parametrize("name", ["toy", "lm", "wide"])
def test_peers_are_compared_with_our_exact_step_on_as_many_samples(name):
    shape = shapes.SHAPES[name]
    listed = study.contenders(name, shape)
    found = study.summary(measured(listed, shape), shape)
    assert found["ratios"]["ours uniform"]["median"] == 1
    topk = next(i for i, c in enumerate(listed) if c["peer"] == "saelens")
    expected = np.median([(1 + topk) / 1, (2 + topk) / 2, (4 + topk) / 4])
    assert found["ratios"]["saelens topk as shipped"]["median"] == pytest.approx(expected)
    assert len(found["ratios"]) == len(listed)
    if name == "lm":
        assert found["ratios"]["ours uniform batch 32"]["median"] == 1


def test_the_report_shows_shipped_and_matched_side_by_side(small_shapes, monkeypatch, tmp_path):
    document = study.measure(study.Plan("toy", SMALL, 1, 0, 1, 1, 1, None), study.memory())
    toy = shapes.SHAPES["toy"]
    peers = study.summary(measured(study.contenders("toy", toy), toy), toy)
    document = document | {"peers": peers}
    table = report.peer_table(document)
    assert list(table.columns) == ["SAELens", "dictionary_learning", "sparsify", "overcomplete"]
    assert table.loc["Matryoshka, 5 prefixes", "sparsify"] == "–"
    shipped, matched = table.loc["top-m", "SAELens"].split(" / ")
    ratios = peers["ratios"]
    assert shipped == f"{ratios['saelens topk as shipped']['median']:.1f}"
    assert matched == f"{ratios['saelens topk matched']['median']:.1f}"
    assert "Matryoshka, all 60 prefixes" in table.index
    assert "SAELens" in report.markdown([document], "command")
    drawn = report.figure(document)
    assert len(drawn.axes) == 3
    assert all(axis.get_xlabel() for axis in drawn.axes)


def drawn_shapes():
    return json.loads((RESULTS / "result.json").read_text())["shapes"]


@pytest.mark.parametrize("document", drawn_shapes(), ids=lambda d: d["shape"]["name"])
def test_no_legend_lies_over_a_panel_and_labels_stay_apart(document):
    drawn = report.figure(document)
    drawn.canvas.draw()
    panels = [axis.get_window_extent() for axis in drawn.axes]
    legends = [axis.get_legend() for axis in drawn.axes if axis.get_legend() is not None]
    assert len(legends) == 1
    for legend in legends:
        assert not any(panel.overlaps(legend.get_window_extent()) for panel in panels)
    for axis in drawn.axes:
        extents = [t.get_window_extent() for t in axis.get_yticklabels() if t.get_visible()]
        for low, high in itertools.pairwise(sorted(extents, key=lambda extent: extent.y0)):
            assert low.y1 <= high.y0
    assert drawn.get_size_inches()[0] < 10


def test_figures_are_drawn_again_from_the_results_without_a_measurement(
    monkeypatch, tmp_path, capsys
):
    shutil.copy(RESULTS / "result.json", tmp_path)
    before = (tmp_path / "result.json").read_bytes()
    monkeypatch.setattr(study, "measure", pytest.fail)
    monkeypatch.setattr(study, "memory", pytest.fail)
    assert command.main(["--redraw", "--out", str(tmp_path)]) == 0
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"result.json", *(path.name for path in RESULTS.glob("*.png"))}
    assert capsys.readouterr().out.split() == [
        str(tmp_path / f"{document['shape']['name']}.png") for document in drawn_shapes()
    ]
    assert (tmp_path / "result.json").read_bytes() == before


@pytest.mark.parametrize("content", [None, "{", "[]", "{}"])
def test_a_folder_without_results_is_not_drawn(tmp_path, capsys, content):
    if content is not None:
        (tmp_path / "result.json").write_text(content)
    with pytest.raises(SystemExit) as stop:
        command.main(["--redraw", "--out", str(tmp_path)])
    assert stop.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "cannot be drawn" in line
    assert not list(tmp_path.glob("*.png"))


def test_a_failure_in_the_peers_environment_is_told_in_one_sentence(tmp_path):
    broken = tmp_path / "python"
    broken.write_text(
        "#!/bin/sh\necho 'Traceback' >&2\necho 'ModuleNotFoundError: x' >&2\nexit 1\n"
    )
    broken.chmod(0o755)
    with pytest.raises(InputError, match=r"measure failed in .*: ModuleNotFoundError: x"):
        study.peers(study.Plan("toy", SMALL, 1, 0, 1, 1, 1, broken))
