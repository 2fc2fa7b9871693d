"""The catalogues of parts: each is a value with one formula, entered by one line."""
