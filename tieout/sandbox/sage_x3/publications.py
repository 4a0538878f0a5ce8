"""Published services: the names of one installation, and what each stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tieout.errors import ConfigError

from .screens import SCREENS, Screen
from .switches import Switches

SUBPROGRAMS = ("AOWSEXPORT", "AOWSIMPORT", "AOWSBATGET", "ZARDUD", "ZARDELTA", "ZARMATCH")


@dataclass(frozen=True, slots=True)
class Publication:
    """A public name. target: an object, or a sub-program. blocks: ids that this entry transaction numbers otherwise."""

    name: str
    target: str
    blocks: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.name or len(self.name) > 10 or self.target not in {*SCREENS, *SUBPROGRAMS}:
            raise ConfigError(
                f"the service {self.name}={self.target} cannot be published",
                hint=f"a name of 10 characters at most, and one of {', '.join((*SCREENS, *SUBPROGRAMS))}",
            )

    @property
    def kind(self) -> Literal["object", "subprogram"]:
        return "object" if self.target in SCREENS else "subprogram"

    def screen(self, switches: Switches) -> Screen:
        """The object's screen with this transaction's block ids."""
        screen = SCREENS[self.target]
        later = dict(screen.later) if switches.blocks == "later" else {}
        changed = {**later, **self.blocks}
        return screen.renumbered(changed) if changed else screen


def standard() -> dict[str, Publication]:
    """What every installation publishes unless told otherwise."""
    objects = [Publication(f"WS{object}", object) for object in SCREENS]
    return {p.name: p for p in (*objects, *(Publication(name, name) for name in SUBPROGRAMS))}
