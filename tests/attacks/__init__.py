"""Hostile clients against a running gateway, with honest ones beside them. Run by hand, apart from the tests of the same name."""
