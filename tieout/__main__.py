"""`python -m tieout`, and the `tieout` program."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C ends it in one line, also while it is still being loaded, and when pressed twice."""
    said = "nothing had begun"
    try:
        from tieout.cli import main as run  # noqa: PLC0415  Ctrl-C is met while it loads

        said = "nothing is half done: the next run goes on from here"
        run()
    except KeyboardInterrupt:
        sys.stderr.write(f"\ninterrupted; {said}\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
