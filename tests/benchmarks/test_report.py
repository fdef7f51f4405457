import base64
import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from functools import cache
from importlib.resources import files
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import catalogue, report
from benchmarks.analysis.study import study
from benchmarks.outcome import Results
from benchmarks.report import analyses, writing
from benchmarks.report.__main__ import main
from benchmarks.report.figures import style
from benchmarks.report.page import failure_grid
from benchmarks.store import Store
from made_up_study import frames_of, made_up, outcomes_of, setting_of

SMALL = {"d": 6, "K": 8, "m": 2, "N": 400}
METHODS = ("topk", "osae")
CHROMIUM = shutil.which("chromium")
TABLE = {"table.md", "table.tex", "table.csv", "comparisons.md", "comparisons.csv"}
DRAWN = {"matched_pairs.png", "matched_pairs.pdf"}
ALWAYS = {"index.html", "variance.csv", "improvement.csv", "runs.parquet", "pairs.parquet"}
KINDS = ("md", "csv")
GRID = {"cells", "figures", "grid.csv", "grid_comparisons.csv", "ranks.csv", "ranks.md"}
GRID |= {"problems.md"}
COMMAND = "python -m benchmarks.toy --draws 3"


@cache
def one_table():
    return made_up(METHODS, problems=[SMALL], draws=3, vectors=True)


@cache
def without_figures():
    return made_up(METHODS, problems=[SMALL], draws=3)


@cache
def several_tables():
    return made_up(METHODS, problems=[{**SMALL, "N": 400 + i} for i in range(3)], draws=3)


