import json
import sys
from collections import Counter
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.errors import InputError
from realdata.text.corpora import CORPORA, Corpus, find_corpus
from realdata.text.packing import (
    EVALUATION,
    PARTS,
    TRAINING,
    PackingSettings,
    pack,
    packed_part,
    part_of,
)
from realdata.text.python_text import STDLIB, Docstrings, SourceFiles, TopicHelp
from realdata.text.sources import Document, HubDataset, TextFolder, json_rows

BOS = 256


def tokenise(texts):
    return [list(text.encode()) for text in texts]


@dataclass(frozen=True)
class Listed:
    texts: tuple[str, ...]

    def documents(self):
        for number, text in enumerate(self.texts):
            yield Document(f"text {number}", text)


def corpus_of(*texts, endless=False):
    return Corpus("listed", (Listed(tuple(texts)),), endless=endless)


def some_texts(n, seed=0):
    random = np.random.default_rng(seed)
    lengths = random.integers(0, 60, size=n)
    return tuple(
        f"{i} " + "".join(map(chr, random.integers(97, 123, size=length)))
        for i, length in enumerate(lengths)
    )


SETTINGS = PackingSettings(context=9, seed=3, evaluation_share=0.3)


@pytest.mark.parametrize("bos", [BOS, None])
def test_every_context_is_a_piece_of_one_document_and_only_short_tails_are_left_out(bos):
    texts = some_texts(80)
    length = 8 if bos is not None else 9
    split = pack(corpus_of(*texts), tokenise, bos, SETTINGS)
    for part in (split.training, split.evaluation):
        pieces = {name: [] for name in part.names}
        for context, document, start in zip(part.contexts, part.document, part.start, strict=True):
            name = part.names[document]
            body = context[1:] if bos is not None else context
            whole = list(texts[int(name.split()[1])].encode())
            assert bos is None or context[0] == bos
            assert body.tolist() == whole[start : start + length]
            pieces[name].append(int(start))
        left = 0
        for name, starts in pieces.items():
            whole = texts[int(name.split()[1])]
            assert sorted(starts) == list(range(0, len(whole) - length + 1, length))
            left += len(whole) % length
        assert (part.n_left_out, part.n_tokens) == (
            left,
            sum(len(texts[int(name.split()[1])]) for name in part.names),
        )
        assert part.opened == (bos is not None)


def test_no_text_is_in_both_parts_and_duplicates_are_dropped():
    texts = some_texts(60)
    split = pack(corpus_of(*texts, *texts[::2]), tokenise, BOS, SETTINGS)
    training, evaluation = set(split.training.names), set(split.evaluation.names)
    assert training.isdisjoint(evaluation)
    assert training | evaluation == {f"text {i}" for i in range(60)}
    assert split.training.n_duplicates + split.evaluation.n_duplicates == 30
    alone = pack(corpus_of(*texts), tokenise, BOS, SETTINGS)
    assert split.training.token_hash == alone.training.token_hash


@given(st.text(), st.integers(0, 2**40), st.lists(st.text(), max_size=5))
def test_a_documents_part_depends_on_its_text_and_the_seed_alone(text, seed, others):
    digest = Document("any", text).digest
    part = part_of(digest, seed, 0.5)
    settings = PackingSettings(context=2, seed=seed, evaluation_share=0.5)
    texts = [f"{text}", *(other for other in others if other != text)]
    fill = [f"fill {i}" for i in range(40)]
    split = pack(corpus_of(*texts, *fill), tokenise, BOS, settings)
    assert ("text 0" in split.training.names) == (part == TRAINING)
    assert ("text 0" in split.evaluation.names) == (part == EVALUATION)


def test_the_share_of_documents_in_the_evaluation_part_is_the_one_asked_for():
    digests = [Document("", str(i)).digest for i in range(20_000)]
    parts = Counter(part_of(digest, 5, 0.2) for digest in digests)
    # The standard deviation of the share is 0.0028.
    assert parts[EVALUATION] / 20_000 == pytest.approx(0.2, abs=0.012)
    assert [part_of(d, 5, 0.2) for d in digests[:99]] != [part_of(d, 6, 0.2) for d in digests[:99]]


def test_the_order_is_the_seeds_and_a_wish_for_fewer_tokens_takes_the_first_of_it():
    texts = some_texts(90)
    everything = pack(corpus_of(*texts), tokenise, BOS, SETTINGS).training
    again = pack(corpus_of(*texts), tokenise, BOS, SETTINGS).training
    few = pack(corpus_of(*texts), tokenise, BOS, replace(SETTINGS, training_tokens=81)).training
    assert everything.token_hash == again.token_hash
    assert few.contexts.shape == (11, 9)
    assert few.n_positions == 88
    np.testing.assert_array_equal(few.contexts, everything.contexts[:11])
    assert few.n_left_out == few.n_tokens - 88
    assert len(set(few.document.tolist())) > 5


