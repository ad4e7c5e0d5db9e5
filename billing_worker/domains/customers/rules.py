"""What makes a customer suspicious, and who may have a trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MANY_DECLINES = 5
"""Different cards declined within a day: nobody owns that many; somebody tries stolen numbers."""

SHARED_BY = 3
"""Customers with one card: a family has two, a fraudster has accounts."""

STOLEN = ("stolen_card", "lost_card", "pickup_card", "fraudulent", "merchant_blacklist")
"""Decline codes by which the bank says that the card is not in its owner's hands."""

WEIGHTS = {
    "early_fraud_warning": 5,
    "fraudulent_dispute": 5,
    "card_testing": 4,
    "stolen_card": 4,
    "dispute": 3,
    "shared_card": 2,
    "elevated_risk": 2,
    "country_mismatch": 1,
}
"""How much a sign weighs; what the bank or the card's owner says weighs more than what only looks odd."""

MEANINGS = {
    "early_fraud_warning": "the card's bank has warned of fraud: refund before it becomes a dispute",
    "fraudulent_dispute": "the card's owner disputed a payment as fraudulent",
    "card_testing": f"{MANY_DECLINES} or more different cards were declined within a day",
    "stolen_card": "a bank declined a card as lost, stolen or fraudulent",
    "dispute": "a payment was disputed",
    "shared_card": f"{SHARED_BY} or more customers use the same card",
    "elevated_risk": "Stripe's risk check found a payment elevated or highest risk",
    "country_mismatch": "card and address are of different countries",
}

LOOK_AT = 4
"""From this weight on a customer should be looked at at once; below it, when there is time."""


@dataclass(frozen=True, slots=True)
class Sign:
    """One sign of fraud: the rule, and the object that shows it."""

    rule: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Suspect:
    """A customer with its signs, the heaviest first."""

    customer_id: str
    signs: tuple[Sign, ...]

    @property
    def weight(self) -> int:
        """Add up the rules that fit, each once."""
        return sum(WEIGHTS[rule] for rule in {sign.rule for sign in self.signs})

    @property
    def is_urgent(self) -> bool:
        """Say whether somebody should look at once."""
        return self.weight >= LOOK_AT


def rank_suspects(signs: Sequence[tuple[str, str, str]]) -> list[Suspect]:
    """Gather (customer, rule, evidence) by customer, the most suspicious first."""
    by_customer: dict[str, list[Sign]] = {}
    for customer_id, rule, evidence in signs:
        by_customer.setdefault(customer_id, []).append(Sign(rule, evidence))
    suspects = [
        Suspect(customer_id, tuple(sorted(found, key=lambda sign: (-WEIGHTS[sign.rule], sign.evidence))))
        for customer_id, found in by_customer.items()
    ]
    return sorted(suspects, key=lambda suspect: (-suspect.weight, suspect.customer_id))


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial that counts against a new one. Units: Unix seconds."""

    customer_id: str
    why: str
    subscription_id: str
    started_at: int
    ends_at: int


@dataclass(frozen=True, slots=True)
class Eligibility:
    """Whether a customer may have a trial, and the trials that speak against it."""

    is_eligible: bool
    reason: str
    trials: tuple[Trial, ...]


def check_trial(trials: Sequence[Trial], *, is_deleted: bool) -> Eligibility:
    """Decide whether a trial may be given: one for each person, told by user, mail address and card."""
    if is_deleted:
        return Eligibility(is_eligible=False, reason="the customer was deleted at Stripe", trials=())
    if not trials:
        return Eligibility(is_eligible=True, reason="no trial was used by this user, mail address or card", trials=())
    own = [trial for trial in trials if trial.why == "the customer itself"]
    first = (own or list(trials))[0]
    reason = f"a trial was used by {first.why}: {first.subscription_id} of {first.customer_id}"
    return Eligibility(is_eligible=False, reason=reason, trials=tuple(trials))
