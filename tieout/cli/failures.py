"""Every failure as exit code, message and next command; the one place that knows foreign exceptions."""

from __future__ import annotations

import errno
import sys
from dataclasses import dataclass

from tieout.errors import ConfigError, SignInRequired, TieoutError

_MEND = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR}
_FULL = {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True, slots=True)
class Told:
    """again: an earlier run said it already"""

    exit: int
    message: str
    hint: str = ""
    problems: tuple[str, ...] = ()
    again: bool = False


def explain(error: Exception) -> Told:
    """What to tell the user of an exception. Unknown ones are our mistake: exit code 5."""
    if isinstance(error, ConfigError):
        listed = error.problems if error.problems != (error.message,) else ()
        return Told(error.exit_code, error.message.split("\n  - ")[0], error.hint, tuple(listed))
    if isinstance(error, SignInRequired):
        return Told(error.exit_code, error.message, error.hint, again=error.told)
    if isinstance(error, TieoutError):
        return Told(error.exit_code, error.message, error.hint)
    if isinstance(error, OSError) and not _is("requests.exceptions", "RequestException", error):
        return _os(error)
    if _is("requests.exceptions", "RequestException", error):
        return Told(3, f"the network failed: {type(error).__name__}", "run again later")
    if _is("sqlalchemy.exc", "SQLAlchemyError", error):
        from tieout.sync.state.trouble import explained  # SQLAlchemy is loaded where one of its errors is

        return explain(explained(error))
    if isinstance(error, ImportError) and error.name and not error.name.startswith("tieout"):
        return Told(2, f"the package {error.name} is not installed", 'pip install "tieout[all]"')
    return Told(5, f"unexpected {type(error).__name__}: {error}", "run again with --debug, and report what it shows")


def _is(module: str, name: str, error: Exception) -> bool:
    """Whether it is an instance of a class whose module need not be loaded to say no."""
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(error, getattr(loaded, name))


def _os(error: OSError) -> Told:
    where = f"{error.filename}: " if error.filename else ""
    says = f"{where}{error.strerror or error}"
    if error.errno == errno.EFBIG:
        return Told(3, f"{where}the file would be larger than this user may write", "raise the limit, then run again")
    if error.errno in _FULL:
        return Told(3, f"{where}the disk is full", "make room, then run again; nothing was lost")
    if error.errno == errno.EEXIST:
        return Told(2, says, "it is not replaced: name another file, or move this one away")
    if error.errno in _MEND:
        return Told(2, says, "check the path and its permissions")
    if error.errno == errno.EADDRINUSE:
        return Told(2, says, "choose another --port; 0 takes a free one")
    return Told(3, says, "run again later")
