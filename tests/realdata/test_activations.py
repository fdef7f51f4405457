import errno
import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
from filelock import FileLock
from scipy.special import log_softmax

from osae_theory.errors import InputError
from realdata.activations import (
    ActivationStore,
    CollectionSettings,
    collect,
    kept_rows,
    splice,
    stream,
)
from realdata.corpora import Corpus, Document, PackingSettings, pack
from realdata.models import LanguageModel

BOS = 256
SETTINGS = CollectionSettings(batch=2, shard=4, calibration=6)
LOUD = "!"  # a token whose activation is far beyond the norm limit


class TinyModel(LanguageModel):
    """A table of activations by token and position, with sinks and loud tokens."""

    def __init__(self, scale=1.0, name="tiny", d=5):
        random = np.random.default_rng(7)
        self.name, self.hook, self.weights = name, "blocks.0.hook_resid_post", "a table"
        self.d, self.context, self.bos = d, 64, BOS
        self.table = (scale * (random.normal(size=(257, d)) + 3)).astype(np.float32)
        self.table[ord(LOUD)] *= 50
        self.calls = 0

    def tokenise(self, texts):
        return [list(text.encode()) for text in texts]

    def decode(self, tokens):
        return bytes(token for token in tokens if token != BOS).decode("latin-1")

    def activations(self, tokens):
        self.calls += 1
        x = self.table[tokens] * (1 + 0.01 * np.arange(tokens.shape[1], dtype=np.float32))[:, None]
        x[:, 0] *= 1000
        return x

    def cross_entropy(self, tokens, replace=None):
        x = self.activations(tokens)
        if replace is not None:
            x[:, 1:] = replace(x[:, 1:].reshape(-1, self.d)).reshape(x[:, 1:].shape)
        logits = log_softmax(x[:, :-1] @ self.table.T / 100, axis=-1)
        return -np.take_along_axis(logits, tokens[:, 1:, None], axis=-1)[..., 0].astype(np.float32)


@dataclass(frozen=True)
class Alphabet:
    n: int

    def documents(self):
        random = np.random.default_rng(11)
        for number in range(self.n):
            letters = random.integers(97, 123, size=random.integers(20, 60))
            text = "".join(LOUD if random.random() < 0.05 else chr(c) for c in letters)
            yield Document(f"text {number}", f"{number} {text}")


def text_split(n=60, context=9):
    settings = PackingSettings(
        context=context, seed=2, evaluation_share=0.3, training_tokens=8 * 27
    )
    return pack(Corpus("alphabet", (Alphabet(n),)), TinyModel().tokenise, BOS, settings)


TEXT = text_split()


@pytest.fixture
def store(tmp_path):
    return collect(TinyModel(), TEXT.training, tmp_path / "store", SETTINGS, progress=False)


def contents(folder):
    return {
        path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")
    }


def loop_over_positions(model, text, limit):
    """The rule, position by position."""
    rows, places = [], []
    for c, context in enumerate(text.contexts):
        x = model.activations(context[None])[0]
        for t in range(len(context)):
            if t > 0 and np.sqrt(sum(float(v) ** 2 for v in x[t])) <= limit:
                rows.append(x[t])
                places.append((c, t))
    return np.array(rows), np.array(places)


def test_kept_are_all_positions_but_the_first_within_three_median_norms(store):
    model = TinyModel()
    norms = [
        np.linalg.norm(row.astype(np.float64))
        for context in TEXT.training.contexts[:6]
        for row in model.activations(context[None])[0, 1:]
    ]
    assert store.calibration.norm_limit == pytest.approx(3 * np.median(norms), rel=1e-12)
    rows, places = loop_over_positions(model, TEXT.training, store.calibration.norm_limit)
    np.testing.assert_allclose(
        store.read_all(raw=True), rows, atol=2e-3
    )  # half a step of float16 at 4
    found = store.places(np.arange(store.n))
    np.testing.assert_array_equal(np.stack([found.context, found.position], axis=1), places)
    loud = int((TEXT.training.contexts == ord(LOUD)).sum())
    assert loud > 3
    assert (store.counts.kept, store.counts.dropped_first, store.counts.dropped_norm) == (
        len(rows),
        27,
        loud,
    )


