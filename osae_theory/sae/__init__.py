"""Sparse autoencoders with top-m selection, trained on every prefix of their dictionary."""

from osae_theory.sae.auxiliary import DeadLatentLoss
from osae_theory.sae.estimator import OrderedSAE
from osae_theory.sae.model import TopMSAE
from osae_theory.sae.schedules import LearningRateSchedule, SparsityWarmup, UnitSweep
from osae_theory.sae.selection import select_top_m, top_m_mask
from osae_theory.sae.training import Run, RunSeeds, TrainingConfig, TrainingResult, train

__all__ = [
    "DeadLatentLoss",
    "LearningRateSchedule",
    "OrderedSAE",
    "Run",
    "RunSeeds",
    "SparsityWarmup",
    "TopMSAE",
    "TrainingConfig",
    "TrainingResult",
    "UnitSweep",
    "select_top_m",
    "top_m_mask",
    "train",
]
