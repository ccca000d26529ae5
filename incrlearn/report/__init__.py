"""Finished runs put side by side: their groups, their protocols, and what was expected of them."""
