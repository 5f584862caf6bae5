import signal
import threading
from collections.abc import Iterator

import pytest

from clas_client.interrupt import interrupt_deferred


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Where the tests run in the background of a shell, interrupts are ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_comes_when_the_block_is_done() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), interrupt_deferred():  # noqa: PT012  # the second line, too
        signal.raise_signal(signal.SIGINT)
        done.append(1)
    assert done
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_interrupt_comes_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), interrupt_deferred():  # noqa: PT012  # what follows must not run
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError


def test_an_error_in_the_block_goes_before() -> None:
    with pytest.raises(OSError, match="full"), interrupt_deferred():  # noqa: PT012  # likewise
        signal.raise_signal(signal.SIGINT)
        raise OSError("full")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_interrupts_that_are_ignored_stay_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with interrupt_deferred():
        signal.raise_signal(signal.SIGINT)


def test_other_threads_go_without() -> None:
    done = []

    def work() -> None:
        with interrupt_deferred():
            done.append(1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done
