"""Nothing grows: hours of stream through the real Session, with an answer every half minute."""

import pytest

from streambridge.bench.extent import Extent
from streambridge.bench.streams import soak


def check_flat(hours):
    (record,) = soak(Extent(soak_hours=hours), set(), "cpu", lambda: None)
    assert record["max_tokens"] + record["reserve"] <= record["max_len"]
    assert record["rebuilds"] > 30 * hours and record["stalls"] == 0
    later = {name: record[name][2:] for name in ("kv_bytes", "tokens", "rss_mib")}  # the last six of eight parts
    assert len(set(later["kv_bytes"])) == 1
    assert max(later["tokens"]) <= 1.02 * min(later["tokens"])
    assert max(later["rss_mib"]) - min(later["rss_mib"]) <= 16, later["rss_mib"]


def test_a_quarter_of_an_hour_is_flat():
    check_flat(0.25)


@pytest.mark.slow
def test_eight_hours_are_flat():
    check_flat(8.0)
