import io
import json
import re
from dataclasses import replace
from importlib import resources
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.peers import KINDS, PEERS, Shape, agreement, measure
from benchmarks.peers.base import Weights, check_task, library, load, seeded
from benchmarks.peers.dictionary_learning import _fractions, _sizes
from osae_theory.errors import InputError
from osae_theory.objectives import prefix_loss

SHAPE = {"d": 4, "K": 6, "m": 2, "batch": 8}
TOPK = {"peer": "saelens", "kind": "topk"}
FOLDER = resources.files("benchmarks.peers")


def job_text(**fields):
    return json.dumps({"shape": SHAPE, "contenders": [TOPK]} | fields)


class FakeStep:
    """A PeerStep whose loss is a number and whose steps are remembered."""

    def __init__(self, kind, shape, matched, decoder_bias):
        self.batches, self.kind, self.m = [], kind, shape.m
        bias = torch.zeros(shape.d) if decoder_bias and not matched else None
        self._weights = Weights(
            torch.zeros(shape.K, shape.d).T,
            torch.zeros(shape.K),
            torch.zeros(shape.K, shape.d),
            bias,
        )

    def step(self, batch):
        self.batches.append(batch)

    def weights(self):
        return self._weights

    def loss(self, batch):
        return agreement.our_loss(self.kind, self._weights, batch, self.m)


def test_the_registry_names_every_file_of_a_peer():
    common = {"__init__", "agreement", "base", "measure", "synthetic", "synthetic_runs"}
    files = {path.name[:-3] for path in FOLDER.iterdir() if path.name.endswith(".py")} - common
    assert files == set(PEERS)
    for name, peer in PEERS.items():
        assert peer.name == name
        assert "topk" in peer.kinds
        assert set(peer.kinds) <= set(KINDS)


def test_every_library_is_pinned_to_one_version():
    lines = (FOLDER / "requirements.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", pin) for pin in pins)
    names = [pin.split("==")[0].lower() for pin in pins]
    assert len(set(names)) == len(names)
    assert {peer.distribution for peer in PEERS.values()} | {"torch", "numba"} <= set(names)
    assert "torchvision" not in names
    assert not [name for name in names if name.startswith(("nvidia", "cuda", "triton"))]


def test_the_versions_we_share_are_those_of_the_project():
    ours = dict(
        line.lower().split("==")
        for line in (FOLDER / "../../constraints.txt").read_text().splitlines()
        if "==" in line
    )
    theirs = dict(
        line.lower().split("==")
        for line in (FOLDER / "requirements.txt").read_text().splitlines()
        if "==" in line
    )
    computing = ("torch", "numpy", "scipy", "jaxtyping", "threadpoolctl")
    assert {name: theirs[name] for name in computing} == {name: ours[name] for name in computing}


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_that_is_not_installed_is_one_sentence(name, monkeypatch):
    def absent(module):
        raise ModuleNotFoundError(name=module)

    monkeypatch.setattr("benchmarks.peers.base.importlib.import_module", absent)
    with pytest.raises(InputError, match=r"is not installed: expected the environment of \S+$"):
        PEERS[name].build("topk", Shape(**SHAPE), [], False, 0)


def test_a_module_that_is_there_is_imported_and_one_that_is_not_is_named():
    with pytest.raises(InputError, match="'no_such_library' is not installed"):
        library("no_such_library")
    assert library("json") is json


def test_a_seed_gives_the_same_draws_and_leaves_the_default_generator_as_it_was():
    before = torch.get_rng_state()
    with seeded(3):
        first = torch.randn(4)
    with seeded(3):
        again = torch.randn(4)
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), before)


def test_weights_are_copied_into_the_librarys_own_memory():
    shape = Shape(**SHAPE)
    step = FakeStep("topk", shape, False, True)
    view = step.weights().encoder
    given = agreement.random_weights(shape, 0, decoder_bias=True)
    load(step, given)
    assert step.weights().encoder is view
    for name in ("encoder", "encoder_bias", "atoms", "decoder_bias"):
        assert torch.equal(getattr(step.weights(), name), getattr(given, name))