@pytest.fixture(scope="module", autouse=True)
def untuned():
    """Reports without the figure of the tuning, whatever this version's tuned values are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing.tuning, "tuned", lambda variants: [])
        yield


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    folder = tmp_path_factory.mktemp("single") / "report"
    report.write(one_table(), folder, COMMAND)
    return folder


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several") / "report"
    report.write(several_tables(), folder, COMMAND)
    return folder


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_very_many_methods_stand_down_a_table_and_in_one_figure(tmp_path, monkeypatch):
    monkeypatch.setattr(writing.all_methods, "MOST_MARKED", 1)
    report.write(one_table(), tmp_path / "report", COMMAND)
    assert names(tmp_path / "report") == TABLE | ALWAYS | {
        *("methods.md", "all_methods.png", "all_methods.pdf")
    }
    [head, _, *lines] = (tmp_path / "report" / "methods.md").read_text().splitlines()
    assert "| Stab(D, D*) " in head
    first = [line.split("|")[1].strip() for line in lines if line.startswith("|")]
    assert first == ["top-m SAE", "OSAE", "by chance", "ceiling"]
    # And once more over itself.
    report.write(one_table(), tmp_path / "report", COMMAND)


def test_one_table_stands_at_the_top_of_its_report(single):
    assert names(single) == TABLE | DRAWN | ALWAYS


def test_several_tables_have_a_folder_each_and_files_of_the_grid(several):
    assert names(several) == ALWAYS | GRID
    cells = names(several / "cells")
    assert cells == {f"d6_K8_m2_N{400 + i}_alpha1.2" for i in range(3)}
    for cell in cells:
        assert names(several / "cells" / cell) == TABLE
    assert {"ranks.png", "ranks.pdf", "recovery.png"} <= names(several / "figures")


def test_every_table_says_what_it_was_made_by(single):
    made = f"Made by `python -m benchmarks.report {single.parent}`, after `{COMMAND}`."
    for name in ("table.md", "comparisons.md", "table.tex"):
        assert (single / name).read_text().rstrip().endswith(made)


def test_the_command_that_trained_is_said_only_where_it_is_known(tmp_path):
    report.write(without_figures(), tmp_path / "elsewhere", source=tmp_path / "store")
    made = f"python -m benchmarks.report {tmp_path / 'store'} --out {tmp_path / 'elsewhere'}"
    assert (tmp_path / "elsewhere" / "table.md").read_text().endswith(f"Made by `{made}`.\n")


def test_flat_files_hold_every_run_pair_table_and_comparison(several):
    assert len(pd.read_parquet(several / "runs.parquet")) == 3 * (2 * 6 + 3)
    assert len(pd.read_parquet(several / "pairs.parquet")) == 3 * 2 * 3
    grid = pd.read_csv(several / "grid.csv")
    assert sorted(grid["problem.N"].unique()) == [400, 401, 402]
    assert len(grid) == 6
    assert len(pd.read_csv(several / "grid_comparisons.csv")) == 3 * 5
    assert len(pd.read_csv(several / "improvement.csv")) == 3 * 5
    shares = pd.read_csv(several / "variance.csv")
    assert set(shares["method"]) == {*METHODS, "truth"}
    assert shares["share_between"].dropna().between(0, 1).all()
    ranks = pd.read_csv(several / "ranks.csv")
    assert ranks["rank_mean"].between(1, 2).all()


def test_a_report_is_the_same_twice(single, tmp_path):
    # The folder's name is in it, so the second has the same one.
    again = tmp_path / "report"
    report.write(one_table(), again, COMMAND, source=single.parent)
    own = f"python -m benchmarks.report {single.parent} --out {again}"
    for path in single.iterdir():
        new = (again / path.name).read_bytes()
        assert new.replace(
            own.encode(), f"python -m benchmarks.report {single.parent}".encode()
        ) == (path.read_bytes()), path.name


def test_an_earlier_report_is_replaced_whole(several, tmp_path):
    shutil.copytree(several, tmp_path / "report")
    report.write(without_figures(), tmp_path / "report")
    assert names(tmp_path / "report") == TABLE | ALWAYS
    assert names(tmp_path) == {"report"}


def test_what_is_no_report_is_left_alone(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(writing.InputError, match=r"mine holds thesis\.txt: expected a new"):
        report.write(without_figures(), folder)
    assert names(folder) == {"thesis.txt"}


def test_a_report_that_fails_leaves_the_earlier_one(single, tmp_path, monkeypatch):
    folder = tmp_path / "report"
    shutil.copytree(single, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def fail(page):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing.html, "render", fail)
    with pytest.raises(writing.InputError, match="No space left on device"):
        report.write(without_figures(), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert names(tmp_path) == {"report"}


def test_tables_beyond_the_most_are_in_the_grid_only_and_the_page_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "MOST_DETAILED", 2)
    monkeypatch.setattr(writing, "_grid_figures", lambda *given: ())
    report.write(several_tables(), tmp_path / "report")
    assert len(names(tmp_path / "report" / "cells")) == 2
    assert len(pd.read_csv(tmp_path / "report" / "grid.csv")) == 6
    assert "This page has 2 of 3 tables" in (tmp_path / "report" / "index.html").read_text()


def test_tables_whose_names_some_file_system_would_confuse_get_numbers():
    [found] = report.summaries(made_up(("topk",), problems=[SMALL], draws=1))
    slug = found.table.slug
    assert writing._folder_names([found, found, found]) == [slug, f"{slug}_2", f"{slug}_3"]


def test_runs_that_failed_are_listed_by_reason(tmp_path):
    first, *others = outcomes_of(setting_of("topk", problem=SMALL), 3)
    bad = [replace(one, status="error", reason="<b>it</b> broke", values={}) for one in others]
    report.write(frames_of([first, *bad]), tmp_path / "report")
    text = (tmp_path / "report" / "index.html").read_text()
    assert "&lt;b&gt;it&lt;/b&gt; broke" in text
    assert "<b>it</b>" not in text
    assert "3 runs of 1 method on 1 problem: 1 done, 2 error." in text


def test_the_command_line_writes_the_report_and_prints_the_table(tmp_path, capsys):
    store = Store.at(tmp_path / "store", create=True)
    store.add(Results(outcomes_of(setting_of("topk", problem=SMALL))))
    assert main([str(tmp_path / "store")]) == 0
    out = capsys.readouterr().out
    assert "Ord by energy" in out
    assert f"open {tmp_path / 'store' / 'report' / 'index.html'}" in out
    assert main([str(tmp_path / "store"), "--out", str(tmp_path / "other")]) == 0
    assert names(tmp_path / "other") >= TABLE


@pytest.mark.parametrize("kind", ["nothing", "empty"])
def test_without_a_store_or_runs_there_is_one_sentence_and_no_folder(tmp_path, capsys, kind):
    if kind == "empty":
        Store.at(tmp_path / "store", create=True)
    with pytest.raises(SystemExit, match="2"):
        main([str(tmp_path / "store"), "--out", str(tmp_path / "out")])
    message = capsys.readouterr().err
    assert len(message.splitlines()) == 1
    assert "error: " in message
    assert not (tmp_path / "out").exists()


def test_many_reasons_of_failure_are_cut_with_a_count():
    reasons = [f"reason {i}" for i in range(60)]
    first = outcomes_of(setting_of("topk", problem=SMALL), 60)
    bad = [
        replace(one, status="error", reason=reason, values={})
        for one, reason in zip(first, reasons, strict=True)
    ]
    found = failure_grid(study(frames_of(bad)))
    assert len(found.rows) == 50
    assert found.foot == [["others", "", "10 further reasons", "10"]]


# The page.


def test_the_page_loads_nothing_and_opens_with_the_table(single):
    text = (single / "index.html").read_text()
    assert not re.findall(r"""(?:src|href|action)=["'](?!data:|#)""", text)
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|import\(", text)
    assert text.index("top-m SAE") < text.index("<figure>") < text.index("Citing")
    [picture] = re.findall(r'src="data:image/png;base64,([^"]+)"', text)
    assert base64.b64decode(picture) == (single / "matched_pairs.png").read_bytes()


def test_every_number_has_its_command_configuration_and_provenance(single):
    text = html.unescape((single / "index.html").read_text())
    assert text.count(COMMAND) >= 2
    for part in ("osae[lr=0.01]", "1960 steps of 1024 samples", "a processor", "c" * 40):
        assert part in text


def table_on(page, label):
    """Return a table of the page as a list of rows, a mapping each."""
    block = re.search(f'data-tools="{label}">(.*?)</table>', page.read_text(), re.DOTALL)[1]
    rows = [
        [html.unescape(text) for text in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", block, re.DOTALL)
    ]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def test_the_page_shows_what_the_files_of_analyses_say(single):
    titles = {name: metric.title for name, metric in catalogue.metrics().items()}
    [found] = table_on(single / "index.html", "probability of improvement")
    said = pd.read_csv(single / "improvement.csv")
    assert (found["method"], found["over"]) == ("OSAE", "top-m SAE")
    assert len(said) > 3
    for metric, value in zip(said["metric"], said["probability"], strict=True):
        assert float(found[titles[metric]].split(" (")[0]) == pytest.approx(value, abs=0.005)
    rows = table_on(single / "index.html", "variance between draws")
    said = pd.read_csv(single / "variance.csv").set_index(["method", "metric"])["share_between"]
    assert [row["method"] for row in rows] == ["top-m SAE", "OSAE"]
    for method, row in zip(METHODS, rows, strict=True):
        for metric in row.keys() - {"method"}:
            [name] = [name for name, title in titles.items() if title == metric]
            assert float(row[metric]) == pytest.approx(said[method, name], abs=0.005)


def test_the_scatter_has_each_draw_of_each_method(single, several):
    def data(folder):
        text = (folder / "index.html").read_text()
        return json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])

    found = data(single)
    assert [len(view["points"]) for view in found["views"]] == [2 * 3]
    assert {method["title"] for method in found["methods"]} == {"top-m SAE", "OSAE"}
    assert len(found["views"][0]["points"][0]["values"]) == len(found["metrics"])
    assert [view["title"] for view in data(several)["views"]][:2] == [
        "all cells",
        "d = 6, K = 8, m = 2, N = 400, alpha = 1.2",
    ]