def test_float32_shards_hold_the_models_own_bits(tmp_path):
    settings = replace(SETTINGS, precision="float32")
    store = collect(TinyModel(), TEXT.training, tmp_path / "s", settings, progress=False)
    rows, _ = loop_over_positions(TinyModel(), TEXT.training, store.calibration.norm_limit)
    np.testing.assert_array_equal(store.read_all(raw=True), rows)
    assert {entry["dtype"] for entry in store.manifest["shards"]} == {"float32"}


def test_float16_is_used_where_its_rounding_is_small_and_only_there(tmp_path, store):
    assert {entry["dtype"] for entry in store.manifest["shards"]} == {"float16"}
    exact, _ = loop_over_positions(TinyModel(), TEXT.training, store.calibration.norm_limit)
    rms = np.sqrt(np.mean((store.read_all(raw=True) - exact) ** 2, axis=0))
    assert (rms / exact.std(axis=0)).max() < 1e-3
    for scale in (1e-9, 1e6):  # below float16's smallest number, and above its largest
        folder = tmp_path / str(scale)
        other = collect(TinyModel(scale), TEXT.training, folder, SETTINGS, progress=False)
        assert {entry["dtype"] for entry in other.manifest["shards"]} == {"float32"}
        np.testing.assert_allclose(other.read_all(raw=True), exact * scale, rtol=1e-5)


def test_a_far_mean_costs_float16_no_resolution(tmp_path):
    model = TinyModel()
    model.table[:, 0] += 5000
    store = collect(model, TEXT.training, tmp_path / "s", SETTINGS, progress=False)
    assert store.manifest["shards"][0]["dtype"] == "float16"
    exact, _ = loop_over_positions(model, TEXT.training, store.calibration.norm_limit)
    error = store.read_all(raw=True)[:, 0] - exact[:, 0]
    assert np.sqrt(np.mean(error**2)) < 2e-3 * exact[:, 0].std()


@pytest.mark.parametrize("kind", ["dimension", "scale", "none"])
def test_standardised_rows_have_the_moments_that_the_option_says(tmp_path, kind):
    settings = replace(SETTINGS, standardise=kind, precision="float32")
    store = collect(TinyModel(), TEXT.training, tmp_path / "s", settings, progress=False)
    raw, x = store.read_all(raw=True).astype(np.float64), store.read_all().astype(np.float64)
    if kind == "none":
        np.testing.assert_array_equal(x, raw)
        return
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(store.standardisation.mean, raw.mean(axis=0), rtol=1e-5)
    if kind == "dimension":
        np.testing.assert_allclose(x.std(axis=0), 1, rtol=1e-5)
    else:
        assert np.mean(x**2) == pytest.approx(1, rel=1e-5)
        assert np.ptp(store.standardisation.scale) == 0
    np.testing.assert_allclose(store.standardisation.invert(store.read_all()), raw, rtol=1e-5)


def test_rows_come_in_any_order_and_across_shards(store):
    everything = store.read_all()
    assert everything.shape == (store.n, store.d)
    indices = np.random.default_rng(0).integers(0, store.n, size=300)
    np.testing.assert_array_equal(store.rows(indices), everything[indices])
    assert store.rows(np.array([], dtype=np.int64)).shape == (0, store.d)
    for bad in (-1, store.n):
        with pytest.raises(InputError, match=f"expected from 0 to {store.n - 1}"):
            store.rows(np.array([bad]))


def test_a_shard_in_which_nothing_is_kept_is_passed_over(tmp_path):
    contexts = TEXT.training.contexts.copy()
    contexts[8:12, 1:] = ord(LOUD)
    contexts[-3:, 1:] = ord(LOUD)
    text = replace(TEXT.training, contexts=contexts)
    store = collect(TinyModel(), text, tmp_path / "s", SETTINGS, progress=False)
    assert [entry["shape"][0] == 0 for entry in store.manifest["shards"]].count(True) == 2
    everything = store.read_all()
    np.testing.assert_array_equal(store.rows(np.arange(store.n)), everything)
    assert np.isfinite(everything).all()


def test_each_activation_knows_its_token_and_where_it_stands_in_its_document(store):
    whole = {d.name: d.text for d in Alphabet(60).documents()}
    places = store.places(np.arange(store.n))
    for i in range(0, store.n, 7):
        text = whole[store.documents[places.document[i]]]
        assert chr(places.token[i]) == text[places.offset[i]]
        before, token, after = store.snippet(i, before=5, after=3)
        assert token == text[places.offset[i]]
        assert before + token + after in text
        assert len(before) == min(5, places.position[i] - 1)
        assert len(after) == min(3, 8 - places.position[i])


