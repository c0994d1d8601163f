"""The command line as a user meets it: exit codes, words, files."""

import errno
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from forensic import Gallery, cli
from forensic.datasets.synthetic import Made

Captured = pytest.CaptureFixture[str]


def forensic(*arguments: str | Path) -> int:
    return cli.run([str(argument) for argument in arguments])


def test_help_names_every_command(capsys: Captured) -> None:
    assert forensic("--help") == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in cli.COMMANDS)
    assert set(cli.SUMMARIES) == set(cli.COMMANDS)


@pytest.mark.parametrize("name", list(cli.COMMANDS))
def test_every_command_has_help(name: str, capsys: Captured) -> None:
    assert forensic(name, "--help") == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: forensic {name}")
    assert "\\b" not in shown, "a raw docstring: click takes the backspace character"


def test_help_and_gallery_commands_start_without_torch(searchable: Path) -> None:
    code = (
        "import sys; from forensic.cli import run; "
        "code = run(sys.argv[1:]); "
        "heavy = {'torch', 'faiss', 'sklearn', 'matplotlib', 'alembic'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    for arguments in (["--help"], ["gallery", "list", "--gallery", str(searchable)]):
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("arguments", "code", "told"), [(["--version"], 0, "version"), (["match"], 2, "Error:")])
def test_threads_and_exit_handlers_end_where_torch_was_used(arguments: list[str], code: int, told: str) -> None:
    program = (
        "import atexit, sys, threading, time, torch; from forensic.cli import main; "
        "atexit.register(lambda: print('handled')); "
        "threading.Thread(target=lambda: [time.sleep(1), print('worked')]).start(); main(sys.argv[1:])"
    )
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True)
    assert done.returncode == code
    assert told in done.stdout + done.stderr
    assert done.stdout.endswith("worked\nhandled\n")


def test_enroll_and_match(people_folder: Path, people: list[Made], tmp_path: Path, capsys: Captured) -> None:
    gallery, lines, report = tmp_path / "gallery", tmp_path / "found.jsonl", tmp_path / "report.html"
    assert forensic("enroll", people_folder / "photos", "--gallery", gallery) == 0
    assert f"{len(people)} enrolled" in capsys.readouterr().out
    sketch = people[0].sketch
    assert forensic("match", sketch, "--gallery", gallery, "--top", 3, "--json", lines, "--report", report) == 0
    shown = capsys.readouterr()
    assert "rank" in shown.out
    assert "not an identification" in " ".join(shown.out.split())
    found = json.loads(lines.read_text())
    assert found["probe"] == str(sketch)
    assert len(found["candidates"]) == 3
    assert found["gallery_size"] == len(people)
    page = report.read_text()
    assert page.count("data:image/jpeg;base64,") == 2 + 3
    assert not re.search(r"""(?:src|href)=["'](?!data:)""", page), "the report fetches something"
    assert found["sha256"] in page
    assert found["gallery_root"] in page
    assert all(digest in page for digest in found["models"].values())


def test_json_is_the_same_to_the_byte(searchable: Path, people: list[Made], capsys: Captured) -> None:
    texts = []
    for _ in range(2):
        assert forensic("match", people[0].sketch, people[1].sketch, "--gallery", searchable, "--json", "-") == 0
        told = capsys.readouterr()
        texts.append(told.out)
        assert re.search(r"On record as search \d+, \d+, in the probes' order", told.err)
    assert texts[0] == texts[1]
    assert len([json.loads(line) for line in texts[0].splitlines()]) == 2


