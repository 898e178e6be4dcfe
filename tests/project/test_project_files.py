"""What README, changelog and metadata say agrees with what the package says of itself."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import onnxruntime_ep_sparsecpu as sparsecpu
import pytest
from onnxruntime_ep_sparsecpu import cli

ROOT = Path(__file__).parents[2]


def test_the_options_of_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    rows = re.search(r"^\| option \| values \| meaning \|\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert rows is not None
    expected = [f"| `{name}` | {values} | {meaning} |" for name, values, meaning in sparsecpu.provider_options()]
    assert rows.group(1).splitlines() == expected


@pytest.mark.parametrize("command", ["explain", "profile", "benchmark", "compare"])
def test_the_options_of_the_command_line(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for option in sparsecpu.provider_options():
        assert f"{option.name} {option.values} {option.meaning}".replace("`", "") in text


def test_the_version_has_one_source() -> None:
    (declared,) = re.findall(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert sparsecpu.__version__ == declared
    assert f"\n## [{declared}]" in (ROOT / "CHANGELOG.md").read_text()


def test_what_is_installed_has_its_licences() -> None:
    package = Path(sparsecpu.__file__).parent
    try:
        installed = importlib.metadata.distribution("onnxruntime-ep-sparsecpu")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the package is not installed")
    if Path(str(installed.locate_file("onnxruntime_ep_sparsecpu"))) != package:
        pytest.skip("the package that runs is another than the one that is installed")
    assert installed.version == sparsecpu.__version__
    assert installed.metadata["License-Expression"] == "Apache-2.0"
    for name in ("LICENSE", "THIRD_PARTY_NOTICES"):
        (shipped,) = (file for file in installed.files or [] if file.parent.name == "licenses" and file.name == name)
        assert shipped.read_text() == (ROOT / name).read_text()
