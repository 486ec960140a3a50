"""What documentation pages say, taken apart: sections, and the code blocks in them."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """A section of a page.

    Attributes:
        heading: its heading, of the second level.
        text: what stands below it, up to the next one.
    """

    heading: str
    text: str

    @property
    def anchor(self) -> str:
        """What a link to it ends in, as GitHub makes it of the heading."""
        return re.sub(r"[^\w\- ]", "", self.heading.lower()).replace(" ", "-")

    def blocks(self, language: str) -> list[str]:
        """The code blocks of a language, in order."""
        return re.findall(rf"^```{language}\n(.*?)^```$", self.text, re.DOTALL | re.MULTILINE)


def sections(page: str) -> list[Section]:
    """The sections of a page in Markdown, in order."""
    _, *parts = re.split(r"^## ", page, flags=re.MULTILINE)
    return [Section(*part.split("\n", 1)) for part in parts]
