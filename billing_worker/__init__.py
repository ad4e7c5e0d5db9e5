"""Everything behind the receiver: kernel, stack, inbox, mirror, effects, domains, command line."""
