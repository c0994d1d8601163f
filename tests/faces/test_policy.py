import dataclasses
import hashlib
from pathlib import Path

import pytest

from forensic import images
from forensic.datasets.synthetic import Made
from forensic.errors import UsageError
from forensic.faces import Finder, policy
from forensic.faces.policy import Limits
from forensic.faces.quality import Quality

GOOD = Quality(
    width=256.0, height=320.0, face_height=180.0, eye_distance=60.0, sharpness=0.8, brightness=0.5, dark=0.0, light=0.0,
    yaw=2.0, pitch=5.0, roll=1.0, occlusion=0.01,
)  # fmt: skip


def written(folder: Path, text: str) -> Path:
    path = folder / "policy.toml"
    path.write_text(text)
    return path


def test_verdicts_and_reasons(tmp_path: Path) -> None:
    path = written(tmp_path, "[yaw]\nwarn = {below = -30, above = 30}\n[eye_distance]\nrefuse = {below = 10}\n")
    limits = policy.load(path)
    assert limits.warn == {"yaw": Limits(-30, 30)}
    assert limits.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert limits.judge(GOOD)[1:] == ("accept", (), limits.digest)
    assert limits.judge(dataclasses.replace(GOOD, yaw=30.0)).verdict == "accept"
    for yaw, words in ((31.0, "31 degrees, above 30"), (-31.0, "-31 degrees, below -30")):
        found = limits.judge(dataclasses.replace(GOOD, yaw=yaw))
        assert (found.verdict, found.reasons) == ("warn", (f"the head is turned by {words}",))
    worst = limits.judge(dataclasses.replace(GOOD, yaw=40.0, eye_distance=9.0))
    assert worst.verdict == "refuse"
    assert len(worst.reasons) == 2
    assert worst.to_json()["measures"]["eye_distance"] == 9.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[beauty]\nwarn = {below = 1}", "limits for 'beauty'. Known: width"),
        ("yaw = 3", "yaw is 3; expected a table"),
        ("[yaw]\nalarm = {above = 1}", "expected a table with warn"),
        ("[yaw]\nwarn = 3", "yaw.warn is 3; expected"),
        ("[yaw]\nwarn = {}", "expected {below"),
        ("[yaw]\nwarn = {beyond = 3}", "expected {below"),
        ("[yaw]\nwarn = {above = '3'}", "yaw.warn.above is '3'; expected a finite number"),
        ("[yaw]\nwarn = {above = true}", "is True; expected a finite number"),
        ("[yaw]\nwarn = {above = nan}", "is nan; expected a finite number"),
        ("[yaw]\nwarn = {below = 3, above = 1}", "nothing lies between"),
        ("[yaw]\nwarn = {above = 30}\nrefuse = {above = 20}", "refuse.above is 20, stricter than warn"),
        ("[yaw]\nwarn = {below = 30}\nrefuse = {below = 40}", "refuse.below is 40, stricter than warn"),
        ("[yaw", "no TOML file"),
    ],
)
def test_a_wrong_policy_is_told(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        policy.load(written(tmp_path, text))
    assert message in str(caught.value)


def test_a_missing_or_binary_policy(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        policy.load(tmp_path / "none.toml")
    (tmp_path / "x").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="no TOML file"):
        policy.load(tmp_path / "x")


def test_the_shipped_policy_accepts_synthetic_people(people: list[Made]) -> None:
    limits, finder = policy.load(), Finder()
    for made in people[:6]:
        picture = images.read(made.photos[0]).image
        found = limits.assess(picture, finder.one(picture).face)
        assert found.verdict == "accept", (made.label, found.reasons)


def test_the_shipped_policy_warns_of_poor_photos_and_refuses_tiny_ones() -> None:
    limits = policy.load()
    assert limits.judge(GOOD).verdict == "accept"
    for changes in ({"sharpness": 0.05}, {"brightness": 0.05}, {"light": 0.6}, {"yaw": 50.0}, {"occlusion": 0.6}):
        assert limits.judge(dataclasses.replace(GOOD, **changes)).verdict == "warn"
    assert limits.judge(dataclasses.replace(GOOD, eye_distance=20.0)).verdict == "warn"
    assert limits.judge(dataclasses.replace(GOOD, eye_distance=6.0)).verdict == "refuse"
    assert set(limits.refuse) == {"eye_distance"}
