"""Where jobs are kept: one protocol on SQLite, Redis, Upstash REST and in memory."""
