"""Every sentence that the review says of works, with the names of its values in braces: why, and what to do.

Whoever shows a finding in another language knows its sentence again by its template.
"""

from collections.abc import Mapping

from training.messages import Finding, Severity

SAID: Mapping[str, tuple[str, str]] = {
    "blurred": (
        "It is soft: its sharpest edges are {edge} pixels wide, those of your other works {usual}. It shows no more"
        " than a picture of about {detail} pixels, enlarged.",
        "Upload the sharp original, exclude it, or keep it if the softness is meant.",
    ),
    "squeezed": (
        "Strong compression left small squares and smudges in it. The model would learn them as your hand.",
        "Upload the original, or a copy saved with a quality of 85 or more; or exclude it.",
    ),
    "squeezed_jpeg": (
        "Strong compression left small squares and smudges in it (it was saved as JPEG of quality {quality})."
        " The model would learn them as your hand.",
        "Upload the original, or a copy saved with a quality of 85 or more; or exclude it.",
    ),
    "text": (
        "There is writing in it: “{says}”. A model learns letters as shapes and draws words that say nothing.",
        "Upload it without the words, exclude it, or keep it if lettering is part of your style.",
    ),
    "watermark": (
        "A watermark seems to lie on it: “{says}”. The model would draw it into its pictures.",
        "Upload the picture without it, or exclude it.",
    ),
    "signature": (
        "There seems to be a signature: “{says}”. The model would sign its pictures with something like it.",
        "Upload the picture without it, exclude it, or keep it if it is no signature.",
    ),
    "much_writing": (
        "{count} of {of} works hold writing. A model learns letters as shapes and draws words that say nothing.",
        "Keep them if lettering is part of your style; otherwise upload pictures without words.",
    ),
    "repeated": (
        "It shows the same picture as “{name}” ({likeness} of its outlines agree). Together they count as one work.",
        "Keep the better one and exclude the other, or keep both if they differ in what matters to you.",
    ),
    "mirrored": (
        "It shows the same picture as “{name}”, mirrored ({likeness} of its outlines agree). Together they count as"
        " one work.",
        "Keep the better one and exclude the other, or keep both if they differ in what matters to you.",
    ),
    "same_file": (
        "It is the same file as “{name}”, so it is used once.",
        "Nothing to do; or exclude it, to keep the list short.",
    ),
    "out_of_style": (
        "It looks different from the rest: {times} times as far from your other works as is usual among them.",
        "Exclude it, or keep it if it belongs to the style.",
    ),
    "second_style_of_many": (
        "These {count} of {of} works look like a second style: {names} and {more} more. One model of both would draw"
        " something in between.",
        "Train two models: make a second style of them and exclude them here. Or keep them, if the mixture is meant.",
    ),
    "second_style": (
        "These {count} of {of} works look like a second style: {names}. One model of both would draw something in"
        " between.",
        "Train two models: make a second style of them and exclude them here. Or keep them, if the mixture is meant.",
    ),
    "few_alike": (
        "{count} works are in your main style; with {wanted} or more it is learnt much more surely.",
        "Add {more} more like these: {names}.",
    ),
    "few_like_one": (
        "{count} works are in your main style; with {wanted} or more it is learnt much more surely.",
        "Add {more} more like this one: {names}.",
    ),
    "too_many": (
        "{given} works were given; the first {most} are used.",
        "Choose the most typical ones yourself and exclude the others.",
    ),
    "too_few": (
        "{good} usable works are left, at least {least} are needed to learn a style.",
        "Add {more} more, or fix the ones named above.",
    ),
    "unreadable": ("The file cannot be read ({reason}).", "Upload it again."),
    "too_small": (
        "It has {width} x {height} pixels; under {least} there is too little to learn from.",
        "Upload it with at least {size} pixels on the shorter side.",
    ),
    "small": (
        "It has {width} x {height} pixels and is enlarged to {size}, which blurs it.",
        "Upload it with at least {size} pixels on the shorter side, or keep it if it looks right.",
    ),
    "animated": ("It is animated; only its first picture is used.", "Upload the picture you mean as PNG or JPEG."),
    "transparent": (
        "It is transparent in places; there it is learnt as white.",
        "Keep it, or upload it on the background it should have.",
    ),
    "too_many_bytes": (
        "The file has {has} MiB, at most {most} MiB are read.",
        "Save it smaller, for example as JPEG or WebP.",
    ),
}
"""By what is said; the kind of the finding may be another. Of two that fit a sentence the first is it."""
UNOPENED = (
    "The file is not a picture this can read.",
    "Save it as {formats}.",
    "The file has {has} million pixels, and at most {most} million are read.",
    "Save it smaller.",
    "The file is damaged or cut off.",
    "Export it again from your drawing program or upload it again.",
)
"""What `inference.pictures` says of a file that it does not open, as findings have it."""
TEMPLATES = (*{text: None for pair in SAID.values() for text in pair}, *UNOPENED)
"""All of them, each once."""


def finding(
    said: str, *, work: str | None, kind: str, severity: Severity, about: tuple[str, ...] = (), **values: object
) -> Finding:
    """What is said of a work, or of all."""
    why, fix = [text.format(**values) for text in SAID[said]]
    return Finding(work=work, kind=kind, severity=severity, why=why, fix=fix, about=about)