def test_a_synthesized_probe_is_marked_in_the_report(searchable: Path, people: list[Made], tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    route = "sketch-to-photo:pix2pix"
    assert forensic("match", people[0].sketch, "--gallery", searchable, "--route", route, "--report", page) == 0
    assert "synthetic, not evidence" in page.read_text()


def test_evidence_is_in_words_everywhere(
    searchable: Path, people: list[Made], tmp_path: Path, capsys: Captured
) -> None:
    page, lines = tmp_path / "report.html", tmp_path / "found.jsonl"
    command = ["match", people[0].sketch, "--gallery", searchable, "--top", 12]
    assert forensic(*command, "--report", page, "--json", lines) == 0
    shown, found, told = capsys.readouterr().out, json.loads(lines.read_text()), page.read_text()
    assert "log10 LR" in shown
    assert found["calibration"]["kind"] == "viewed"
    assert found["calibration"]["population"] in told
    assert "not the probability of a match" in told
    for candidate in found["candidates"]:
        assert candidate["words"] in told
        assert -20 < candidate["log_lr"] < 20


def test_several_sketches_of_one_person(searchable: Path, people: list[Made], tmp_path: Path, capsys: Captured) -> None:
    sketches, page = [people[0].sketch, people[1].sketch], tmp_path / "report.html"
    command = ["match", *sketches, "--gallery", searchable, "--same-person", "--json", "-", "--report", page]
    assert forensic(*command) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["probe"] == ", ".join(map(str, sketches))
    assert page.read_text().count("Aligned probe</figcaption>") == 2


def test_a_filter_needs_a_justification(searchable: Path, people: list[Made], tmp_path: Path, capsys: Captured) -> None:
    command, page = ["match", people[0].sketch, "--gallery", searchable], tmp_path / "report.html"
    assert forensic(*command, "--where", "sex=female") == 2
    assert "justif" in capsys.readouterr().err
    assert forensic(*command, "--justification", "the witness saw a woman") == 2
    assert forensic(*command, "--where", "shoe_size=43", "--justification", "a print was found there") == 2
    assert "sex" in capsys.readouterr().err, "the columns that there are should be named"
    both = ["--where", "birth_year=..1970", "--where", "birth_year=1971..", "--justification", "nobody can be both"]
    assert forensic(*command, *both) == 2
    assert "at once" in capsys.readouterr().err
    justified = ["--where", "sex=female", "--justification", "the witness saw a woman", "--report", page]
    assert forensic(*command, *justified, "--json", "-") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["filter"]["justification"] == "the witness saw a woman"
    assert 0 < found["gallery_size"] < 14
    assert "the witness saw a woman" in page.read_text()


def test_an_explanation_is_shown_and_kept(
    searchable: Path, people: list[Made], tmp_path: Path, capsys: Captured
) -> None:
    page, lines = tmp_path / "report.html", tmp_path / "found.jsonl"
    command = ["match", people[0].sketch, "--gallery", searchable, "--route", "direct@patches", "--explain"]
    assert forensic(*command, "--report", page, "--json", lines) == 0
    assert "hangs on" in capsys.readouterr().out
    told = json.loads(lines.read_text())["explanation"]
    assert {"nose", "mouth", "hair"} <= {region["name"] for region in told["regions"]}
    assert "Occlusion map of the candidate" in page.read_text()


def test_exit_codes(searchable: Path, people: list[Made], tmp_path: Path, capsys: Captured) -> None:
    sketch, blank = people[0].sketch, tmp_path / "blank.png"
    Image.new("RGB", (120, 120), "white").save(blank)
    there, elsewhere = ["--gallery", searchable], ["--gallery", tmp_path / "no gallery"]
    cases = {
        2: [["match", sketch, *there, "--route", "no-such-route"], ["match"], ["nosuch"], ["match", "-x"]],
        3: [["match", blank, *there], ["match", tmp_path / "absent.png", *there]],
        4: [["match", sketch, *elsewhere], ["match", sketch, *there, "--route", "direct@vggface2"]],
    }
    for code, commands in cases.items():
        for arguments in commands:
            assert forensic(*arguments) == code, arguments
            shown = capsys.readouterr()
            assert "Traceback" not in shown.err
            assert shown.err.strip()


def test_one_bad_probe_does_not_stop_the_others(
    searchable: Path, people: list[Made], tmp_path: Path, capsys: Captured
) -> None:
    blank = tmp_path / "blank.png"
    Image.new("RGB", (120, 120), "white").save(blank)
    assert forensic("match", blank, people[0].sketch, "--gallery", searchable, "--json", "-") == 3
    first, second = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert "no face" in first["error"]
    assert first["candidates"] == []
    assert second["candidates"]


def test_options_that_contradict_each_other(searchable: Path, people: list[Made], capsys: Captured) -> None:
    two = [people[0].sketch, people[1].sketch]
    assert forensic("match", *two, "--face", 1, "--gallery", searchable) == 2
    assert forensic("match", people[0].sketch, "--same-person", "--face", 1, "--gallery", searchable) == 2
    assert forensic("enroll") == 2
    assert "for one probe" in capsys.readouterr().err


def test_enroll_lists_failures_and_goes_on(people: list[Made], tmp_path: Path, capsys: Captured) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "good.jpg").write_bytes(people[0].photos[0].read_bytes())
    (folder / "notes.txt").write_text("not a photo")
    assert forensic("enroll", folder, "--gallery", tmp_path / "gallery", "--json") == 3
    shown = capsys.readouterr()
    summary = json.loads(shown.out)
    assert summary["enrolled"] == summary["photos"] == 1
    assert summary["failures"][0]["file"].endswith("notes.txt")
    assert "notes.txt" in shown.err


