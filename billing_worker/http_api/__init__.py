"""The HTTP API for applications: usage and quotas, in a process of its own so that metering never starves intake."""
