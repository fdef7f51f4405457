import threading
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
import pytest

from osae_theory.errors import InputError
from realdata.activations.blocks import Blocks, Pass, StoreBlocks
from realdata.activations.collection import collect
from realdata.activations.given import collect_given
from realdata.activations.stream import stream, stream_like
from realdata.text.corpora import Corpus
from realdata.text.packing import PackingSettings, pack, packed_part
from realdata.text.sources import Document
from tiny_language import SETTINGS, TEXT, Alphabet, TinyModel, text_split

ALPHABET = Corpus("alphabet", (Alphabet(60),))


def every(blocks):
    return np.concatenate([blocks.read(number) for number in range(blocks.n)])


@pytest.mark.parametrize("size", [4, 8, 400])
@pytest.mark.parametrize("precision", ["auto", "float32"])
def test_a_stream_and_a_store_of_a_text_give_the_same_bits(tmp_path, size, precision):
    settings = replace(SETTINGS, precision=precision)
    store = collect(TinyModel(), TEXT.training, tmp_path / "s", settings, progress=False)
    streamed = stream(TinyModel(), TEXT.training, store, size)
    stored = StoreBlocks(store, size)
    assert isinstance(streamed, Blocks)
    assert isinstance(stored, Blocks)
    assert (streamed.n, streamed.d) == (stored.n, stored.d) == (-(-27 // size), 5)
    for number in range(stored.n):
        assert streamed.read(number).tobytes() == stored.read(number).tobytes()
    assert every(stored).tobytes() == store.read_all().tobytes()


def test_a_stream_goes_on_past_the_sample_that_it_was_fitted_on(tmp_path):
    sample = TEXT.training.first(8)
    store = collect(TinyModel(), sample, tmp_path / "sample", SETTINGS, progress=False)
    streamed = stream(TinyModel(), TEXT.training, store, 4)
    assert streamed.n == 7
    assert streamed.read(1).tobytes() == StoreBlocks(store, 4).read(1).tobytes()
    assert len(every(streamed)) > store.n
    assert streamed.calibration is store.calibration
    assert sample.n_tokens - sample.n_left_out == 8 * 8
    np.testing.assert_array_equal(sample.contexts, TEXT.training.contexts[:8])


@pytest.mark.parametrize(
    ("size", "message"),
    [(6, "block = 6: expected a multiple of 4"), (0, "block = 0: expected a whole number")],
)
def test_a_block_is_whole_shards(store, size, message):
    with pytest.raises(InputError, match=message):
        StoreBlocks(store, size)
    with pytest.raises(InputError, match=message):
        stream(TinyModel(), TEXT.training, store, size)


def test_a_stream_of_another_model_than_its_sample_is_refused(store):
    with pytest.raises(InputError, match=r"is of tiny at .* expected other"):
        stream(TinyModel(name="other"), TEXT.training, store, 4)


class Numbered:
    """Blocks of one row, their number; it remembers who read what."""

    n, size, d = 5, 1, 1

    def __init__(self):
        self.read_numbers, self.threads = [], set()

    def read(self, number):
        self.read_numbers.append(number)
        self.threads.add(threading.current_thread())
        return np.full((1, 1), number, dtype=np.float32)


def test_a_pass_goes_round_from_the_visit_where_it_is_begun_and_reads_ahead_in_a_thread():
    blocks = Numbered()
    way = Pass(blocks, ahead=2)
    assert [int(way.at(visit)[0, 0]) for visit in (7, 8, 9, 8, 10)] == [2, 3, 4, 3, 0]
    way.close()
    # Four visits were asked for, and never more than two blocks are ahead of those.
    assert blocks.read_numbers[:4] == [2, 3, 4, 0]
    assert len(blocks.read_numbers) <= 6
    assert threading.current_thread() not in blocks.threads
    assert not any(thread.is_alive() for thread in blocks.threads)


def test_a_pass_holds_no_block_that_was_let_go():
    with_held = Pass(Numbered())
    for visit in range(4):
        with_held.at(visit)
    with_held.let_go(3)
    assert list(with_held._held) == [3]
    with_held.close()


def test_what_goes_wrong_in_the_thread_is_raised_where_the_block_is_asked_for():
    class Broken(Numbered):
        def read(self, number):
            if number == 1:
                raise InputError("the model gives NaN")
            return super().read(number)

    way = Pass(Broken())
    way.at(0)
    with pytest.raises(InputError, match="the model gives NaN"):
        way.at(1)
    way.close()


def test_a_text_without_an_activation_is_refused_and_not_gone_through_for_ever():
    class Empty(Numbered):
        def read(self, number):
            return np.empty((0, 1), dtype=np.float32)

    way = Pass(Empty())
    for visit in range(4):
        assert len(way.at(visit)) == 0
    with pytest.raises(InputError, match="no activation is within the norm limit"):
        way.at(4)
    way.close()


def collected(folder, text):
    return collect(TinyModel(), text, folder, SETTINGS, progress=False)


def like(store, **given):
    return stream_like(store, 4, corpus=ALPHABET, model=TinyModel(), **given)


def default_split():
    """The text that `stream_like` packs, as it is split by default."""

    settings = PackingSettings(context=9, training_tokens=8 * 27)
    return pack(ALPHABET, TinyModel().tokenise, TinyModel().bos, settings)


def test_a_store_is_enough_to_stream_its_text_and_more_of_it(tmp_path):
    store = collected(tmp_path / "store", default_split().training)
    assert every(like(store)).tobytes() == store.read_all().tobytes()
    more = like(store, tokens=8 * 40)
    assert len(more.text.contexts) == 40
    assert every(more)[: store.n].tobytes() == store.read_all().tobytes()


def test_a_stream_of_a_text_that_has_changed_is_refused(tmp_path):
    store = collected(tmp_path / "store", default_split().training)
    with pytest.raises(InputError, match="expected its text, but alphabet has changed since"):
        stream_like(store, 4, corpus=Corpus("alphabet", (Alphabet(61),)), model=TinyModel())
    heldout = collected(tmp_path / "heldout", text_split().evaluation)
    with pytest.raises(InputError, match="is of the evaluation part: expected one to train on"):
        like(heldout)


def test_a_store_of_given_activations_has_no_text_to_stream(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(9, 5)))
    store = collect_given(tmp_path / "x.npy", tmp_path / "store", progress=False)
    with pytest.raises(InputError, match="is not of a text: expected a store of a text's contexts"):
        like(store)


@dataclass(frozen=True)
class Endless:
    """Documents of letters without end, some of them twice."""

    def documents(self):
        random = np.random.default_rng(5)
        for number in count():
            letters = "".join(map(chr, random.integers(97, 123, size=random.integers(5, 60))))
            yield Document(str(number), letters)
            if number % 7 == 0:
                yield Document(f"{number} again", letters)


ENDLESS = Corpus("endless", (Endless(),), endless=True)


def part(corpus, name, tokens=None):
    model = TinyModel()
    return packed_part(corpus, model.tokenise, model.bos, name, context=9, tokens=tokens)


@pytest.mark.parametrize(
    ("corpus", "name", "tokens"),
    [
        (ALPHABET, "whole", None),
        (ALPHABET, "whole", 300),
        (ALPHABET, "training", None),
        (ENDLESS, "whole", 300),
        (ENDLESS, "training", 300),
    ],
)
def test_any_store_to_train_on_is_streamed_to_its_end_with_its_bits(tmp_path, corpus, name, tokens):
    text = part(corpus, name, tokens)
    store = collected(tmp_path / "store", text)
    assert store.manifest["text"]["part"] == name
    streamed = stream_like(store, 4, corpus=corpus, model=TinyModel())
    np.testing.assert_array_equal(streamed.text.contexts, store.contexts)
    assert store.n > 200
    assert every(streamed).tobytes() == store.read_all().tobytes()


def test_more_of_a_whole_than_was_collected_is_streamed_up_to_its_end(tmp_path):
    store = collected(tmp_path / "store", part(ALPHABET, "whole", 300))
    more = like(store, tokens=10**6)
    np.testing.assert_array_equal(more.text.contexts, part(ALPHABET, "whole").contexts)
    assert every(more)[: store.n].tobytes() == store.read_all().tobytes()


def test_of_an_endless_text_that_was_read_further_the_tokens_must_be_said(tmp_path):
    store = collected(tmp_path / "store", part(ENDLESS, "training", 2000).first(40))
    with pytest.raises(InputError, match="or more of it was read: expected --tokens"):
        stream_like(store, 4, corpus=ENDLESS, model=TinyModel())
    more = stream_like(store, 4, corpus=ENDLESS, model=TinyModel(), tokens=2000)
    assert every(more)[: store.n].tobytes() == store.read_all().tobytes()
