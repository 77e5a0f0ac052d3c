import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from daemon_world import NSTD, NSTD_WITHOUT_POWERS
from PIL import Image

from nstd.cli import _exit_code
from nstd.daemon.status import SpoolStatus
from nstd.errors import ConfigError, EngineError, SpoolError, SpoolLockedError, WeightsError
from nstd.job import Painting

ROOT = Path(__file__).parent.parent
ASSETS = ROOT / "nstd" / "assets"

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def nstd(tmp_path):
    """Return a function that runs a command in an empty folder."""

    def run(*arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*NSTD, *arguments],
            cwd=tmp_path,
            env=os.environ | {"COLUMNS": "120", "TERM": "dumb"} | environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def test_init_writes_a_project_that_passes_the_check(nstd, tmp_path):
    made = nstd("init", "art")
    assert made.returncode == 0
    assert made.stdout.startswith(
        "Wrote art/config.yaml, its schema for editors, and the style images in art/styles.\n"
    )
    assert {path.name for path in (tmp_path / "art").iterdir()} == {"config.yaml", "config.schema.json", "styles"}
    checked = nstd("check", "-c", "art/config.yaml")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout == "art/config.yaml: good. Presets: swirls, woodcut, glass, dots, embers\n"


def test_init_overwrites_nothing(nstd, tmp_path):
    (tmp_path / "config.yaml").write_text("mine")
    refused = nstd("init")
    assert (refused.returncode, refused.stderr) == (78, "config.yaml: exists already; nothing was changed\n")
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_check_shows_every_mistake_with_its_place(nstd, tmp_path):
    shutil.copytree(ASSETS / "styles", tmp_path / "styles")
    (tmp_path / "config.yaml").write_text(
        "presets:\n  swirls:\n    styles: [styles/swirls.jpg, styles/CREDITS.md]\n"
        "    size_px: 0\n    content_wieght: 1\n"
    )
    checked = nstd("check")
    assert checked.returncode == 78
    assert checked.stderr.splitlines() == [
        (
            "config.yaml:3:33: presets.swirls.styles[1]: must be a readable image "
            "(CREDITS.md: is not an image that nstd can read (expected JPEG, PNG, WebP, TIFF, BMP or GIF))"
        ),
        "config.yaml:4:14: presets.swirls.size_px: must be >= 32 (got 0)",
        "config.yaml:5:5: presets.swirls.content_wieght: is not a known setting; did you mean 'content_weight'?",
    ]


def test_check_finds_a_truncated_style_image(nstd, tmp_path):
    (tmp_path / "style.jpg").write_bytes((ASSETS / "styles/dots.jpg").read_bytes()[:50_000])
    (tmp_path / "config.yaml").write_text("presets: {p: {styles: [style.jpg]}}")
    checked = nstd("check")
    assert checked.returncode == 78
    assert "style.jpg: the file is cut off or damaged" in checked.stderr


def test_check_prints_the_published_schema(nstd):
    assert json.loads(nstd("check", "--schema").stdout) == json.loads((ROOT / "docs/config.schema.json").read_text())


def test_check_misses_the_weights(nstd, tmp_path):
    nstd("init")
    checked = nstd("check", NSTD_CACHE=str(tmp_path / "empty"))
    assert checked.returncode == 78
    assert checked.stderr.endswith("; run 'nstd weights pull'\n")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["paint"], "No such command 'paint'"),
        (["stylize", "cat.jpg"], "Missing argument"),
        (["run", "--twice"], "No such option"),
        (["retry"], "name failed jobs, or say --all"),
        (["retry", "--all", "x"], "name failed jobs, or say --all"),
        (["weights", "pull", "--source", "keras", "--from", "x"], "give --source or --from, not both"),
        (["weights", "pull", "--source", "attic"], "attic"),
        (["bench", "--sizes", "63"], "--sizes: got '63', expected whole numbers from 64 to 16384 with commas between"),
        (["bench", "--sizes", "256, 16385"], "--sizes: got '16385', expected whole numbers"),
        (["bench", "--sizes", "256;512"], "--sizes: got '256;512', expected whole numbers"),
        (["bench", "--sizes", "128,"], "--sizes: got '', expected whole numbers"),
    ],
)
def test_wrong_usage_exits_64(nstd, arguments, complaint):
    refused = nstd(*arguments)
    assert refused.returncode == 64
    assert complaint in refused.stderr


def test_version(nstd):
    assert nstd("--version").stdout == "nstd 0.1.0\n"


def test_no_config_is_told_with_the_way_on(nstd):
    refused = nstd("run")
    assert refused.returncode == 78
    assert "config.yaml" in refused.stderr
    assert "nstd init" in refused.stderr


def test_status_before_any_daemon_ran(nstd):
    nstd("init")
    assert nstd("status").stdout.splitlines() == [
        "No daemon is running.",
        "0 in the inbox, 0 waiting, 0 held, 0 running, 0 failed",
    ]
    told = SpoolStatus.model_validate_json(nstd("status", "--json").stdout)
    assert (told.pid, told.daemon, told.jobs.waiting) == (None, None, 0)


def test_retry_of_an_unknown_job(nstd):
    nstd("init")
    refused = nstd("retry", "no-such-job")
    assert (refused.returncode, refused.stderr) == (1, "no-such-job: there is no failed job of this id\n")


