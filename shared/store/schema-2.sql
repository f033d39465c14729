-- Counters that are added to together, and the tokens they have seen.
CREATE TABLE books (book TEXT PRIMARY KEY NOT NULL, expires_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX books_expiring ON books (expires_at);
CREATE TABLE counters (
    book TEXT NOT NULL REFERENCES books,
    name TEXT NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (book, name)
) WITHOUT ROWID;
CREATE TABLE seen (book TEXT NOT NULL REFERENCES books, token TEXT NOT NULL, PRIMARY KEY (book, token)) WITHOUT ROWID;
