import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.peers

PAGE = Path(__file__).parents[2] / "docs/integrations.md"
SCRIPTS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("script", SCRIPTS, ids=["sae_lens", "dictionary_learning"])
def test_the_pages_scripts_run_and_are_short(script, tmp_path):
    pytest.importorskip("sae_lens")
    assert len(script.splitlines()) < 25
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    if "sae_lens" in script:
        assert done.stdout.strip().splitlines()[-1] == "topk ordered_topk"
