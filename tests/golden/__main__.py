"""Show how the golden files would change, and change them only when told to.

python -m tests.golden            the diff; exit code 1 if there is one
python -m tests.golden --update   the diff, then write it; refused where a golden file has changes not yet committed

A group, `compare` or `demo`, limits it to those files.
"""

from __future__ import annotations

import difflib
import subprocess
import sys

from tests.golden import made


def difference(name: str, old: str, new: str) -> str:
    """A unified diff of one file, "" if nothing changed."""
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), f"expected/{name}", f"now/{name}"
    )
    return "".join(line if line.endswith("\n") else line + "\n" for line in lines)


def unreviewed() -> list[str]:
    """Golden files with changes that nobody committed: an update would write over them."""
    ran = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=no", "--", "."],
        cwd=made.EXPECTED, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return ran.stdout.splitlines() if ran.returncode == 0 else []


def main(arguments: list[str]) -> int:
    groups = [a for a in arguments if not a.startswith("--")]
    if unknown := set(groups) - set(made.MAKERS):
        print(f"no group {', '.join(unknown)}; there are: {', '.join(made.MAKERS)}", file=sys.stderr)
        return 2
    now = made.everything(groups)
    changed = {name: text for name, text in now.items() if text != made.kept(name)}
    for name, text in changed.items():
        sys.stdout.write(difference(name, made.kept(name), text))
    if not changed:
        print(f"{len(now)} golden files, nothing changed")
        return 0
    if "--update" not in arguments:
        print("\nread the diff above; if it is what you meant: make golden UPDATE=1", file=sys.stderr)
        return 1
    if waiting := unreviewed():
        print("\nnot written: commit or undo these first:\n" + "\n".join(waiting), file=sys.stderr)
        return 2
    for name, text in changed.items():
        made.save(name, text)
        print(f"wrote tests/golden/expected/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
