"""The toy model with Gaussian noise on the data, at a given signal-to-noise ratio."""

from dataclasses import replace

from benchmarks.contracts import Family, Params
from benchmarks.families import toy
from benchmarks.parameters import Parameter
from osae_theory.problems import ProblemSpec

SNR = Parameter(
    "snr_db", "real", "signal-to-noise ratio in decibels", default=10.0, at_least=-300, at_most=300
)


def _spec(params: Params, seed: int) -> ProblemSpec:
    return replace(toy.FAMILY.spec(params, seed), snr_db=float(params["snr_db"]))


def _title(params: Params) -> str:
    return f"{toy.FAMILY.title_of(params)}, {params['snr_db']} dB"


FAMILY = Family(
    "noisy", "toy model with noise", (*toy.FAMILY.parameters, SNR), _spec, describe=_title
)