def test_the_citations_are_those_of_the_project():
    bibtex = files("benchmarks.report").joinpath("citation.bib").read_text(encoding="utf-8")
    cff = (Path(report.__file__).parents[2] / "CITATION.cff").read_text(encoding="utf-8")
    for field in ("version", "license"):
        value = re.search(rf"^{field}: (\S+)$", cff, re.MULTILINE)[1]
        assert re.search(rf"^\s*{field}\s*= {{{re.escape(value)}}}", bibtex, re.MULTILINE)
    [ours, paper, *_] = re.findall(r'^\s*-?\s*title: "(.+)"$', cff, re.MULTILINE)[1:]
    assert ours in bibtex
    assert paper in bibtex
    assert "arXiv:2512.02194" in bibtex
    assert "arXiv:2512.02194" in cff


@cache
def across():
    """Two methods and a variant, with two budgets and under two arithmetics."""
    return frames_of(
        [
            one
            for draw in range(3)
            for method in ("topk", "topk-resorted[lr=0.01]", "osae")
            for steps in (980, 1960)
            for arithmetic in ("portable", "fast")
            for one in outcomes_of(
                setting_of(
                    method,
                    problem=SMALL,
                    draw=draw,
                    amounts={"steps": steps},
                    arithmetic=arithmetic,
                )
            )
        ]
    )


