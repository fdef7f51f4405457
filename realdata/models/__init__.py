"""Language models read at one hook point: sources, conversion, and what they give."""
