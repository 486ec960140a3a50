"""SQLite and Azure SQL: engines, the driver, column types, and what an error means."""