def test_what_stands_across_tables_has_files_in_the_cells_folder_and_a_place_on_the_page(tmp_path):
    report.write(across(), tmp_path / "report")
    cells, slug = tmp_path / "report" / "cells", "d6_K8_m2_N400_alpha1.2"
    files_of = {f"{name}.{kind}" for name in ("equal_time", "equal_error") for kind in KINDS}
    assert names(cells / f"{slug}_fast") == files_of
    assert names(cells / slug) == files_of | {f"rounding.{kind}" for kind in KINDS}
    fields = pd.read_csv(cells / slug / "equal_time.csv")
    assert fields["problem.N"].eq(400).all()
    assert {"seconds_ci95_low", "range_low", "rule"} <= set(fields)
    text = (tmp_path / "report" / "index.html").read_text()
    section = text[text.index('id="analyses"') : text.index('id="scatter"')]
    assert section.count("<details") == 5
    assert section.count("At equal held-out error: ") == 2 * 3  # summary, label, tools
    for line in (cells / slug / "rounding.md").read_text().splitlines():
        if line.startswith("| OSAE"):
            assert html.escape(line.split("|")[4].strip()) in section


def test_variants_stand_against_their_bases_in_the_tables_folder_and_on_the_page(tmp_path):
    frames = made_up(("topk[lr=0.01]", "topk-resorted[lr=0.01]"), problems=[SMALL], draws=3)
    report.write(frames, tmp_path / "report")
    assert names(tmp_path / "report") == TABLE | ALWAYS | {"ablations.md", "ablations.csv"}
    said = pd.read_csv(tmp_path / "report" / "ablations.csv")
    assert set(said["minus"]) == {"topk"}
    [found] = table_on(tmp_path / "report" / "index.html", "variants and bases")
    assert found["variant"].startswith("top-m SAE (re-sorted")
    # Such a report is replaced by the next.
    report.write(without_figures(), tmp_path / "report")
    assert not names(tmp_path / "report") & {f"{name}.md" for name in analyses.NAMES}


def test_the_figure_of_the_tuning_is_part_of_every_report(single, tmp_path, monkeypatch):
    assert writing.tuning.NO_FIGURE in (single / "index.html").read_text()
    monkeypatch.setattr(
        writing.tuning, "draw", lambda found: style.new_figure(2, 1, "what was tried")
    )
    for frames in (without_figures(), several_tables()):
        report.write(frames, tmp_path / "report")
        text = (tmp_path / "report" / "index.html").read_text()
        section = text[text.index('id="tuning"') :].split("</section>")[0]
        [picture] = re.findall(r'src="data:image/png;base64,([^"]+)"', section)
        file = tmp_path / "report" / "figures" / "tuning.png"
        assert base64.b64decode(picture) == file.read_bytes()


