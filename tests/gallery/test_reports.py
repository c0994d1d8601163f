import math

import pytest

from forensic.errors import GalleryError, UsageError
from forensic.gallery import reports


def test_reports_are_kept_and_listed(gallery):
    data = {"rank-1": 0.976, "rows": [[1, None, True, "é"]], "empty": {}}
    first, second = reports.save(gallery, "CUFS", data), reports.save(gallery, "FS2K", [])
    assert [report.id for report in reports.listed(gallery)] == [second, first]
    assert reports.show(gallery, first).data == data
    assert reports.show(gallery, first).title == "CUFS"
    with pytest.raises(GalleryError, match="no report 99"):
        reports.show(gallery, 99)


@pytest.mark.parametrize("data", [math.nan, [math.inf], {"a": {1, 2}}, {1: "x"}, (1, 2), {"a": object()}])
def test_only_json_is_kept(gallery, data):
    with pytest.raises(UsageError, match="'bad' is no JSON document"):
        reports.save(gallery, "bad", data)
    assert reports.listed(gallery) == []
