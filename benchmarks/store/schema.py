"""The tables of a store: their files, columns and types, and the number that names this form."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from osae_theory.errors import InputError, shown
from osae_theory.provenance import Provenance

PROJECT = "osae-theory benchmarks"
SCHEMA = 1
# One table of each in a part, in a file of its own.
RUNS, MEASUREMENTS, PROVENANCE, VECTORS = "runs", "measurements", "provenance", "vectors"
_NAMES = pa.dictionary(pa.int32(), pa.string())


def _schema(columns: Mapping[str, pa.DataType], nullable: tuple[str, ...] = ()) -> pa.Schema:
    generation = {"generation": pa.int32()}
    return pa.schema(
        [pa.field(name, of, name in nullable) for name, of in {**columns, **generation}.items()]
    )


_ORIGIN = {
    field.name: pa.bool_() if field.name == "dirty" else _NAMES for field in fields(Provenance)
}
# Columns of provenance that parts of earlier versions lack: their runs have nothing there.
LATER = frozenset({"triton", "device"})
TABLES: Mapping[str, pa.Schema] = MappingProxyType(
    {
        RUNS: _schema(
            {
                "run": pa.string(),
                "text": pa.string(),
                "family": _NAMES,
                "cell": _NAMES,
                "problem_seed": pa.int64(),
                "method": _NAMES,
                "variant": _NAMES,
                "unit": _NAMES,
                "amount": pa.int64(),
                "batch_size": pa.int64(),
                "arithmetic": _NAMES,
                "initialisation_seed": pa.int64(),
                "data_order_seed": pa.int64(),
                "prefix_seed": pa.int64(),
                "status": _NAMES,
                "reason": pa.string(),
                "encoder": _NAMES,
                "dictionary_sha256": pa.string(),
            }
        ),
        MEASUREMENTS: _schema(
            {"run": _NAMES, "other": _NAMES, "metric": _NAMES, "value": pa.float64()}, ("value",)
        ),
        PROVENANCE: _schema(
            {"run": pa.string(), "seconds": pa.float64(), "code": _NAMES, **_ORIGIN},
            ("seconds", *_ORIGIN),
        ),
        VECTORS: _schema(
            {"run": _NAMES, "name": _NAMES, "values": pa.list_(pa.float64())},
        ),
    }
)
EVERYTHING: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {name: tuple(schema.names) for name, schema in TABLES.items()}
)


def check_identity(path: Path, content: Any) -> None:
    """Raise InputError unless a document says that it is this project's, and of this schema.

    Parameters
    ----------
    path : Path
        Where it stands, for the message.
    content : object
        What JSON gave.
    """
    said: Mapping[str, Any] = content if isinstance(content, dict) else {}
    project, number = said.get("project"), said.get("schema")
    if project != PROJECT:
        raise InputError(
            f"{path} names the project {shown(project)}: expected a store of {PROJECT!r}"
        )
    if isinstance(number, bool) or not isinstance(number, int) or number < SCHEMA:
        raise InputError(
            f"{path} names the schema {shown(number)}: expected {SCHEMA}, before which there was"
            " none; the runs of an earlier version are trained anew in a new folder"
        )
    if number > SCHEMA:
        raise InputError(
            f"{path} names the schema {number}, and this version reads {SCHEMA}: expected the"
            " newer version of osae-theory that wrote it"
        )
