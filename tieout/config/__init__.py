"""tieout.toml -> frozen settings; all problems reported at once; secrets only by reference."""

from tieout.config.load import config_path, load, loads
from tieout.config.settings import ConnectionSettings, PairSettings, SecretRef, Settings

__all__ = ["ConnectionSettings", "PairSettings", "SecretRef", "Settings", "config_path", "load", "loads"]