SCRIPT = """
<script>
addEventListener("error", (event) => { document.title = `error: ${event.message}`; });
</script>
"""
PROBE = """
<script>
const table = document.querySelector("table.data");
const order = () => [...table.tBodies[0].rows].map((row) => row.cells[0].textContent);
const before = order();
const heading = [...table.tHead.rows[0].cells].find((cell) => cell.textContent.startsWith("held-out MSE"));
heading.querySelector("button").click();
const up = order();
heading.querySelector("button").click();
const filter = document.querySelectorAll("input[type=search]")[0];
const rows = [...filter.parentElement.nextElementSibling.querySelectorAll("tbody tr")];
filter.value = "stab";
filter.dispatchEvent(new Event("input"));
const points = document.querySelectorAll("#plot path.point");
points[0].dispatchEvent(new PointerEvent("pointerenter"));
document.body.dataset.probe = JSON.stringify({
  before, up, down: order(),
  shown: rows.filter((row) => !row.hidden).map((row) => row.cells[0].textContent),
  points: points.length, tip: document.getElementById("tip").textContent,
  width: document.documentElement.clientWidth, scroll: document.documentElement.scrollWidth,
  requests: performance.getEntriesByType("resource").map((one) => one.name).filter((name) => !name.startsWith("data:")),
  title: document.title,
});
</script>
"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("width", [1400, 400])
def test_in_a_browser_the_page_sorts_filters_and_draws_within_its_width(single, tmp_path, width):
    page = (single / "index.html").read_text()
    probed = tmp_path / "page.html"
    probed.write_text(
        page.replace("<head>", f"<head>{SCRIPT}", 1).replace("</body>", f"{PROBE}</body>")
    )
    # A frame has any width; a window of the browser none below some hundreds of pixels.
    frame = tmp_path / "frame.html"
    frame.write_text(
        f'<iframe src="page.html" style="width:{width}px;height:900px;border:0"></iframe>'
        "<script>const inner = document.querySelector('iframe');"
        "inner.onload = () => { document.body.dataset.probe ="
        " inner.contentDocument.body.dataset.probe; };</script>"
    )
    ran = subprocess.run(
        [
            str(CHROMIUM),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--allow-file-access-from-files",
            "--enable-logging=stderr",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--virtual-time-budget=5000",
            "--dump-dom",
            frame.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in ran.stderr
    found = json.loads(html.unescape(re.search(r'data-probe="([^"]+)"', ran.stdout)[1]))
    assert found["title"].startswith("Benchmark report")
    assert found["requests"] == []
    assert found["width"] == width
    assert found["scroll"] <= width
    assert sorted(found["up"]) == sorted(found["before"])
    assert found["up"] == found["down"][::-1]
    assert found["up"][0] == "top-m SAE"  # the lowest error
    assert found["shown"]
    assert all("stab" in name.lower() for name in found["shown"])
    assert found["points"] == 2 * 3
    assert found["tip"].startswith("top-m SAE\ndraw 0\n")


def test_a_store_of_runs_that_all_failed_has_a_report(tmp_path):
    outcomes = outcomes_of(setting_of("topk", problem=SMALL), 3)
    bad = [replace(one, status="error", reason="no", values={}) for one in outcomes]
    report.write(frames_of(bad), tmp_path / "report")
    assert "3 error." in (tmp_path / "report" / "index.html").read_text()


def test_parameters_of_a_method_that_is_no_longer_there_stand_as_text_beside_numbers(tmp_path):
    known = outcomes_of(setting_of("topk", problem=SMALL))
    gone = [
        replace(one, spec=replace(one.spec, setting=replace(one.spec.setting, method="gone")))
        for one in outcomes_of(setting_of("topk[lr=0.5]", problem=SMALL))
    ]
    report.write(frames_of([*known, *gone]), tmp_path / "report")
    runs = pd.read_parquet(tmp_path / "report" / "runs.parquet")
    assert set(runs["method"]) == {"topk", "gone"}
    assert set(runs["params.lr"].astype(float)) == {catalogue.tuned_values("topk")["lr"], 0.5}
