"""The root of every error a user can cause: a message that says what was wrong, where, and what to do."""


class JaxrespError(Exception):
    """Base of all named errors. The command line prints its message, the service answers it as JSON."""
