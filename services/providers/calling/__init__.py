"""How outside providers are asked: recorded before anything is sent, within limits, never paid for twice."""
