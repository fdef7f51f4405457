"""A log of a training that calls a function after each step."""

from realdata.training.logs import Log


class EachStep(Log):
    """Calls a function with the number of steps done."""

    def __init__(self, call):
        self._call = call

    def write(self, entry):
        self._call(entry["step"])
