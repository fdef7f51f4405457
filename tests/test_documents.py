"""What the documents say is still so: tables come from results, links lead somewhere, code runs."""

import json
import re
import time
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import Phase, settings

from benchmarks import report
from benchmarks.report import writing
from benchmarks.store import Store
from osae_theory import __version__
from osae_theory.objectives import nested_dropout_loss_gram

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
RESULTS = sorted((ROOT / "results").rglob("*.md"))
STORES = sorted(path.parent for path in (ROOT / "results").glob("*/store.json"))


def nested_dropout_loss_of_squares(x, codes, atoms, w):
    """A mistake: the weights multiply the codes, not the prefixes."""
    return (x - (codes * w) @ atoms).square().sum()


def nested_dropout_loss_of_the_mean_sample(x, codes, atoms, w):
    """Another: a mean over samples where the paper has a sum."""
    return nested_dropout_loss_gram(x, codes, atoms, w) / len(x)


def slow_at_first(*arguments, calls=[]):  # noqa: B006
    """A right loss whose first call takes longer than Hypothesis allows unless told."""
    calls.append(None)
    if len(calls) == 1:
        time.sleep(0.5)
    return nested_dropout_loss_gram(*arguments)


@pytest.fixture
def readers_settings():
    """Hypothesis as a reader has it, without the profile of these tests; no files are left."""
    plain = settings.get_profile("default")
    settings.register_profile(
        "reader",
        plain,
        derandomize=True,
        database=None,
        max_examples=30,
        phases=(Phase.explicit, Phase.generate),  # the smallest failure is not looked for
    )
    settings.register_profile("before", settings.default)
    settings.load_profile("reader")
    yield
    settings.load_profile("before")


def cells(line):
    return tuple(cell.strip() for cell in line.strip().strip("|").split("|"))


def tables(text):
    """The lines of the tables that quote results: those whose first column has no heading."""
    for block in re.findall(r"(?:^\|.*\n)+", text, flags=re.M):
        lines = [cells(line) for line in block.splitlines()]
        if lines[0][0] == "":
            yield lines[0], lines[2:]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_every_figure_quoted_stands_in_a_committed_result(document):
    committed = set()
    for result in RESULTS:
        for heading, lines in tables(result.read_text(encoding="utf-8")):
            for line in lines:
                committed |= {(line[0], m, v) for m, v in zip(heading[1:], line[1:], strict=True)}
    for heading, lines in tables(document.read_text(encoding="utf-8")):
        for line in lines:
            for method, value in zip(heading[1:], line[1:], strict=True):
                assert (line[0], method, value) in committed


def all_tables(text):
    """Every table: its heading, and its rows."""
    for block in re.findall(r"(?:^\|.*\n)+", text, flags=re.M):
        lines = [cells(line) for line in block.splitlines()]
        yield lines[0], lines[2:]


def test_rows_quoted_of_language_models_stand_in_a_result_with_the_same_columns():
    committed = {}
    for result in (ROOT / "results/realdata").rglob("*.md"):
        for heading, rows in all_tables(result.read_text(encoding="utf-8")):
            committed.setdefault(heading, set()).update(rows)
    page = (ROOT / "docs/realdata.md").read_text(encoding="utf-8")
    quoted = [(h, row) for h, rows in all_tables(page) if h in committed for row in rows]
    assert len(quoted) > 5
    for heading, row in quoted:
        assert row in committed[heading]


def stored_estimates():
    """Every "mean ± half" that the results on language models hold, signs left off."""
    found = set()
    for table in (ROOT / "results/realdata").rglob("table.md"):
        found |= set(re.findall(r"\d+\.\d{3} ± \d+\.\d{3}", table.read_text(encoding="utf-8")))
    for curves in (ROOT / "results/realdata").rglob("curves.csv"):
        frame = pd.read_csv(curves)
        for score in ("stab", "ord"):
            half = (frame[f"{score}_high"] - frame[f"{score}_low"]) / 2
            found |= {
                f"{abs(m):.3f} ± {h:.3f}" for m, h in zip(frame[f"{score}_mean"], half, strict=True)
            }
    return found


def results_on_language_models(document):
    """The part of a document that is about them, white space and line ends as one blank."""
    text = (ROOT / document).read_text(encoding="utf-8")
    if document == "README.md":
        text = text.split("## On real language models")[1].split("\n## ")[0]
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize("document", ["README.md", "docs/realdata.md"])
def test_every_estimate_in_a_sentence_on_language_models_stands_in_their_results(document):
    quoted = re.findall(r"\d+\.\d{3} ± \d+\.\d{3}", results_on_language_models(document))
    assert len(quoted) > 15
    assert sorted(set(quoted) - stored_estimates()) == []


def test_every_estimate_quoted_of_the_toy_stands_in_its_results():
    stored = set()
    for file in (file for store in STORES for file in store.rglob("*.md")):
        text = re.sub(r" \(\S+\) ±", " ±", file.read_text(encoding="utf-8"))
        stored |= set(re.findall(r"\d+\.\d+ ± \d+\.\d+", text))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    sections = [
        readme.split(f"## {title}")[1].split("\n## ")[0]
        for title in ("The paper's toy", "The loss for which")
    ]
    findings = (ROOT / "docs/findings.md").read_text(encoding="utf-8")
    for text in (*sections, findings):
        quoted = re.findall(r"\d+\.\d+ ± \d+\.\d+", re.sub(r"\s+", " ", text))
        assert len(quoted) > 15
        assert sorted(set(quoted) - stored) == []


