"""What must be read again, and so cannot be kept as a hash, lies in its row under a key that follows from the pepper:
whoever has the database alone reads nothing of it."""

import base64

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def open_safe(pepper: bytes, what: str) -> Fernet:
    """Locks and unlocks one kind of thing, named in words; what was locked as one is not opened as another."""
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=f"ownhand: {what}".encode()).derive(pepper)
    return Fernet(base64.urlsafe_b64encode(key))
