"""Generated from proto/ by tools/generate.py. Do not edit."""
