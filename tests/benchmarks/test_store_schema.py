import re
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

import benchmarks
from benchmarks import catalogue
from benchmarks.outcome import STATUSES, VECTORS
from benchmarks.store import Store
from benchmarks.store.export import export
from benchmarks.store.schema import TABLES
from made_up_runs import made_up_results, made_up_specs
from osae_theory.sae.kernels import ARITHMETICS

PAGE = Path(benchmarks.__path__[0]).parent / "docs" / "results_schema.md"
TYPES = {
    "int64": pa.int64(),
    "int32": pa.int32(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "list of float64": pa.list_(pa.float64()),
}


def rows_after(heading):
    """The cells of the first table after a heading."""
    text = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}", 1)[1]
    lines = re.search(r"(?:^\|.*\n)+", text, flags=re.M)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("table", TABLES)
def test_the_page_on_stores_has_every_column_in_its_order_with_its_type(table):
    written = [(name, TYPES.get(kind, pa.string())) for name, kind, *_ in rows_after(table)]
    assert written == [
        (field.name, field.type.value_type if pa.types.is_dictionary(field.type) else field.type)
        for field in TABLES[table]
    ]


def test_the_page_on_stores_has_every_metric_that_is_stored_with_its_scope():
    text = PAGE.read_text(encoding="utf-8").split("| metric | of |")[1].split("\n\n")[0]
    written = [
        tuple(cell.strip() for cell in line.split("|")[1:3]) for line in text.split("\n")[2:]
    ]
    stored = [m for m in catalogue.metrics().values() if m.scope != "derived"]
    assert written == [(metric.name, metric.scope) for metric in stored]


def test_the_page_on_stores_names_every_status_vector_and_arithmetic():
    text = PAGE.read_text(encoding="utf-8")
    for name in (*STATUSES, *ARITHMETICS):
        assert f"`{name}`" in text
    for name in VECTORS:
        assert f"\n| {name} |" in text


def test_the_code_of_the_page_on_stores_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = Store.at(Path("out/toy/d80-K100-m5-N100000"), create=True)
    store.add(made_up_results(made_up_specs(1, 2, 2)))
    export(store, Path("results/study"))
    names: dict = {}
    for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S):
        exec(compile(code, PAGE.name, "exec"), names)
    frames = store.frames()
    assert len(names["table"]) == len(frames.measurements)
    assert list(names["runs"].columns) == list(frames.runs.columns)
    pd.testing.assert_series_equal(names["runs"]["text"], frames.runs["text"])
