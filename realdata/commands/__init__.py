"""The commands of `python -m realdata`, a file each: options, and one call or a few."""