def test_the_text_hash_ignores_the_order_of_documents_and_sees_a_changed_letter():
    texts = some_texts(50)
    hashes = [
        pack(corpus_of(*some), tokenise, BOS, SETTINGS).training.text_hash
        for some in (texts, texts[::-1], tuple(text.replace("q", "z") for text in texts))
    ]
    assert hashes[0] == hashes[1]
    assert hashes[0] != hashes[2]


def test_too_little_text_is_one_sentence_that_says_how_much_there_is():
    with pytest.raises(InputError, match=r"0 contexts of 9 tokens in its training part"):
        pack(corpus_of("a", "b"), tokenise, BOS, SETTINGS)
    with pytest.raises(InputError, match=r"expected at least 1250$"):
        pack(corpus_of(*some_texts(60)), tokenise, BOS, replace(SETTINGS, evaluation_tokens=10_000))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("context", 1),
        ("seed", -1),
        ("evaluation_share", 0.0),
        ("evaluation_share", float("nan")),
        ("training_tokens", 0),
    ],
)
def test_settings_out_of_range_are_refused_by_name(field, value):
    with pytest.raises(InputError, match=field):
        replace(SETTINGS, **{field: value})


@dataclass(frozen=True)
class Endless:
    """Documents without end, each of 60 letters; it remembers which were read."""

    read: list[int]

    def documents(self):
        for number in count():
            self.read.append(number)
            yield Document(str(number), f"{number:05d} " * 10)


def test_an_endless_corpus_is_read_no_further_than_needed():
    read = []
    settings = replace(SETTINGS, training_tokens=800, evaluation_tokens=80)
    split = pack(Corpus("endless", (Endless(read),), endless=True), tokenise, BOS, settings)
    assert len(split.training.contexts) == 100
    assert len(split.evaluation.contexts) == 10
    assert len(read) < 300


@pytest.mark.parametrize(("part", "most"), [("whole", 64), ("training", 128), ("evaluation", 640)])
def test_a_part_of_an_endless_corpus_is_read_no_further_than_needed(part, most):
    read = []
    endless = Corpus("endless", (Endless(read),), endless=True)
    packed = packed_part(endless, tokenise, BOS, part, context=9, tokens=300)
    assert (packed.part, packed.contexts.shape) == (part, (38, 9))
    assert len(read) <= most
    assert part != "whole" or len(packed.names) == 6  # of 7 contexts each


def test_a_part_is_that_of_the_split_and_the_whole_holds_both():
    corpus = corpus_of(*some_texts(90))
    split = pack(corpus, tokenise, BOS, PackingSettings(context=9))
    parts = [packed_part(corpus, tokenise, BOS, part, context=9) for part in PARTS]
    for packed, own in zip(parts, (split.training, split.evaluation), strict=True):
        assert (packed.token_hash, packed.text_hash) == (own.token_hash, own.text_hash)
        assert (packed.names, packed.n_left_out) == (own.names, own.n_left_out)
    whole = packed_part(corpus, tokenise, BOS, context=9)
    both = np.concatenate([packed.contexts for packed in parts])
    assert sorted(map(tuple, whole.contexts)) == sorted(map(tuple, both))


def test_a_part_needs_no_context_in_the_other():
    alone = corpus_of("a document")
    only = part_of(Document("", "a document").digest, 0, 0.2)
    assert len(packed_part(alone, tokenise, BOS, only, context=9).contexts) == 1
    [other] = set(PARTS) - {only}
    with pytest.raises(InputError, match=f"0 contexts of 9 tokens in its {other} part"):
        packed_part(alone, tokenise, BOS, other, context=9)


def test_topic_help_has_the_topics_that_help_prints():
    topics = {document.name: document.text for document in TopicHelp().documents()}
    assert "context manager" in topics["help:with"]
    assert len(topics) > 60


def test_stdlib_source_is_the_files_themselves_without_tests_and_tables():
    documents = {document.name: document.text for document in SourceFiles(STDLIB).documents()}
    import argparse
    from pathlib import Path

    assert documents["source:argparse.py"] == Path(argparse.__file__).read_text(encoding="utf-8")
    assert list(documents) == sorted(documents)
    parts = {part for name in documents for part in name.removeprefix("source:").split("/")}
    assert parts.isdisjoint({"test", "tests", "idlelib", "encodings", "site-packages"})


def test_the_default_corpora_have_over_a_million_characters():
    for name in ("python-docs", "python-source"):
        texts = (d.text for source in CORPORA[name].sources for d in source.documents())
        assert sum(map(len, texts)) > 1_000_000


