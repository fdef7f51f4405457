"""The examples of CONTRIBUTING.md are files that work, in a folder of somebody's own."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = {"METHOD": "methods", "FAMILY": "families", "METRIC": "metrics"}


def test_the_examples_train_measure_and_stand_in_a_table(tmp_path):
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^( *)```python\n(.*?)^ *```", text, flags=re.M | re.S)
    codes = [textwrap.dedent(code) for _, code in blocks]
    assert len(codes) == 4
    for place, code in enumerate(codes):
        [constant] = [name for name in FOLDERS if f"{name} = " in code]
        folder = tmp_path / "mine" / FOLDERS[constant]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"item_{place}.py").write_text(code)
    options = "--problem single[K=9] --methods osae-mine[ratio=0.9],plain-kmeans --lr 0.01"
    options += " --steps 5 --draws 1 --seeds 1 --workers 1 --batch-size 50 --out"
    found = subprocess.run(
        [sys.executable, "-m", "benchmarks.toy", *options.split(), str(tmp_path / "out")],
        env={**os.environ, "OSAE_BENCHMARKS": str(tmp_path / "mine"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    table = (tmp_path / "out" / "report" / "table.md").read_text()
    for part in ("plain k-means", "OSAE (my law, ratio 0.9, lr 0.01)", "least cosine"):
        assert part in table
