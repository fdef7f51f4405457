"""What is true about ordered sparse autoencoders: problems, losses, training, metrics, claims."""

__version__ = "0.1.0"
