-- Run by workers as the extension's owner. $1 collections to look at, or NULL for all.
SELECT EXISTS (SELECT FROM rag.change
                WHERE $1::int[] IS NULL OR collection_id = ANY ($1::int[]))
