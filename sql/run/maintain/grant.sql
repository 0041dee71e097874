-- Run by rag_grant and rag_rebuild as the source's owner. Rights on the source are the owner's own to give.
GRANT SELECT ON {tables} TO {role}
