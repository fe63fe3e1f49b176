"""The stubs of package llmgateway.v1. Generated from proto/ by tools/generate.py. Do not edit."""
