"""Kinds of one's own, for tests/model/test_kinds.py."""
