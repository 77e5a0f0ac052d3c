import os
from pathlib import Path

import pytest

from nstd.config.load import load_config
from nstd.config.settings import Limits
from nstd.errors import ConfigError, InputError

USER_RULE = "must begin with the name of a user who has a home folder, after '~'"
ONE_PRESET = "presets: {p: {styles: [a.png]}}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a file that passes for a style image."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png").touch()
    return tmp_path


def refuse_text_files(image: Path, _limits: Limits) -> None:
    if image.suffix == ".txt":
        msg = f"{image.name}: cannot decode image"
        raise InputError(msg)


def errors(text: str) -> list[str]:
    file = Path("config.yaml")
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(file, check_image=refuse_text_files)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("spool", "messages"),
    [
        ("{inbox: x, outbox: x}", ["1:27: spool.outbox: must not be the same folder as spool.inbox"]),
        ("{inbox: x, outbox: ./x/y/..}", ["1:27: spool.outbox: must not be the same folder as spool.inbox"]),
        ("{failed: outbox}", ["1:17: spool.failed: must not be the same folder as spool.outbox"]),
        ("{inbox: state}", ["1:16: spool.inbox: must not be the same folder as spool.state"]),
        ("{outbox: inbox/out}", ["1:17: spool.outbox: must not lie inside spool.inbox"]),
        ("{inbox: outbox/in}", ["1:16: spool.inbox: must not lie inside spool.outbox"]),
        ("{originals: state/originals}", ["1:20: spool.originals: must not lie inside spool.state"]),
        ("{state: failed/a/b}", ["1:16: spool.state: must not lie inside spool.failed"]),
        (
            "{outbox: ., inbox: /elsewhere/in}",
            [
                "1:17: spool.outbox: must not contain spool.failed",
                "1:17: spool.outbox: must not contain spool.originals",
                "1:17: spool.outbox: must not contain spool.state",
            ],
        ),
        ("{inbox: ''}", ["1:16: spool.inbox: must be a path (got '')"]),
        ('{inbox: "a\\0b"}', ["1:16: spool.inbox: must be a path (got 'a\\x00b')"]),
        ("{inbox: 5}", ["1:16: spool.inbox: must be a path (got 5); put quotes around it"]),
        ("{inbox: [a]}", ["1:16: spool.inbox: must be a path (got ['a'])"]),
        (
            "{inbox: ~nobody-of-this-name/in}",
            [f"1:16: spool.inbox: {USER_RULE} (got '~nobody-of-this-name/in')"],
        ),
    ],
)
def test_folders_that_cannot_work_are_told(spool: str, messages: list[str]):
    assert errors(f"spool: {spool}\n{ONE_PRESET}") == [f"config.yaml:{message}" for message in messages]


def test_folders_that_only_share_the_beginning_of_their_names_are_fine(folder: Path):
    (folder / "config.yaml").write_text("spool: {inbox: box, outbox: box2}\n" + ONE_PRESET)
    config = load_config(folder / "config.yaml", check_image=refuse_text_files)
    assert config.spool.outbox == folder / "box2"


def test_folders_are_compared_where_links_lead(folder: Path):
    (folder / "inbox").mkdir()
    (folder / "link").symlink_to("inbox")
    assert errors("spool: {outbox: link/out}\n" + ONE_PRESET) == [
        "config.yaml:1:17: spool.outbox: must not lie inside spool.inbox"
    ]


def test_file_in_the_place_of_a_folder_is_told(folder: Path):
    (folder / "box").touch()
    assert errors("spool: {inbox: box}\n" + ONE_PRESET) == [
        f"config.yaml:1:16: spool.inbox: must be a folder (got the file {folder / 'box'})"
    ]


def test_config_file_inside_the_inbox_is_told():
    outside = "outbox: /x/o, originals: /x/p, failed: /x/f, state: /x/s"
    assert errors(f"spool: {{inbox: ., {outside}}}\npresets: {{p: {{styles: [/dev/null]}}}}")[0] == (
        "config.yaml:1:16: spool.inbox: must not contain this config file: it would be taken for a photo"
    )


def test_style_image_inside_the_inbox_is_told(folder: Path):
    (folder / "inbox").mkdir()
    (folder / "inbox" / "s.png").touch()
    assert errors("presets: {p: {styles: [{image: inbox/s.png}]}}") == [
        "config.yaml:1:32: presets.p.styles[0].image: must not lie inside spool.inbox: it would be taken for a photo"
    ]


def test_metrics_are_written_beside_the_config_and_not_into_the_inbox(folder: Path):
    (folder / "config.yaml").write_text("metrics: {textfile: nstd.prom}\n" + ONE_PRESET)
    config = load_config(folder / "config.yaml", check_image=refuse_text_files)
    assert config.metrics.textfile == folder / "nstd.prom"
    assert errors("metrics: {textfile: inbox/x/nstd.prom}\n" + ONE_PRESET) == [
        "config.yaml:1:21: metrics.textfile: must not lie inside spool.inbox: it would be taken for a photo"
    ]


def test_style_images_that_cannot_be_used_are_told(folder: Path):
    (folder / "s.txt").touch()
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "fifo.png")
    text = """\
presets:
  p:
    styles:
      - nowhere.png
      - {image: s.txt, weight: 2}
      - folder.png
      - fifo.png
      - ''
      - ~nobody-of-this-name/s.png
"""
    assert errors(text) == [
        f"config.yaml:4:9: presets.p.styles[0]: cannot be read: No such file or directory ({folder}/nowhere.png)",
        "config.yaml:5:17: presets.p.styles[1].image: must be a readable image (s.txt: cannot decode image)",
        f"config.yaml:6:9: presets.p.styles[2]: must be an image file (got {folder}/folder.png)",
        f"config.yaml:7:9: presets.p.styles[3]: must be an image file (got {folder}/fifo.png)",
        "config.yaml:8:9: presets.p.styles[4]: must be a path (got '')",
        f"config.yaml:9:9: presets.p.styles[5]: {USER_RULE} (got '~nobody-of-this-name/s.png')",
    ]


def test_style_images_are_checked_even_if_other_settings_are_wrong():
    assert errors("worker: {x: 1}\npresets: {p: {styles: [nowhere.png], size_px: 1}}")[1].startswith(
        "config.yaml:2:24: presets.p.styles[0]: cannot be read"
    )


def test_image_of_many_presets_is_checked_once(folder: Path):
    checked: list[tuple[Path, Limits]] = []
    (folder / "config.yaml").write_text(
        "limits: {max_file_mib: 7}\npresets: {p: {styles: [a.png]}, q: {styles: [a.png, a.png]}}"
    )
    load_config(Path("config.yaml"), check_image=lambda *found: checked.append(found))
    assert checked == [(folder / "a.png", Limits(max_file_mib=7))]


def test_problem_shared_by_presets_through_an_anchor_is_told_once():
    assert errors("presets: {p: &p {styles: [nowhere.png], seed: -1}, q: *p, r: {<<: *p}}") == [
        f"config.yaml:1:27: presets.p.styles[0]: cannot be read: No such file or directory ({Path.cwd()}/nowhere.png)",
        "config.yaml:1:47: presets.p.seed: must be >= 0 (got -1)",
    ]
