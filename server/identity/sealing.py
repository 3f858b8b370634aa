"""Encrypts what is stored for a secret with the secret itself: only who has it can read the record, and no store has it."""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12  # of AES-GCM, NIST SP 800-38D section 8.2.1


def sealed(secret: str, text: str) -> str:
    """The text, encrypted with a key derived from the secret, which must be random and long."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return base64.b64encode(nonce + _cipher(secret).encrypt(nonce, text.encode(), None)).decode()


def unsealed(secret: str, seal: str) -> str:
    """What `sealed` was given. Raises ValueError if the secret is another one, or the record was changed."""
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - as below

    data = base64.b64decode(seal)
    try:
        return _cipher(secret).decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], None).decode()
    except InvalidTag:
        raise ValueError("the seal does not fit the secret") from None


def _cipher(secret: str) -> AESGCM:
    # 8 MB, for those only who seal something
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415

    return AESGCM(HKDF(SHA256(), length=32, salt=None, info=b"jarvis sealed record").derive(secret.encode()))
