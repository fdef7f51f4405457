import errno
from dataclasses import replace

import numpy as np
import pytest
from filelock import FileLock

from osae_theory.errors import InputError
from realdata.activations.collection import collect
from realdata.activations.store import ActivationStore
from tiny_language import SETTINGS, TEXT, TinyModel, loop_over_positions


def contents(folder):
    return {
        path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")
    }


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

    monkeypatch.setattr("realdata.activations.shards.write_atomically", write)
    folder = tmp_path / "killed"
    for attempt in range(1, 200):
        moments, stop_at = 0, attempt
        try:
            collect(Mortal(), text, folder, SETTINGS, **options)
            break
        except Killed:
            kills += 1
            left_over = folder / f".osae-unfinished-{kills}"
            left_over.mkdir()
            (left_over / "x.npy").write_bytes(b"half")
    # Each run gets further than the last, so it is killed at an ever later place.
    assert kills > 8
    assert contents(folder) == contents(whole.folder)
    assert not list(folder.glob(".osae*"))


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


def test_a_link_to_an_empty_folder_is_collected_into(tmp_path, store):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    collect(TinyModel(), TEXT.training, tmp_path / "link", SETTINGS, progress=False)
    assert (tmp_path / "link").is_symlink()
    assert contents(tmp_path / "disk") == contents(store.folder)


@pytest.mark.parametrize("name", ["notes.txt", "x.npy", "fitted.npz"])
def test_a_folder_with_other_files_is_refused_and_left_as_it_is(tmp_path, name):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / name).write_text("mine")
    model = TinyModel()
    with pytest.raises(InputError, match=rf"holds {name}: expected a new folder, or an empty one"):
        collect(model, TEXT.training, tmp_path / "mine", SETTINGS, progress=False)
    assert model.calls == 0
    assert contents(tmp_path / "mine") == {name: b"mine"}


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


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_activations_that_are_not_finite_are_refused(tmp_path, bad):
    model = TinyModel()
    model.table[TEXT.training.contexts[20, 3], 1] = bad
    with pytest.raises(InputError, match="gives NaN or Inf"):
        collect(model, TEXT.training, tmp_path / "s", SETTINGS, progress=False)
    with pytest.raises(InputError):
        ActivationStore.open(tmp_path / "s")
