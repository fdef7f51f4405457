import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from osae_theory.errors import InputError
from osae_theory.metrics import match
from realdata.consistency.collection import sorted_afterwards
from realdata.consistency.initialisation import against_initialisation, summarise_initialisation
from realdata.latents.sparse import latent_statistics
from small_saes import checkpoint


def test_only_atoms_that_turned_have_moved_band_by_band():
    start = np.eye(8)
    end = start.copy()
    end[0] = start[1]  # these two swapped
    end[1] = start[0]
    end[5] = start[5] + start[6]  # 45 degrees
    end[6] *= 3.0  # grew, did not turn
    run = [checkpoint(tokens=0, decoder=start), checkpoint(tokens=50, decoder=end)]
    found = against_initialisation(run, [2, 4, 8])
    assert [s.band for s in found] == [(0, 2), (2, 4), (4, 8)]
    assert [s.moved for s in found] == [1.0, 0.0, 0.25]
    assert found[0].score.stab == pytest.approx(1.0)
    assert found[0].score.ord == -1.0
    assert found[2].score.stab == pytest.approx((7 + 1 / math.sqrt(2)) / 8)
    assert [s.moved for s in against_initialisation(run, [2, 4, 8], 0.7)] == [1.0, 0.0, 0.0]


def test_a_runs_initialisation_is_its_own():
    checkpoints = [
        checkpoint(s, dataset=name, tokens=t)
        for s, name, t in itertools.product(range(3), ("docs", "source"), (0, 10, 20))
    ]
    found = against_initialisation(checkpoints, [8])
    assert len(found) == 3 * 2 * 2
    by_key = {c.key: c for c in checkpoints}
    for s in found:
        end = by_key[s.method, s.seed, s.dataset, s.tokens]
        start = by_key[s.method, s.seed, s.dataset, 0]
        expected = match(end.decoder.T, start.decoder.T).stability
        assert s.score.stab == pytest.approx(expected)
    points = summarise_initialisation(found)
    assert [(p.tokens, p.pairs, p.seeds) for p in points] == [(10, 6, 3), (20, 6, 3)]
    moved = [np.mean([s.moved for s in found if s.tokens == t]) for t in (10, 20)]
    assert [p.estimates["moved"].mean for p in points] == pytest.approx(moved)


def test_untouched_atoms_score_one_against_their_initialisation():
    run = [checkpoint(tokens=0), replace(checkpoint(tokens=0), tokens=9)]
    [found] = against_initialisation(run, [8])
    assert found.moved == 0.0
    assert (found.score.stab, found.score.ord) == (pytest.approx(1.0), 1.0)


def test_a_run_without_its_initialisation_is_refused():
    with pytest.raises(InputError, match="no checkpoint of 0 tokens"):
        against_initialisation([checkpoint(tokens=10)])
    with pytest.raises(InputError, match="as at its initialisation"):
        against_initialisation([checkpoint(tokens=0, K=9), checkpoint(tokens=10)])
    with pytest.raises(InputError, match="moved_below"):
        against_initialisation([checkpoint(tokens=0)], moved_below=1.5)
    statistics = latent_statistics([np.ones((2, 8))])
    ordered = sorted_afterwards(checkpoint(), statistics, "by energy")
    with pytest.raises(InputError, match="expected 'trained'"):
        against_initialisation([checkpoint(tokens=0), ordered])