def test_the_evaluation_part_takes_the_training_parts_limit_and_standardisation(tmp_path, store):
    model = TinyModel()
    other = collect(
        model, TEXT.evaluation, tmp_path / "other", SETTINGS, fitted_on=store, progress=False
    )
    assert other.calibration.norm_limit == store.calibration.norm_limit
    np.testing.assert_array_equal(other.standardisation.mean, store.standardisation.mean)
    np.testing.assert_array_equal(other.standardisation.scale, store.standardisation.scale)
    rows, _ = loop_over_positions(model, TEXT.evaluation, store.calibration.norm_limit)
    np.testing.assert_allclose(
        other.rows(np.arange(other.n), raw=True), rows, atol=2e-3
    )  # half a step of float16 at 4
    with pytest.raises(InputError, match="is of tiny at"):
        collect(
            TinyModel(name="another"),
            TEXT.evaluation,
            tmp_path / "third",
            SETTINGS,
            fitted_on=store,
            progress=False,
        )


class Killed(BaseException):
    """What no code of ours catches."""


@pytest.mark.parametrize("fitted", [False, True])
def test_a_collection_killed_at_any_moment_goes_on_and_ends_with_the_same_bytes(
    tmp_path, monkeypatch, store, fitted
):
    text = TEXT.evaluation if fitted else TEXT.training
    options = {"fitted_on": store if fitted else None, "progress": False}
    whole = collect(TinyModel(), text, tmp_path / "whole", SETTINGS, **options)
    kills, moments = 0, 0
    import osae_theory.files as files

    def step():
        nonlocal moments
        moments += 1
        if moments == stop_at:
            raise Killed

    class Mortal(TinyModel):
        def activations(self, tokens):
            step()
            return super().activations(tokens)

    original = files.write_atomically

    def write(path, how):
        step()  # before the file is there
        original(path, how)
        step()  # and just after

    monkeypatch.setattr("realdata.activations.write_atomically", write)
    folder = tmp_path / "killed"
    for attempt in range(1, 200):
        moments, stop_at = 0, attempt
        try:
            collect(Mortal(), text, folder, SETTINGS, **options)
            break
        except Killed:
            kills += 1
            (folder / f".left{kills}.npy").write_bytes(b"half")
    # Each run gets further than the last, so it is killed at an ever later place.
    assert kills > 8
    assert contents(folder) == contents(whole.folder)
    assert not list(folder.glob(".left*"))


def test_a_finished_collection_is_found_without_asking_the_model(store):
    model = TinyModel()
    again = collect(model, TEXT.training, store.folder, SETTINGS, progress=False)
    assert model.calls == 0
    np.testing.assert_array_equal(again.read_all(), store.read_all())


def test_a_collection_goes_on_without_computing_what_is_there(tmp_path, monkeypatch):
    folder = tmp_path / "s"
    model = TinyModel()
    ordinary = model.activations

    def killed(tokens):
        if model.calls == 3 + 7:
            raise Killed
        return ordinary(tokens)

    model.activations = killed
    with pytest.raises(Killed):
        collect(model, TEXT.training, folder, SETTINGS, progress=False)
    fresh = TinyModel()
    collect(fresh, TEXT.training, folder, SETTINGS, progress=False)
    # 27 contexts in batches of 2 are 14; three shards of 2 batches were there.
    assert fresh.calls == 14 - 6


def different(store):
    text = TEXT.training
    yield TinyModel(name="another"), text, SETTINGS, "model"
    yield TinyModel(d=6), text, SETTINGS, "d"
    yield TinyModel(), TEXT.evaluation, SETTINGS, "text"
    yield TinyModel(), replace(text, contexts=text.contexts[::-1].copy()), SETTINGS, "text"
    yield TinyModel(), text, replace(SETTINGS, norm_factor=4.0), "settings"
    yield TinyModel(), text, replace(SETTINGS, batch=4), "settings"


