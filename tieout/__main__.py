"""`python -m tieout`, and the `tieout` program."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C ends it in one line, also while it is still being loaded, and when pressed twice."""
    said = "interrupted; nothing had begun"
    try:
        from tieout import cli  # noqa: PLC0415  Ctrl-C is met while it loads
        from tieout.cli.exits import STOPPED  # noqa: PLC0415

        said = STOPPED
        cli.main()
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{said}\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