def test_stylize_writes_a_picture_and_its_log(nstd, tmp_path):
    quick = ("--size", "64", "--iterations", "2", "--strength", "0.7", "--manner", "paint", "--quality", "draft")
    pair = (ASSETS / "photos/chelsea.jpg", ASSETS / "styles/dots.jpg")
    first = nstd("stylize", *pair, *quick)
    assert (first.returncode, first.stdout, first.stderr) == (0, "chelsea_dots.png\n", "")
    log = Painting.model_validate_json((tmp_path / "chelsea_dots.json").read_text())
    assert log.output.name == "chelsea_dots.png"
    assert (log.preset.strength, log.preset.manner, log.preset.quality) == (0.7, "paint", "draft")
    with Image.open(tmp_path / "chelsea_dots.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (64, 43))
    assert nstd("stylize", *pair, *quick).stdout == "chelsea_dots_2.png\n"
    assert nstd("stylize", *pair, *quick, "-o", "mine.jpg").stdout == "mine.jpg\n"
    with Image.open(tmp_path / "mine.jpg") as picture:
        assert picture.format == "JPEG"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["missing.jpg", "s.jpg"], 1, "cannot read the image: missing.jpg: No such file or directory\n"),
        (["c.jpg", "s.jpg", "-o", "x.gif"], 78, "x.gif: must end with .png, .jpg or .jpeg\n"),
        (["c.jpg", "s.jpg", "-o", "gone/x.png"], 78, "gone/x.png: there is no folder gone\n"),
        (["c.jpg", "s.jpg", "--size", "3"], 78, "size_px: must be >= 32 (got 3)\n"),
        (["c.jpg", "s.jpg", "--strength", "2"], 78, "strength: must be <= 1 (got 2.0)\n"),
    ],
)
def test_stylize_refuses_in_one_line(nstd, tmp_path, arguments, status, message):
    for name in ("c.jpg", "s.jpg"):
        shutil.copyfile(ASSETS / "photos/coffee.jpg", tmp_path / name)
    refused = nstd("stylize", *arguments)
    assert (refused.returncode, refused.stderr) == (status, message)


def test_bench_measures_this_machine(nstd):
    measured = nstd("bench", "--json", "--sizes", "64")
    assert (measured.returncode, measured.stderr) == (0, "")
    told = json.loads(measured.stdout)
    [found] = told.pop("evaluations")
    assert told.pop("matmul_gflop_per_s") > 1
    assert told.pop("precision_reason")
    assert told.pop("device") in {"cpu", "gpu:0"}
    assert told == {"precision": found.pop("precision"), "too_large_px": None}
    assert (found.pop("size_px"), 0 < found.pop("share_of_matmul") < 2) == (64, True)
    draft, standard, high = (found["quality_seconds"].pop(quality) for quality in ("draft", "standard", "high"))
    assert 0 < draft < standard < high
    assert found.pop("quality_seconds") == {}
    assert sorted(found) == ["match_seconds", "memory_mib", "seconds", "step_seconds"]
    assert min(found.values()) > 0


def test_bench_misses_the_weights(nstd, tmp_path):
    missing = nstd("bench", NSTD_CACHE=str(tmp_path))
    assert missing.returncode == 78
    assert missing.stderr.endswith("weights/vgg19.npz; run 'nstd weights pull'\n")


def test_weights_show_and_a_second_pull(nstd, weights):
    shown = " ".join(nstd("weights", "show").stdout.split())
    for fact in (str(weights.path), weights.sha256, weights.source_sha256, "Simonyan and Zisserman, CC BY 4.0"):
        assert fact in shown
    before = weights.path.stat().st_mtime_ns
    again = nstd("weights", "pull")
    assert again.stdout == f"vgg19 weights: here already, from {weights.source}: {weights.path}\n"
    assert weights.path.stat().st_mtime_ns == before


def test_weights_show_misses_them(nstd, tmp_path):
    missing = nstd("weights", "show", NSTD_CACHE=str(tmp_path))
    assert missing.returncode == 78
    assert missing.stderr.endswith("weights/vgg19.npz; run 'nstd weights pull'\n")


def caused_by(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SpoolLockedError("x"), 75),
        (caused_by(SpoolError("x"), PermissionError()), 77),
        (caused_by(ConfigError("x"), PermissionError()), 77),
        (ConfigError("x"), 78),
        (WeightsError("x"), 78),
        (SpoolError("x"), 1),
        (EngineError("x"), 1),
    ],
)
def test_errors_have_their_exit_codes(error, status):
    assert _exit_code(error) == status


@pytest.fixture
def closed(tmp_path):
    """A folder that nobody may enter."""
    folder = tmp_path / "closed"
    (folder / "art").mkdir(parents=True)
    folder.chmod(0)
    yield folder
    folder.chmod(0o700)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["init", "closed/new"], "closed/new/config.yaml: cannot be written: Permission denied\n"),
        (["check", "-c", "closed/art/config.yaml"], "closed/art/config.yaml: cannot be read: Permission denied\n"),
        (["run", "--once"], "cannot create the spool's folders: {root}/closed/state/queue/tmp: Permission denied\n"),
        (["status"], "cannot read the status: {root}/closed/state/lock: Permission denied\n"),
        (["stylize", "closed/c.jpg", "s.jpg"], "cannot read the image: closed/c.jpg: Permission denied\n"),
        (["weights", "pull", "--from", "closed/x.h5"], "closed/x.h5: cannot be read: Permission denied\n"),
    ],
)
@pytest.mark.usefixtures("closed")
def test_no_permission_exits_77_and_names_the_place(tmp_path, arguments, message):
    shutil.copyfile(ASSETS / "styles/dots.jpg", tmp_path / "s.jpg")
    (tmp_path / "config.yaml").write_text("spool: {state: closed/state}\npresets: {p: {styles: [s.jpg]}}\n")
    command = [*NSTD_WITHOUT_POWERS, *arguments]
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (refused.returncode, refused.stderr) == (77, message.format(root=tmp_path))
