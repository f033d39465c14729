"""Video models: what each can make, at which price, and how it is asked for it."""
