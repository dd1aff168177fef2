"""What to say: one file per family of Video-LLM. Knows no buffer, no gate and no session."""
