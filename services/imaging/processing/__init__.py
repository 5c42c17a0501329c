"""What is done to pixels in memory. It knows neither files nor tasks nor providers."""
