"""Sentences that the database says (`licensing/sql`), known again, so that they can be said in other languages."""

from licensing.sentence import Sentence, known_again, templates

_WORDS = templates(
    (
        *("payment", "refund", "setup", "coupon", "payout", "run of payouts", "style", "output", "order", "dispute"),
        *("sold order", "sold output", "was revoked", "has expired", "is not known"),
    )
)
SENTENCES = templates(
    (
        "Style {style} has no tier {tier}; choose one of {tiers}",
        "A count of {count} cannot be ordered; order 1 to 1000",
        "Plan {plan} runs until {until}; change it to {other} instead, or end its renewal and subscribe then",
        "A plan can be tried once, and you have had one; subscribe to {plan} without a trial",
        "No plan runs that could be changed; subscribe to one",
        "Pictures are being made from the plan that runs; change it when they are done, or at its renewal",
        "No plan runs that could be paused; a trial goes on to its end",
        "No plan is paused; there is nothing to resume",
        "No plan runs that sells pictures beyond its quota; add prepaid money",
        "An invoice is overdue; pay it, and pictures can be made on account again",
        "A style is one client's alone for the months that are paid; buy without `renews`, and again when they are"
        " over",
        "Tier {tier} of style {style} is sold per picture only; order pictures, or choose another tier",
        "Order {order} is {state}; place a new order",
        "Coupon {code} is over; subscribe without it",
        "Coupon {code} has been used as often as it may be; subscribe without it",
        "Coupon {code} was used by you before; subscribe without it",
        "Coupon {code} is for plan {plan}; subscribe without it",
        "Coupon {code} cannot be used for a trial, which costs nothing; subscribe without it",
        "The sale of {sold} was taken back already; there is nothing to dispute",
        "Output {output} was disputed by this side before, and once is final; write to the operator",
        "Output {output} is disputed already; wait until that is closed",
        "{sold} was sold on {at} and could be disputed until {until}; write to the operator",
        "Dispute {dispute} was decided; nothing more can be said",
        "Dispute {dispute} was decided; until {until} it can be appealed",
        "Dispute {dispute} holds {most} notes of this side, the most there can be; write to the operator",
        "Dispute {dispute} was decided on {at}: {outcome}",
        "The other side of dispute {dispute} may answer until {until}; decide after that",
        "Dispute {dispute} was opened by its {side} and cannot end {outcome}; choose one of {allowed}",
        "Dispute {dispute} cannot be appealed; nothing is decided yet",
        "Dispute {dispute} cannot be appealed; it was appealed already",
        "Dispute {dispute} cannot be appealed; what was decided after an appeal is final",
        "Dispute {dispute} cannot be appealed; there was time until {until}",
        "Dispute {dispute} cannot be appealed; it is closed",
        "Dispute {dispute} cannot be withdrawn; only who opened it may do that",
        "Dispute {dispute} cannot be withdrawn; it was decided",
        "{month} has not begun; post it on its first day",
        "Reference {reference} was booked for another creator or amount; look at it again",
        "Another client has a licence of style {style} until {until}; have it to yourself after that",
        "Reference {reference} was booked as {amount} {currency} for {client}; use another reference",
        "Payment {payment} is {state}: nothing arrived that could be given back; wait for it, or take none",
        "Payout {payout} to {creator} is still on its way; wait until it has ended",
        "Nobody has said where {creator} is to be paid; give an account first",
        "{creator} is paid in {currency} and not in {other}; change where the money goes",
        "Where {creator} is paid was changed on {at}; for safety the next payout can leave after {after}",
        "Payout {payout} is still on its way and cannot come back; end it as failed",
        "Payout {payout} was paid as {reference}; if the money came back, reverse it",
        "Payout {payout} has failed and the money is the creator's again; open another one",
        "Payout {payout} has come back and the money is the creator's again; open another one",
        "No payout in {currency} waits for a bank file; open payouts first",
        "No refund in {currency} waits for a bank file whose account is known; send the others by hand",
        "Whether refund {refund} was sent is said by {provider}, not by a person",
        "Refund {refund} came back and the money is its client's again; give it back anew",
        "Whether refund {refund} came back is said by {provider}, not by a person",
        "Refund {refund} was not sent yet, so it cannot have come back",
        "A style cannot be destroyed for one client alone; switch it off for that client, or destroy it for all",
    )
)


def of_sql(said: str) -> Sentence:
    """A sentence of the database with the values in it."""
    return known_again(said, SENTENCES)
