"""One module per component; each check reads its evidence and judges it."""
