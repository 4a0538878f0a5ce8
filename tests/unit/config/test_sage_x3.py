"""A Sage X3 in tieout.toml: what is wrong is told with its line, what is right opens a connection."""

from __future__ import annotations

import pytest

from tests.sage_x3_bench import SERVICES, TEMPLATES, bench
from tieout.config import load
from tieout.config.opening import open_connection
from tieout.errors import ConfigError


def written(folder, x3, **more):
    """A configuration with this X3, and keys that are changed (None takes one out)."""
    keys = {k: v for k, v in {**x3.settings, **more}.items() if v is not None}
    (folder / "password").write_text(x3.live.password, "utf-8")
    lines = ["[company]", 'name = "Harbor Lane"', "[connection.x3]", 'kind = "sage-x3"']
    lines.append(f'password = {{ command = ["cat", "{folder}/password"] }}')
    tables = []
    for key, value in keys.items():
        if isinstance(value, dict):
            tables.append((f"[connection.x3.{key}]", value))
        else:
            lines.append(f"{key} = {toml(value)}")
    for head, table in tables:
        lines += [head, *(f"{k} = {toml(v)}" for k, v in table.items())]
    (folder / "tieout.toml").write_text("\n".join(lines), "utf-8")
    return folder / "tieout.toml"


def toml(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml, value)) + "]"
    return str(value) if isinstance(value, int) else f'"{value}"'


def test_a_connection_is_opened_as_it_is_written(tmp_path):
    with bench() as x3:
        strategy = {"strategy": "export_template", "sites": ["HLS01", "HLS02"], "temporary": ["in use"]}
        settings = load(written(tmp_path, x3, **strategy))
        connector = open_connection(settings, "x3", clock=x3.time)
        try:
            assert connector.company().entity_codes == ("HLS01", "HLS02")
            assert connector.capabilities.delta
            assert x3.live.password not in repr(connector)
        finally:
            connector.close()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"services": SERVICES | {"SIC": "WSSIC"}}, "SIC"),
        ({"temporary": ["(open"]}, "not a regular expression"),
        ({"exports": TEMPLATES | {"XYZ": TEMPLATES["SIH"]}}, "XYZ"),
        ({"exports": {"SIH": TEMPLATES["SIH"] | {"key": 0}}}, "key"),
        ({"attributes": {"ALLOC": "applied"}}, "applied"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path, wrong, said):
    with bench() as x3, pytest.raises(ConfigError, match=r"tieout.toml:\d+.*") as why:
        load(written(tmp_path, x3, **wrong))
    assert said in str(why.value)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"cancelled": []}, "STA2"),
        ({"strategy": "export_template", "exports": {"SIH": TEMPLATES["SIH"]}}, "no template for BIC, BPC, DUD, PAY"),
        ({"strategy": "subprogram", "services": {"SIH": "WSSIH"}}, "`changes`"),
        ({"strategy": "export_template", "services": {"SIH": "WSSIH"}}, "`export`"),
    ],
)
def test_keys_that_say_something_against_one_another_are_refused(tmp_path, wrong, said):
    with bench() as x3:
        settings = load(written(tmp_path, x3, **wrong))
        with pytest.raises(ConfigError) as why:
            open_connection(settings, "x3", clock=x3.time)
    assert said in str(why.value)
