"""What is talked about: frozen values that every other package shares."""
