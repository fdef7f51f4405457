import json
from dataclasses import replace

import numpy as np
import pytest

from osae_theory.errors import InputError
from realdata.activations.collection import collect
from realdata.activations.store import ActivationStore
from tiny_language import LOUD, SETTINGS, TEXT, Alphabet, TinyModel


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
    n_refused = 0
    for place in random.integers(0, len(whole), size=60):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(random.integers(0, 8))
        path.write_bytes(damaged)
        try:
            same = json.loads(damaged) == json.loads(whole)  # a changed blank says the same
        except ValueError:
            same = False
        if not same:
            said = open_fails_in_one_sentence(store.folder)
            assert "is damaged" in said or "is not a manifest" in said
            n_refused += 1
    assert n_refused > 50
    for length in (0, 1, len(whole) // 2):
        path.write_bytes(whole[:length])
        assert "is damaged" in open_fails_in_one_sentence(store.folder)
    path.unlink()
    assert "is damaged" in open_fails_in_one_sentence(store.folder)


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
