-- Run by rag_revoke as the source's owner.
REVOKE SELECT ON {tables} FROM {role}
