"""Peak memory of one step, each contender in a process of its own.

`python -m benchmarks.speed.memory LAW D K M BATCH` prints the bytes by which a step raises
the process's greatest resident size, as JSON.
"""

import json
import resource
import subprocess
import sys
from dataclasses import astuple
from pathlib import Path

from benchmarks.speed.losses import fused, initialised
from benchmarks.speed.shapes import Shape
from benchmarks.speed.steps import LAWS, random_batch

_ROOT = Path(__file__).parents[2]


def step_memory(law: str, shape: Shape) -> int:
    """Return the peak bytes of a process that does two steps of loss and gradients.

    Parameters
    ----------
    law : {"plain", "uniform"}
        The loss.
    shape : Shape
        The size.
    """
    arguments = [law, *map(str, astuple(shape))]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.speed.memory", *arguments],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(json.loads(done.stdout)["peak_bytes"])


def main(arguments: list[str]) -> None:
    """Do two steps and print the peak."""
    law, *sizes = arguments
    shape = Shape(*map(int, sizes))
    way = fused(initialised(shape), shape, LAWS[law](shape.K))
    batch = random_batch(shape, shape.batch, seed=0)
    for _ in range(2):
        way(batch)
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    print(json.dumps({"peak_bytes": peak}))


if __name__ == "__main__":
    main(sys.argv[1:])
