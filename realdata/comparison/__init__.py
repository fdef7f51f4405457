"""SAEs held against each other, of any origin: what is matched, how alike, in words."""
