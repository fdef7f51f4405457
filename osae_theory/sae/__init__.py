"""Sparse autoencoders with top-m selection, trained on every prefix of their dictionary."""

from osae_theory.sae.auxiliary import DeadLatentLoss
from osae_theory.sae.code_penalty import CodePenalty
from osae_theory.sae.data_order import DataOrder
from osae_theory.sae.decoders import FrozenDecoder, NearDecoder
from osae_theory.sae.estimator import OrderedSAE
from osae_theory.sae.kernels import nested_dropout_loss_fused
from osae_theory.sae.kmeans import kmeans_atoms
from osae_theory.sae.model import TopMSAE
from osae_theory.sae.resampling import Resampling
from osae_theory.sae.runs import Run, RunSeeds, TrainingConfig
from osae_theory.sae.schedules import LearningRateSchedule, Resorting, SparsityWarmup, UnitSweep
from osae_theory.sae.selection import select_top_m, top_m_mask
from osae_theory.sae.trainer import Trainer
from osae_theory.sae.training import TrainingResult, train

__all__ = [
    "CodePenalty",
    "DataOrder",
    "DeadLatentLoss",
    "FrozenDecoder",
    "LearningRateSchedule",
    "NearDecoder",
    "OrderedSAE",
    "Resampling",
    "Resorting",
    "Run",
    "RunSeeds",
    "SparsityWarmup",
    "TopMSAE",
    "Trainer",
    "TrainingConfig",
    "TrainingResult",
    "UnitSweep",
    "kmeans_atoms",
    "nested_dropout_loss_fused",
    "select_top_m",
    "top_m_mask",
    "train",
]
