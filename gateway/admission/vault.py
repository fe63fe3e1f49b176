"""The master key: encrypts the secrets that must be read again."""

import base64
import contextlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.config import Secret


class VaultError(Exception):
    """A stored secret cannot be read. The text is one line, fit to print."""


class Vault:
    """Encrypts with the first master key and decrypts with any of them, so that keys can be changed."""

    def __init__(self, master_keys: Sequence[Secret]) -> None:
        self._fernet = MultiFernet([Fernet(_derive(key.reveal())) for key in master_keys])

    def seal(self, text: str) -> str:
        """Return `text` encrypted and authenticated (Fernet)."""
        return self._fernet.encrypt(text.encode()).decode()

    def unseal(self, ciphertext: str) -> str:
        """Return the text. Raises VaultError when no master key fits."""
        try:
            return self._fernet.decrypt(ciphertext).decode()
        except InvalidToken:
            raise VaultError(
                "GATEWAY_MASTER_KEY does not open the secrets stored in this database; "
                "put the key that does after the new one, separated by a comma"
            ) from None


def master_key_file(path: Path) -> Secret:
    """Return the master key that a file holds, made at first use and readable by its owner only. Raises OSError."""
    with contextlib.suppress(FileExistsError):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(file, secrets.token_urlsafe(32).encode())
        finally:
            os.close(file)
    return Secret(path.read_text("ascii").strip())


def _derive(master_key: str) -> bytes:
    key = HKDF(SHA256(), length=32, salt=None, info=b"llmgateway stored secrets").derive(master_key.encode())
    return base64.urlsafe_b64encode(key)
