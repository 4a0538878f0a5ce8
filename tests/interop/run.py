"""Third-party clients against the sandbox, with their own tests, LibreOffice on our workbooks and a browser
on our pages: `python -m tests.interop.run [SUITE]`.

SUITE: a checkout of python-quickbooks whose `tests/integration` is run as it stands; without it, the newest source
package on PyPI that carries those tests. What is absent (node, npm, java, a registry) is named and is no failure; a wrong
answer is.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.interop import browser, node, office, python, sage
from tests.interop.parts import table


def main(arguments: list[str]) -> int:
    """0 when everything agreed or something needed is absent; 1 on a wrong answer; 2 on a wrong SUITE."""
    checkout = Path(arguments[0]).resolve() if arguments else None
    if checkout is not None and not (checkout / "tests" / "integration").is_dir():
        print(f"interop: no tests/integration in {checkout}")
        return 2
    with tempfile.TemporaryDirectory(prefix="interop-") as folder:
        place = Path(folder)
        parts = [*node.parts(place), python.own_suite(place, checkout), *sage.parts(place)]
        parts += [office.part(place), browser.part(place)]
    print(table(parts))
    return 0 if all(part.good for part in parts) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
