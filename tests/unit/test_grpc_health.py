"""The health check is bytes; independent implementations must read what we send, and we what they answer."""

from __future__ import annotations

import h2.config
import h2.connection
import h2.events
import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _grpc_health as health
from hypothesis import given
from hypothesis import strategies as st

SERVICE = "temporal.api.workflowservice.v1.WorkflowService"
# What HAProxy 2.6.12 was seen to send to a Temporal server, which answered SERVING.
PROVEN_FRAME = (
    "505249202a20485454502f322e300d0a0d0a534d0d0a0d0a00000004000000000000004a0104000000018386041c2f677270632e6865616c"
    "74682e76312e4865616c74682f436865636b010874656d706f72616c0f10106170706c69636174696f6e2f677270630002746508747261"
    "696c65727300003600010000000100000000310a2f74656d706f72616c2e6170692e776f726b666c6f77736572766963652e76312e576f"
    "726b666c6f7753657276696365"
)
NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=400)


def decoded_by_h2(request: bytes) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body that the library ``h2`` finds in a request."""
    server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
    server.initiate_connection()
    events = server.receive_data(request)
    headers = next(dict(event.headers) for event in events if isinstance(event, h2.events.RequestReceived))
    body = b"".join(event.data for event in events if isinstance(event, h2.events.DataReceived))
    assert any(isinstance(event, h2.events.StreamEnded) for event in events)
    return headers, body


def answered_by_h2(messages: list[bytes], trailers: list[tuple[str, str]]) -> bytes:
    """Return what a server on ``h2`` sends as the answer to our request."""
    server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    server.initiate_connection()
    server.receive_data(health.health_check_request(SERVICE, "temporal", tls=True))
    headers = [(":status", "200"), ("content-type", "application/grpc")]
    if messages:
        server.send_headers(1, headers)
        for message in messages:
            server.send_data(1, message, pad_length=3)
        server.send_headers(1, trailers, end_stream=True)
    else:
        server.send_headers(1, [*headers, *trailers], end_stream=True)
    return server.data_to_send()


def read(answer: bytes, piece: int = 1 << 20) -> health.Answer:
    """Return the verdict on ``answer`` when it arrives in pieces."""
    parser = health.ResponseParser()
    for start in range(0, len(answer), piece):
        parser.receive(answer[start : start + piece])
    return parser.end()


def test_the_frame_equals_the_one_that_was_proven_against_temporal() -> None:
    assert health.health_check_request(SERVICE, "temporal", tls=False).hex() == PROVEN_FRAME


@given(service=NAMES, authority=NAMES.filter(bool), tls=...)
def test_an_independent_server_reads_every_request(service: str, authority: str, tls: bool) -> None:
    headers, body = decoded_by_h2(health.health_check_request(service, authority, tls))
    assert headers == {
        ":method": "POST",
        ":scheme": "https" if tls else "http",
        ":path": "/grpc.health.v1.Health/Check",
        ":authority": authority,
        "content-type": "application/grpc",
        "te": "trailers",
    }
    assert body[0] == 0
    assert int.from_bytes(body[1:5], "big") == len(body) - 5
    assert body.endswith(service.encode())


def test_a_name_beyond_ascii_is_refused_with_its_value() -> None:
    with pytest.raises(health.ProtocolError, match="müller"):
        health.health_check_request("müller", "temporal", tls=True)


@pytest.mark.parametrize("piece", [1, 2, 7, 1 << 20])
@pytest.mark.parametrize(
    ("message", "status"),
    [
        (b"\x00\x00\x00\x00\x02\x08\x01", "SERVING"),
        (b"\x00\x00\x00\x00\x02\x08\x02", "NOT_SERVING"),
        (b"\x00\x00\x00\x00\x02\x08\x03", "SERVICE_UNKNOWN"),
        (b"\x00\x00\x00\x00\x02\x08\x00", "UNKNOWN"),
        (b"\x00\x00\x00\x00\x00", "UNKNOWN"),
    ],
)
def test_every_status_is_read_however_the_bytes_arrive(message: bytes, status: str, piece: int) -> None:
    assert read(answered_by_h2([message[:3], message[3:]], [("grpc-status", "0")]), piece).status == status


@pytest.mark.parametrize("huffman", [True, False])
@pytest.mark.parametrize(
    ("code", "status", "word"),
    [
        (5, "SERVICE_UNKNOWN", "no service"),
        (7, "ERROR", "PERMISSION_DENIED"),
        (12, "ERROR", "UNIMPLEMENTED"),
        (14, "ERROR", "UNAVAILABLE"),
        (16, "ERROR", "UNAUTHENTICATED"),
        (99, "ERROR", "99"),
    ],
)
def test_a_refusal_in_the_trailers_is_named(code: int, status: str, word: str, huffman: bool) -> None:
    hpack = pytest.importorskip("hpack")
    block = hpack.Encoder().encode(
        [(":status", "200"), ("grpc-message", "grpc-status"), ("grpc-status", str(code))], huffman=huffman
    )
    answer = read(health.frame(health.SETTINGS, 0, 0, b"") + health.frame(health.HEADERS, 0x5, 1, block))
    assert answer.status == status
    assert word in answer.reason


def test_headers_may_be_continued() -> None:
    hpack = pytest.importorskip("hpack")
    block = hpack.Encoder().encode([(":status", "200"), ("grpc-status", "12")])
    frames = (
        health.frame(health.SETTINGS, 0, 0, b"")
        + health.frame(health.HEADERS, 0x1, 1, block[:6])
        + health.frame(health.CONTINUATION, health.END_HEADERS, 1, block[6:])
    )
    assert "UNIMPLEMENTED" in read(frames).reason


@pytest.mark.parametrize(
    ("frames", "word"),
    [
        (health.frame(health.RST_STREAM, 0, 1, (7).to_bytes(4, "big")), "RST_STREAM, error code 7"),
        (health.frame(health.GOAWAY, 0, 0, bytes(4) + (11).to_bytes(4, "big")), "GOAWAY, error code 11"),
        (b"", "ended before an answer"),
        (health.frame(health.DATA, 0, 1, b"\x00\x00\x00\x00\x02\x08"), "ended before an answer"),
    ],
)
def test_an_answer_that_never_comes_is_an_error_with_its_cause(frames: bytes, word: str) -> None:
    answer = read(health.frame(health.SETTINGS, 0, 0, b"") + frames)
    assert answer.status == "ERROR"
    assert word in answer.reason


def test_settings_are_acknowledged_once() -> None:
    parser = health.ResponseParser()
    assert parser.receive(health.frame(health.SETTINGS, 0, 0, b"")) == health.SETTINGS_ACK
    assert parser.receive(health.SETTINGS_ACK) == b""


@pytest.mark.parametrize("stranger", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00\x00\x01\x01\x04\x00\x00\x00\x01\x88"])
def test_a_server_that_does_not_speak_http2_is_refused(stranger: bytes) -> None:
    with pytest.raises(health.ProtocolError, match="HTTP"):
        health.ResponseParser().receive(stranger)


@pytest.mark.parametrize("message", [b"\x08\x07", b"\x12\x01", b"\x08\x01\x00"])
def test_another_message_is_not_taken_for_a_status(message: bytes) -> None:
    with pytest.raises(health.ProtocolError, match=message.hex()):
        health.serving_status(message)


@given(st.binary(max_size=200))
def test_no_bytes_make_the_parser_fall_over(received: bytes) -> None:
    parser = health.ResponseParser()
    try:
        parser.receive(received)
    except health.ProtocolError:
        return
    assert parser.end().status in {"ERROR", "UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"}
