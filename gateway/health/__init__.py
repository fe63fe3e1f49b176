"""How the gateway is: its providers, checked in the background, and what else it needs."""
