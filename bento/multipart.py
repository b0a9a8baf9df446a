"""A multipart form that has come in whole (BodyLimit bounds it) → its parts, in one pass and one copy.

Starlette's parser goes through Python for every piece that comes in and copies each of them four times: for a clip of
1.8 MB that is a sixth of what the whole request costs. This one searches the body for the boundary, as C does it.
After RFC 7578 and RFC 2046, section 5.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from python_multipart.multipart import parse_options_header

_MOST_HEADER_BYTES = 16 * 1024  # of one part: its name, a file name, a content type
_MOST_BOUNDARY_BYTES = 256  # RFC 2046 allows 70


class DamagedForm(ValueError):
    """A body that is not the form its content type says."""


@dataclass(frozen=True)
class Part:
    """One field of a form.

    Attributes:
        name: of the field.
        is_file: whether it came with a file name, which nobody looks at.
        data: its bytes.
    """

    name: str
    is_file: bool
    data: bytes


def boundary_of(content_type: str) -> bytes:
    """The boundary that a content type names.

    Raises:
        DamagedForm: it names none, or one that is too long.
    """
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= _MOST_BOUNDARY_BYTES:
        raise DamagedForm("no boundary, or too long")
    return boundary


def parts_of(body: bytes, boundary: bytes) -> Iterator[Part]:
    """The parts in their order. Whatever precedes the first boundary and follows the last is ignored.

    Raises:
        DamagedForm: no part, one without an end, a header that is none, a field without a name.
    """
    delimiter = b"\r\n--" + boundary
    if body.startswith(delimiter[2:]):
        at = len(delimiter) - 2
    else:
        at = body.find(delimiter) + len(delimiter)
        if at < len(delimiter):
            raise DamagedForm("no part")
    while not body.startswith(b"--", at):
        line_end = body.find(b"\r\n", at, at + _MOST_HEADER_BYTES)
        if line_end < 0 or body[at:line_end].strip(b" \t"):
            raise DamagedForm("no line end after a boundary")
        head_end = body.find(b"\r\n\r\n", line_end, line_end + _MOST_HEADER_BYTES)
        if head_end < 0:
            raise DamagedForm("a header without an end, or too long")
        end = body.find(delimiter, head_end + 2)  # an empty part ends with the line end of its header
        if end < 0:
            raise DamagedForm("a part without an end")
        name, is_file = _disposition(body[line_end + 2 : head_end])
        yield Part(name, is_file, body[head_end + 4 : end])
        at = end + len(delimiter)


def _disposition(header: bytes) -> tuple[str, bool]:
    """The field's name, and whether it is a file."""
    for line in header.split(b"\r\n"):
        key, colon, value = line.partition(b":")
        if not colon:
            raise DamagedForm("a header line without a colon")
        if key.strip().lower() == b"content-disposition":
            _, options = parse_options_header(value.strip())
            if b"name" in options:
                return decoded(options[b"name"]), b"filename" in options
    raise DamagedForm("a part without a name")


def decoded(data: bytes) -> str:
    """The text of a field: UTF-8, or else Latin-1, in which every byte is a letter."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")
