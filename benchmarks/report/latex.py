"""Tables as LaTeX floats; they need the booktabs package."""

import pandas as pd

_SPECIAL = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "%": r"\%",
        "&": r"\&",
        "#": r"\#",
        "$": r"\$",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
    }
)
_TYPESET = (
    ("±", r"$\pm$"),
    ("–", "--"),
    (">=", r"$\geq$"),
    ("< 0", "$<$ 0"),
    ("D, D*", "$D, D^*$"),
    ("D, D'", "$D, D'$"),
    ("D*", "$D^*$"),
)


def latex(table: pd.DataFrame, text: str, source: str, name: str) -> str:
    r"""Return a table and its caption as a LaTeX float.

    Parameters
    ----------
    table : pandas.DataFrame
        Of text.
    text : str
        The caption.
    source : str
        What it was made by, in Markdown: a comment below the float.
    name : str
        For \\label: tab:NAME.
    """
    body = table.rename_axis(None).to_latex(
        escape=True,
        caption=text.translate(_SPECIAL),
        label=f"tab:{name}",
        position="tb",
        column_format="l" + "r" * table.shape[1],
    )
    for plain, typeset in _TYPESET:
        body = body.replace(plain, typeset)
    comments = "\n".join(f"% {line}" for line in source.splitlines())
    return f"{body}{comments}\n"
