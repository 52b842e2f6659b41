"""A seal's claim and a certificate, as they stand for a sold picture."""

from licensing.certificates import Certificate
from licensing.seal import SealClaim
from tests.licensing.world import NOW, eur

CLAIM = SealClaim(
    output_id="out_1",
    licence_id="gen_1",
    style_id="sty_1",
    style_name="Ink & wash",
    version_id="ver_1",
    creator_name="Ada",
    tier="personal",
    terms_version=3,
    adapter_sha256="ab" * 32,
    made_at=NOW,
)
CERTIFICATE = Certificate(
    output_id="out_1",
    order_id="gen_1",
    client_id="acc_1",
    client_name="Zoë",
    creator_id="acc_2",
    creator_name="Ada",
    style_id="sty_1",
    style_name="Ink & wash",
    version_id="ver_1",
    tier="personal",
    terms_version=3,
    use="Private use.",
    prompt_sha256="cd" * 32,
    output_sha256="ef" * 32,
    phash="01" * 32,
    width=64,
    height=64,
    amount=eur(60),
    issued_at=NOW,
)
