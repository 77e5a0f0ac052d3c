import os
import subprocess
import sys
from pathlib import Path

import pytest
from weights_samples import published

from nstd.errors import WeightsError
from nstd.weights.fetch import no_progress
from nstd.weights.pip_download import Pip, knows_raw_progress

WHEEL = published("project-1.0-py3-none-any.whl", b"a wheel")


def pip_that(tmp_path: Path, script: str, *, raw_progress: bool = False) -> Pip:
    """A pip that writes its arguments down, then does as the script says; `$dest` is where the wheel goes."""
    program = tmp_path / "pip.sh"
    program.write_text(
        f'echo "$@" > "{tmp_path}/arguments"\n'
        'while [ "$1" != --dest ]; do shift; done; dest="$2"\n'
        f'echo "$dest" > "{tmp_path}/dest"\n{script}\n'
    )
    return Pip(("sh", str(program)), raw_progress)


def left_over(tmp_path: Path) -> bool:
    return Path((tmp_path / "dest").read_text().strip()).exists()


BRING = f'printf "a wheel" > "$dest/{WHEEL.name}"'


def test_wheel_is_returned_and_no_file_stays(tmp_path: Path) -> None:
    assert pip_that(tmp_path, BRING).download("project==1.0", WHEEL, no_progress) == b"a wheel"
    assert not left_over(tmp_path)


def test_pip_is_asked_for_this_wheel_only_and_to_run_nothing_of_it(tmp_path: Path) -> None:
    pip_that(tmp_path, BRING).download("project==1.0", WHEEL, no_progress)
    arguments = (tmp_path / "arguments").read_text().split()
    assert arguments[0] == "download"
    assert {"--no-deps", "--only-binary=:all:"} <= set(arguments)
    assert arguments[-1] == "project==1.0"


def test_pip_writes_nothing_to_our_streams(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pip_that(tmp_path, f"echo out; echo err >&2; {BRING}").download("project==1.0", WHEEL, no_progress)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("raw_progress", "bar"), [(True, "raw"), (False, "off")])
def test_progress_is_asked_for_in_the_form_that_pip_knows(tmp_path: Path, bar: str, *, raw_progress: bool) -> None:
    pip_that(tmp_path, BRING, raw_progress=raw_progress).download("project==1.0", WHEEL, no_progress)
    assert f"--progress-bar {bar} " in (tmp_path / "arguments").read_text()


def test_raw_progress_is_passed_on(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    pip = pip_that(tmp_path, f"echo Collecting; echo Progress 3 of 7; echo Progress 7 of 7; {BRING}")
    pip.download("project==1.0", WHEEL, lambda *step: seen.append(step))
    assert seen == [(WHEEL.name, 0, None), (WHEEL.name, 3, 7), (WHEEL.name, 7, 7)]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            "echo Collecting; echo 'ERROR: No matching distribution found for project==1.0' >&2; echo; exit 1",
            "pip download project==1.0: No matching distribution found for project==1.0",
        ),
        ("exit 3", "pip download project==1.0: exit status 3"),
        ("true", "pip brought nothing, expected project-1.0-py3-none-any.whl"),
        ('touch "$dest/b" "$dest/a"', "pip brought a, b, expected project-1.0-py3-none-any.whl"),
    ],
)
def test_failure_is_told_in_the_words_of_pip(tmp_path: Path, script: str, message: str) -> None:
    with pytest.raises(WeightsError) as caught:
        pip_that(tmp_path, script).download("project==1.0", WHEEL, no_progress)
    assert str(caught.value) == message
    assert not left_over(tmp_path)


def test_missing_program_is_told(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"^pip cannot be started: .*No such file or directory: '.*/none'$"):
        Pip((str(tmp_path / "none"),), raw_progress=False).download("project==1.0", WHEEL, no_progress)


def test_interrupt_ends_pip_and_leaves_no_file(tmp_path: Path) -> None:
    def interrupt(_what: str, _done: int, total: int | None) -> None:
        if total:
            raise KeyboardInterrupt

    pip = pip_that(tmp_path, f"echo $$ > {tmp_path}/pid; echo Progress 3 of 7; exec sleep 600")
    with pytest.raises(KeyboardInterrupt):
        pip.download("project==1.0", WHEEL, interrupt)
    assert not left_over(tmp_path)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.parametrize(
    ("version", "known"),
    [("23.2.1", False), ("24.0", False), ("24.1", True), ("24.1b1", True), ("26.3", True), ("strange", False)],
)
def test_raw_progress_came_with_pip_24_1(version: str, *, known: bool) -> None:
    assert knows_raw_progress(version) is known


def test_pip_in_the_current_folder_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pip = Pip.of_this_python()
    if pip is None:
        pytest.skip("this Python has no pip")
    (tmp_path / "pip.py").write_text("raise SystemExit('the wrong pip')")
    monkeypatch.chdir(tmp_path)
    run = subprocess.run([*pip.command, "--version"], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("pip ")


def test_python_without_pip_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pip", None)  # Python's own way to make an import fail
    assert Pip.of_this_python() is None
