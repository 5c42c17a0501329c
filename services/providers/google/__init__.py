"""Google's image models over generateContent: one wire protocol for two surfaces, the Gemini API and Vertex AI."""
