"""Laws of the prefix length by a name that a JSON configuration can hold."""

from osae_theory.errors import InputError, check_choice, shown
from osae_theory.prefixes import PrefixLaw
from osae_theory.prefixes.named import LAWS

# Those that do not follow the fit: other libraries' training steps do not measure it.
_NAMES = ("uniform", "full", "piecewise", "zipf", "geometric", "massed")


def law_of(name: str, K: int) -> PrefixLaw:
    """Return a prefix law by its name.

    Parameters
    ----------
    name : str
        "uniform"; "full", the loss of a plain TopK SAE; "piecewise", the paper's five groups of
        equal mass, each spread evenly over its latents; or, with a number, "zipf:1.2",
        "geometric:0.99" and "massed:0.5", that share on l = K and the rest spread evenly: the
        arguments of `osae_theory.prefixes.PrefixLaw`'s constructors of these names.
    K : int
        Number of latents.

    Raises
    ------
    InputError
        If there is no such law, or its number is missing or out of its range.
    """
    if not isinstance(name, str):
        raise InputError(f"law = {shown(name)}: expected a name, as 'uniform' or 'zipf:1.2'")
    kind, colon, number = name.partition(":")
    check_choice("law", kind, _NAMES)
    law = LAWS[kind]
    given: list[float] = []
    if law.takes_number:
        try:
            given = [float(number)]
        except ValueError:
            raise InputError(f"law {shown(name)}: expected a number, as in '{kind}:0.5'") from None
    elif colon:
        raise InputError(f"law {shown(name)}: expected no number after {kind!r}")
    found = law.build(K, *given)
    assert isinstance(found, PrefixLaw)
    return found
