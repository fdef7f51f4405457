"""What is true about ordered sparse autoencoders: problems, losses, training, metrics, claims."""

from osae_theory.starting import begin_command

__version__ = "0.1.0"

begin_command(__name__)
