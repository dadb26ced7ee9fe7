"""TLS on both engines, and a certificate that is read anew."""

import contextlib
import datetime as dt
import os
import socket
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from springfield.server.engines import EngineName
from springfield.server.tls import BadCertificate, Certificate
from tests.server.serving import Served, Setup, serving
from tests.server.test_exchange import get, post
from tests.server.wire import Reader


def write_certificate(directory: Path, name: str) -> tuple[Path, Path]:
    """Write a self-signed certificate for `name` and its key; return their paths."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .sign(key, hashes.SHA256())
    )
    chain, secret = directory / "chain.pem", directory / "key.pem"
    chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return chain, secret


def connect(served: Served) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(served.connect(), suppress_ragged_eofs=False)


def name_of(sock: ssl.SSLSocket) -> str:
    raw = sock.getpeercert(binary_form=True)
    assert raw is not None
    certificate = x509.load_der_x509_certificate(raw)
    return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def test_requests_are_answered_over_tls(tmp_path: Path, engine: EngineName, loop_name: str) -> None:
    certificate = Certificate(*write_certificate(tmp_path, "first"))
    with (
        serving(Setup(engine, loop_name, tls=certificate.context)) as served,
        contextlib.closing(connect(served)) as sock,
    ):
        reader = Reader(sock)
        for _ in range(2):
            sock.sendall(post("/echo", 3) + b"abc")
            answer = reader.answer()
            assert answer is not None
            assert b'"protocol": "https"' in answer.body
        sock.sendall(get("/firehose?parts=64"))
        answer = reader.answer()
        assert answer is not None
        assert len(answer.body) == 4 * 1024 * 1024


def test_new_connections_get_the_new_certificate(
    tmp_path: Path, engine: EngineName, loop_name: str
) -> None:
    certificate = Certificate(*write_certificate(tmp_path, "first"))
    with (
        serving(Setup(engine, loop_name, tls=certificate.context)) as served,
        contextlib.closing(connect(served)) as old,
    ):
        assert name_of(old) == "first"
        write_certificate(tmp_path, "second")
        served.call(certificate.reload)
        with contextlib.closing(connect(served)) as new:
            assert name_of(new) == "second"
        old.sendall(get("/probe"))
        assert Reader(old).answer() is not None


@pytest.mark.parametrize("damage", ["a key of another certificate", "nonsense", "nothing"])
def test_a_bad_file_keeps_the_old_certificate(tmp_path: Path, loop_name: str, damage: str) -> None:
    chain, key = write_certificate(tmp_path, "first")
    certificate = Certificate(chain, key)
    with serving(Setup("httptools", loop_name, tls=certificate.context)) as served:
        good = key.read_bytes()
        write_certificate(tmp_path, "second")
        if damage == "a key of another certificate":
            key.write_bytes(good)
        elif damage == "nonsense":
            chain.write_text("nonsense")
        else:
            chain.unlink()
        with pytest.raises(BadCertificate, match=str(chain)):
            certificate.reload()
        with contextlib.closing(connect(served)) as sock:
            assert name_of(sock) == "first"


def test_an_encrypted_key_is_refused_rather_than_asked_for(tmp_path: Path) -> None:
    chain, key = write_certificate(tmp_path, "first")
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    key.write_bytes(
        loaded.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(BadCertificate, match="unencrypted"):
        Certificate(chain, key)


def test_a_client_that_never_shakes_hands_does_not_hinder_others(
    tmp_path: Path, loop_name: str
) -> None:
    certificate = Certificate(*write_certificate(tmp_path, "first"))
    with (
        serving(Setup("httptools", loop_name, tls=certificate.context)) as served,
        contextlib.closing(served.connect()) as silent,
    ):
        with contextlib.closing(connect(served)) as sock:
            sock.sendall(get("/probe"))
            assert Reader(sock).answer() is not None
        silent.sendall(os.urandom(16))
        silent.shutdown(socket.SHUT_WR)


def test_a_refusal_arrives_over_tls(tmp_path: Path, loop_name: str) -> None:
    certificate = Certificate(*write_certificate(tmp_path, "first"))
    with (
        serving(Setup("httptools", loop_name, tls=certificate.context)) as served,
        contextlib.closing(connect(served)) as sock,
    ):
        sock.sendall(b"GET / HTTP/3.0\r\n\r\n")
        answer = Reader(sock).answer()
        assert answer is not None
        assert answer.status == 505


def test_a_client_that_goes_away_is_noticed_over_tls(tmp_path: Path, loop_name: str) -> None:
    certificate = Certificate(*write_certificate(tmp_path, "first"))
    with serving(Setup("httptools", loop_name, tls=certificate.context)) as served:
        with contextlib.closing(connect(served)) as sock:
            sock.sendall(get("/slow"))
            assert served.witness.next() == "waiting"
        assert served.witness.next() == "gone"