def test_a_folder_with_another_collection_is_refused_and_left_as_it_is(store):
    before = contents(store.folder)
    for model, text, settings, word in different(store):
        with pytest.raises(InputError, match=rf"holds another collection \({word} ") as caught:
            collect(model, text, store.folder, settings, progress=False)
        assert "\n" not in str(caught.value)
    assert contents(store.folder) == before


def test_two_processes_do_not_collect_into_one_folder(tmp_path):
    folder = tmp_path / "s"
    folder.mkdir()
    with (
        FileLock(folder / ".lock"),
        pytest.raises(InputError, match="is being collected by another process"),
    ):
        collect(TinyModel(), TEXT.training, folder, SETTINGS, progress=False)
    assert collect(TinyModel(), TEXT.training, folder, SETTINGS, progress=False).n > 0


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 49_000_000})
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage)
    model = TinyModel()
    with pytest.raises(InputError, match=r"0\.05 GB free: expected 0\.05 GB for 216 activations"):
        collect(model, TEXT.training, tmp_path / "new" / "s", SETTINGS, progress=False)
    assert model.calls == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space"), OSError("7 of 9 written")])
def test_a_disk_that_fills_up_is_one_sentence_and_the_rest_is_collected_later(
    tmp_path, monkeypatch, error
):
    folder = tmp_path / "s"
    calls = 0
    save = np.save

    def full(*arguments, **options):
        nonlocal calls
        calls += 1
        if calls > 5:
            raise error
        save(*arguments, **options)

    monkeypatch.setattr("numpy.save", full)
    with pytest.raises(InputError, match="cannot be written to"):
        collect(TinyModel(), TEXT.training, folder, SETTINGS, progress=False)
    monkeypatch.undo()
    with pytest.raises(InputError, match="has 2 of 7 shards"):
        ActivationStore.open(folder)
    store = collect(TinyModel(), TEXT.training, folder, SETTINGS, progress=False)
    assert len(store.manifest["shards"]) == 7


def open_fails_in_one_sentence(folder, **options):
    with pytest.raises(InputError) as caught:
        ActivationStore.open(folder, **options)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["manifest.json", "text.npz", "fitted.npz", "names.json"])
