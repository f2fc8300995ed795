"""The command `theater-supervise` from its first instruction: what is relied on is set right, then it is run.

Everything else is imported behind that: it opens files, and takes a second in which signals come.
"""

import sys
from importlib import import_module
from typing import Final

from theater_supervisor import inherited

_EX_IOERR: Final = 74


def main() -> None:
    """Run the command."""
    inherited.note_signals()
    inherited.set_right()
    terminal = import_module("theater_supervisor.terminal")
    terminal.prepare_streams()
    try:
        import_module("theater_supervisor.cli").main()
    except terminal.OutputFailed as failure:
        if failure.reader_gone:
            sys.exit(terminal.READER_GONE)
        print(f"theater-supervise: {failure}", file=sys.stderr)
        sys.exit(_EX_IOERR)
    finally:
        terminal.end_output()


if __name__ == "__main__":
    main()
