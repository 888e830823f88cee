"""What users may set, and who wins."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest
from traitlets.config import Config

import pydist_magics
from pydist_magics._config import PyDist, Setting
from tests.magics.shells import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from IPython.core.interactiveshell import InteractiveShell


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in PyDist.class_trait_names(config=True):
        monkeypatch.delenv(f"PYDIST_{name.upper()}", raising=False)
    yield
    os.environ.pop("PYDIST_DISPLAY", None)


def setting(settings: PyDist, name: str) -> Setting:
    return next(one for one in settings.settings() if one.name == name)


def test_there_is_a_default_for_everything(shell: InteractiveShell) -> None:
    settings = PyDist(shell)
    assert settings.output_limit == 1_000_000
    assert {one.source for one in settings.settings()} == {"default"}
    assert all(one.help for one in settings.settings())


def test_the_environment_counts_where_nothing_is_configured(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYDIST_OUTPUT_LIMIT", "500")
    monkeypatch.setenv("PYDIST_FOLD", "0")
    monkeypatch.setenv("PYDIST_PROGRESS", "false")
    shell.config.merge(Config({"PyDist": {"progress": True}}))
    settings = PyDist(shell)
    assert (settings.output_limit, settings.fold, settings.progress) == (500, False, True)
    assert setting(settings, "output_limit").source == "PYDIST_OUTPUT_LIMIT"
    assert setting(settings, "progress").source == "set"


def test_a_variable_that_makes_no_sense_is_told_and_harmless(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYDIST_OUTPUT_LIMIT", "much")
    monkeypatch.setenv("PYDIST_DISPLAY", "hologram")
    settings = PyDist(shell)
    assert settings.output_limit == 1_000_000
    text = capsys.readouterr().err
    assert "PYDIST_OUTPUT_LIMIT='much' is not an int from 0 up; 1000000 holds" in text
    assert "PYDIST_DISPLAY='hologram'" in text


def test_a_configured_value_that_makes_no_sense_is_told_and_harmless(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.config.merge(Config({"PyDist": {"output_limit": -1, "fold": "perhaps", "keep_results": 9}}))
    settings = PyDist(shell)
    assert (settings.output_limit, settings.fold, settings.keep_results) == (1_000_000, True, 9)
    assert capsys.readouterr().err.splitlines() == [
        "pydist: c.PyDist.fold = 'perhaps' is not a boolean; True holds",
        "pydist: c.PyDist.output_limit = -1 is not an int from 0 up; 1000000 holds",
    ]
    assert setting(settings, "output_limit").source == "default"


def test_config_changes_what_is_in_force(loaded: InteractiveShell) -> None:
    session = loaded._pydist_session  # type: ignore[attr-defined]
    assert run(loaded, "%config PyDist.output_limit = 10").error is None
    assert session.router.log.limit == 10
    run(loaded, "%config PyDist.output_limit = 0")
    assert session.router.log.limit == sys.maxsize
    run(loaded, "%config PyDist.fold = False")
    assert session.errors.fold is False
    run(loaded, "%config PyDist.display = 'html'")
    assert os.environ["PYDIST_DISPLAY"] == "html"
    run(loaded, "%config PyDist.display = 'auto'")
    assert "PYDIST_DISPLAY" not in os.environ
    assert "PyDist.keep_results" in run(loaded, "%config PyDist").stdout


def test_a_value_that_makes_no_sense_is_refused(loaded: InteractiveShell) -> None:
    run(loaded, "%config PyDist.output_limit = -1")
    assert loaded._pydist_session.settings.output_limit == 1_000_000  # type: ignore[attr-defined]


def test_unload_takes_the_settings_out(loaded: InteractiveShell) -> None:
    pydist_magics.unload_ipython_extension(loaded)
    assert not [one for one in loaded.configurables if isinstance(one, PyDist)]
