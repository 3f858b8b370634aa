"""A HOST that cannot be resolved."""

from __future__ import annotations

import pytest

from server.net.http.server import check_free


@pytest.mark.parametrize("host", ["nowhere.invalid", "a" * 64, "a..b"])
def test_the_error_names_the_host(host: str) -> None:
    with pytest.raises(OSError, match=f"{host}:21999: "):
        check_free(host, 21999, reuse_port=False)
