"""The only package that imports `stripe`; `signature` and `schema` do not import it, so they stay cheap."""
