"""What outlives the process: SQL tables, their migrations, and the ledger of calls."""
