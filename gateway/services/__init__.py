"""Thin servicers: one file a service."""