def test_a_decoder_bias_for_a_library_without_one_is_refused_unless_zero():
    shape = Shape(**SHAPE)
    step = FakeStep("topk", shape, False, False)
    with pytest.raises(InputError, match="a decoder bias for a library that has none"):
        load(step, agreement.random_weights(shape, 0, decoder_bias=True))
    load(step, agreement.random_weights(shape, 0, decoder_bias=False))
    assert float(step.weights().atoms.norm()) > 0


@pytest.mark.parametrize(
    ("peer", "kind", "prefixes", "message"),
    [
        ("saelens", "topkk", [], "did you mean 'topk'"),
        ("sparsify", "matryoshka", [6], "sparsify has only topk"),
        ("overcomplete", "matryoshka", [6], "overcomplete has only topk, batchtopk"),
        ("saelens", "topk", [3, 6], "expected none"),
        ("saelens", "matryoshka", [], "expected ascending"),
        ("saelens", "matryoshka", [3, 3, 6], "expected ascending"),
        ("saelens", "matryoshka", [0, 6], "expected ascending"),
        ("saelens", "matryoshka", [3, 5], "the last K"),
        ("saelens", "matryoshka", list(range(1, 99)), "98 numbers"),
    ],
)
def test_a_peer_refuses_what_it_does_not_have(peer, kind, prefixes, message):
    with pytest.raises(InputError, match=message):
        check_task(PEERS[peer], kind, Shape(**SHAPE), prefixes)


@pytest.mark.parametrize("K", [100, 257, 4096])
def test_group_fractions_give_back_the_prefixes_when_rounded_down(K):
    for prefixes in (range(1, K + 1), [3, 10, 58, K], [K]):
        fractions = _fractions(list(prefixes))
        first = [int(fraction * K) for fraction in fractions[:-1]]
        assert [*first, K - sum(first)] == _sizes(list(prefixes))
        assert sum(fractions) == pytest.approx(1)


@pytest.mark.parametrize("kind", KINDS)
def test_our_side_of_the_agreement_is_the_loss_by_hand(kind):
    shape = Shape(**SHAPE)
    weights = agreement.random_weights(shape, 1, decoder_bias=True)
    assert weights.decoder_bias is not None
    batch = torch.randn(shape.batch, shape.d, generator=torch.Generator().manual_seed(1))
    centred = batch.double() - weights.decoder_bias
    latents = (centred @ weights.encoder.double() + weights.encoder_bias).relu().numpy()
    codes = np.zeros_like(latents)
    if kind in ("topk", "ordered"):
        for row, latent in enumerate(latents):
            kept = np.argsort(-latent)[: shape.m]
            codes[row, kept] = latent[kept]
    else:
        kept = np.argsort(-latents.ravel())[: shape.m * shape.batch]
        codes.ravel()[kept] = latents.ravel()[kept]
    ordered = kind in ("matryoshka", "ordered")
    lengths = range(1, shape.K + 1) if ordered else [shape.K]
    losses = [
        float(prefix_loss(centred, torch.from_numpy(codes), weights.atoms.double(), length))
        for length in lengths
    ]
    expected = np.mean(losses) / shape.batch
    assert agreement.our_loss(kind, weights, batch, shape.m) == pytest.approx(expected, rel=1e-12)


def fake_peers(monkeypatch, loss_factor=1.0):
    class Wrong(FakeStep):
        def loss(self, batch):
            return super().loss(batch) * loss_factor

    for module in (agreement, measure):
        monkeypatch.setattr(module, "PEERS", {name: faked(p, Wrong) for name, p in PEERS.items()})


def faked(peer, step):
    return replace(
        peer,
        build=lambda kind, shape, _, matched, seed: step(kind, shape, matched, peer.decoder_bias),
    )


