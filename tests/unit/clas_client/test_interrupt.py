import subprocess
import sys
from pathlib import Path

# In a process of its own: in that of all tests, libraries have handlers and stacks for signals of their own.
PROGRAM = """
import signal, threading
from clas_client.interrupt import interrupt_deferred
signal.signal(signal.SIGINT, signal.default_int_handler)
interrupt = lambda: signal.raise_signal(signal.SIGINT)
is_default = lambda: signal.getsignal(signal.SIGINT) is signal.default_int_handler
try:
{}
except BaseException as exc:
    print(type(exc).__name__, is_default())
"""


def told(repository: Path, *lines: str) -> list[str]:
    """What a program with these lines prints; at its end what it raised, and whether the handler is back."""
    program = PROGRAM.format("\n".join(f"    {line}" for line in lines))
    return subprocess.check_output([sys.executable, "-c", program], cwd=repository, text=True).splitlines()


def test_an_interrupt_comes_when_the_block_is_done(repository: Path) -> None:
    lines = ["with interrupt_deferred():", "    interrupt()", "    print('done')", "print('never')"]
    assert told(repository, *lines) == ["done", "KeyboardInterrupt True"]


def test_a_second_interrupt_comes_at_once(repository: Path) -> None:
    lines = ["with interrupt_deferred():", "    interrupt()", "    interrupt()", "    print('never')"]
    assert told(repository, *lines) == ["KeyboardInterrupt True"]


def test_an_error_in_the_block_goes_before(repository: Path) -> None:
    lines = ["with interrupt_deferred():", "    interrupt()", "    raise OSError"]
    assert told(repository, *lines) == ["OSError True"]


def test_interrupts_that_are_ignored_stay_ignored(repository: Path) -> None:
    ignore = "signal.signal(signal.SIGINT, signal.SIG_IGN)"
    lines = [ignore, "with interrupt_deferred():", "    interrupt()", "print('goes on')"]
    assert told(repository, *lines) == ["goes on"]


def test_other_threads_go_without(repository: Path) -> None:
    lines = [
        "def work():",
        "    with interrupt_deferred():",
        "        print('done')",
        "thread = threading.Thread(target=work)",
        "thread.start()",
        "thread.join()",
    ]
    assert told(repository, *lines) == ["done"]