def test_closed_and_linked_folders_are_told(
    people: list[Made], searchable: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    folder, elsewhere = tmp_path / "photos", tmp_path / "elsewhere"
    for made in (folder / "closed", elsewhere):
        made.mkdir(parents=True)
    (folder / "A.jpg").write_bytes(people[0].photos[0].read_bytes())
    (folder / "linked").symlink_to(elsewhere)
    listed = os.scandir

    def scandir(path: str | Path) -> Any:
        if str(path).endswith("closed"):  # a superuser can list any folder
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    gallery = tmp_path / "gallery"
    assert forensic("enroll", folder, "--gallery", gallery, "--route", "direct@patches", "--json") == 3
    summary = json.loads(capsys.readouterr().out)
    assert (summary["enrolled"], summary["passed"]) == (1, 1)
    assert [failure["file"] for failure in summary["failures"]] == [str(folder / "closed")]
    assert any(f"{folder / 'linked'}: passed over, it is a link" in warning for warning in summary["warnings"])
    assert forensic("match", folder, "--gallery", searchable) == 3
    told = capsys.readouterr()
    assert f"Error: {folder / 'closed'}: cannot be read" in told.err
    assert f"{folder / 'linked'} is a link to a folder" in told.err


def test_a_date_for_new_people_leaves_others_as_they_are(people: list[Made], tmp_path: Path, capsys: Captured) -> None:
    folder, photos = tmp_path / "gallery", [made.photos[0].read_bytes() for made in people[:3]]
    table = tmp_path / "people.csv"
    for k, photo in enumerate(photos):
        (tmp_path / f"{k}.jpg").write_bytes(photo)

    def enroll(rows: str, *more: str) -> int:
        table.write_text(f"person,file\n{rows}")
        return forensic("enroll", "--csv", table, "--gallery", folder, "--route", "direct@patches", *more)

    assert enroll("A,0.jpg\n", "--keep-until", "2001-12-31") == 2
    assert "2001-12-31 has passed" in capsys.readouterr().err
    assert not folder.exists()
    assert enroll("A,0.jpg\n") == 0
    capsys.readouterr()
    assert enroll("A,0.jpg\nA,1.jpg\nB,2.jpg\n", "--keep-until", "2931-12-31") == 0
    shown = capsys.readouterr()
    assert "2 enrolled, 1 already" in shown.out
    assert "--keep-until is for new people" in shown.out
    assert "warning" not in shown.err
    with Gallery(folder) as gallery:
        assert [(person.label, str(person.keep_until)) for person in gallery.people()] == [
            ("A", "None"),
            ("B", "2931-12-31"),
        ]


def test_an_interrupt_ends_in_words(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.forensic, "main", interrupt)
    assert cli.run([]) == 130
    assert "run the same command again" in capsys.readouterr().err


def test_an_interrupted_training_says_how_it_goes_on(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    """Through click, which makes an Abort without words of the interrupt."""

    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt("stopped in epoch 3; go on with --resume")

    monkeypatch.setattr("forensic.commands.methods.methods.callback", interrupt)
    assert cli.run(["methods"]) == 130
    assert "What was stored is whole; stopped in epoch 3; go on with --resume." in capsys.readouterr().err


def test_a_command_that_is_nearly_right_is_named(capsys: Captured) -> None:
    assert forensic("macth", "sketch.png") == 2
    assert "Did you mean 'match'?" in capsys.readouterr().err
    assert forensic("xyzzy") == 2
    assert "Did you mean" not in capsys.readouterr().err


def test_a_question_that_nobody_answers_says_what_to_give(
    searchable: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    with Gallery(searchable) as gallery:
        someone = gallery.photos()[0].person.label
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert forensic("expunge", "person", someone, "--gallery", searchable) == 2
    assert "Give --yes" in capsys.readouterr().err
    with Gallery(searchable) as gallery:
        assert gallery.person(someone)


def test_retention_advises_nothing_where_nobody_is_due(searchable: Path, capsys: Captured) -> None:
    assert forensic("retention", "list", "--gallery", searchable) == 0
    assert "apply" not in capsys.readouterr().out


def test_an_evaluation_without_its_models_makes_no_gallery(
    people_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("FORENSIC_WEIGHTS", str(tmp_path / "weights"))
    gallery = tmp_path / "gallery"
    assert forensic("evaluate", "--data", people_folder, "--gallery", gallery) == 4
    assert "forensic models fetch mobilefacenet" in capsys.readouterr().err
    assert not gallery.exists()


def test_names_of_models_are_shown_whole(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert forensic("models", "list", "--json") == 0
    names = [row["name"] for row in json.loads(capsys.readouterr().out)]
    assert forensic("models", "list") == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in names)


def test_models_list_and_verify(capsys: Captured) -> None:
    assert forensic("models", "list", "--json") == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["mobilefacenet-cross-modal"]["state"] == "shipped"
    assert rows["vggface2"]["state"] == "absent"
    assert rows["vggface2"]["url"].startswith("https://")
    assert forensic("models", "verify") == 0


def test_enroll_a_nist_file_by_its_content(people: list[Made], tmp_path: Path, capsys: Captured) -> None:
    """The length of each record is counted by hand: digits of the length included."""
    photo = people[0].photos[0].read_bytes()
    head = b"\x1d10.003:FACE\x1d10.999:"
    length = len(b"10.001:") + len(head) + len(photo) + 1
    length += len(str(length + 5))
    face = b"10.001:%d" % length + head + photo + b"\x1c"
    assert len(face) == length
    (tmp_path / "17.any").write_bytes(b"1.001:30\x1d1.002:0500\x1d1.009:T-7\x1c" + face)
    arguments = ("--nist", "person=1.009", "--gallery", tmp_path / "gallery")
    assert forensic("enroll", tmp_path / "17.any", *arguments) == 0
    assert "1 enrolled, 0 already there, 0 failed." in capsys.readouterr().out
    assert forensic("gallery", "show", "T-7", "--gallery", tmp_path / "gallery") == 0
    assert "17.any, record 2" in capsys.readouterr().out
    assert forensic("enroll", tmp_path / "17.any", "--nist", "person=DOE", "--gallery", tmp_path / "gallery") == 2
    assert "person=2.054" in capsys.readouterr().err


def test_answers_take_the_place_of_nothing_else(
    searchable: Path, people: list[Made], tmp_path: Path, capsys: Captured
) -> None:
    sketch = tmp_path / "sketch.jpg"
    sketch.write_bytes(people[0].sketch.read_bytes())
    (tmp_path / "link.html").symlink_to(tmp_path / "elsewhere.html")
    command = ["match", sketch, "--gallery", searchable, "--top", 1]
    for option, target, words in (
        ("--report", sketch, "is a sketch to search with"),
        ("--json", sketch, "is a sketch to search with"),
        ("--report", tmp_path / "link.html", "is no file of its own"),
        ("--report", "/dev/full", "is no file of its own"),
        ("--json", tmp_path, "is a folder"),
        ("--json", tmp_path / "none" / "a.jsonl", "there is no folder"),
        ("--json", searchable / "gallery.db", "where no expunge reaches it"),
        ("--report", searchable / "report.html", "where no expunge reaches it"),
    ):
        assert forensic(*command, option, target) == 2
        assert words in capsys.readouterr().err
    assert sketch.read_bytes() == people[0].sketch.read_bytes()
    assert not (tmp_path / "none").exists()


def test_answers_are_for_their_owner_alone(searchable: Path, people: list[Made], tmp_path: Path) -> None:
    lines, page = tmp_path / "found.jsonl", tmp_path / "report.html"
    assert forensic("match", people[0].sketch, "--gallery", searchable, "--json", lines, "--report", page) == 0
    assert {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {
        "found.jsonl": 0o600,
        "report.html": 0o600,
    }


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="this system has no /dev/full")
def test_an_answer_that_finds_no_place_names_the_searches_on_record(
    searchable: Path, people: list[Made], capsys: Captured
) -> None:
    assert forensic("match", people[0].sketch, "--gallery", searchable, "--json", "/dev/full") == 2
    told = capsys.readouterr().err
    assert "/dev/full cannot be written (No space left on device)" in told
    assert re.search(r"On record already: search \d+\.", told)
