"""Everything that speaks HTTP to people and to providers calling back; talks to no video provider."""