def test_a_file_of_the_store_with_any_byte_changed_is_refused(store, name):
    path = store.folder / name
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    for place in random.integers(0, len(whole), size=60):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(random.integers(0, 8))
        path.write_bytes(damaged)
        try:
            same = json.loads(damaged) == json.loads(whole)  # a changed blank says the same
        except ValueError:
            same = False
        if not same:
            open_fails_in_one_sentence(store.folder)
    for length in (0, 1, len(whole) // 2):
        path.write_bytes(whole[:length])
        open_fails_in_one_sentence(store.folder)
    path.unlink()
    open_fails_in_one_sentence(store.folder)


def test_a_damaged_shard_is_refused(store):
    path = store.folder / "00002.npy"
    whole = path.read_bytes()
    for damaged in (b"", whole[:50], whole[:-8], b"PK\x03\x04", b"\x80\x04K\x01.", whole + b"x"):
        path.write_bytes(damaged)
        assert "is damaged" in open_fails_in_one_sentence(store.folder, verify=True)
        if damaged != whole + b"x":
            assert "is damaged" in open_fails_in_one_sentence(store.folder)
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "00002.npy has changed" in open_fails_in_one_sentence(store.folder, verify=True)
    path.unlink()
    assert "is damaged" in open_fails_in_one_sentence(store.folder)


def test_a_damaged_shard_of_an_unfinished_collection_is_refused_when_it_goes_on(
    tmp_path, monkeypatch
):
    folder = tmp_path / "s"
    model = TinyModel()
    ordinary = model.activations
    model.activations = lambda tokens: (
        (_ for _ in ()).throw(Killed) if model.calls > 9 else ordinary(tokens)
    )
    with pytest.raises(Killed):
        collect(model, TEXT.training, folder, SETTINGS, progress=False)
    path = folder / "00001.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(InputError, match=r"00001\.npy has changed"):
        collect(TinyModel(), TEXT.training, folder, SETTINGS, progress=False)
    path.write_bytes(whole)
    (folder / "calibration.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match=r"calibration\.npz"):
        collect(TinyModel(), TEXT.training, folder, SETTINGS, progress=False)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": "something else"}', "\x00"])
def test_a_foreign_manifest_is_refused(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    open_fails_in_one_sentence(tmp_path)
    with pytest.raises(InputError):
        collect(TinyModel(), TEXT.training, tmp_path, SETTINGS, progress=False)


def test_a_folder_without_a_collection_is_refused(tmp_path):
    assert "has no manifest.json" in open_fails_in_one_sentence(tmp_path / "none")
    (tmp_path / "file").touch()
    assert "is a file" in open_fails_in_one_sentence(tmp_path / "file")
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "00000.npy").touch()
    with pytest.raises(InputError, match=r"shards but no manifest\.json"):
        collect(TinyModel(), TEXT.training, tmp_path / "shards", SETTINGS, progress=False)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_activations_that_are_not_finite_are_refused(tmp_path, bad):
    model = TinyModel()
    model.table[TEXT.training.contexts[20, 3], 1] = bad
    with pytest.raises(InputError, match="gives NaN or Inf"):
        collect(model, TEXT.training, tmp_path / "s", SETTINGS, progress=False)
    with pytest.raises(InputError):
        ActivationStore.open(tmp_path / "s")


@pytest.mark.parametrize(
    "values",
    [
        {"batch": 0},
        {"shard": 3},
        {"calibration": 0},
        {"norm_factor": 1.0},
        {"standardise": "whiten"},
        {"precision": "float16"},
    ],
)
def test_settings_out_of_range_are_refused_by_name(values):
    with pytest.raises(InputError, match=next(iter(values))):
        replace(SETTINGS, **values)


def sorted_rows(x):
    return x[np.lexsort(x.T)]


def test_a_stream_gives_every_row_of_the_store_once_a_pass_and_stores_nothing(tmp_path, store):
    streamed = stream(TinyModel(), TEXT.training, replace(SETTINGS, calibration=27))
    batches = list(streamed.batches(4, buffer=40, seed=1))
    x = np.concatenate(batches)
    assert {len(batch) for batch in batches} == {4}
    expected = store.manifest["counts"]["kept"] // 4 * 4
    assert abs(len(x) - expected) <= 4
    limit = streamed.calibration.norm_limit
    rows, _ = loop_over_positions(TinyModel(), TEXT.training, limit)
    every = streamed.standardisation.apply(rows)
    # All but the few at the end that fill no batch: each is one of the rows, and none is twice.
    values, counts = np.unique(np.concatenate([every, x]), axis=0, return_counts=True)
    own, own_counts = np.unique(every, axis=0, return_counts=True)
    np.testing.assert_array_equal(values, own)
    assert (counts <= 2 * own_counts).all()
    assert len(x) == len(every) // 4 * 4
    np.testing.assert_allclose(every.mean(axis=0), 0, atol=1e-5)


def test_a_stream_is_shuffled_by_its_seed(store):
    streamed = stream(TinyModel(), TEXT.training, SETTINGS)
    one, same, other = (
        np.concatenate(list(streamed.batches(4, buffer=40, seed=seed))) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    assert streamed.calibration.norm_limit == store.calibration.norm_limit
    twice = np.concatenate(list(streamed.batches(4, buffer=40, seed=1, passes=2)))
    assert len(twice) >= 2 * len(one)
    with pytest.raises(InputError, match="buffer = 7: expected a whole number of at least 8"):
        next(streamed.batches(4, buffer=7))


def test_a_splice_replaces_what_the_sae_was_trained_on_and_nothing_else(store):
    model = TinyModel()
    x = model.activations(TEXT.training.contexts[:8])[:, 1:].reshape(-1, model.d)
    limit = store.calibration.norm_limit
    zeros = splice(np.zeros_like, store.standardisation, limit)(x)
    loud = np.linalg.norm(x, axis=1) > limit
    assert loud.any()
    np.testing.assert_array_equal(zeros[loud], x[loud])
    np.testing.assert_allclose(
        zeros[~loud], np.broadcast_to(store.standardisation.mean, zeros[~loud].shape)
    )
    same = splice(lambda rows: rows, store.standardisation, limit)(x)
    np.testing.assert_allclose(same, x, rtol=1e-5, atol=1e-5)


def test_the_rule_keeps_a_norm_that_equals_the_limit():
    x = np.array([[[3.0, 4.0], [3.0, 4.0], [3.0, 4.1]]], dtype=np.float32)
    np.testing.assert_array_equal(kept_rows(x, 5.0), [[False, True, False]])
