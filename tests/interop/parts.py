"""What a run reports."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """One client through one set of checks. absent: why it did not run, "" when it did."""

    client: str
    checks: str
    passed: int = 0
    failed: int = 0
    absent: str = ""
    left_out: str = ""

    @property
    def good(self) -> bool:
        """False for a wrong answer or a run without a single check; what is absent is no failure."""
        return bool(self.absent) or (not self.failed and self.passed > 0)


def table(parts: list[Part]) -> str:
    """One line a part: client, checks, how many passed and failed, or why it is absent."""
    rows = [("client", "checks", "passed", "failed")]
    rows += [(p.client, p.checks, *(("absent", "") if p.absent else (str(p.passed), str(p.failed)))) for p in parts]
    widths = [max(len(row[n]) for row in rows) for n in range(4)]
    lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}".rstrip() for a, b, c, d in rows]
    lines += [f"absent: {p.client}, {p.checks}: {p.absent}" for p in parts if p.absent]
    lines += [f"left out: {p.client}: {p.left_out}" for p in parts if p.left_out]
    return "\n".join(lines)
