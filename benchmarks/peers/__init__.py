"""The peers: whole training steps of other SAE libraries, one file each, listed here only.

They run in an environment of their own (`requirements.txt`); nothing of theirs is imported
before a step is built.
"""

from collections.abc import Mapping
from types import MappingProxyType

from benchmarks.peers.base import KINDS, Peer, PeerStep, Shape, Weights
from benchmarks.peers.dictionary_learning import DICTIONARY_LEARNING
from benchmarks.peers.overcomplete import OVERCOMPLETE
from benchmarks.peers.saelens import SAELENS
from benchmarks.peers.sparsify import SPARSIFY

PEERS: Mapping[str, Peer] = MappingProxyType(
    {peer.name: peer for peer in (SAELENS, DICTIONARY_LEARNING, SPARSIFY, OVERCOMPLETE)}
)

__all__ = ["KINDS", "PEERS", "Peer", "PeerStep", "Shape", "Weights"]
