"""Explanations for people: pages that stand alone, and the same on a terminal."""
