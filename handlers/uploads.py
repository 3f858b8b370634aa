"""A multipart/form-data upload, parsed as it arrives: short fields, and one file, spooled to disk if large."""

from __future__ import annotations

import asyncio
from tempfile import SpooledTemporaryFile
from typing import IO, TYPE_CHECKING

import structlog
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from server.errors import DEFAULT_RETRY_S, ApiError, retry_after
from server.operations.validation import invalid

if TYPE_CHECKING:
    from collections.abc import Sequence

log = structlog.get_logger(__name__)

SPOOL_BYTES = 1024 * 1024  # half a minute of PCM; most voice commands never touch the disk
MAX_PARTS = 16
MAX_FIELD_BYTES = 1_024  # enough for a language tag and the like


class Upload:
    """Feed it the chunks of the body, then read `file` and `fields`, then close it."""

    def __init__(
        self,
        content_type: str,
        file_field: str,
        field_names: Sequence[str],
        list_names: Sequence[str] = (),
        *,
        max_parts: int = MAX_PARTS,
        max_field_bytes: int = MAX_FIELD_BYTES,
    ) -> None:
        media_type, options = parse_options_header(content_type)
        if media_type != "multipart/form-data" or not options.get("boundary"):
            raise ApiError("UNSUPPORTED_MEDIA_TYPE", "send the file as multipart/form-data")
        self._parser = PushMultipartParser(options["boundary"], max_segment_count=max_parts, strict=True)
        self._file_field = file_field
        self._field_names = field_names
        self._list_names = list_names  # fields that may be repeated
        self.lists: dict[str, list[str]] = {}
        self._part: MultipartSegment | None = None
        self.file: IO[bytes] | None = None
        self._stored_bytes = 0
        self.fields: dict[str, str] = {}
        self._field = bytearray()
        self._max_field_bytes = max_field_bytes

    def feed(self, chunk: bytes) -> None:
        """Parse the next piece of the body. Raises ApiError for a form that is broken or has other fields, and on a full disk."""
        try:
            for event in self._parser.parse(chunk):
                if isinstance(event, MultipartSegment):
                    self._begin(event)
                elif event is None:
                    self._end()
                else:
                    self._take(bytes(event))
        except MultipartError as broken:
            raise ApiError("BAD_REQUEST", f"the form cannot be read: {_reason(broken)}") from None

    def complete(self) -> IO[bytes]:
        """The file, rewound. Call at the end of the body. Raises ApiError if it is missing or the form is incomplete."""
        try:
            self._parser.close()
        except MultipartError as broken:
            raise ApiError("BAD_REQUEST", f"the form is incomplete: {_reason(broken)}") from None
        if self.file is None:
            raise invalid((("body", self._file_field), "the file is missing"), flaw="missing")
        self.file.seek(0)
        return self.file

    def close(self) -> None:
        """Delete the file: a long one in a thread, because the system takes milliseconds for it."""
        file, self.file = self.file, None
        if file is None:
            return
        if self._stored_bytes > SPOOL_BYTES:
            asyncio.get_running_loop().run_in_executor(None, file.close)
        else:
            file.close()

    def _begin(self, part: MultipartSegment) -> None:
        known = part.name in {self._file_field, *self._field_names, *self._list_names}
        if not known:
            raise invalid((("body", part.name), "there is no such field"), flaw="extra_forbidden")
        if (part.name == self._file_field and self.file is not None) or part.name in self.fields:
            raise invalid((("body", part.name), "the field comes twice"))
        self._part = part
        self._field.clear()
        if part.name == self._file_field:
            self.file = SpooledTemporaryFile(SPOOL_BYTES)  # noqa: SIM115 - closed by close()

    def _take(self, data: bytes) -> None:
        assert self._part is not None
        if self._part.name == self._file_field:
            assert self.file is not None
            try:
                self.file.write(data)
                self._stored_bytes += len(data)
            except OSError as full:  # of descriptors or of the disk, when the file moves there
                log.warning("an upload could not be stored", reason=full.strerror)
                words = "there is no room for the file at the moment"
                raise ApiError("UNAVAILABLE", words, headers={"Retry-After": retry_after(DEFAULT_RETRY_S)}) from None
            return
        self._field += data
        if len(self._field) > self._max_field_bytes:
            raise invalid((("body", self._part.name), "the field is too long"))

    def _end(self) -> None:
        assert self._part is not None
        if self._part.name != self._file_field:
            try:
                value = self._field.decode()
            except UnicodeDecodeError:
                raise invalid((("body", self._part.name), "the field is not UTF-8 text")) from None
            if self._part.name in self._list_names:
                self.lists.setdefault(self._part.name, []).append(value)
            else:
                self.fields[self._part.name] = value
        self._part = None


def _reason(broken: MultipartError) -> str:
    """The parser's words. It may add another exception, whose text quotes the form."""
    return str(broken.args[0]) if broken.args else "it is not a form"