def test_the_agreement_is_a_row_for_each_peer_kind_and_mode(monkeypatch, capsys):
    fake_peers(monkeypatch)
    assert agreement.main(["--d", "4", "--K", "6", "--m", "2", "--batch", "8"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["losses"]) == 2 * sum(len(peer.kinds) for peer in PEERS.values())
    assert all(row["relative_difference"] == 0 < row["ours"] for row in document["losses"])


@pytest.mark.parametrize("factor", [1 + 1e-4, float("nan")])
def test_a_loss_that_disagrees_is_printed_and_the_exit_code_is_1(factor, monkeypatch, capsys):
    fake_peers(monkeypatch, loss_factor=factor)
    assert agreement.main(["--d", "4", "--K", "6", "--m", "2", "--batch", "8"]) == 1
    assert len(json.loads(capsys.readouterr().out)["losses"]) > 0


def test_a_job_is_read_with_its_defaults():
    job = measure.parse_job(job_text())
    assert (job.rounds, job.warmup, job.steps, job.threads, job.seed) == (15, 3, 1, 2, 0)
    assert job.contenders == (measure.Contender("saelens", "topk", (), False, 8),)


@pytest.mark.parametrize(
    ("given", "expected"),
    [(2, (3, 6)), ("all", (1, 2, 3, 4, 5, 6)), ([1, 6], (1, 6))],
)
def test_prefixes_are_a_number_of_groups_a_list_or_all(given, expected):
    contender = {"peer": "saelens", "kind": "matryoshka", "prefixes": given}
    assert measure.parse_job(job_text(contenders=[contender])).contenders[0].prefixes == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "expected a JSON object"),
        ("{}", "has no contenders, shape"),
        (job_text(round=3), "did you mean 'rounds'"),
        (job_text(shape={"d": 4}), "shape has no K, batch, m"),
        (job_text(shape=SHAPE | {"m": 7}), "m = 7: expected at most K = 6"),
        (job_text(shape=SHAPE | {"d": 0}), "d = 0"),
        (job_text(contenders=[]), "expected a list of at least one"),
        (job_text(contenders=["saelens"]), "a contender 'saelens'"),
        (job_text(contenders=[{"peer": "saelens"}]), "has no kind"),
        (job_text(contenders=[TOPK | {"peer": "saelense"}]), "did you mean 'saelens'"),
        (
            job_text(contenders=[TOPK | {"peer": ["saelens"]}]),
            "peer = ['saelens']: expected a name",
        ),
        (job_text(contenders=[TOPK | {"kind": {}}]), "kind = {}: expected a name"),
        (job_text(contenders=[TOPK | {"matched": 1}]), "expected true or false"),
        (job_text(contenders=[TOPK | {"batch": 9}]), "expected at most 8"),
        (job_text(contenders=[TOPK | {"batch": 0}]), "a contender's batch = 0"),
        (job_text(contenders=[TOPK | {"prefixes": 2}]), "expected none"),
        (job_text(contenders=[TOPK | {"kind": "matryoshka"}]), "expected ascending"),
        (job_text(contenders=[TOPK | {"kind": "matryoshka", "prefixes": 7}]), "at most K = 6"),
        (job_text(contenders=[TOPK | {"kind": "matryoshka", "prefixes": "al"}]), "whole number"),
        (job_text(contenders=[TOPK | {"kind": "matryoshka", "prefixes": [1.5]}]), "whole number"),
        (
            job_text(contenders=[{"peer": "ours", "kind": "a", "prefixes": 2}]),
            "survival weights alone",
        ),
        (job_text(rounds=0), "rounds = 0"),
        (job_text(warmup=-1), "warmup = -1"),
        (job_text(steps=0), "steps = 0"),
        (job_text(threads=True), "threads = True"),
        (job_text(seed=0.5), "seed = 0.5"),
    ],
)
def test_a_job_that_cannot_be_used_is_one_line_and_code_2(text, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        measure.main([text])
    printed = capsys.readouterr()
    assert stopped.value.code == 2
    assert printed.out == ""
    assert message in printed.err
    assert printed.err.count("\n") == 1


def test_turns_are_interleaved_in_an_order_of_each_rounds_own_on_the_same_batch():
    turns = []
    steps = [lambda batch, i=i: turns.append((i, float(batch))) for i in range(3)]
    measure.interleaved(steps, [torch.full((1, 1), float(b)) for b in range(40)])
    rounds = [turns[i : i + 3] for i in range(0, len(turns), 3)]
    for b, places in enumerate(rounds):
        assert sorted(places) == [(i, float(b)) for i in range(3)]
    followed = {(a[0], b[0]) for a, b in pairwise(turns)}
    assert len(followed) == 9


def test_each_contender_is_charged_for_its_own_turns_alone():
    # A clock that a step moves on by its own cost.
    now = [0.0]

    def cost(seconds):
        def step(batch):
            now[0] += seconds

        return step

    seconds = measure.interleaved(
        [cost(1.0), cost(10.0)], [torch.zeros(1, 1)] * 3, n_repeats=4, clock=lambda: now[0]
    )
    assert seconds == [[1.0] * 3, [10.0] * 3]


def test_a_measurement_drops_the_warm_up_and_cuts_each_contenders_batch(monkeypatch):
    built = {}

    def build(contender, shape, seed):
        step = FakeStep(contender.kind, shape, contender.matched, False)
        built[contender.peer] = step
        assert shape.batch == contender.batch
        return step.step

    monkeypatch.setattr(measure, "versions", lambda peers: {"peers": sorted(peers)})
    text = job_text(
        contenders=[TOPK, {"peer": "ours", "kind": "uniform", "batch": 3}],
        rounds=2,
        warmup=1,
        threads=1,
    )
    result = measure.measure(measure.parse_job(text), build)
    first, second = built["saelens"].batches, built["ours"].batches
    assert len(first) == len(second) == 3
    assert all(torch.equal(a[:3], b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0], first[1])
    assert [len(row["seconds"]) for row in result["contenders"]] == [2, 2]
    assert [row["batch"] for row in result["contenders"]] == [8, 3]
    assert result["versions"] == {"peers": ["ours", "saelens"]}
    json.dumps(result)


def test_threads_are_those_of_the_job_while_it_runs_and_as_before_after(monkeypatch):
    before, seen = torch.get_num_threads(), []

    def build(contender, shape, seed):
        return lambda batch: seen.append(torch.get_num_threads())

    monkeypatch.setattr(measure, "versions", lambda peers: {})
    measure.measure(measure.parse_job(job_text(threads=before + 1, rounds=1, warmup=0)), build)
    assert seen == [before + 1]
    assert torch.get_num_threads() == before


def test_the_command_reads_standard_input_and_prints_one_document(monkeypatch, capsys):
    def build(contender, shape, seed):
        print("a library that talks when imported")
        model = nn.Linear(shape.d, shape.K)
        return lambda batch: model(batch).sum().backward()

    monkeypatch.setattr(measure, "_build", build)
    monkeypatch.setattr(measure, "versions", lambda peers: {})
    monkeypatch.setattr("sys.stdin", io.StringIO(job_text(rounds=2, threads=1)))
    assert measure.main([]) == 0
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert document["rounds"] == 2
    assert all(second > 0 for second in document["contenders"][0]["seconds"])
    assert "talks" in printed.err


def test_ours_is_one_more_contender_built_by_the_speed_benchmark(monkeypatch):
    asked = []

    class Steps:
        @staticmethod
        def training_step(shape, kind):
            asked.append((shape, kind))
            return lambda batch: None

    monkeypatch.setattr(measure, "library", {"benchmarks.speed.steps": Steps}.__getitem__)
    contender = {"peer": "ours", "kind": "uniform", "matched": True, "batch": 3}
    text = job_text(contenders=[contender], rounds=1, warmup=0, threads=1)
    result = measure.measure(measure.parse_job(text))
    assert asked == [(replace(Shape(**SHAPE), batch=3), "uniform")]
    assert set(result["versions"]) == {"osae-theory", "torch"}
