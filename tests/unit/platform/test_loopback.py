"""Which addresses no proxy leads to."""

import pytest

from shared.frame.platform.loopback import is_loopback


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1:8081/", "https://127.0.0.1", "http://127.9.8.7:1", "http://localhost:7071/api"),
        *("http://LOCALHOST", "http://[::1]:8081/", "http://cosmos.localhost:1", "sb://127.0.0.1:5672"),
    ],
)
def test_this_computer_has_these_addresses(url: str) -> None:
    assert is_loopback(url)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "https://x.documents.azure.com:443/",
            "http://localhost.example",
            "http://127.0.0.1.example",
            "http://10.0.0.1",
        ),
        *("http://notlocalhost", "http://[2001:db8::1]/", "http://0.0.0.0", "", "nonsense"),
    ],
)
def test_other_addresses_are_elsewhere(url: str) -> None:
    assert not is_loopback(url)
