"""The figures of a report, one a file: each drawn from estimates, nothing measured.

A figure that the store does not hold enough for is a sentence that says why.
"""
