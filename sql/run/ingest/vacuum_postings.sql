-- Run by workers, outside of a transaction, after merges: later ones write where the posting lists of merged segments were. Whoever holds a
-- lock on the table vacuums or changes it.
VACUUM (SKIP_LOCKED) {postings}
