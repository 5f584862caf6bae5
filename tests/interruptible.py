"""The client as a program that Ctrl-C ends, also where SIGINT is ignored, as in the background of a shell."""

INTERRUPTIBLE = (
    "import signal, sys, test_hubserving; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "sys.exit(test_hubserving.main())"
)
"""What follows `python -c`; the flags come after it."""
