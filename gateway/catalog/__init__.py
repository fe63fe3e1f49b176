"""What is known of models: from the operator, from vendors' lists, and from the catalog that is shipped."""
