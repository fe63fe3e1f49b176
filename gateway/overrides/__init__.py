"""What is stored beside the settings and goes before them: providers, prices, and callers' preferences."""
