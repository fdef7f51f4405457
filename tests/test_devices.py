"""Devices that are not there, by simulated failures: the reason is said in one sentence."""

import pytest
import torch

from osae_theory.devices import check_device, is_out_of_memory
from osae_theory.errors import InputError


def refused(name):
    with pytest.raises(InputError) as stop:
        check_device(name)
    [line] = str(stop.value).splitlines()
    return line


def test_a_name_that_torch_does_not_know_is_refused():
    assert refused("tpu9") == "device 'tpu9' is unknown: expected cpu, cuda, mps, ..."


def test_a_torch_without_cuda_is_said(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch, "__version__", "9.9+cpu")
    assert refused("cuda:1") == (
        "device 'cuda:1' is not available on this machine (torch 9.9+cpu is built without CUDA):"
        " expected cpu, or a torch that is built with it"
    )


@pytest.mark.parametrize(
    "reason",
    [
        "The NVIDIA driver on your system is too old (found version 11040).",
        "Found no NVIDIA driver on your system.",
        "CUDA error: out of memory",
    ],
)
def test_a_gpu_that_cannot_be_used_is_refused_with_torchs_reason(monkeypatch, reason):
    def failing(*_, **__):
        raise RuntimeError(reason)

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch, "zeros", failing)
    line = refused("cuda")
    assert f"for CUDA 13.0 says RuntimeError: {reason})" in line
    assert line.endswith("expected cpu, or a GPU with a driver that is new enough")


def test_another_kind_of_device_that_is_not_there_is_refused():
    assert "device 'meta' is not available on this machine" in refused("meta")


def test_memory_that_does_not_suffice_is_told_from_other_failures():
    full = (
        "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
    )
    blas = "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"
    told = [RuntimeError(one) for one in (full, blas, "CUDA error: out of memory")]
    for error in (torch.cuda.OutOfMemoryError("no room"), MemoryError(), *told):
        assert is_out_of_memory(error)
    for error in (RuntimeError("illegal address"), ValueError("can't allocate memory")):
        assert not is_out_of_memory(error)
