"""Other programs' formats: what a toylm model is called there, and back."""
