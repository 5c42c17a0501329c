"""One module for each task type, named like its parameters: `async def run(params, context) -> Result`."""
