"""The model of a GPU's time: its table in the documents, and the decisions made by it."""

import re
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from osae_theory.objectives import nested_dropout_gradients
from osae_theory.sae.gradients import sparse_pays
from osae_theory.sae.kernels import costs
from osae_theory.sae.kernels.costs import (
    Rates,
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


def test_a_device_of_half_the_rates_takes_twice_as_long(monkeypatch):
    monkeypatch.setattr(costs, "_rounds_to_tf32", lambda: False)
    half = Rates(3.35e12 / 2, 67e12 / 2, 67e12 / 2)
    shape, dtype = (4096, 2304, 4096), torch.float32
    n, d, K = shape
    assert walk_seconds(n, 80, d, K, dtype, half) == pytest.approx(
        2 * walk_seconds(n, 80, d, K, dtype)
    )
    assert dense_seconds(*shape, dtype, rates=half) == pytest.approx(
        2 * dense_seconds(*shape, dtype)
    )


@pytest.mark.parametrize("plain", [True, False])
def test_the_operations_of_the_dense_way_are_those_that_its_products_do(plain, monkeypatch):
    monkeypatch.setattr(costs, "BANDWIDTH", float("inf"))
    n, d, K = 11, 5, 7
    weights = torch.ones(1, K) if plain else torch.linspace(1, 0.5, K)[None]
    with FlopCounterMode(display=False) as counter:
        nested_dropout_gradients(
            torch.randn(1, n, d), torch.randn(1, n, K), torch.randn(1, K, d), weights
        )
    encoder = 2 * n * K * d
    operations = dense_seconds(n, d, K, torch.float64, plain) * matrix_peak(torch.float64)
    assert operations == pytest.approx(counter.get_total_flops() + encoder, rel=1e-12)


@pytest.mark.parametrize(("compiler", "ratio"), [("numba", 1), ("triton", 0.5)])
def test_the_plain_law_leaves_tritons_walk_at_fewer_active_latents(compiler, ratio):
    n, d, K = 4096, 512, 4096
    most = [
        max(s for s in range(1, K + 1) if sparse_pays(n, s, d, K, compiler, torch.float64, plain))
        for plain in (True, False)
    ]
    assert most[0] <= ratio * most[1]
    assert (most[0] == most[1]) == (compiler == "numba")


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
