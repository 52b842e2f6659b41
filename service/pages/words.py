"""The words that pages use for states, levels, tiers and verdicts: a short name, a sentence, a tone.

Tones are classes of `static/app.css`: good, warn, bad, busy, or none.
"""

from dataclasses import dataclass

from licensing.docket import Outcome
from licensing.sentence import Sentence, say
from licensing.terms import Approval, Trust
from service.accounts import Role
from service.areas import LEVEL_MEANINGS, LEVEL_NAMES, Level
from service.areas import LEVELS as TEAM
from service.claims import ClaimState
from service.claims import Outcome as ClaimOutcome
from service.data_use import Purpose
from service.languages import Words, gettext
from service.reports import FigureName


@dataclass(frozen=True)
class Said:
    """`words` fits a badge, `meaning` is one sentence; both are read in the language that is spoken."""

    _words: str
    _meaning: str = ""
    tone: str = ""

    @property
    def words(self) -> str:
        return gettext(self._words)

    @property
    def meaning(self) -> str:
        return gettext(self._meaning)


LEVELS = {
    "live": Said("Live", "Clients can find it, buy and generate.", "good"),
    "closed": Said("Closed to new clients", "People who already use it go on; nobody new can start.", "warn"),
    "paused": Said(
        "Paused",
        "Nobody can order. Orders that wait are held for up to 24 hours; pictures being made are finished.",
        "warn",
    ),
    "wind_down": Said(
        "Winding down",
        "Nobody new can start. Those who use it see the date and may go on until then; then it switches off by itself.",
        "warn",
    ),
    "off": Said(
        "Off",
        "Nothing is made from now on: waiting orders end, pictures being made stop within the step,"
        " and nobody pays for them.",
        "bad",
    ),
    "destroyed": Said(
        "Destroyed",
        "Cannot be undone: works, trained files and every copy are deleted. Sold pictures and their certificates stay"
        " valid.",
        "bad",
    ),
}
SELF_TEST_STEPS = {
    "train": Said("Train a tiny model", "Twelve steps, on shapes that a program draws."),
    "draw": Said("Make one picture", "By the engine that draws for clients."),
    "seal": Said("Seal it", "With this place’s own keys."),
    "verify": Said("Verify it", "As a stranger would, and once more with one bit changed."),
    "tidy": Said("Leave nothing", "The model and the picture are deleted."),
}
NEEDS = {
    "claims": Said("claim to a work", _meaning="/office/claims"),
    "disputes": Said("dispute", _meaning="/office/disputes"),
    "cases": Said("case", _meaning="#cases"),
    "transfers": Said("transfer to be booked", _meaning="/office/payments#waiting"),
    "refunds": Said("refund to be sent", _meaning="/office/payments#refunds"),
    "chargebacks": Said("payment that its bank takes back: answer at the provider", _meaning="/office/payments"),
    "payouts": Said("payout to be sent", _meaning="/office/payouts#waiting"),
    "files": Said("file that the bank has not confirmed", _meaning="/office/payouts#files"),
    "statements": Said("bank statement to be confirmed", _meaning="/office/payments#bank"),
    "failures": Said("failure in the last day", _meaning="/office/machines#failures"),
    "holds": Said("order held for more than an hour", _meaning="/office/machines#held"),
}
"""What needs a person: one of them in words, and where it is seen to."""
NEED_MANY = Words(
    {
        "claims": "claims to works",
        "disputes": "disputes",
        "cases": "cases",
        "transfers": "transfers to be booked",
        "refunds": "refunds to be sent",
        "chargebacks": "payments that their banks take back: answer at the provider",
        "payouts": "payouts to be sent",
        "files": "files that the bank has not confirmed",
        "statements": "bank statements to be confirmed",
        "failures": "failures in the last day",
        "holds": "orders held for more than an hour",
    }
)
REPORT: dict[Sentence, tuple[tuple[FigureName, Sentence, str], ...]] = {
    say("Sales"): (
        ("styles_on_sale", say("Styles that were published and not destroyed"), ""),
        ("pictures_sold", say("Pictures that were sold"), ""),
        ("fee_income", say("What this place earned: fees, less what was given back"), "money"),
    ),
    say("Refused and taken back"): (
        ("pictures_refused_by_checks", say("Pictures that a check refused, and nobody paid for"), ""),
        ("pictures_kept_back_by_creators", say("Pictures that their creators kept back"), ""),
        ("sales_taken_back", say("Sales that were taken back"), ""),
    ),
    say("Disputes and claims"): (
        ("disputes_opened", say("Disputes that were opened"), ""),
        ("disputes_decided", say("Decisions about disputes"), ""),
        ("claims_opened", say("Claims of strangers to works"), ""),
        ("claims_closed", say("Claims that were closed"), ""),
    ),
    say("Payouts to creators"): (
        ("payouts_sent", say("Payouts that arrived"), ""),
        ("payouts_total", say("In all"), "money"),
        ("payout_days_median", say("From a sale to its payout, half within"), "days"),
    ),
    say("The switch"): (
        ("switched_off", say("Times that a creator switched off"), ""),
        ("switch_held_ms_median", say("Until nothing more was sold, half within"), "ms"),
        ("switch_held_ms_worst", say("Until nothing more was sold, the slowest"), "ms"),
        ("worker_stopped_ms_median", say("Until a worker had stopped drawing, half within"), "ms"),
        ("worker_stopped_ms_worst", say("Until a worker had stopped drawing, the slowest"), "ms"),
    ),
}
"""What the monthly report shows: parts, and of each figure its name, its words and its unit."""
REPORT_USES = Words(
    {
        "review": "To look at a portfolio before a training",
        "description": "To find words for works",
        "training": "To train their creator’s own style",
        "drawing": "To draw what was ordered",
        "checking": "To tell near-copies of works",
        "own": "To show their creator their own works",
        "case": "To decide a case or a claim",
        "export": "To hand their creator a copy",
        "deletion": "To delete them",
    }
)
FAILURES = Words(
    {"order": "Order", "training": "Training", "self test": "Self test", "message": "Message to a webhook"}
)
BASE_NOT_FOR_SALE = Said(
    "Not for sale",
    "What its base model makes may not be sold at present. Pictures bought before stay with their buyers.",
    "warn",
)
FOR_BUYERS = Words(
    {
        "closed": "It takes no new clients at present.",
        "paused": "Its maker has paused it; it may come back.",
        "wind_down": "It takes no new clients any more.",
        "off": "Its maker has switched it off. Pictures bought before stay with their buyers.",
        "destroyed": "It is gone for good. Pictures bought before stay with their buyers.",
    }
)
TRAININGS = {
    "queued": Said("Waiting to start", "It starts as soon as the machine is free.", "busy"),
    "preparing": Said("Preparing", "Your works are being checked and read.", "busy"),
    "training": Said("Learning", "The model looks at your works again and again.", "busy"),
    "measuring": Said("Checking the result", "Pictures are made and compared with your works.", "busy"),
    "passed": Said("Passed", "The result may be published. Look at it first.", "good"),
    "refused": Said("Not good enough yet", "The check refused this result; the report says what to change.", "bad"),
    "failed": Said("Stopped by an error", "", "bad"),
    "canceled": Said("Cancelled", "You stopped it; nothing was kept.", ""),
    "paused": Said("Paused", "Its progress is kept; it goes on where it stopped.", "warn"),
}
GENERATIONS = {
    "queued": Said("Waiting", "It starts as soon as the machine is free.", "busy"),
    "running": Said("Being made", "", "busy"),
    "sealing": Said("Being sealed", "The licence is being written into each file.", "busy"),
    "awaiting_approval": Said(
        "With the creator", "The creator looks at the pictures before they are released.", "warn"
    ),
    "settled": Said("Ready", "", "good"),
    "failed": Said("Failed", "Nothing was charged.", "bad"),
    "withdrawn": Said("Stopped by the creator", "Nothing was charged.", "bad"),
    "canceled": Said("Cancelled", "You stopped it. Nothing was charged.", ""),
    "expired": Said("Ran out of time", "Nothing was charged.", "warn"),
}
MESSAGES = Words(
    {
        "generation.awaiting_approval": "pictures wait for their creator's approval",
        "generation.settled": "pictures are ready",
        "generation.failed": "pictures could not be made",
        "generation.withdrawn": "a creator stopped what was being made",
        "generation.canceled": "an order was cancelled",
        "generation.expired": "an order ran out of time",
        "output.refunded": "the sale of a picture was taken back",
        "style.switched": "a style that you use is paused, ended or back",
        "licence.ended": "a licence of a style ended",
        "plan.ended": "a period of your plan ended",
        "plan.unpaid": "your plan could not be renewed for want of money",
        "invoice.issued": "an invoice or a credit note was issued",
    }
)
DELIVERIES = {
    "waiting": Said("Waiting", "", "busy"),
    "delivered": Said("Arrived", "", "good"),
    "failed": Said("Given up", "", "bad"),
}
MAILS = {
    "waiting": Said("Waiting", "", "busy"),
    "sent": Said("Sent", "", "good"),
    "failed": Said("Not sent", "", "bad"),
    "off": Said("Not wanted", "", ""),
}
"""What became of a letter's e-mail."""
VERSIONS = {
    "draft": Said("Draft", "Only you can see it.", ""),
    "published": Said("Published", "Clients get this version.", "good"),
    "retired": Said("Retired", "An earlier version.", ""),
}
RIGHTS = {
    "mine": Said("Mine", "I made it and own it"),
    "client_consented": Said("Client agreed", "made for a client, who agreed to this use"),
    "licensed": Said("Licensed", "licensed to me for this use"),
    "unsure": Said("Not sure yet", "not used until you decide", "warn"),
}
PURPOSES: dict[Purpose, Said] = {
    "review": Said("Looked at for the review", "A worker looked at your works to tell you what stands in the way."),
    "description": Said("Described", "A worker looked at your works to suggest words for them."),
    "training": Said("Trained with", "A training of this style got these files."),
    "drawing": Said("Fetched to draw with", "A worker fetched your trained file to draw what clients order."),
    "variation": Said(
        "Started from", "A worker drew from your work, because a client ordered a variation that starts from it."
    ),
    "checking": Said(
        "Compared with", "A worker read what your works look like in numbers, so that no picture repeats one."
    ),
    "showing": Said(
        "Shown to clients", "Clients saw works of this style small that you offer them as starting points."
    ),
    "own": Said("Shown to you", "Pictures of this style were opened with your account, in the studio or by the API."),
    "case": Said("Seen in a case", "The operator looked at this work to decide a case."),
    "consent": Said(
        "Shown to whom you asked", "Somebody opened your link that asks for consent, and saw this work small."
    ),
    "export": Said("Downloaded", "The whole file was downloaded with your account."),
    "deletion": Said("Deleted", "These files were deleted, and not opened for it."),
}
APPROVALS: dict[Approval, Said] = {
    "off": Said("No", "Clients get their pictures as soon as they are made."),
    "new_clients": Said(
        "The first ones of each client", "Until you know the client. Drafts, which are marked, go out."
    ),
    "all": Said("Every one", "Drafts too."),
}
TRUST: dict[Trust, Said] = {
    "by_count": Said("Look until I know them", "As many pictures as with anybody."),
    "trusted": Said("Trusted", "Pictures go out without a look."),
    "always_review": Said("Always look", "However many were released."),
}
TIERS = {
    "draft": Said("Draft", "Small and marked DRAFT, to try an idea."),
    "personal": Said("Personal", "For a person’s own, non-commercial use."),
    "commercial": Said("Commercial", "For a business and its customers."),
    "exclusive": Said("Exclusive", "Nobody else may license the same picture."),
}
LINES = {
    "sale": Said("Sold"),
    "refund": Said("Taken back"),
    "unused": Said("Left unused", "What a client paid ahead for and did not use."),
    "compute": Said("Training", "The price of a training that passed."),
    "adjustment": Said("Corrected", "What a decided dispute changed about a sale."),
}
"""Lines of a creator's statement."""
MOVEMENTS = Words(
    {
        "payout": "Paid out",
        "payout_failed": "Back from a payout that failed",
        "payout_reversed": "Back from a payout",
        "dispute": "Set aside for a dispute",
        "dispute_end": "Back after a dispute",
        "dues_taken": "Taken for the monthly fee",
    }
)
"""What else changed what can be paid out."""
DUES = Words(
    {
        "dues": "Owed for",
        "dues_taken": "Taken from your earnings",
        "dues_paid": "Paid",
        "dues_waived": "Waived",
    }
)
CHARGES = {
    "sale": Said("Pictures"),
    "plan": Said("Plan"),
    "licence": Said("Licence"),
    "refund": Said("Picture taken back"),
    "plan_end": Said("Rest of a plan given back"),
    "licence_end": Said("Rest of a licence given back"),
    "tax_rounding": Said("Tax, made exact", "What was rounded up on each picture goes back with the month’s invoice."),
    "adjustment": Said("Given back after a dispute"),
    "adjustment_undone": Said("Dispute’s part counted against a refund"),
}
"""What a client is charged and given back (`licensing.charges`)."""
PAYMENTS = {
    "pending": Said("Waiting", "", "busy"),
    "succeeded": Said("Arrived", "", "good"),
    "failed": Said("Failed", "", "bad"),
}
REFUNDS = {
    "pending": Said("On its way", "", "busy"),
    "succeeded": Said("Sent", "", "good"),
    "failed": Said("Came back", "", "bad"),
}
BANK_LINES = {
    "books": Said("Will be booked", "", "busy"),
    "booked": Said("Booked", "", "good"),
    "waits": Said("Waits for the rest", "", "warn"),
    "known": Said("Known already", "", ""),
    "nothing": Said("Nothing", "", "warn"),
}
"""What a line of a bank statement does."""
PAYOUTS = {
    "open": Said("On its way", "", "busy"),
    "paid": Said("Paid", "", "good"),
    "failed": Said("Failed", "", "bad"),
    "reversed": Said("Came back", "", "bad"),
}
PAID_BY = Words({"manual": "By bank transfer", "stripe": "Through Stripe"})
WANTED = Words(
    {
        "external_account": "the bank account that it pays to",
        "tos_acceptance": "your yes to its terms",
        "business_profile": "what you sell, and where",
        "business_type": "whether you work alone or as a company",
        "individual.verification": "a document that shows who you are",
        "individual": "who you are, and where you live",
        "person": "who runs your company",
        "representative": "who runs your company",
        "owners": "who owns your company",
        "directors": "who runs your company",
        "company.verification": "a document about your company",
        "company": "your company’s name, address and numbers",
    }
)
"""What Stripe may still want of a creator, by the beginning of its word for it, the longest that fits."""
SCHEDULES = Words(
    {
        "weekly": "Every Monday",
        "monthly": "On the first of each month",
        "never": "Only when I ask",
    }
)
DISPUTES = {
    "open": Said("Open", "", "warn"),
    "decided": Said("Decided", "", "busy"),
    "appealed": Said("Appealed", "", "warn"),
    "closed": Said("Closed", "", ""),
}
WAITS = Words(
    {
        "answer": "the other side’s answer",
        "your answer": "your answer",
        "creator's answer": "the creator’s answer",
        "client's answer": "the client’s answer",
        "decision": "a decision",
        "appeal": "an appeal, if anybody makes one",
        "final decision": "the final decision",
        "effect": "its effect, which comes in a moment",
    }
)
OUTCOMES: dict[Outcome, Said] = {
    "refunded": Said("Taken back", "The client gets everything back, and the certificate is revoked."),
    "released": Said("Stands", "The sale stands as it is."),
    "partly": Said("Partly given back", "The client gets a part back, and the certificate stays valid."),
    "corrected": Said("Corrected", "A part of the fee becomes the creator’s."),
    "withdrawn": Said("Withdrawn", "Whoever opened it let it go."),
}
ACTS = Words(
    {
        "opened": "opened it",
        "answer": "answered",
        "evidence": "said",
        "decision": "decided",
        "appeal": "appealed",
        "withdrawal": "withdrew it",
    }
)
CASES = Words(
    {
        "near_duplicate": "Two pictures that look the same",
        "withheld_work": "A picture that a claim keeps out",
    }
)
CLAIM_STATES: dict[ClaimState, Said] = {
    "open": Said("Open", "", "warn"),
    "decided": Said("Decided", "", "busy"),
    "appealed": Said("Appealed", "", "warn"),
    "closed": Said("Closed", "", ""),
}
CLAIM_OUTCOMES: dict[ClaimOutcome, Said] = {
    "upheld": Said(
        "Upheld", "The work is locked, what learnt from it is off sale, and nobody brings the picture again.", "bad"
    ),
    "rejected": Said("Rejected", "The work stays, and everything is as it was.", "good"),
    "withdrawn": Said("Let go", "Whoever claimed it let it go.", ""),
}
CLAIM_ACTS = Words(
    {
        "opened": "wrote down what somebody claims",
        "said": "said",
        "decided": "decided",
        "appealed": "appealed",
        "withdrawn": "wrote down that it was let go",
    }
)
VERDICTS = {
    "valid": Said("This picture is genuine", "It is exactly the file that was sold, and its licence stands.", "good"),
    "expired": Said(
        "This picture is genuine, but its licence has ended",
        "It is exactly the file that was sold, and the time for which it was licensed is over.",
        "warn",
    ),
    "altered": Said(
        "This picture was changed",
        "It carries a certificate from here, but the file is no longer the one that was sold.",
        "warn",
    ),
    "marked_but_stripped": Said(
        "This picture comes from here, but its certificate was removed",
        "It looks like a picture sold here. Saving a picture again or posting it online often removes what is inside.",
        "warn",
    ),
    "test": Said("This is a test, not a sale", "It was made with a test key. Nobody bought it and it has no licence."),
    "unknown": Said("We do not know this picture", "It carries no certificate from here and looks like none we sold."),
    "revoked": Said(
        "The licence of this picture was withdrawn", "It was sold here, and its licence no longer stands.", "bad"
    ),
}
ROLES: dict[Role, Said] = {
    "creator": Said("Creator", "Sells a style"),
    "client": Said("Client", "Buys pictures"),
    "operator": Said("Operator", "Runs this place"),
}
SIGN_UPS = Words(
    {
        "creator": "You upload your works, train a style that is yours, and sell pictures made with it.",
        "client": "You buy pictures made in somebody’s style, with a licence and the proof of it.",
    }
)
"""Who signs up as what."""
HOME_OF = {"creator": "/studio", "client": "/desk", "operator": "/office"}
PLACE_OF = Words({"creator": "Studio", "client": "Desk", "operator": "Office"})
TEAM_LEVELS: dict[Level, Said] = {name: Said(LEVEL_NAMES[name], LEVEL_MEANINGS[name]) for name in TEAM}
"""As what people act for a client."""
