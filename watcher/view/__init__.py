"""What users and other programs see of the store: plain dictionaries, and tables made of them."""
