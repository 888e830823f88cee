"""The kernelspec: what ships, and what install and uninstall make of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpecManager

from pydist_kernel._install import SPEC, main, read_spec
from tests.kernel.driver import LiveKernel


def installed(prefix: Path, name: str = "pydist") -> dict[str, Any]:
    spec: dict[str, Any] = json.loads((folder(prefix, name) / "kernel.json").read_text())
    return spec


def folder(prefix: Path, name: str = "pydist") -> Path:
    return prefix / "share" / "jupyter" / "kernels" / name


def test_the_spec_that_ships_is_found_by_any_server() -> None:
    spec = read_spec()
    # Replaced by the server's own interpreter: the wheel does not know where it will be.
    assert spec["argv"][0] == "python"
    assert spec["display_name"] == "Python 3 (pydist)"
    assert spec["language"] == "python"
    assert spec["interrupt_mode"] == "message"
    assert spec["metadata"]["debugger"] is True
    assert {path.name for path in SPEC.iterdir()} == {
        "kernel.json",
        "logo-32x32.png",
        "logo-64x64.png",
        "logo-svg.svg",
    }


@pytest.mark.parametrize("size", [32, 64])
def test_the_logos_have_the_size_they_say(size: int) -> None:
    header = (SPEC / f"logo-{size}x{size}.png").read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(header[16:20], "big") == int.from_bytes(header[20:24], "big") == size


def test_install_writes_this_interpreter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["install", "--prefix", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"installed kernelspec pydist in {folder(tmp_path)}\n"
    assert installed(tmp_path) == {**read_spec(), "argv": [sys.executable, *read_spec()["argv"][1:]]}
    assert {path.name for path in folder(tmp_path).iterdir()} == {path.name for path in SPEC.iterdir()}


def test_install_takes_name_workers_machines_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("machines").write_text("2*host\n")
    options = ["--name", "Four.Workers", "--display-name", "Four", "--workers", "4", "--machine-file", "machines"]
    assert main(["install", "--prefix", str(tmp_path), *options, "--env", "A", "1", "--env", "B", "x y"]) == 0
    spec = installed(tmp_path, "four.workers")
    assert spec["argv"][-4:] == ["--workers", "4", "--machine-file", str(tmp_path / "machines")]
    assert spec["display_name"] == "Four"
    assert spec["env"] == {"A": "1", "B": "x y"}


def test_install_for_the_user_and_uninstall(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
    assert main(["install", "--user"]) == 0
    assert KernelSpecManager().get_kernel_spec("pydist").argv[0] == sys.executable
    assert main(["uninstall"]) == 0
    assert main(["uninstall", "--user"]) == 1
    assert capsys.readouterr().err.startswith("pydist_kernel: there is no kernelspec in ")


def test_another_kernel_of_that_name_stays_unless_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder(tmp_path).mkdir(parents=True)
    (folder(tmp_path) / "kernel.json").write_text('{"argv": ["julia"], "display_name": "Julia"}')
    assert main(["install", "--prefix", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        f"pydist_kernel: {folder(tmp_path)} is another kernel's; "
        "--replace puts pydist in its place, --name takes another name\n"
    )
    assert main(["uninstall", "--prefix", str(tmp_path)]) == 1
    assert "another kernel's and stays" in capsys.readouterr().err
    assert main(["install", "--prefix", str(tmp_path), "--replace"]) == 0
    assert main(["install", "--prefix", str(tmp_path)]) == 0  # our own is replaced without a word
    assert main(["uninstall", "--prefix", str(tmp_path)]) == 0
    assert not folder(tmp_path).exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--workers", "many"], "--workers takes a number of workers or auto, not 'many'"),
        (["--machine-file", "nowhere"], "nowhere: No such file or directory"),
        (["--prefix", "/proc/nowhere"], "cannot write /proc/nowhere/share/jupyter/kernels/pydist: "),
    ],
)
def test_a_mistake_is_one_sentence(options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["install", *options]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"pydist_kernel: {sentence}")
    assert said.count("\n") == 1


@pytest.mark.parametrize("options", [["--name", "a/b"], ["--user", "--sys-prefix"], ["--nonsense"]])
def test_a_wrong_use_is_exit_code_2(options: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["install", *options])
    assert ended.value.code == 2


def test_uninstall_of_what_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["uninstall", "--name", "nowhere"]) == 1
    assert capsys.readouterr().err == "pydist_kernel: no kernelspec named nowhere is installed\n"


@pytest.mark.kernel
@pytest.mark.slow
def test_a_front_end_starts_what_was_installed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pydist_kernel", "install", "--prefix", str(tmp_path), "--env", "FROM_SPEC", "1"]
    subprocess.run(command, check=True)
    specs = KernelSpecManager(kernel_dirs=[str(folder(tmp_path).parent)])
    with LiveKernel(specs=specs) as kernel:
        assert kernel.evaluate("__import__('os').environ['FROM_SPEC']") == "1"
        info = kernel.info()
    assert info["implementation"] == "pydist"
    assert info["language_info"]["name"] == "python"
    assert "pydist" in info["banner"]
    assert "Julia's Distributed" in [link["text"] for link in info["help_links"]]
