"""Weights that the authors of well-known colorizers published: whose they are, and how to know the files."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """side: of the square that the authors' program squashes a picture to, in pixels.

    files: the names that the authors gave them, with the SHA-256 where it is known. where: who gives them away.
    """

    side: int
    files: dict[str, str | None]
    where: str
    license: str
    citation: str

    def is_official(self, name: str, digest: str) -> bool | None:
        """Whether a file of this name and SHA-256 is one that the authors published; None where that cannot be told.

        Raises ValueError for a file under an official name with other content.
        """
        if digest in self.files.values():
            return True
        if known := self.files.get(name):
            raise ValueError(
                f"has the name of the authors' file and other content: its SHA-256 is {digest}, theirs is {known}; "
                "download it again, or give other weights another name"
            )
        return None if None in self.files.values() else False


ORIGINS = {  # what a person is told of an answer of ``Published.is_official``
    True: "the authors' file",
    False: "not the authors' published file: its SHA-256 is {digest}",
    None: "perhaps the authors' file, whose SHA-256 is not known here: this one's is {digest}",
}
ZHANG = "Richard Zhang's repository colorization"
DDCOLOR_CITATION = 'X. Kang et al., "DDColor", ICCV 2023, arXiv:2212.11613'
PUBLISHED = {
    "eccv16": Published(
        256,
        {
            "colorization_release_v2-9b330a0b.pth": "9b330a0bae53f4ded77b1e23defbf78beaa09c10ebc4c4999e8e4f4a160b93f9",
        },
        ZHANG,
        "BSD-2-Clause",
        'R. Zhang, P. Isola, A. A. Efros, "Colorful Image Colorization", ECCV 2016, arXiv:1603.08511',
    ),
    "siggraph17": Published(
        256,
        {"siggraph17-df00044c.pth": "df00044c0a4d7c3edcecf6f75437ce346a66e7a42612d9b968e1a7e17dbc6f66"},
        ZHANG,
        "BSD-2-Clause",
        'R. Zhang et al., "Real-Time User-Guided Image Colorization with Learned Deep Priors", SIGGRAPH 2017, '
        "arXiv:1705.02999",
    ),
    "ddcolor-tiny": Published(
        512,
        {"pytorch_model.bin": None},
        "piddnad/ddcolor_paper_tiny on Hugging Face",
        "Apache-2.0",
        DDCOLOR_CITATION,
    ),
    "ddcolor-large": Published(
        512,
        {"pytorch_model.bin": None},
        "piddnad/ddcolor_modelscope, ddcolor_paper or ddcolor_artistic on Hugging Face",
        "Apache-2.0",
        DDCOLOR_CITATION,
    ),
}
