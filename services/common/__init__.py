"""What every service shares: settings, logging, errors, gRPC, the store and the bus."""
