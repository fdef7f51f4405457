"""The figures, one a file, drawn from estimates; nothing here measures."""
