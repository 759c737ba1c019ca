"""Token buckets, and which address an HTTP request counts for."""

import pytest
from aiohttp.test_utils import make_mocked_request

from signaling.config import Limits, Rate
from signaling.lessons.rates import Bucket, Rates
from signaling.web.throttle import Throttle


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = Bucket(Rate(per_s=2, burst=3), now=0.0)
    assert [bucket.take(0.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert bucket.take(0.25) == pytest.approx(0.25)
    assert bucket.take(0.5) == 0.0
    assert bucket.take(100.0) == 0.0
    assert bucket.full_at == pytest.approx(100.5)  # no more than the burst was saved up


def test_classes_of_requests_do_not_pay_for_each_other() -> None:
    rates = Rates(Limits(chat=Rate(per_s=1, burst=1), clicks=Rate(per_s=1, burst=2)), now=0.0)
    assert rates.take("chat", 0.0) == 0.0
    assert rates.take("chat", 0.0) > 0
    assert [rates.take(tag, 0.0) > 0 for tag in ("raise_hand", "quiz_answer", "mute")] == [False, False, True]


@pytest.mark.parametrize(
    ("remote", "forwarded", "address"),
    [
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),  # anybody can write that header
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "8.8.8.8, 203.0.113.9", "203.0.113.9"),  # only the last hop is our proxy's word
        ("10.0.0.1", "203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "", "10.0.0.1"),
    ],
)
def test_addresses_behind_proxies(remote: str, forwarded: str, address: str) -> None:
    throttle = Throttle(Rate(per_s=1, burst=1), ("10.0.0.1", "10.0.0.2"))
    headers = {"X-Forwarded-For": forwarded, "X-Forwarded-Proto": "https"}
    request = make_mocked_request("GET", "/", headers=headers).clone(remote=remote)
    assert throttle.address(request) == address
    assert throttle.scheme(request) == ("https" if remote == "10.0.0.1" else "http")


def test_addresses_are_counted_apart_and_forgotten_when_rested() -> None:
    throttle = Throttle(Rate(per_s=1, burst=1), ())
    assert throttle.take("a", 0.0) == 0.0
    assert throttle.take("a", 0.1) == pytest.approx(0.9)
    assert throttle.take("b", 0.1) == 0.0
    assert [throttle.take(it, 1.0) > 0 for it in ("2001:db8::1", "2001:db8::2")] == [False, True]  # one line
    assert throttle.take("2001:db8:0:1::1", 1.0) == 0.0
    assert [throttle.take(it, 1.0) > 0 for it in ("192.0.2.1", "::ffff:192.0.2.1")] == [False, True]
    throttle._forget(5.0)
    assert not throttle._buckets
