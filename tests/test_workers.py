import os
import signal

import pytest

from osae_theory.workers import in_workers, remembered_interrupts


def swallowing(number):
    """A task that is interrupted where nobody sees it, if its number is 1."""
    try:
        if number == 1:
            os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        pass
    return number


def squared(number):
    return number**2


def test_an_interrupt_that_a_task_swallows_stops_the_job_before_the_next():
    done = []
    with pytest.raises(KeyboardInterrupt), remembered_interrupts():
        done.extend(in_workers(swallowing, range(4), 1))
    assert done == [0, 1]


def test_the_next_job_knows_nothing_of_it():
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with remembered_interrupts():
        assert list(in_workers(squared, range(4), 1)) == [0, 1, 4, 9]


def test_a_handler_of_somebody_else_is_left_alone():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with remembered_interrupts():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_two_workers_do_what_one_does():
    assert sorted(in_workers(squared, range(5), 2)) == list(in_workers(squared, range(5), 1))
