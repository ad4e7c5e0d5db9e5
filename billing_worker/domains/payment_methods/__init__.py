"""Payment methods: what customers pay with, and why a bank said no."""
