"""The gRPC health check (grpc.health.v1.Health/Check) as bytes: one request to send, one answer to read.

Only the standard library is used, so that HAProxy, a controller and any managed host's system Python can ask the
same question. One connection carries one request; HPACK (RFC 7541) needs no dynamic table then: the request is
written with literal headers, and of the answer only two things are read, the protobuf status in the DATA frames and,
where the server refuses, ``grpc-status`` in the trailers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

# HTTP/2 (RFC 9113): section 3.4, 6 and 7.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_HEADER_LENGTH = 9
DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY, CONTINUATION = 0x0, 0x1, 0x3, 0x4, 0x7, 0x9
ACK = END_STREAM = 0x1
END_HEADERS, PADDED, PRIORITY = 0x4, 0x8, 0x20

SETTINGS_ACK = b"\x00\x00\x00" + bytes([SETTINGS, ACK]) + b"\x00\x00\x00\x00"

# grpc/health/v1/health.proto, HealthCheckResponse.ServingStatus.
UNKNOWN, SERVING, NOT_SERVING, SERVICE_UNKNOWN = "UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"
ERROR = "ERROR"
_SERVING_STATUS = {0: UNKNOWN, 1: SERVING, 2: NOT_SERVING, 3: SERVICE_UNKNOWN}

# grpc/doc/statuscodes.md, in the order of their numbers.
_GRPC_STATUS = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS"),
    *("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED"),
    *("INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
)
_NOT_FOUND = _GRPC_STATUS.index("NOT_FOUND")

# "grpc-status" as an HPACK string (whether Huffman coded, bytes), plain and in the code of RFC 7541 appendix B.
_GRPC_STATUS_NAMES = ((False, b"grpc-status"), (True, b"\x9a\xca\xc8\xb2\x12\x34\xda\x8f"))
# The Huffman codes of the digits: 0 to 2 take five bits, 3 to 9 take six.
_HUFFMAN_DIGITS = {f"{code:05b}": str(code) for code in range(3)}
_HUFFMAN_DIGITS.update({f"{0x19 + digit - 3:06b}": str(digit) for digit in range(3, 10)})


class ProtocolError(ValueError):
    """The peer's bytes are not HTTP/2, or not an answer to a health check."""


@dataclass(frozen=True)
class Answer:
    """The verdict on one health check: ``status`` is SERVING, NOT_SERVING, UNKNOWN, SERVICE_UNKNOWN or ERROR."""

    status: str
    reason: str


@dataclass(frozen=True)
class Frame:
    """One HTTP/2 frame without its header."""

    type: int
    flags: int
    stream: int
    payload: bytes


