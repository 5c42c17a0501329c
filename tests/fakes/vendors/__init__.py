"""Outside vendors as they document themselves: real HTTP servers on loopback, each with a ledger of what it charged."""
