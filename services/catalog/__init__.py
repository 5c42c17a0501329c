"""The public schema: task types, providers' configurations and enums, as pydantic models. No I/O."""
