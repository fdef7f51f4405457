"""Which rows of a store's parts count, where several parts tell of one run.

What is finished wins over what failed, so that an attempt to train a run anew takes nothing away;
then the higher generation; then the better status; then the smaller `dictionary_sha256`, which is
arbitrary, but the same whoever wrote first and however parts have been merged. A run that was
trained twice with other results is disputed: one training counts, whole, and merging keeps the
other too.

A measurement has the generation of its run, or of a pair the sum of both: so it counts only as
long as neither has been replaced.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Float, Int

from benchmarks.outcome import FINISHED, STATUSES
from benchmarks.store.pool import Places, Pool, Rows
from benchmarks.store.schema import MEASUREMENTS, PROVENANCE, RUNS, TABLES, VECTORS


@dataclass(frozen=True, eq=False)
class Settled:
    """What counts of a pool.

    Attributes
    ----------
    pool : Pool
        Its rows.
    best : array of shape (runs,)
        The row of `runs` that counts for each run, in the order of the runs' texts.
    """

    pool: Pool
    best: Int[np.ndarray, " runs"]

    @classmethod
    def of(cls, pool: Pool) -> "Settled":
        """Return what counts of a pool with all tables."""
        best = best_rows(pool)
        found = pool.tables[RUNS].select(["text", "run"]).take(best)
        order = found.add_column(0, "row", [pa.array(best)]).sort_by(
            [("text", "ascending"), ("run", "ascending")]
        )
        return cls(pool, order.column("row").to_numpy())

    @cached_property
    def ids(self) -> pd.Index:
        """The runs' ids, in the order of their texts."""
        found = self.pool.tables[RUNS].column("run").take(pa.array(self.best))
        return pd.Index(found.to_pylist(), dtype="str")

    @cached_property
    def generations(self) -> Int[np.ndarray, " runs"]:
        """The generation of each run."""
        return self.pool.numbers(RUNS, "generation")[self.best]

    @cached_property
    def runs_of(self) -> Rows:
        """For each table, the place of each row's run among `ids`, or behind them."""
        return {
            name: Places.among(self.ids, table.column("run")).of
            for name, table in self.pool.tables.items()
        }

    @cached_property
    def measured(self) -> pd.DataFrame:
        """The measurements as numbers: places of run, other and metric, value, generation, part.

        "run" and "other" are places among `ids`, or behind them; "other" is -1 for none.
        """
        table = self.pool.tables[MEASUREMENTS]
        none_or_run = pd.Index([""], dtype="str").append(self.ids)
        return pd.DataFrame(
            {
                "run": self.runs_of[MEASUREMENTS],
                "other": Places.among(none_or_run, table.column("other")).of - 1,
                "metric": Places.of_names(table.column("metric")).of,
                "value": self.pool.numbers(MEASUREMENTS, "value"),
                "generation": self.pool.numbers(MEASUREMENTS, "generation"),
                "part": self.pool.parts[MEASUREMENTS],
            }
        )

    @cached_property
    def metrics(self) -> pd.Index:
        """The metrics' names, by the alphabet."""
        column = self.pool.tables[MEASUREMENTS].column("metric")
        return Places.of_names(column).names

    @cached_property
    def disputed(self) -> pd.DataFrame:
        """Trainings that do not count and whose results are not those of the one that does.

        Columns: "run", a place among `ids`; "row" and "part" of the training; "best" and
        "best_part" of the one that counts; "dictionary", whether the dictionaries differ.
        """
        rivals = self._rivals()
        if rivals.empty:
            return rivals
        frame = self.measured
        own = frame[(frame["other"] == -1) & frame["run"].isin(rivals["run"])]
        own = own.assign(bits=_bits(own["value"].to_numpy()))
        both = (
            rivals[["run", "row", "part", "best_part"]]
            .merge(own[["run", "part", "metric", "bits"]], on=["run", "part"])
            .merge(
                own[["run", "part", "metric", "bits"]],
                left_on=["run", "best_part", "metric"],
                right_on=["run", "part", "metric"],
                suffixes=("", "_best"),
            )
        )
        other_values = both.loc[both["bits"] != both["bits_best"], "row"]
        return rivals[rivals["dictionary"] | rivals["row"].isin(other_values)]

    def _rivals(self) -> pd.DataFrame:
        """Return finished trainings of the generation of the one that counts, as `disputed`."""
        rest = np.setdiff1d(np.arange(self.pool.tables[RUNS].num_rows), self.best)
        of = self.runs_of[RUNS][rest]
        best, status = self.best[of], _status(self.pool)
        sha256 = self.pool.texts(RUNS, "dictionary_sha256", np.union1d(rest, best))
        finished = len(FINISHED)
        generation = self.pool.numbers(RUNS, "generation")
        rivals = pd.DataFrame(
            {
                "run": of,
                "row": rest,
                "part": self.pool.parts[RUNS][rest],
                "best": best,
                "best_part": self.pool.parts[RUNS][best],
                "dictionary": (status[rest] != status[best])
                | (sha256[rest].to_numpy() != sha256[best].to_numpy()),
            }
        )
        return rivals[
            (generation[rest] == generation[best])
            & (status[rest] < finished)
            & (status[best] < finished)
        ]

    def merged(self, most_runs: int) -> list[Rows]:
        """Return the rows of the parts that can stand in place of the pool's.

        First those that count, at most `most_runs` runs a part, in the order of the runs' texts;
        then parts of the disputed trainings, none with two of one run.
        """
        n = len(self.best)
        alone = self.measured["other"].to_numpy() == -1
        out = alone & (self._are_of(MEASUREMENTS, self.disputed) | self._replaced())
        rows = {RUNS: self.best, MEASUREMENTS: self._unique_measurements(~out)}
        rows |= {name: self.beside(name) for name in (PROVENANCE, VECTORS)}
        # Measurements of runs that are not known go with the last.
        run = {name: np.minimum(self.runs_of[name][rows[name]], max(n - 1, 0)) for name in rows}
        found: list[Rows] = [
            {name: rows[name][run[name] // most_runs == i] for name in rows}
            for i in range(max(1, -(-n // most_runs)))
        ]
        turn = self.disputed.groupby("run").cumcount()
        return found + [self._rows_of(trainings) for _, trainings in self.disputed.groupby(turn)]

    def counting(self) -> Rows:
        """Return the rows that count, in the order of the runs' texts, then of names."""
        return {
            RUNS: self.best,
            MEASUREMENTS: self.counting_measurements(),
            **{table: self.beside(table) for table in (PROVENANCE, VECTORS)},
        }

    def counting_measurements(self) -> Int[np.ndarray, " rows"]:
        """Return the measurements that count, by the runs' texts, metric, the others' texts."""
        frame, n = self.measured, len(self.ids)
        run, other = frame["run"].to_numpy(), frame["other"].to_numpy()
        known = (run < n) & (other < n)
        padded = np.append(self.generations, [0])  # the last one is for other = -1
        expected = np.zeros(len(frame), dtype=np.int64)
        expected[known] = padded[run[known]] + padded[other[known]]
        out = self._are_of(MEASUREMENTS, self.disputed) & (other == -1)
        return self._first_measurements(known & (frame["generation"].to_numpy() == expected) & ~out)

    def beside(self, table: str) -> Int[np.ndarray, " rows"]:
        """Return the rows of provenance or vectors that stand in one part with the run's."""
        run = self.runs_of[table]
        # Behind the runs stands a part that there is not: for runs that are not known.
        parts = np.append(self.pool.parts[RUNS][self.best], [-1])
        rows = np.flatnonzero(self.pool.parts[table] == parts[np.minimum(run, len(self.ids))])
        by = [run[rows]]
        if table == VECTORS:
            names = Places.of_names(self.pool.tables[table].column("name"))
            by = [names.of[rows], *by]
        return rows[np.lexsort(by)]

    def _rows_of(self, trainings: pd.DataFrame) -> Rows:
        """Return the rows of disputed trainings, in the order of the runs' texts."""
        keep = {name: self._are_of(name, trainings) for name in TABLES}
        keep[MEASUREMENTS] &= self.measured["other"].to_numpy() == -1
        rows = {name: np.flatnonzero(keep[name]) for name in TABLES}
        return {
            name: rows[name][np.argsort(self.runs_of[name][rows[name]], kind="stable")]
            for name in TABLES
        }

    def _are_of(self, table: str, trainings: pd.DataFrame) -> np.ndarray:
        """Say which rows are of one of these trainings: of its run, and in its part."""
        run, part = self.runs_of[table].astype(np.int64), self.pool.parts[table]
        if trainings.empty:
            return np.zeros(len(run), dtype=bool)
        n_parts = int(max(part.max(initial=0), trainings["part"].max())) + 1
        return np.isin(
            run * n_parts + part, trainings["run"].astype(np.int64) * n_parts + trainings["part"]
        )

    def _replaced(self) -> np.ndarray:
        """Say which measurements are of an older training of their run."""
        now = np.append(self.generations, [0])
        run = np.minimum(self.measured["run"].to_numpy(), len(self.ids))
        return self.measured["generation"].to_numpy() < now[run]

    def _first_measurements(self, keep: np.ndarray) -> Int[np.ndarray, " rows"]:
        """Return the rows that are kept, in order; of several values the smallest, null last."""
        rows, key = self._sorted_measurements(keep)
        return rows[np.append(True, key[1:] != key[:-1])[: len(rows)]]

    def _unique_measurements(self, keep: np.ndarray) -> Int[np.ndarray, " rows"]:
        """Return the rows that are kept, in order, each with another value or generation."""
        rows, key = self._sorted_measurements(keep)
        frame = self.measured
        bits, generation = _bits(frame["value"].to_numpy()), frame["generation"].to_numpy()
        new = np.append(True, key[1:] != key[:-1])[: len(rows)]
        for column in (bits[rows], generation[rows]):
            new[1:] |= column[1:] != column[:-1]
        return rows[new]

    def _sorted_measurements(
        self, keep: np.ndarray
    ) -> tuple[Int[np.ndarray, " rows"], Int[np.ndarray, " rows"]]:
        """Return kept rows by run, metric, other, generation and value; and a number for each.

        The number is the same for rows of the same run, metric and other.
        """
        frame = self.measured
        n_other = int(frame["other"].max()) + 2 if len(frame) else 1
        key = frame["run"].to_numpy(np.int64) * max(len(self.metrics), 1)
        key = (key + frame["metric"].to_numpy()) * n_other + frame["other"].to_numpy() + 1
        rows = np.flatnonzero(keep)
        rows = rows[np.argsort(key[rows], kind="stable")]
        sorted_key = key[rows]
        again = sorted_key[1:] == sorted_key[:-1]
        if again.any():
            value, generation = frame["value"].to_numpy(), frame["generation"].to_numpy()
            order = np.lexsort((value[rows], generation[rows], sorted_key))
            rows = rows[order]
        return rows, key[rows]


def best_rows(pool: Pool) -> Int[np.ndarray, " runs"]:
    """Return the row of `runs` that counts for each run, in no order that means anything.

    What the pool lacks of the columns that decide between finished trainings is left out.
    """
    table = pool.tables[RUNS]
    frame = pd.DataFrame({"run": Places.of_names(table.column("run")).of})
    again = frame.index[frame.duplicated("run", keep=False)].to_numpy()
    once = np.setdiff1d(frame.index.to_numpy(), again)
    if not len(again):
        return once
    status = _status(pool)[again]
    decide = frame.loc[again].assign(
        failed=status >= len(FINISHED),
        generation=-pool.numbers(RUNS, "generation")[again].astype(np.int64),
        status=status,
        part=pool.parts[RUNS][again],
    )
    texts = [name for name in ("dictionary_sha256", "reason") if name in table.column_names]
    for name in texts:
        decide[name] = pool.texts(RUNS, name, again)
    by = ["run", "failed", "generation", "status", *texts, "part"]
    first = decide.sort_values(by, kind="stable").drop_duplicates("run")
    return np.concatenate([once, first.index.to_numpy()])


def two_values(settled: Settled) -> pd.DataFrame:
    """Return the measurements with several values of one generation, as `Settled.measured`."""
    frame = settled.measured
    names = ["run", "other", "metric", "generation"]
    again = frame[frame.duplicated(names, keep=False)]
    again = again.assign(bits=_bits(again["value"].to_numpy()))
    n_values = again.groupby(names)["bits"].transform("nunique")
    return again[n_values > 1]


def _status(pool: Pool) -> Int[np.ndarray, " rows"]:
    """Return the place of each row's status in STATUSES, or one behind them."""
    return Places.among(pd.Index(STATUSES, dtype="str"), pool.tables[RUNS].column("status")).of


def _bits(values: Float[np.ndarray, " rows"]) -> Int[np.ndarray, " rows"]:
    """Return the bits of numbers; all NaN, which stand for null, have the same."""
    return np.where(np.isnan(values), np.nan, values).view(np.int64)
