"""Of what people are told, and what of it they may have no e-mail of. A new kind of letter is a line in KINDS."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from service.languages import gettext

Topic = Literal[
    "entry",
    "security",
    "money",
    "orders",
    "licences",
    "disputes",
    "training",
    "approvals",
    "payouts",
    "sharing",
    "office",
]


@dataclass(frozen=True)
class About:
    """A topic as people choose it: a short name and a sentence, in the language that is spoken. `may_be_off`: an
    account may have no e-mail of it; the inbox has it all the same. Only those of `roles` are asked about it."""

    _words: str
    _sentence: str
    roles: tuple[str, ...]
    may_be_off: bool = False

    @property
    def words(self) -> str:
        return gettext(self._words)

    @property
    def sentence(self) -> str:
        return gettext(self._sentence)


_ALL = ("creator", "client", "operator")
TOPICS: Mapping[Topic, About] = {
    "entry": About("Links", "What you ask for to sign in, or to join.", roles=_ALL),
    "security": About("Your account", "What changes who can get in.", roles=_ALL),
    "money": About("Money owed", "What waits to be paid, and what came back.", roles=("creator", "client")),
    "licences": About("Licences and plans", "A style or a plan that you pay for changes or ends.", roles=("client",)),
    "orders": About(
        "Pictures that a maker looks at first",
        "The maker has said yes or no to pictures that you ordered, or nobody looked in time.",
        roles=("client",),
        may_be_off=True,
    ),
    "disputes": About("Disputes, claims and cases", "What has a date by which to answer.", roles=_ALL),
    "training": About("Trainings", "A training has ended.", roles=("creator",), may_be_off=True),
    "approvals": About("Pictures to look at", "Pictures wait for your yes or no.", roles=("creator",), may_be_off=True),
    "payouts": About(
        "Invoices and money sent",
        "A paper was issued, or money was sent to you.",
        roles=("creator", "client"),
        may_be_off=True,
    ),
    "sharing": About(
        "Shared styles",
        "Somebody asks to share what a style earns, or answers.",
        roles=("creator",),
        may_be_off=True,
    ),
    "office": About(
        "Work for the office",
        "Something waits for a decision of yours.",
        roles=("operator",),
        may_be_off=True,
    ),
}

KINDS: Mapping[str, Topic] = {
    "sign_in.link": "entry",
    "account.invited": "entry",
    "account.sign_up": "entry",
    "account.asked_again": "security",
    "account.changed": "security",
    "team.invited": "entry",
    "team.changed": "security",
    "team.ended": "security",
    "team.left": "security",
    "training.passed": "training",
    "training.refused": "training",
    "training.failed": "training",
    "approvals.waiting": "approvals",
    "style.switched": "licences",
    "style.destroyed": "security",
    "order.released": "orders",
    "order.kept_back": "orders",
    "order.expired": "orders",
    "licence.ended": "licences",
    "plan.ended": "licences",
    "plan.unpaid": "money",
    "invoice.issued": "payouts",
    "invoice.overdue": "money",
    "payout.paid": "payouts",
    "payout.failed": "money",
    "payout.returned": "money",
    "dues.posted": "money",
    "sale.refunded": "money",
    "payment.charged_back": "money",
    "payment.given_back": "money",
    "authorship.asked": "sharing",
    "authorship.agreed": "sharing",
    "authorship.declined": "sharing",
    "authorship.left": "sharing",
    "dispute.opened": "disputes",
    "dispute.said": "disputes",
    "dispute.decided": "disputes",
    "dispute.appealed": "disputes",
    "dispute.withdrawn": "disputes",
    "dispute.closed": "disputes",
    "claim.opened": "disputes",
    "claim.said": "disputes",
    "claim.decided": "disputes",
    "claim.appealed": "disputes",
    "claim.withdrawn": "disputes",
    "case.decided": "disputes",
    "cases.waiting": "office",
}
"""Every kind of letter, and its topic."""

NOT_IN_INBOX: frozenset[Topic] = frozenset({"entry"})
"""Whoever reads these is not in yet."""
