"""Answers that are the same for everybody: documents, pages, files. Compressed once, served with ETag and 304."""

from __future__ import annotations

import gzip
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from handlers.base import GZIP_FROM_BYTES, BaseHandler
from handlers.negotiation import accepts_gzip
from server.process.workers import in_codec_thread

if TYPE_CHECKING:
    from typing import Self

GZIP_LEVEL = 9  # compressed only once
_COMPRESSIBLE = re.compile(r"text/|application/(json|javascript|manifest\+json)|image/svg\+xml")
_HOST = re.compile(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?|\[[0-9a-fA-F:]+\](:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Asset:
    """A body, its gzip if that is worth it, and its ETag."""

    body: bytes
    content_type: str
    etag: str
    gzipped: bytes | None

    @classmethod
    def of(cls, body: bytes, content_type: str) -> Self:
        """Make an asset. Takes some milliseconds per megabyte: call it in a thread."""
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        worth_it = len(body) >= GZIP_FROM_BYTES and _COMPRESSIBLE.match(content_type)
        return cls(body, content_type, etag, gzip.compress(body, GZIP_LEVEL, mtime=0) if worth_it else None)


async def make_asset(body: bytes, content_type: str) -> Asset:
    """Call `Asset.of` in a thread."""
    return await in_codec_thread(Asset.of, body, content_type)


class AssetHandler(BaseHandler):
    """Answers with an asset."""

    logged = False
    cache_control = "no-cache"  # clients cache it and revalidate each time; a 304 is cheap

    def send_asset(self, asset: Asset) -> None:
        """Send the asset, or 304 if the client has it."""
        self._headers["Cache-Control"] = self.cache_control
        self._headers["Content-Type"] = asset.content_type
        self._headers["Etag"] = asset.etag
        body = asset.body
        if asset.gzipped is not None:
            self.vary("Accept-Encoding")
            if accepts_gzip(self.request.headers.get("Accept-Encoding")):
                self._headers["Content-Encoding"] = "gzip"
                self._headers["Etag"] = f"W/{asset.etag}"
                body = asset.gzipped
        if asset.etag in self.request.headers.get("If-None-Match", ""):
            self.finish_empty(304)
            return
        self.finish_whole(body)

    def allow_page(self, *, inline_styles: bool = False) -> None:
        """Set the Content-Security-Policy of our pages: nothing from other origins, no inline code."""
        host = self.request.host if _HOST.fullmatch(self.request.host) else ""
        sockets = f" ws://{host} wss://{host}" if host else ""  # some browsers do not apply 'self' to WebSockets
        styles = " 'unsafe-inline'" if inline_styles else ""
        self._headers.update(
            {
                "Content-Security-Policy": (
                    f"default-src 'none'; script-src 'self'; style-src 'self'{styles}; connect-src 'self'{sockets}; "
                    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self'; worker-src 'self' blob:; "
                    "manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
                ),
                "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
                "Cross-Origin-Opener-Policy": "same-origin",
            }
        )
