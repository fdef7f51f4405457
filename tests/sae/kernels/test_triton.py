"""The Triton kernels against the definition: on a GPU, or in Triton's interpreter (make test-gpu)."""

import importlib
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from osae_theory.errors import InputError
from osae_theory.objectives import nested_dropout_loss_loop
from osae_theory.prefixes import PrefixLaw, RandomPrefixes
from osae_theory.sae import DeadLatentLoss, Run, RunSeeds, Trainer, TrainingConfig
from osae_theory.sae import gradients as ways
from osae_theory.sae.kernels import (
    SparseCodes,
    backend,
    encoder_gradients,
    nested_dropout_loss_fused,
    prefix_gradients,
    select_sparse,
    sparse,
    use_compiled,
    use_triton,
)

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
KERNELS = "osae_theory.sae.kernels.triton_kernels"
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5, torch.bfloat16: 1e-2}
FAST = TrainingConfig(2, n_steps=4, batch_size=8, arithmetic="fast")


def problem(n=9, d=7, K=6, m=3, S=2, dtype=torch.float64, seed=0):
    """Data, codes with empty and full supports, atoms with a repeated one, weights."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    atoms = torch.nn.functional.normalize(draw(S, K, d), dim=-1)
    atoms[:, K - 1] = atoms[:, 0]
    scores = draw(S, n, K)
    scores[:, :1] = -1  # no latent is active
    scores[:, -1:] = scores[:, -1:].abs()
    codes = select_sparse(scores, m, backend="torch")
    weights = torch.rand(S, K, generator=generator, dtype=torch.float64)
    weights = weights.sort(descending=True).values
    weights[:, 0] = 1
    x, values, atoms, weights = (
        t.to(DEVICE, dtype) for t in (draw(S, n, d), codes.values, atoms, weights)
    )
    return x, SparseCodes(codes.indices.to(DEVICE), values), atoms, weights


def by_loop(x, codes, atoms, weights):
    """The loss and its gradients by the definition and automatic differentiation, in float64."""
    leaves = [t.double().requires_grad_() for t in (x, codes.values, atoms)]
    dense = SparseCodes(codes.indices, leaves[1]).dense(atoms.shape[1])
    loss = nested_dropout_loss_loop(leaves[0], dense, leaves[2], weights.double())
    return loss.detach(), *torch.autograd.grad(loss.sum(), leaves)


def by_triton(x, codes, atoms, weights):
    found = prefix_gradients(x, codes, atoms, weights, with_x=True, backend="triton")
    return found.loss, found.x, found.values, found.atoms


def assert_close(found, expected, tolerance):
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        if b.numel():
            error = float((a.double() - b).abs().max())
            assert error <= tolerance * max(float(b.abs().max()), 1)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"n": 1, "d": 1, "K": 1, "m": 1, "S": 1},
        {"m": 1, "K": 11, "S": 1},
        {"n": 4, "d": 33, "K": 5, "m": 5, "S": 3},
        {"n": 3, "d": 257, "K": 7, "m": 4},  # one column more than a block
    ],
    ids=str,
)
def test_loss_and_gradients_equal_the_loop_over_prefixes(shape, dtype):
    # In bfloat16 the loop has the rounded inputs, and only what is returned is rounded again.
    case = problem(**shape, dtype=dtype)
    found = by_triton(*case)
    assert_close(found, by_loop(*case), TOLERANCE[dtype])
    assert found[0].dtype == torch.float64
    assert {t.dtype for t in found[1:]} == {dtype}
    assert not found[2][case[1].indices < 0].any()


@pytest.mark.gpu
def test_sums_over_bfloat16_are_those_of_float32():
    x, codes, atoms, weights = problem(n=20, d=50, K=9, m=6, dtype=torch.bfloat16)
    single = [t.float() for t in (x, atoms, weights)]
    expected = by_triton(single[0], SparseCodes(codes.indices, codes.values.float()), *single[1:])
    found = by_triton(x, codes, atoms, weights)
    assert torch.equal(found[0], expected[0])
    for a, b in zip(found[2:], expected[2:], strict=True):
        assert torch.equal(a, b.bfloat16())


@pytest.mark.gpu
@pytest.mark.parametrize(("n", "m"), [(0, 3), (4, 0), (4, 3)])
def test_where_nothing_is_active_the_loss_is_the_energy_and_no_code_has_a_gradient(n, m):
    x, _, atoms, weights = problem(n=n)
    indices = torch.full((2, n, m), -1, dtype=torch.int32, device=DEVICE)
    found = by_triton(x, SparseCodes(indices, x.new_zeros(2, n, m)), atoms, weights)
    energy = x.square().sum(dim=(1, 2))
    # Without an active atom every prefix leaves the sample, whatever the weights.
    assert_close(found, (energy, 2 * x, x.new_zeros(2, n, m), torch.zeros_like(atoms)), 1e-12)


@pytest.mark.gpu
def test_a_latent_active_in_more_samples_than_a_tile_has_rows_has_all_of_them():
    case = problem(n=70, d=3, K=2, m=2, S=1)
    assert int((case[1].indices == 0).sum()) > 0
    x, codes, atoms, weights = case
    every = torch.arange(2, dtype=torch.int32, device=DEVICE).expand(1, 70, 2).contiguous()
    values = codes.values + 1
    case = x, SparseCodes(every, values), atoms, weights
    assert_close(by_triton(*case), by_loop(*case), 1e-12)


@pytest.mark.gpu
@pytest.mark.parametrize("rows", [1, 5])
def test_few_rows_at_a_time_give_the_same_gradients(rows, monkeypatch):
    kernels = importlib.import_module(KERNELS)
    case = problem(n=6, d=40, K=5, m=3)
    monkeypatch.setattr(kernels, "_COLUMNS", 16)
    whole = by_triton(*case)
    monkeypatch.setattr(kernels, "MOST_ROW_BYTES", rows * 2 * 3 * 16 * 8)
    found = by_triton(*case)
    assert_close(found, by_loop(*case), 1e-12)
    for a, b in zip(found[1:3], whole[1:3], strict=True):  # what no other sample has a part in
        assert torch.equal(a, b)


@pytest.mark.gpu
def test_equal_inputs_give_equal_bits():
    case = problem(n=30, d=40, K=5, m=3, S=1, dtype=torch.float32)
    x, codes = case[:2]
    first, second = (
        [*by_triton(*case), *vars(walked_encoder(x, codes.indices, codes.values, 5)).values()]
        for _ in range(2)
    )
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a, b)


@pytest.mark.gpu
def test_a_run_among_others_has_the_same_bits_as_alone():
    x, codes, atoms, weights = problem(n=8, S=3, dtype=torch.float32)
    together = by_triton(x, codes, atoms, weights)
    for s in range(3):
        one = slice(s, s + 1)
        own = SparseCodes(codes.indices[one], codes.values[one])
        for a, b in zip(together, by_triton(x[one], own, atoms[one], weights[one]), strict=True):
            assert torch.equal(a[one], b)


def walked_encoder(x, indices, slopes, K):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sparse, "encoder_walk_pays", lambda *shape: True)
        return encoder_gradients(x, indices, slopes, K, backend="triton")


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("n", [1, 70])
def test_encoder_gradients_equal_the_dense_products(dtype, n):
    x, codes, _, _ = problem(n=n, d=66, K=5, m=4, S=1, dtype=dtype)
    slopes = codes.values - 0.5
    slopes[codes.indices < 0] = 0
    dense = SparseCodes(codes.indices, slopes.double()).dense(5)
    found = walked_encoder(x, codes.indices, slopes, 5)
    expected = dense.mT @ x.double(), dense.sum(dim=1)
    assert_close((found.encoder, found.bias), expected, TOLERANCE[dtype])


@pytest.mark.gpu
@pytest.mark.parametrize("contiguous", [True, False])
def test_encoder_gradients_are_written_where_they_are_to_be_without_a_second_array(
    contiguous, monkeypatch
):
    kernels = importlib.import_module(KERNELS)
    x, codes, _, _ = problem(n=12, d=66, K=5, m=4, dtype=torch.float32)
    expected = walked_encoder(x, codes.indices, codes.values, 5)
    d_encoder, d_bias = expected.encoder.new_empty(2, 66, 5).mT, torch.empty_like(expected.bias)
    if contiguous:
        d_encoder = d_encoder.contiguous()
        monkeypatch.setattr(torch, "empty_like", None)
    kernels.encoder_gradients(x, codes.indices, codes.values, d_encoder, d_bias)
    assert torch.equal(d_encoder, expected.encoder)
    assert torch.equal(d_bias, expected.bias)


@pytest.mark.gpu
def test_latents_in_any_order_give_the_loss_and_gradients_of_the_loop():
    x, codes, atoms, weights = problem(n=5)
    order = torch.rand(codes.indices.shape, generator=torch.Generator().manual_seed(1))
    order = order.argsort(dim=-1).to(DEVICE)
    indices = codes.indices.gather(-1, order)
    leaves = [t.clone().requires_grad_() for t in (x, codes.values.gather(-1, order), atoms)]
    loss = nested_dropout_loss_fused(leaves[0], indices, *leaves[1:], weights, backend="triton")
    slopes = torch.autograd.grad(loss.sum(), leaves)
    expected = list(by_loop(x, codes, atoms, weights))
    expected[2] = expected[2].gather(-1, order).masked_fill(indices < 0, 0)
    assert_close((loss.detach(), *slopes), expected, 1e-12)


@pytest.mark.gpu
@pytest.mark.parametrize(
    "config",
    [
        FAST,
        replace(
            FAST,
            activation="batch",
            use_decoder_bias=True,
            dead_latent_loss=DeadLatentLoss(dead_after=2),
        ),
    ],
    ids=["plain", "batch, bias, dead latents"],
)
def test_a_training_by_triton_equals_one_by_torch(config, monkeypatch):
    monkeypatch.setattr(ways, "sparse_pays", lambda *shape: True)
    monkeypatch.setattr(sparse, "encoder_walk_pays", lambda *shape: True)
    K, d = 7, 5
    runs = [Run(RunSeeds.same(s), 1e-2, RandomPrefixes(K)) for s in range(2)]
    trainers = [
        Trainer(
            d, K, runs, replace(config, backend=name), dtype=torch.float64,
            device=torch.device(DEVICE),
        )
        for name in ("triton", "torch")
    ]  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    for _ in range(config.n_steps):
        batch = torch.randn(2, 8, d, generator=generator, dtype=torch.float64).to(DEVICE)
        found, expected = (trainer.step(batch) for trainer in trainers)
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=0)
    ours, theirs = (trainer.model.named_parameters() for trainer in trainers)
    for (name, a), (_, b) in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8, msg=name)


# Triton reads TRITON_INTERPRET when a kernel is defined: only another process can compile.
COMPILE = f"""
import re, triton.language as tl
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from {KERNELS} import _add_inputs, _add_rows, _walk
POINTERS = {{
    **dict.fromkeys("x values atoms d_x weights d_encoder d_bias".split(), "*bf16"),
    **dict.fromkeys(["counts", "indices"], "*i32"),
    **dict.fromkeys(["places", "samples", "starts", "ends"], "*i64"),
    **dict.fromkeys(["steps", "rests", "losses", "slopes", "rows", "sums"], "*fp32"),
}}
CONSTANTS = dict(SUM=tl.float32, BLOCK=256, ROWS=64, COLUMNS=64)
for kernel in (_walk, _add_rows, _add_inputs):
    names = kernel.arg_names
    kinds = {{n: "constexpr" if n in CONSTANTS else POINTERS.get(n, "i32") for n in names}}
    constants = {{(names.index(n),): CONSTANTS[n] for n in names if n in CONSTANTS}}
    source = ASTSource(fn=kernel, signature=kinds, constexprs=constants)
    found = compile(source, target=GPUTarget("cuda", 90, 32), options={{"num_warps": 1}})
    assert not re.search(r"\\b(atom|red)\\.", found.asm["ptx"]), kernel
    print(len(found.asm["cubin"]))
