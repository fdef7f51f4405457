"""Figures of the corrected theory at work: each module measures a table and draws it."""
