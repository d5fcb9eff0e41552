"""The command line: each command calls one library function and one renderer."""

# What is not needed to hear Ctrl-C is imported after that.
import os
import signal
import sys
from types import FrameType

__all__ = ["main"]

WRONG = 2
"""Exit status when a command could not be carried out; 1 when what it ran or audited failed."""

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""

_PATIENCE = 8.0  # seconds in which a command that was interrupted may end by itself


def main() -> None:
    """Run the command line; the entry point of `fedledger`.

    An error of this library is one line on standard error. Exit status: 0, 1 when a run or an audit
    failed, 2 when the command itself is wrong, 130 after Ctrl-C.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not in the background
        signal.signal(signal.SIGINT, _Interrupts())
    try:
        _main()
    except KeyboardInterrupt:  # while something was imported
        sys.exit(INTERRUPTED)


def _main() -> None:
    # No telemetry and nothing installed behind the user's back, unless they asked for it.
    os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
    os.environ.setdefault("FLWR_DISABLE_UPDATE_CHECK", "1")
    os.environ.setdefault("FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION", "1")
    import logging  # noqa: PLC0415 - the same

    from fedledger.errors import FedledgerError  # noqa: PLC0415 - the same

    from .app import app  # noqa: PLC0415 - after the environment is set

    # What matters is in the answer or in a run's log; a bare warning between the lines is not.
    for name in ("fedledger", "matplotlib"):
        logging.getLogger(name).addHandler(logging.NullHandler())
    from .lines import any_encoding, flushed  # noqa: PLC0415 - the same

    any_encoding()
    try:
        with flushed():
            app(prog_name="fedledger")
    except FedledgerError as error:
        _show(str(error))
        sys.exit(WRONG)
    except OSError as error:  # a full disk, a folder that must not be written
        where = f"{error.filename}: " if error.filename else ""
        _show(f"{where}{error.strerror or error}")
        sys.exit(WRONG)
    except UnicodeEncodeError as error:  # Python has half a character for each byte that is none
        _show(f"{error.object!a}: names of files and folders have to be UTF-8 here")
        sys.exit(WRONG)


def _show(error: str) -> None:
    from .render import show_error  # noqa: PLC0415 - what prints tables is slow to import

    show_error(error)


class _Interrupts:
    """What Ctrl-C does: it raises once, and ends a command that does not end, or hears it again.

    Nothing is lost by that: whatever is on a disk can be gone on with after a kill, and workers end
    with the process that started them.
    """

    def __init__(self) -> None:
        self._heard = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self._heard:
            os._exit(INTERRUPTED)
        self._heard = True
        from threading import Timer  # noqa: PLC0415 - as said above

        timer = Timer(_PATIENCE, os._exit, (INTERRUPTED,))
        timer.daemon = True
        timer.start()
        signal.default_int_handler(number, frame)
