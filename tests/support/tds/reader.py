"""Bytes of a message, taken from front to back."""

import struct
from dataclasses import dataclass


@dataclass
class Reader:
    """What is left of a message. Numbers are little-endian, text is UTF-16."""

    data: bytes
    position: int = 0

    @property
    def more(self) -> bool:
        """Whether anything is left."""
        return self.position < len(self.data)

    def take(self, length: int) -> bytes:
        """Take so many bytes.

        Raises:
            ValueError: the message ends before that.
        """
        taken = self.data[self.position : self.position + length]
        if len(taken) < length:
            raise ValueError(f"{length} bytes wanted at {self.position}, {len(taken)} left")
        self.position += length
        return taken

    def number(self, form: str) -> int:
        """Take a whole number, in a form of `struct`: B, H, I, Q, or in small letters with a sign."""
        (number,) = struct.unpack(f"<{form}", self.take(struct.calcsize(f"<{form}")))
        return int(number)

    def text(self, characters: int) -> str:
        """Take text of so many UTF-16 units."""
        return self.take(2 * characters).decode("utf-16-le")

    def short_text(self) -> str:
        """Take text behind its length in one byte (B_VARCHAR)."""
        return self.text(self.number("B"))
