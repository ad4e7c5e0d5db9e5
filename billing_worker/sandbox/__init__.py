"""A local, stateful Stripe for development, tests and rehearsals: started as a process, imported by nobody."""