"""


@pytest.mark.gpu
def test_the_kernels_compile_for_an_h100_to_code_without_atomics():
    without = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    found = subprocess.run(
        [sys.executable, "-c", COMPILE], env=without, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    assert len(found.stdout.split()) == 3


@pytest.mark.gpu
@pytest.mark.skipif(DEVICE == "cpu", reason="needs a GPU")
def test_on_a_gpu_triton_is_what_computes_by_default():
    assert use_triton("auto", torch.zeros(1, device=DEVICE))
    assert not use_triton("auto", torch.zeros(1, device=DEVICE, dtype=torch.float16))
    assert backend.backend_on(DEVICE, "fast") == "triton"


@pytest.fixture
def fresh():
    """What is known of Triton is asked again, in this test and after it."""
    for known in (backend._has_triton, backend._triton_compiles):
        known.cache_clear()
    yield
    for known in (backend._has_triton, backend._triton_compiles):
        known.cache_clear()


def test_where_triton_is_not_installed_one_sentence_says_so(fresh, monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)
    runs = [Run(RunSeeds.same(0), 1e-2, PrefixLaw.uniform(5))]
    x = torch.zeros(1, 4, 5)
    for ask in (
        lambda: use_triton("triton", x),
        lambda: use_compiled("triton", x),
        lambda: select_sparse(x, 2, backend="triton"),
        lambda: encoder_gradients(x, torch.zeros(1, 4, 1).int(), x[..., :1], 5, backend="triton"),
        lambda: Trainer(4, 5, runs, replace(FAST, backend="triton")),
    ):
        with pytest.raises(InputError, match=r"^backend = 'triton': triton is not installed$"):
            ask()
    assert not use_triton("auto", x)


def test_on_a_cpu_triton_asks_for_its_interpreter(fresh, monkeypatch):
    monkeypatch.setattr(backend, "_has_triton", lambda: True)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    message = "on device cpu: expected a GPU, or TRITON_INTERPRET=1 in the environment of a CPU$"
    with pytest.raises(InputError, match=message):
        use_triton("triton", torch.zeros(1))
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    with pytest.raises(InputError, match="on device meta: expected a GPU"):
        use_triton("triton", torch.zeros(1, device="meta"))


def test_triton_refuses_numbers_that_it_does_not_sum_and_tensors_apart(fresh, monkeypatch):
    monkeypatch.setattr(backend, "_has_triton", lambda: True)
    message = "expected bfloat16, float32 or float64 tensors on one device$"
    for tensors in (
        [torch.zeros(1, dtype=torch.float16)],
        [torch.zeros(1), torch.zeros(1, device="meta")],
    ):
        with pytest.raises(InputError, match=message):
            use_triton("triton", *tensors)


def test_where_triton_does_not_compile_a_warning_says_why_and_then_one_sentence(fresh, monkeypatch):
    monkeypatch.setattr(backend, "_has_triton", lambda: True)
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setitem(sys.modules, KERNELS, None)
    with (
        pytest.warns(RuntimeWarning, match=r"triton does not compile here \(ModuleNotFoundError"),
        pytest.raises(InputError, match=r"triton cannot compile on this machine$"),
    ):
        use_triton("triton", torch.zeros(1))


def test_on_a_cpu_triton_computes_only_where_it_is_asked_for():
    assert not use_triton("auto", torch.zeros(1))
    assert not use_triton("auto", torch.zeros(1, device="meta"))
    assert not use_triton("torch", torch.zeros(1))


def test_portable_arithmetic_is_not_tritons():
    with pytest.raises(InputError, match="backend = 'triton': expected arithmetic = 'fast'"):
        Trainer(
            4, 5, [Run(RunSeeds.same(0), 1e-2, PrefixLaw.uniform(5))],
            replace(FAST, backend="triton", arithmetic="portable"),
        )  # fmt: skip
