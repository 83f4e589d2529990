"""The checks that an export must pass, and the report of them."""
