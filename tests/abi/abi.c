/*
 * Compares what src/sys declares by hand with PostgreSQL's headers. It is compiled, never run; a declaration that differs
 * is an error of the compiler's.
 *
 *   cc -fsyntax-only -Werror -I "$(pg_config --includedir-server)" tests/abi/abi.c
 */
#include "postgres.h"

/* Headers of libraries that PostgreSQL was built with may be missing, and nothing here depends on them. */
#undef ENABLE_GSS
#undef USE_OPENSSL

#include "libpq/libpq.h"
#include "tcop/tcopprot.h"
#include "tsearch/ts_type.h"
#include "utils/datum.h"
#include "utils/timeout.h"

/* src/sys/ffi.rs */
StaticAssertDecl(STATEMENT_TIMEOUT == 3, "STATEMENT_TIMEOUT");
StaticAssertDecl(offsetof(PQcommMethods, comm_reset) == 0, "comm_reset");
StaticAssertDecl(offsetof(PQcommMethods, flush) == sizeof(void *), "flush");

#define SAME(type, expression) StaticAssertDecl(__builtin_types_compatible_p(type, __typeof__(expression)), #expression)
SAME(int (*)(void), ((PQcommMethods *) 0)->flush);
SAME(const PQcommMethods *, PqCommMethods);
SAME(bool (Datum, Datum, bool, int), datum_image_eq);
SAME(void (TimeoutId, int), enable_timeout_after);
SAME(void (TimeoutId, bool), disable_timeout);
SAME(void (int), die);

/* src/sys/datum/tsvector.rs */
StaticAssertDecl(offsetof(TSVectorData, size) == 4 && offsetof(TSVectorData, entries) == 8, "tsvector");
StaticAssertDecl(sizeof(WordEntry) == 4 && MAXSTRLEN == (1 << 11) - 1 && MAXSTRPOS == (1 << 20) - 1, "tsvector's entries");
