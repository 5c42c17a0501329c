"""What every package may lean on: settings, logging, errors, identity, ids."""
