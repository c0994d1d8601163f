"""Anchors of the log, stamped by a real time-stamping authority: openssl behind a small server on this machine."""

import base64
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from sqlalchemy import text

from forensic import cli
from forensic.errors import DataError, GalleryError, UsageError
from forensic.gallery import Gallery
from forensic.gallery.log import anchoring, trail

OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(OPENSSL is None, reason="openssl, which plays the authority, is not installed")
CONFIGURATION = """
[tsa]
serial = {folder}/serial
default_policy = 1.2.3.4
digests = sha256, sha512
signer_digest = sha256
ess_cert_id_alg = sha256
"""


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, signer: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    """A root where name and issuer are one, else an authority's own."""
    root, now = name == issuer, datetime.now(UTC)
    builder = (
        x509.CertificateBuilder(named(issuer), named(name), key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=root, path_length=None), critical=True)
    )
    if not root:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    whose = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    builder = builder.add_extension(own, critical=False).add_extension(whose, critical=False)
    return builder.sign(signer, hashes.SHA256())


class Authority(HTTPServer):
    """Answers with what `answer` makes of a question; by default, what openssl does."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.url = f"http://127.0.0.1:{self.server_port}/tsa"
        self.root = folder / "root.pem"
        self.answer = self.stamp
        keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
        for name, key, path in (("root", keys[0], self.root), ("authority", keys[1], folder / "authority.pem")):
            path.write_bytes(certificate(name, key, "root", keys[0]).public_bytes(serialization.Encoding.PEM))
        plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (folder / "key.pem").write_bytes(keys[1].private_bytes(*plain))
        (folder / "tsa.cnf").write_text(CONFIGURATION.format(folder=folder))

    def stamp(self, question: bytes) -> bytes:
        """The answer to a question, by openssl."""
        (self.folder / "question").write_bytes(question)
        files = {"-queryfile": "question", "-signer": "authority.pem", "-inkey": "key.pem", "-config": "tsa.cnf"}
        named = [part for option, file in files.items() for part in (option, str(self.folder / file))]
        command = [str(OPENSSL), "ts", "-reply", "-section", "tsa", *named, "-out", str(self.folder / "answer")]
        subprocess.run(command, check=True, capture_output=True)
        return (self.folder / "answer").read_bytes()


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        question = self.rfile.read(int(self.headers["Content-Length"]))
        answer = self.server.answer(question)
        self.send_response(200 if answer else 503)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[Authority]:
    (tmp_path / "tsa").mkdir()
    with Authority(tmp_path / "tsa") as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_an_anchor_is_what_openssl_finds_sound(gallery: Gallery, authority: Authority, tmp_path: Path) -> None:
    """Oracle: `openssl ts -verify` of the token in the log, against the hash of the entry that it stamps."""
    before = trail.export_head(gallery)
    made = anchoring.anchor(gallery, authority.url, anchoring.certificates(authority.root))
    assert (made.number, made.hash) == (before.number, before.hash)
    assert abs(made.at - datetime.now(UTC)) < timedelta(minutes=1)
    (entry,) = trail.entries(gallery, limit=1)
    assert (entry["action"], entry["details"]["number"], entry["details"]["hash"]) == ("anchor", made.number, made.hash)
    token = tmp_path / "token"
    token.write_bytes(base64.b64decode(entry["details"]["token"]))
    command = [str(OPENSSL), "ts", "-verify", "-in", str(token), "-CAfile", str(authority.root), "-digest", made.hash]
    assert b"Verification: OK" in subprocess.run(command, check=True, capture_output=True).stdout
    assert anchoring.verify(gallery, anchoring.certificates(authority.root)) == ([], 1, 0)
    assert anchoring.verify(gallery) == ([], 0, 1)
    assert gallery.verify() == []


def test_another_root_did_not_sign(gallery: Gallery, authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with Authority(tmp_path / "other") as other:
        roots = anchoring.certificates(other.root)
    with pytest.raises(GalleryError, match=r"not signed by an authority of the given certificate.*Nothing was written"):
        anchoring.anchor(gallery, authority.url, roots)
    assert trail.entries(gallery, action="anchor") == []
    anchoring.anchor(gallery, authority.url)
    (problem,) = anchoring.verify(gallery, roots).problems
    assert (problem.kind, "not signed by" in problem.message) == ("anchor", True)


def test_a_token_of_something_else_is_refused(gallery: Gallery, authority: Authority) -> None:
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

    other = TimestampRequestBuilder(nonce=False).data(b"other").hash_algorithm(HashAlgorithm.SHA256).build().as_bytes()
    replies = {
        "another question": authority.stamp(other),
        "no time stamp": b"<html>",
        "refused": b"",
        "refused \\(": b"\x30\x05\x30\x03\x02\x01\x02",
    }
    for words, reply in replies.items():
        authority.answer = lambda question, reply=reply: reply
        with pytest.raises(GalleryError, match=words):
            anchoring.anchor(gallery, authority.url)
    assert trail.entries(gallery, action="anchor") == []


def test_an_authority_that_is_not_there_is_named(gallery: Gallery, authority: Authority) -> None:
    with pytest.raises(GalleryError, match=r"cannot be reached.*Nothing was written"):
        anchoring.anchor(gallery, "http://127.0.0.1:9/tsa")
    for address in (
        "ftp://tsa.example",
        "file:///etc/passwd",
        "tsa.example",
        "http://",
        "https://me:word@tsa.example",
        "http://[",
    ):
        with pytest.raises(UsageError, match="is no address"):
            anchoring.anchor(gallery, address)


def note(gallery: Gallery, **details: object) -> None:
    """An anchor that somebody with the gallery's key wrote."""
    with gallery.writing() as session:
        gallery.note(session, "anchor", **details)


