"""One month of a small shop, driven through the sandbox's HTTP API on the one clock, and the proof of its outcome.

It stands in for the company's own application and for time itself: it talks to Stripe's API as a shop does, moves the
clock in steps, and waits between steps until every part of the system has nothing due. Only the sandbox can be driven
so; a rehearsal against real Stripe is refused.
"""
