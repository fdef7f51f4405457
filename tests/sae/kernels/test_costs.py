"""The model of a GPU's time: its table in the documents, and the decisions made by it."""

import re
from pathlib import Path

import pytest
import torch

from osae_theory.sae.gradients import sparse_pays
from osae_theory.sae.kernels import costs
from osae_theory.sae.kernels.costs import (
    dense_seconds,
    encoder_walk_pays,
    matrix_peak,
    walk_seconds,
)

PAGE = Path(__file__).parents[3] / "docs" / "speed.md"
COLUMNS = {
    "float32, products in TF32": (torch.float32, True),
    "float32 throughout": (torch.float32, False),
    "bfloat16": (torch.bfloat16, False),
}


def cell(d, K, dtype):
    dense = dense_seconds(4096, d, K, dtype)
    most = max(s for s in range(1, K + 1) if walk_seconds(4096, s, d, K, dtype) < dense)
    return f"{1e3 * walk_seconds(4096, 80, d, K, dtype):.2f} / {1e3 * dense:.2f}, {most:,}"


def test_the_table_in_the_documents_is_the_models(monkeypatch):
    lines = re.findall(r"^\| *(\d[\d,]*), ([\d,]+) \|(.*)\|$", PAGE.read_text("utf-8"), re.M)
    assert len(lines) == 4
    for d, K, cells in lines:
        for quoted, (dtype, rounds) in zip(cells.split(" | "), COLUMNS.values(), strict=True):
            monkeypatch.setattr(costs, "_rounds_to_tf32", lambda rounds=rounds: rounds)
            expected = cell(int(d.replace(",", "")), int(K.replace(",", "")), dtype)
            assert quoted.strip() == expected


def test_the_walk_at_the_papers_shape_takes_its_bytes_over_the_bandwidth(monkeypatch):
    monkeypatch.setattr(costs, "_rounds_to_tf32", lambda: False)
    n, s, d, K = 4096, 80, 2304, 4096
    rows, indices, encoder = 16 * n * s * d, 20 * n * K, 4 * n * s * d
    expected = (rows + indices + encoder) / 3.35e12
    assert walk_seconds(n, s, d, K, torch.float32) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_the_walk_is_taken_where_few_latents_are_active(dtype):
    assert sparse_pays(4096, 5, 512, 16384, "triton", dtype)
    assert not sparse_pays(4096, 16384, 512, 16384, "triton", dtype)


def test_the_way_taken_hangs_on_whether_products_are_rounded_to_tf32():
    before = torch.get_float32_matmul_precision()
    shape = 4096, 80, 2304, 4096
    try:
        torch.set_float32_matmul_precision("highest")
        assert matrix_peak(torch.float32) == 67e12
        assert sparse_pays(*shape, "triton")
        assert encoder_walk_pays(*shape, torch.float32)
        torch.set_float32_matmul_precision("high")
        assert matrix_peak(torch.float32) == 494.5e12
        assert not sparse_pays(*shape, "triton")
        assert not encoder_walk_pays(*shape, torch.float32)
    finally:
        torch.set_float32_matmul_precision(before)