def test_anchors_that_were_made_up_are_found(gallery: Gallery, authority: Authority, monkeypatch) -> None:
    anchoring.anchor(gallery, authority.url)
    said = trail.entries(gallery, limit=1)[0]["details"]
    head = trail.export_head(gallery)
    note(gallery, **said | {"number": head.number, "hash": head.hash})
    note(gallery, **said | {"token": "AAAA"})
    note(gallery, **said | {"token": 7})
    note(gallery, **said | {"number": 99})
    note(gallery, **said)  # the same again is as true as before
    words = ["stamps something else", "holds no time stamp", "not written as", "does not have"]
    found = [problem.message for problem in anchoring.verify(gallery).problems]
    assert [part in message for part, message in zip(words, found, strict=True)] == [True] * 4


def test_the_authoritys_time_lies_between_the_entries(gallery: Gallery, authority: Authority, monkeypatch) -> None:
    anchoring.anchor(gallery, authority.url)
    monkeypatch.setattr(anchoring, "TOLERANCE", timedelta(days=-1))
    (problem,) = anchoring.verify(gallery).problems
    assert "is of an earlier time" in problem.message
    with pytest.raises(GalleryError, match="earlier time"):
        anchoring.anchor(gallery, authority.url)


def test_a_damaged_end_is_not_stamped(gallery: Gallery, authority: Authority) -> None:
    anchoring.anchor(gallery, authority.url)
    with gallery.engine.begin() as connection:
        connection.execute(text("UPDATE audit SET entry = '{}'"))
    with pytest.raises(GalleryError, match="was altered"):
        anchoring.anchor(gallery, authority.url)


def test_anchors_on_the_command_line(
    gallery: Gallery, authority: Authority, monkeypatch, capsys, tmp_path: Path
) -> None:
    monkeypatch.setenv("FORENSIC_GALLERY", str(gallery.folder))
    assert cli.run(["audit", "anchor", "--tsa", authority.url]) == 0
    assert cli.run(["audit", "anchor", "--tsa", authority.url, "--certificate", str(authority.root)]) == 0
    capsys.readouterr()
    assert cli.run(["audit", "verify"]) == 0
    assert "not checked: 2" in capsys.readouterr().out
    assert cli.run(["audit", "verify", "--tsa-certificate", str(authority.root)]) == 0
    assert "Anchors: 2, each signed" in capsys.readouterr().out
    note(gallery, number=1)
    assert cli.run(["audit", "verify", "--json"]) == 4
    assert json.loads(capsys.readouterr().out)["kind"] == "anchor"
    assert cli.run(["audit", "verify", "--tsa-certificate", str(tmp_path)]) == 2


def test_a_file_without_a_certificate_says_so(tmp_path: Path, authority: Authority) -> None:
    for content in (b"", b"none", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        (tmp_path / "root.pem").write_bytes(content)
        with pytest.raises(DataError, match="holds no certificate"):
            anchoring.certificates(tmp_path / "root.pem")
    (root,) = anchoring.certificates(authority.root)
    (tmp_path / "root.der").write_bytes(root.public_bytes(serialization.Encoding.DER))
    assert anchoring.certificates(tmp_path / "root.der") == [root]
