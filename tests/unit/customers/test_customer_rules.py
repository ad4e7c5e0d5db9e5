from __future__ import annotations

from billing_worker.domains.customers.rules import LOOK_AT, MEANINGS, WEIGHTS, Trial, check_trial, rank_suspects


def test_suspects_come_heaviest_first_and_a_rule_weighs_once() -> None:
    signs = [
        ("cus_a", "country_mismatch", "pm_1"),
        ("cus_b", "early_fraud_warning", "issfr_1"),
        ("cus_b", "early_fraud_warning", "issfr_2"),
        ("cus_b", "dispute", "dp_1"),
    ]
    first, second = rank_suspects(signs)
    assert (first.customer_id, first.weight, first.is_urgent) == ("cus_b", 8, True)
    assert [sign.evidence for sign in first.signs] == ["issfr_1", "issfr_2", "dp_1"]
    assert (second.customer_id, second.weight, second.is_urgent) == ("cus_a", 1, False)
    assert rank_suspects([]) == []


def test_every_rule_has_a_weight_and_a_meaning() -> None:
    assert set(WEIGHTS) == set(MEANINGS)
    assert max(WEIGHTS.values()) >= LOOK_AT


def trial(customer: str, why: str) -> Trial:
    return Trial(customer, why, f"sub_of_{customer}", 1, 2)


def test_one_trial_for_each_person() -> None:
    assert check_trial([], is_deleted=False).is_eligible
    assert not check_trial([], is_deleted=True).is_eligible
    used = check_trial(
        [trial("cus_2", "the same mail address"), trial("cus_1", "the customer itself")], is_deleted=False
    )
    assert (used.is_eligible, len(used.trials)) == (False, 2)
    assert used.reason == "a trial was used by the customer itself: sub_of_cus_1 of cus_1"