@pytest.mark.parametrize("store", STORES, ids=lambda path: path.name)
def test_the_committed_tables_of_the_toy_are_those_of_its_store(store, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "_table_figures", lambda *report: [])
    monkeypatch.setattr(writing, "_grid_figures", lambda *report: [])
    report.write(Store.at(store).frames(), tmp_path / "report", source=store)
    made = sorted((tmp_path / "report").rglob("*.md"))
    assert len(made) >= 2
    for path in made:
        committed = store / "report" / path.relative_to(tmp_path / "report")
        texts = [
            re.sub("Made by .*", "", one.read_text(encoding="utf-8")) for one in (path, committed)
        ]
        assert texts[0] == texts[1]


def differences(model, order, kind):
    """OSAE minus the plain SAE sorted afterwards, all atoms: as trained, and sorted alike."""
    frame = pd.read_csv(ROOT / f"results/realdata/{model}/differences.csv")
    frame = frame[(frame["method"] == "osae") & (frame["reference_order"] == order)]
    frame = frame[(frame["kind"] == kind) & (frame["prefix"] == frame["prefix"].max())]
    return {
        own: f"{row['ord_mean']:.3f} ± {(row['ord_high'] - row['ord_low']) / 2:.3f}"
        for own, row in frame.set_index("order").iterrows()
    }


def test_the_readmes_differences_on_language_models_are_those_of_the_results():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    [rows] = [rows for heading, rows in all_tables(text) if heading[0] == "Ord"]
    models = ("smollm2-135m-study", "gemma-3-270m")
    columns = [(m, order) for m in models for order in ("by frequency", "by energy")]
    for row, (kind, alike) in zip(
        rows,
        [(k, a) for k in ("cross-seed", "cross-dataset cross-seed") for a in (False, True)],
        strict=True,
    ):
        for (model, order), cell in zip(columns, row[1:], strict=True):
            assert cell == differences(model, order, kind)[order if alike else "trained"]


def test_the_citation_has_what_a_bibtex_entry_needs():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    released = date.fromisoformat(str(cited["date-released"]))
    assert cited["cff-version"] == "1.2.0"
    assert cited["version"] == __version__
    preferred = cited["preferred-citation"]
    assert preferred["title"] == cited["title"]
    assert preferred["authors"] == cited["authors"]
    assert (preferred["version"], preferred["type"]) == (__version__, "software")
    assert (preferred["year"], preferred["month"]) == (released.year, released.month)
    for source in (cited, preferred, *cited["references"]):
        assert source["message"] if source is cited else source["type"]
        assert all(a.get("name") or a.get("family-names") for a in source["authors"])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_every_link_to_a_file_leads_to_one(document):
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (document.parent / target).exists(), target


def test_the_readmes_python_runs():
    [code] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.S)
    quick = code.replace("100_000", "2_000").replace("random_state=0", "random_state=0, n_steps=5")
    assert quick != code
    names: dict = {}
    exec(compile(quick, "README.md", "exec"), names)
    assert names["sae"].components_.shape == (100, 80)


@pytest.mark.parametrize(
    ("loss", "same"),
    [
        (nested_dropout_loss_gram, True),
        (slow_at_first, True),
        (nested_dropout_loss_of_squares, False),
        (nested_dropout_loss_of_the_mean_sample, False),
    ],
)
@pytest.mark.usefixtures("readers_settings")
def test_the_example_of_an_own_loss_tells_right_from_wrong(loss, same):
    [code] = re.findall(r"```python\n(.*?)```", (ROOT / "docs/own_loss.md").read_text(), flags=re.S)
    names: dict = {"my_loss": loss}
    exec(compile(code, "own_loss.md", "exec"), names)
    check = names["test_my_loss_is_the_nested_dropout_loss"]
    if same:
        assert check() is None
    else:
        with pytest.raises(AssertionError):
            check()


def test_the_readmes_make_targets_exist():
    blocks = re.findall(r"```\w*\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.S)
    targets = re.findall(r"^make ([\w-]+)", "\n".join(blocks), flags=re.M)
    makefile = (ROOT / "Makefile").read_text()
    assert targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, flags=re.M)


def test_the_page_of_integrations_says_what_its_table_says():
    page = " ".join((ROOT / "docs/integrations.md").read_text().split())
    table = (ROOT / "results/synth-sae/table.md").read_text()
    said = re.findall(r"\d\.\d{3} ± \d\.\d{3}", page)
    assert len(said) > 5
    assert [estimate for estimate in said if estimate not in table] == []


def test_the_example_of_the_fused_loss_runs_and_gives_gradients():
    [code] = re.findall(r"```python\n(.*?)```", (ROOT / "docs/speed.md").read_text(), flags=re.S)
    names: dict = {}
    exec(compile(code, "speed.md", "exec"), names)
    assert names["latents"].grad.count_nonzero() == (names["indices"] >= 0).sum()
    assert names["atoms"].grad.isfinite().all()


def test_the_steps_on_the_page_of_integrations_are_those_that_were_measured():
    found = json.loads((ROOT / "results/synth-sae/steps.json").read_text(encoding="utf-8"))
    seconds = {(one["peer"], one["kind"]): one["seconds"] for one in found["contenders"]}
    text = (ROOT / "docs/integrations.md").read_text(encoding="utf-8")
    said = text.split("A training step at d = 640")[1].split("##")[0]
    for (peer, kind), own in seconds.items():
        if kind != "ordered":
            ratios = np.divide(own, seconds[peer, "ordered"])
            assert f"{np.median(ratios):.2f}" in said
    assert f"over {found['rounds']} rounds" in said
