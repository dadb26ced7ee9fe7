"""In charge of TLS: the certificate, and reading it anew without a restart."""

import hashlib
import ssl
from pathlib import Path


class BadCertificate(Exception):
    """The certificate or its key cannot be used; the sentence says which file and why."""


class Certificate:
    """A certificate chain and its key, both files in PEM format.

    `context` is the one that every new connection is made with, on either engine.
    """

    def __init__(self, chain: Path, key: Path) -> None:
        """Read the files; raises BadCertificate."""
        self._chain = chain
        self._key = key
        self.context = self._read()
        self._content = self._hash()

    def reload(self) -> bool:
        """Have new connections get what the files hold now; return whether that is anything new.

        Raises BadCertificate, and then nothing has changed. Open connections keep theirs.
        """
        self._read()  # tried elsewhere first: loading a bad key would spoil the context in use
        self._load(self.context)
        before, self._content = self._content, self._hash()
        return before != self._content

    def _hash(self) -> bytes:
        try:
            return hashlib.sha256(self._chain.read_bytes() + self._key.read_bytes()).digest()
        except OSError as error:
            raise self._unreadable(error) from error

    def _read(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        self._load(context)
        return context

    def _load(self, context: ssl.SSLContext) -> None:
        try:
            # An empty password: a key that wants one is refused rather than asked for at a terminal.
            context.load_cert_chain(self._chain, self._key, password="")
        except ssl.SSLError as error:
            raise BadCertificate(
                f"{self._chain} and {self._key} are not a certificate chain and its unencrypted "
                f"key in PEM format ({error.reason or 'unreadable'})."
            ) from error
        except OSError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: OSError) -> BadCertificate:
        return BadCertificate(f"{self._chain} and {self._key} cannot be read ({error.strerror}).")
