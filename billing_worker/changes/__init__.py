"""Changes that an operator asks of Stripe: stored first, made once, seen in the mirror before the command ends.

How a new change is written (docs/adr/0005-changes-at-stripe.md):

1. The operation stands in `stripe_gateway.operations` (how it is proved later is said there).
2. A service `domains/<slice>/services/<verb_object>.py` builds a `Change` and returns `make_change(door, change)`.
3. A command opens the door (`cli._changes.open_door`), audits, calls the service and shows the result.
"""
