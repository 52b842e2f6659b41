"""What a receipt may say, and what differs from when it was written."""

import pytest

from inference.errors import InvalidRequest
from inference.receipt import KIND, Receipt, differences, read_receipt

RECEIPT = {
    "base": "tiny",
    "base_sha256": "",
    "adapters": (),
    "prompt": "an apple",
    "negative_prompt": "",
    "seed": 1,
    "width": 32,
    "height": 32,
    "enlarged": False,
    "sampler": "ddim",
    "steps": 6,
    "guidance": 3.0,
    "strength": 1.0,
    "image_sha256": None,
    "mask_sha256": None,
    "weights": (3.0, -2.0),
    "guidance_rescale": 0.0,
    "largest_batch": 2,
}


def test_what_differs_from_then_is_said():
    then = Receipt(**RECEIPT, table_sha256="a", device="cpu", software={"torch": "2.0", "gone": "1"})
    now = Receipt(**RECEIPT, table_sha256="b", device="NVIDIA H100", software={"torch": "2.1"})

    found = differences(then, now)

    assert "counts otherwise" in found[0]
    assert "torch 2.0, now 2.1, gone 1, now missing" in found[1]
    assert "made then on cpu, now on NVIDIA H100" in found[2]
    assert differences(then, then) == ()


@pytest.mark.parametrize(
    "document",
    [
        *([1, 2], None, {}, {"kind": "other"}, {"kind": KIND}, {"kind": KIND, "adapters": [{}]}),
        *({"seed": "7"}, {"base": 3}, {"software": 1}, {"weights": ["a"]}, {"image_sha256": 5}, {"unknown": 1}),
    ],
)
def test_what_is_no_receipt_is_refused(document):
    if isinstance(document, dict) and "kind" not in document and document:
        whole = Receipt(**RECEIPT, table_sha256="a", device="cpu", software={}).as_dict()
        assert read_receipt(whole)
        document = whole | document

    with pytest.raises(InvalidRequest, match="receipt"):
        read_receipt(document)