PACKAGE = {
    "__init__.py": '"""The package.\n\n    Indented.\n"""\nraise RuntimeError("imported")\n',
    "deep/code.py": "class A:\n    '''Class.'''\n    async def f(self):\n        'Method.'\n\n"
    "def g():\n    '''  '''\n\ndef h(): 'Function.'\n",
    "tests/test_it.py": '"""A test."""\n',
    "broken.py": "def (\n",
    "latin.py": "# -*- coding: latin-1 -*-\n'''Café.'''\n",
    "wrong.py": "'''\udce9'''\n",
    "empty.py": "\n",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    root = tmp_path / "somewhere" / "a_package_of_text"
    for name, text in PACKAGE.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        coding = "latin-1" if name == "latin.py" else "utf-8"
        path.write_bytes(text.encode(coding, "surrogateescape"))
    monkeypatch.syspath_prepend(root.parent)
    return "a_package_of_text"


def test_docstrings_come_in_source_order_and_nothing_is_imported(package):
    found = {d.name: d.text for d in Docstrings(package).documents()}
    assert found == {
        f"docstrings:{package}/__init__.py": "The package.\n\nIndented.",
        f"docstrings:{package}/deep/code.py": "Class.\n\nMethod.\n\nFunction.",
        f"docstrings:{package}/latin.py": "Café.",
    }
    assert package not in sys.modules


def test_source_files_that_no_python_can_decode_are_left_out(package):
    names = [d.name.removeprefix(f"source:{package}/") for d in SourceFiles(package).documents()]
    assert names == ["__init__.py", "broken.py", "deep/code.py", "latin.py"]


def test_a_single_module_is_a_package_of_one_file(tmp_path, monkeypatch):
    (tmp_path / "one_module_of_text.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert [d.name for d in SourceFiles("one_module_of_text").documents()] == [
        "source:one_module_of_text.py"
    ]


@pytest.mark.parametrize("name", ["no_such_package", "math", "numpy.linalg", "../numpy"])
def test_a_package_without_source_is_refused_by_name(name):
    with pytest.raises(InputError, match=r"package|modules?"):
        list(SourceFiles(name).documents())


def test_a_folder_gives_its_text_files_whole_and_jsonl_by_line(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "one.txt").write_text("text é", encoding="utf-8")
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n\n{"text": "y", "id": 3}\n')
    (tmp_path / "picture.png").write_bytes(b"\x89")
    found = [(d.name, d.text) for d in TextFolder(tmp_path).documents()]
    assert found == [("a.jsonl:1", "x"), ("a.jsonl:3", "y"), ("b/one.txt", "text é")]
    assert [d.text for d in find_corpus(f"folder:{tmp_path}").sources[0].documents()] == [
        text for _, text in found
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "x"}\n{"text": 3}\n', "line 2"),
        ("a.jsonl", b"{", "line 1"),
        ("a.jsonl", b"[]", "line 1"),
        ("a.txt", b"\xff\xfe", "UTF-8"),
        ("a.jsonl", b'{"text": "\xff"}', "UTF-8"),
        ("a.png", b"", "no .txt"),
    ],
)
def test_a_folder_with_something_else_is_refused_in_one_sentence(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        list(TextFolder(tmp_path).documents())
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="expected a folder that exists"):
        list(TextFolder(tmp_path / "none").documents())


def test_corpora_are_found_by_name_or_kind():
    assert find_corpus("python-docs") is CORPORA["python-docs"]
    assert find_corpus("docstrings:numpy").sources == (Docstrings("numpy"),)
    with pytest.raises(InputError, match="did you mean 'python-docs'"):
        find_corpus("python-doc")
    with pytest.raises(InputError, match="did you mean 'docstrings'"):
        find_corpus("docstring:numpy")


def test_a_hub_data_set_without_the_library_names_how_to_install_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="make setup-realdata"):
        next(HubDataset("monology/pile-uncopyrighted").documents())


@pytest.mark.realdata
def test_a_hub_data_set_without_a_network_is_refused_in_one_sentence(monkeypatch):
    import socket

    def refused(*_):
        raise OSError("no network")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between the library's tries
    for corpus in (CORPORA["pile-uncopyrighted"], CORPORA["dolma"]):
        with pytest.raises(InputError, match="cannot be read") as caught:
            next(corpus.sources[0].documents())
        assert "\n" not in str(caught.value)


@pytest.mark.realdata
def test_json_files_whose_columns_differ_are_streamed_one_after_another(tmp_path):
    import gzip

    rows = [{"text": "a", "id": 1}, {"text": "b", "metadata": {"x": [1]}}]
    files = []
    for number, row in enumerate(rows):
        path = tmp_path / f"{number}.json.gz"
        path.write_bytes(gzip.compress(json.dumps(row).encode()))
        files.append(str(path))
    assert [row["text"] for row in json_rows(files)] == ["a", "b"]
