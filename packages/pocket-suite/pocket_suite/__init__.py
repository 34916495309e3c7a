"""The pocket suite: small transfer tasks that anyone can build from packages and renderers."""
