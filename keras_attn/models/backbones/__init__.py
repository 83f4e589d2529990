"""Models that return one vector per token: BERT, BigBird, GPT-2."""
