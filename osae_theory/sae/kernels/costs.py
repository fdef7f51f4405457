"""What the two ways through a training step cost on a GPU: a model by its data sheet, no timing.

A pass over memory takes its bytes over the bandwidth, as if no cache held anything; a product
takes its operations over the peak; a kernel of the walk the longer of the two. So the walk, whose
atoms stay in the cache in part, is counted too high, and the products, which do not reach the peak,
too low: where the two are near, either may be the faster. What both ways do alike (the encoder's
product, the selection of the largest scores, arrays of n d and of K d entries) is left out. The
figures are of NVIDIA's data sheet of the H100 SXM, dense where it gives them with sparsity; others
may be given (`Rates`).
"""

from dataclasses import dataclass

import torch

# Bytes and operations a second.
BANDWIDTH = 3.35e12
_VECTOR = {torch.float64: 34e12, torch.float32: 67e12, torch.bfloat16: 67e12}
_MATRIX = {torch.float64: 67e12, torch.float32: 67e12, torch.bfloat16: 989.5e12}
_TF32 = 494.5e12
# Of one entry of n s d. An atom is read on the way there and on the way back, its gradient's row
# written and read again; an input is read for the encoder.
_WALK_OPERATIONS, _ENCODER_OPERATIONS = 13, 2
# Entries of n K and of K K that pass through memory beside the dense way's products, of n K under
# the plain law, of n K where the encoder's gradient alone is dense; bytes of n K for active latents
# as indices.
_LATENT_PASSES, _GRAM_PASSES, _PLAIN_PASSES = 16, 17, 9
_ENCODER_PASSES, _INDEX_BYTES = 3, 16


@dataclass(frozen=True)
class Rates:
    """What a device does in a second, in one dtype.

    Attributes
    ----------
    bandwidth : float
        Bytes that pass through memory.
    vector, matrix : float
        Operations beside products of matrices, and of these.
    """

    bandwidth: float
    vector: float
    matrix: float

    @classmethod
    def of_h100(cls, dtype: torch.dtype) -> "Rates":
        """Return those of the H100 SXM; of float32 as torch is set (`matrix_peak`)."""
        return cls(BANDWIDTH, _VECTOR[_known(dtype)], matrix_peak(dtype))


def walk_seconds(
    n: int, s: int, d: int, K: int, dtype: torch.dtype, rates: Rates | None = None
) -> float:
    """Return the model's seconds of loss and gradients over active latents alone.

    Parameters
    ----------
    n, s, d, K : int
        Samples, active latents of each, dimension, latents.
    dtype
        Of the data: bfloat16, float32 or float64.
    rates : Rates, optional
        The device's, in that dtype; by default the H100's.
    """
    dtype = _known(dtype)
    rates = rates or Rates.of_h100(dtype)
    traffic = 2 * dtype.itemsize + 2 * _sum_bytes(dtype)
    walk = max(traffic / rates.bandwidth, _WALK_OPERATIONS / rates.vector) * n * s * d
    indices = (dtype.itemsize + _INDEX_BYTES) * n * K / rates.bandwidth
    encoder = min(
        _encoder_walk_seconds(n, s, d, dtype, rates), _encoder_dense_seconds(n, d, K, dtype, rates)
    )
    return walk + indices + encoder


def dense_seconds(
    n: int,
    d: int,
    K: int,
    dtype: torch.dtype,
    plain: bool = False,
    rates: Rates | None = None,
) -> float:
    """Return the model's seconds of loss and gradients by products of whole matrices.

    Identity I1 around the full residual: `osae_theory.objectives.nested_dropout_gradients`.
    Parameters as in `walk_seconds`; `plain` says that all survival weights are 1, which leaves out
    whatever has K K entries.
    """
    dtype = _known(dtype)
    rates = rates or Rates.of_h100(dtype)
    operations, entries = 8 * n * K * d, _PLAIN_PASSES * n * K
    if not plain:
        operations += 4 * n * K * K + 4 * d * K * K
        entries = _LATENT_PASSES * n * K + _GRAM_PASSES * K * K
    return operations / rates.matrix + dtype.itemsize * entries / rates.bandwidth


def encoder_walk_pays(n: int, s: int, d: int, K: int, dtype: torch.dtype) -> bool:
    """Say whether the encoder's gradient takes less over active latents than by a product.

    Parameters as in `walk_seconds`.
    """
    dtype = _known(dtype)
    rates = Rates.of_h100(dtype)
    walk = _encoder_walk_seconds(n, s, d, dtype, rates)
    return walk < _encoder_dense_seconds(n, d, K, dtype, rates)


def matrix_peak(dtype: torch.dtype) -> float:
    """Return the peak of products in this dtype, in operations a second; float32 as torch is set.

    Where torch may round float32 to TF32 for a product, that is the peak of TF32.
    """
    dtype = _known(dtype)
    if dtype == torch.float32 and _rounds_to_tf32():
        return _TF32
    return _MATRIX[dtype]


def _encoder_walk_seconds(n: int, s: int, d: int, dtype: torch.dtype, rates: Rates) -> float:
    return max(dtype.itemsize / rates.bandwidth, _ENCODER_OPERATIONS / rates.vector) * n * s * d


def _encoder_dense_seconds(n: int, d: int, K: int, dtype: torch.dtype, rates: Rates) -> float:
    passes = _ENCODER_PASSES * dtype.itemsize * n * K / rates.bandwidth
    return 2 * n * K * d / rates.matrix + passes


def _rounds_to_tf32() -> bool:
    precision = getattr(torch.backends.cuda.matmul, "fp32_precision", None)
    if precision is None:  # torch before 2.9
        return torch.get_float32_matmul_precision() != "highest"
    return precision == "tf32"


def _sum_bytes(dtype: torch.dtype) -> int:
    return torch.promote_types(dtype, torch.float32).itemsize


def _known(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype that stands for this one: float16 costs what bfloat16 does."""
    return dtype if dtype in _MATRIX else torch.bfloat16
