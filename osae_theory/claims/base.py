"""The shape of a claim: statement, source, assumptions that test an instance, check, verdict."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from osae_theory.errors import InputError, check_integer

_ALL_OF = 300

Verdict = Literal["holds", "fails", "holds with added assumptions", "conjecture"]
Evidence = Literal[
    "exact certificate",
    "small cases",
    "certified bound",
    "property test",
    "measured slope",
]
Number = int | float | Fraction | str


@dataclass(frozen=True)
class Assumption:
    """A hypothesis of a claim, in words and as a test of one instance.

    Attributes
    ----------
    text : str
        The hypothesis, in the paper's terms.
    test : callable
        Says whether an instance (whatever the claim is about) meets it.
    """

    text: str
    test: Callable[[Any], bool]


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes
    ----------
    confirmed : bool
        Whether everything that the claim's verdict says came out: for a claim that "fails",
        that its counterexample is one.
    certificate : mapping of str to number
        The numbers the verdict rests on, by what they are of. Exact ones are ints, Fractions
        or SymPy text; floats are numerical and no better than `error`.
    error : float
        The certificate's own numerical error, absolute; 0 where all is exact.
    n_examples : int
        How many instances were tried; 1 for a single certificate.
    """

    confirmed: bool
    certificate: Mapping[str, Number]
    error: float = 0.0
    n_examples: int = 1


@dataclass(frozen=True)
class Formal:
    """A theorem that Coq has checked, and what of a claim it says.

    Attributes
    ----------
    file : str
        The file of the folder `formal` that holds it, such as "Lemma31.v".
    theorem : str
        Its name there.
    says : str
        What it proves of the claim, in a few words.
    """

    file: str
    theorem: str
    says: str


@dataclass(frozen=True)
class Claim:
    """One claim about ordered sparse autoencoders, and how it is checked.

    Attributes
    ----------
    id : str
        Its name in the ledger, such as "P1".
    title : str
        A few words.
    source : str
        Where it is claimed: the paper's section or statement, or the project.
    statement : str
        The claim, complete.
    verdict : str
        What is true of it: "holds", "fails", "holds with added assumptions", "conjecture".
    evidence : str
        What kind of evidence `check` gives.
    story : str
        Why: the counterexample or the proof, and for a claim that fails what holds instead.
    check : callable
        Takes how many random examples to try (a claim with a single certificate ignores it)
        and returns a Finding.
    assumptions : tuple of Assumption
        The hypotheses, each testable on an instance.
    references : tuple of str
        Literature, other than the paper itself.
    machine_checked : tuple of Formal
        The theorems of the folder `formal` that prove the verdict, or the parts of it they name.
    machine_checked_whole : bool
        Whether they prove all of it.
    """

    id: str
    title: str
    source: str
    statement: str
    verdict: Verdict
    evidence: Evidence
    story: str
    check: Callable[[int], Finding]
    assumptions: tuple[Assumption, ...] = ()
    references: tuple[str, ...] = ()
    machine_checked: tuple[Formal, ...] = ()
    machine_checked_whole: bool = False

    def unmet(self, instance: Any) -> list[str]:
        """Return the hypotheses that an instance does not meet."""
        return [a.text for a in self.assumptions if not a.test(instance)]

    def require(self, instance: Any) -> None:
        """Raise InputError with the first hypothesis that an instance does not meet."""
        for text in self.unmet(instance)[:1]:
            raise InputError(f"claim {self.id} does not apply: expected that {text}")


def fewer(n_examples: int, of: int) -> int:
    """Return how many examples a slow check tries: all of up to 300, of more one in `of`.

    Raises
    ------
    InputError
        If `n_examples` is not a whole number of at least 1.
    """
    check_integer("n_examples", n_examples, 1)
    return max(min(n_examples, _ALL_OF), n_examples // of)


def exact_text(value: Number) -> int | float | str:
    """Return a number as it goes into JSON: Fractions as "2/5", whole ones as ints."""
    if isinstance(value, Fraction):
        return str(value)
    return value
