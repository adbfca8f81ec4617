"""How the service's responses are judged and calls retried."""
