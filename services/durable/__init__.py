"""What every service with state stands on."""