def frame(type_: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Return one HTTP/2 frame."""
    return len(payload).to_bytes(3, "big") + bytes([type_, flags]) + stream.to_bytes(4, "big") + payload


def _hpack_integer(value: int, prefix_bits: int) -> bytes:
    """Return ``value`` in RFC 7541 section 5.1 form, the bits above the prefix being zero."""
    limit = (1 << prefix_bits) - 1
    if value < limit:
        return bytes([value])
    return bytes([limit]) + _varint(value - limit)


def _varint(value: int) -> bytes:
    """Return ``value`` in groups of seven bits, least significant first (protobuf and HPACK agree on this)."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _hpack_string(text: str) -> bytes:
    raw = text.encode("ascii")
    return _hpack_integer(len(raw), 7) + raw


def health_check_request(service: str, authority: str, tls: bool) -> bytes:
    """Return everything a client sends for one health check: preface, SETTINGS, HEADERS and DATA.

    :param service: full name of the gRPC service; the empty name asks for the server as a whole.
    :param authority: the ``:authority`` pseudo header; no Temporal server looks at it, proxies may.
    :param tls: whether the bytes travel inside TLS; decides ``:scheme``.
    :raises ProtocolError: when a name has other than ASCII characters.
    """
    try:
        # Indices of the static table (RFC 7541 appendix A): 3 = POST, 7 = https, 6 = http, 4 = :path, 1 = :authority,
        # 31 = content-type. "Literal without indexing" leaves the server's dynamic table empty.
        headers = (
            bytes([0x80 | 3, 0x80 | (7 if tls else 6)])
            + _hpack_integer(4, 4)
            + _hpack_string("/grpc.health.v1.Health/Check")
            + _hpack_integer(1, 4)
            + _hpack_string(authority)
            + _hpack_integer(31, 4)
            + _hpack_string("application/grpc")
            + _hpack_integer(0, 4)
            + _hpack_string("te")
            + _hpack_string("trailers")
        )
        name = service.encode("ascii")
    except UnicodeEncodeError as error:
        raise ProtocolError(f"service and authority must be ASCII names, not {error.object!r}") from error
    message = b"\x0a" + _varint(len(name)) + name if name else b""
    return (
        PREFACE
        + frame(SETTINGS, 0, 0, b"")
        + frame(HEADERS, END_HEADERS, 1, headers)
        + frame(DATA, END_STREAM, 1, b"\x00" + len(message).to_bytes(4, "big") + message)
    )


def _without_padding(received: Frame) -> bytes:
    payload = received.payload
    if received.flags & PADDED:
        if not payload or payload[0] >= len(payload):
            raise ProtocolError("padding longer than the frame")
        payload = payload[1 : len(payload) - payload[0]]
    if received.type == HEADERS and received.flags & PRIORITY:
        payload = payload[5:]
    return payload


def grpc_status_of(header_block: bytes) -> int | None:
    """Return the ``grpc-status`` that a header block of the connection's only request spells out, or None.

    A name that was never sent before cannot be an index into the dynamic table, so its bytes stand in the block.

    :raises ProtocolError: when the block ends inside a field.
    """
    try:
        for name, (huffman, value) in _literal_fields(header_block):
            if name in _GRPC_STATUS_NAMES:
                digits = _huffman_digits(value) if huffman else value.decode("latin-1")
                return int(digits) if digits.isdecimal() else None
    except IndexError as error:
        raise ProtocolError("the header block ends inside a field") from error
    return None


def _literal_fields(block: bytes) -> Iterator[tuple[tuple[bool, bytes] | None, tuple[bool, bytes]]]:
    """Yield name and value, still coded, of the fields that RFC 7541 section 6 writes out; an indexed name is None."""
    position = 0
    while position < len(block):
        first = block[position]
        if first & 0x80 or first & 0xE0 == 0x20:  # an indexed field, or a change of the table's size
            _, position = _read_integer(block, position, 7 if first & 0x80 else 5)
            continue
        index, position = _read_integer(block, position, 6 if first & 0x40 else 4)
        name = None
        if index == 0:
            name, position = _read_string(block, position)
        value, position = _read_string(block, position)
        yield name, value


def _read_integer(block: bytes, position: int, prefix_bits: int) -> tuple[int, int]:
    """Return the integer at ``position`` and the position after it."""
    limit = (1 << prefix_bits) - 1
    value = block[position] & limit
    position += 1
    if value < limit:
        return value, position
    shift = 0
    while True:
        byte = block[position]
        position += 1
        value += (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, position


def _read_string(block: bytes, position: int) -> tuple[tuple[bool, bytes], int]:
    """Return whether the string at ``position`` is Huffman coded, its bytes, and the position after it."""
    huffman = bool(block[position] & 0x80)
    length, position = _read_integer(block, position, 7)
    if position + length > len(block):
        raise IndexError(position)
    return (huffman, block[position : position + length]), position + length


def _huffman_digits(value: bytes) -> str:
    bits = "".join(f"{byte:08b}" for byte in value)
    digits = ""
    while bits.strip("1"):  # what is left after the last symbol is padding of ones
        code = next((bits[:length] for length in (5, 6) if bits[:length] in _HUFFMAN_DIGITS), None)
        if code is None:
            return ""
        digits += _HUFFMAN_DIGITS[code]
        bits = bits[len(code) :]
    return digits


def serving_status(message: bytes) -> str:
    """Return the status in a HealthCheckResponse; field 1, a varint, absent when it is 0 (UNKNOWN).

    :raises ProtocolError: when the bytes are another message.
    """
    if not message:
        return UNKNOWN
    if len(message) != 2 or message[0] != 0x08 or message[1] not in _SERVING_STATUS:
        raise ProtocolError(f"not a health check response: {message.hex()}")
    return _SERVING_STATUS[message[1]]


class ResponseParser:
    """Reads the answer to one health check from the bytes as they come.

    Feed it with :meth:`receive` until :attr:`answer` is set, and send what :meth:`receive` returns.
    """

    def __init__(self) -> None:
        """Start before the first byte."""
        self.answer: Answer | None = None
        self._buffer = b""
        self._data = b""
        self._headers = b""
        self._first = True

    def receive(self, received: bytes) -> bytes:
        """Take bytes from the peer; return the bytes owed to it (acknowledgements of its SETTINGS).

        :raises ProtocolError: when the peer does not speak HTTP/2.
        """
        self._buffer += received
        owed = b""
        for current in self._frames():
            if self._first and current.type != SETTINGS:
                raise ProtocolError(f"not HTTP/2: the first frame has type {current.type}, not SETTINGS")
            self._first = False
            if current.type == SETTINGS and not current.flags & ACK:
                owed += SETTINGS_ACK
            self._judge(current)
        return owed

    def end(self) -> Answer:
        """Return the answer, or what the end of the connection means before there was one."""
        return self.answer or Answer(ERROR, "the connection ended before an answer")

    def _frames(self) -> Iterator[Frame]:
        if self._first and not PREFACE.startswith(self._buffer[:4]) and self._buffer[:5] == b"HTTP/":
            raise ProtocolError(f"an HTTP/1 server answers here: {self._buffer[:40]!r}")
        while len(self._buffer) >= FRAME_HEADER_LENGTH:
            end = FRAME_HEADER_LENGTH + int.from_bytes(self._buffer[:3], "big")
            if len(self._buffer) < end:
                return
            head, payload = self._buffer[:FRAME_HEADER_LENGTH], self._buffer[FRAME_HEADER_LENGTH:end]
            self._buffer = self._buffer[end:]
            yield Frame(head[3], head[4], int.from_bytes(head[5:9], "big") & 0x7FFFFFFF, payload)

    def _judge(self, current: Frame) -> None:
        if self.answer:
            return
        if current.type == GOAWAY:
            code = int.from_bytes(current.payload[4:8], "big")
            self.answer = Answer(ERROR, f"the server closes the connection (GOAWAY, error code {code})")
        elif current.type == RST_STREAM and current.stream == 1:
            code = int.from_bytes(current.payload[:4], "big")
            self.answer = Answer(ERROR, f"the server reset the request (RST_STREAM, error code {code})")
        elif current.type in (HEADERS, CONTINUATION) and current.stream == 1:
            self._headers += _without_padding(current) if current.type == HEADERS else current.payload
            if current.flags & END_HEADERS:
                self._judge_headers(grpc_status_of(self._headers))
        elif current.type == DATA and current.stream == 1:
            self._data += _without_padding(current)
            self._judge_data()

    def _judge_headers(self, code: int | None) -> None:
        self._headers = b""
        if code == _NOT_FOUND:
            self.answer = Answer(SERVICE_UNKNOWN, "the server knows no service of this name")
        elif code:
            name = _GRPC_STATUS[code] if code < len(_GRPC_STATUS) else "?"
            self.answer = Answer(ERROR, f"the health check was refused: gRPC status {code} {name}")

    def _judge_data(self) -> None:
        prefix = 5  # one byte for compression, four for the length
        if len(self._data) >= prefix and len(self._data) >= prefix + int.from_bytes(self._data[1:prefix], "big"):
            status = serving_status(self._data[prefix : prefix + int.from_bytes(self._data[1:prefix], "big")])
            self.answer = Answer(status, f"the server answered {status}")
